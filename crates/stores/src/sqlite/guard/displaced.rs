//! Rows that REPLACE pushes out (finding 10, ATTACKS A14).
//!
//! `INSERT OR REPLACE`, `REPLACE`, `UPDATE OR REPLACE` and `ON CONFLICT REPLACE` in a table's definition
//! delete the rows in their way without any delete trigger, unless `recursive_triggers` is on, which each
//! connection decides for itself. So a BEFORE trigger looks at every unique index for a row that stands
//! in the new one's way: its subject must be writable, and if it is moving, the row is recorded
//! with all that cascades from it.
//!
//! A BEFORE trigger can't know whether the statement will replace. A plain INSERT that would fail
//! anyway is refused in other words, and that is right for INSERT OR IGNORE too: its zero rows would
//! mean nothing while the row in its way is away or arriving (ATTACKS A9, B8). Recording a row
//! that stays is harmless but for one case: an upsert of a row with children would copy the whole
//! subtree again. There the row is noted in `domicile_pending` first, and [`confirm`] records it once
//! it is gone.

use super::owner::{has_children, subject_of};
use super::shape::{Shape, Term, UniqueIndex, new_row, new_value, table_text};
use super::words::{self, MODE};
use super::{NOT_EXEMPT, Plan, Trigger, trigger};
use crate::sqlite::quote::{ident, key_json, literal};
use domicile_datamap::layout::TableIx;

/// The BEFORE triggers of table `ix`; none where nothing can collide.
pub(crate) fn triggers(plan: &Plan<'_>, ix: TableIx) -> Vec<Trigger> {
    if plan.shapes[ix].uniques.is_empty() {
        return Vec::new();
    }
    vec![before(plan, ix, Event::Insert), before(plan, ix, Event::Update)]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Insert,
    Update,
}

fn before(plan: &Plan<'_>, ix: TableIx, event: Event) -> Trigger {
    let shape = &plan.shapes[ix];
    let key = &plan.layout.tables[ix].key;
    let (mut somebody, mut body) = (Vec::new(), Vec::new());
    for index in &shape.uniques {
        let mut condition = in_the_way(shape, index);
        if event == Event::Update {
            let itself: Vec<_> =
                key.iter().map(|k| format!("{0} IS OLD.{0} COLLATE BINARY", ident(k))).collect();
            condition =
                format!("({}) AND {condition} AND NOT ({})", changes(shape, index), itself.join(" AND "));
        }
        let rows = format!("(SELECT * FROM {} WHERE {condition})", ident(&plan.layout.tables[ix].name.name));
        somebody.push(format!("EXISTS {rows}"));
        body.extend(statements(plan, ix, &rows, event));
    }
    let when = format!("({}) AND {NOT_EXEMPT}", somebody.join(" OR "));
    match event {
        Event::Insert => trigger(plan, ix, "displace", "BEFORE INSERT", &when, &body),
        Event::Update => trigger(plan, ix, "displaceupdate", "BEFORE UPDATE", &when, &body),
    }
}

/// What happens for the rows in the way, each under the alias `d`.
fn statements(plan: &Plan<'_>, ix: TableIx, rows: &str, event: Event) -> Vec<String> {
    let table = &plan.layout.tables[ix];
    let name = table.name.to_string();
    let owner = subject_of(plan.layout, ix, "d");
    let what = "the row in its way";
    let owners = format!("SELECT {owner} FROM {rows} AS d");
    let missing = format!(
        "CASE WHEN {MODE} = 'enforce' AND {owner} IS NOT NULL THEN {} END",
        words::no_home(&name, what)
    );
    let state = format!("(SELECT state FROM domicile_home WHERE subject = {owner})");
    let refuse = words::refuse_unless_open(&state, &name, what, &missing);
    let key = key_json("d", &table.key);
    let moving = format!("FROM {rows} AS d JOIN domicile_home AS h ON h.subject = {owner} AND h.state = 'm'");
    // Only an INSERT can turn out to be an upsert, and only the user's own triggers can touch the noted
    // row between the note and its end.
    let note = event == Event::Insert
        && has_children(plan.layout, ix)
        && plan.shapes[ix].foreign_triggers.is_empty();
    let record = if note {
        let known = "EXISTS (SELECT 1 FROM domicile_pending AS p WHERE p.tbl = x.tbl AND p.key = x.key AND p.subject = x.subject)";
        format!(
            "INSERT INTO domicile_pending(subject, tbl, key) SELECT subject, tbl, key FROM \
             (SELECT h.subject AS subject, {} AS tbl, {key} AS key {moving}) AS x WHERE NOT {known}",
            literal(&name)
        )
    } else {
        let subtree = i32::from(has_children(plan.layout, ix));
        format!(
            "INSERT INTO domicile_changed(subject, tbl, key, sub) SELECT h.subject, {}, {key}, {subtree} {moving}",
            literal(&name)
        )
    };
    vec![words::expire(&owners), format!("SELECT {refuse} FROM {rows} AS d"), record]
}

/// Records noted rows that are gone by now, and forgets the notes of those that are not: they were in
/// the way of an upsert or an INSERT OR IGNORE.
pub(crate) fn confirm(plan: &Plan<'_>, ix: TableIx) -> Option<Trigger> {
    if !has_children(plan.layout, ix) {
        return None;
    }
    let table = &plan.layout.tables[ix];
    let name = table_text(&table.name);
    // A blob key reads as text here and is found gone: recorded without need, never missed.
    let noted: Vec<_> = table
        .key
        .iter()
        .enumerate()
        .map(|(n, k)| format!("{} = json_extract(p.key, '$[{n}]')", ident(k)))
        .collect();
    let gone = format!(
        "(p.key = {} OR NOT EXISTS (SELECT 1 FROM {} WHERE {}))",
        key_json("NEW", &table.key),
        ident(&table.name.name),
        noted.join(" AND ")
    );
    let record = format!(
        "INSERT INTO domicile_changed(subject, tbl, key, sub) SELECT p.subject, p.tbl, p.key, 1 \
         FROM domicile_pending AS p JOIN domicile_home AS h ON h.subject = p.subject AND h.state = 'm' \
         WHERE p.tbl = {name} AND {gone}"
    );
    let when = format!("EXISTS (SELECT 1 FROM domicile_pending WHERE tbl = {name}) AND {NOT_EXEMPT}");
    let body = [record, format!("DELETE FROM domicile_pending WHERE tbl = {name}")];
    Some(trigger(plan, ix, "confirm", "AFTER INSERT", &when, &body))
}

/// The condition on a row of the table that it has the new row's place in this index.
fn in_the_way(shape: &Shape, index: &UniqueIndex) -> String {
    let over_new = new_row(shape);
    let mut parts: Vec<_> = index
        .terms
        .iter()
        .map(|term| match term {
            // An application may set the rowid's value; REPLACE goes by that one too.
            Term::Column { name, collation } => {
                format!("{} = {} COLLATE {}", bare(shape, name), value(shape, name), ident(collation))
            }
            Term::Expression { sql, collation } => {
                format!("({sql}) = (SELECT {sql} FROM {over_new}) COLLATE {}", ident(collation))
            }
        })
        .collect();
    if let Some(predicate) = &index.predicate {
        parts.push(format!("({predicate}) AND (SELECT ({predicate}) FROM {over_new})"));
    }
    parts.join(" AND ")
}

/// True in SQL where an UPDATE changes anything this index could depend on.
fn changes(shape: &Shape, index: &UniqueIndex) -> String {
    let plain = index.predicate.is_none() && index.terms.iter().all(|t| matches!(t, Term::Column { .. }));
    let names: Vec<String> = if plain {
        index
            .terms
            .iter()
            .map(|t| match t {
                Term::Column { name, .. } | Term::Expression { sql: name, .. } => name.clone(),
            })
            .collect()
    } else {
        shape.columns.clone()
    };
    let parts: Vec<_> =
        names.iter().map(|c| format!("NEW.{0} IS NOT OLD.{0} COLLATE BINARY", bare(shape, c))).collect();
    parts.join(" OR ")
}

/// A column's name as SQL; the rowid's stays unquoted, or a table without that column would take it
/// for a text.
fn bare(shape: &Shape, name: &str) -> String {
    if shape.columns.iter().any(|c| c == name) { ident(name) } else { name.to_owned() }
}

fn value(shape: &Shape, name: &str) -> String {
    if shape.columns.iter().any(|c| c == name) { new_value(shape, name) } else { format!("NEW.{name}") }
}
