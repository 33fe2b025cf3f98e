//! The AFTER triggers of a mapped table: what a write by the application meets.
//!
//! AFTER, since only then are values final (finding 4: a BEFORE INSERT trigger sees the key -1 where
//! SQLite is still to choose one). The condition of each trigger is the fast path: where the subject is
//! `home`, the body never runs.

use super::owner::{has_children, standing_columns, subject_of};
use super::words::{self, MODE};
use super::{NOT_EXEMPT, Plan, Trigger, admission, displaced, trigger};
use crate::sqlite::quote::{column, ident, key_json, literal};
use domicile_datamap::layout::{Owner, TableIx};

/// The AFTER triggers of table `ix`.
pub(crate) fn triggers(plan: &Plan<'_>, ix: TableIx) -> Vec<Trigger> {
    let mut all = vec![insert(plan, ix), update(plan, ix), reown(plan, ix), delete(plan, ix)];
    all.extend(subject_key(plan, ix));
    all.extend(displaced::confirm(plan, ix));
    all
}

/// One row's side of a write, `NEW` or `OLD`, with everything the statements are made of.
struct Side {
    table: String,
    row: &'static str,
    what: &'static str,
    owner: String,
}

impl Side {
    fn new(plan: &Plan<'_>, ix: TableIx, row: &'static str, what: &'static str) -> Self {
        let table = plan.layout.tables[ix].name.to_string();
        Self { table, row, what, owner: subject_of(plan.layout, ix, row) }
    }

    /// True in SQL while the subject is `home`, and nothing is to be done.
    fn at_home(&self) -> String {
        format!("EXISTS (SELECT 1 FROM domicile_home WHERE subject = {} AND state = 'h')", self.owner)
    }

    fn unknown(&self) -> String {
        let owner = &self.owner;
        format!("{owner} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM domicile_home WHERE subject = {owner})")
    }

    /// Refuses unless the subject's state lets the row pass. An old row nobody owns passes: its
    /// parent went in this transaction and was recorded, or refused, by itself.
    fn refuse(&self) -> String {
        let orphan = if self.row == "NEW" { words::no_owner(&self.table) } else { "NULL".into() };
        let missing = format!(
            "CASE WHEN {MODE} <> 'enforce' THEN NULL WHEN {} IS NULL THEN {orphan} ELSE {} END",
            self.owner,
            words::no_home(&self.table, self.what)
        );
        let state = format!("(SELECT state FROM domicile_home WHERE subject = {})", self.owner);
        format!("SELECT {}", words::refuse_unless_open(&state, &self.table, self.what, &missing))
    }

    /// Counts what mode `observe` lets pass.
    fn observe(&self) -> Vec<String> {
        let mut all = words::observe(&self.table, "subject without a home", &self.unknown()).to_vec();
        if self.row == "NEW" {
            all.extend(words::observe(
                &self.table,
                "row without an owner",
                &format!("{} IS NULL", self.owner),
            ));
        }
        all
    }
}

/// Records `key` for each of `owners` (a list for IN) that is `moving`.
pub(crate) fn record(table: &str, owners: &str, key: &str, subtree: bool) -> String {
    format!(
        "INSERT INTO domicile_changed(subject, tbl, key, sub) SELECT subject, {}, {key}, {} \
         FROM domicile_home WHERE subject IN ({owners}) AND state = 'm'",
        literal(table),
        i32::from(subtree)
    )
}

/// A new row. `sub` is set where it has children: with foreign keys off or deferred, rows may be there
/// already that refer to it and become its subject's by its coming.
fn insert(plan: &Plan<'_>, ix: TableIx) -> Trigger {
    let table = &plan.layout.tables[ix];
    let side = Side::new(plan, ix, "NEW", "this row");
    let mut pass = vec![side.at_home()];
    pass.extend(null_key(plan, ix).map(|n| format!("NOT ({n})")));
    let mut body = vec![words::expire(&side.owner), refuse_null_key(plan, ix)];
    if ix == 0 {
        pass.push(admission::allowed(plan, "NEW"));
        body.extend(admission::refuse(plan, "NEW"));
    }
    body.push(side.refuse());
    body.extend(side.observe());
    body.push(record(&side.table, &side.owner, &key_json("NEW", &table.key), has_children(plan.layout, ix)));
    let when = format!("NOT ({}) AND {NOT_EXEMPT}", pass.join(" AND "));
    trigger(plan, ix, "insert", "AFTER INSERT", &when, &body)
}

/// A changed row whose key and path stand still.
fn update(plan: &Plan<'_>, ix: TableIx) -> Trigger {
    let table = &plan.layout.tables[ix];
    let side = Side::new(plan, ix, "NEW", "this row");
    let mut body = vec![words::expire(&side.owner), side.refuse()];
    body.extend(side.observe());
    body.push(record(&side.table, &side.owner, &key_json("NEW", &table.key), false));
    let when =
        format!("{} AND NOT {} AND {NOT_EXEMPT}", same(&standing_columns(plan.layout, ix)), side.at_home());
    trigger(plan, ix, "update", "AFTER UPDATE", &when, &body)
}

/// A row whose owner, key, or what its children refer to, has changed: both sides are asked, and
/// both keys are recorded for both, with everything below them.
fn reown(plan: &Plan<'_>, ix: TableIx) -> Trigger {
    let table = &plan.layout.tables[ix];
    let (old, new) =
        (Side::new(plan, ix, "OLD", "this row"), Side::new(plan, ix, "NEW", "this row's new owner"));
    let both = format!("{}, {}", old.owner, new.owner);
    let mut body = vec![words::expire(&both), refuse_null_key(plan, ix)];
    body.extend([old.refuse(), new.refuse()]);
    body.extend(old.observe());
    body.extend(new.observe());
    let subtree = has_children(plan.layout, ix);
    for row in ["OLD", "NEW"] {
        body.push(record(&old.table, &both, &key_json(row, &table.key), subtree));
    }
    let when = format!("NOT ({}) AND {NOT_EXEMPT}", same(&standing_columns(plan.layout, ix)));
    trigger(plan, ix, "reown", "AFTER UPDATE", &when, &body)
}

/// A row that goes, with what cascades from it.
fn delete(plan: &Plan<'_>, ix: TableIx) -> Trigger {
    let table = &plan.layout.tables[ix];
    let side = Side::new(plan, ix, "OLD", "this row");
    let mut body = vec![words::expire(&side.owner), side.refuse()];
    body.extend(side.observe());
    body.push(record(&side.table, &side.owner, &key_json("OLD", &table.key), has_children(plan.layout, ix)));
    let when = format!("NOT {} AND {NOT_EXEMPT}", side.at_home());
    trigger(plan, ix, "delete", "AFTER DELETE", &when, &body)
}

/// The columns are the same before and after, byte for byte: a NOCASE key that changes its case is
/// another key to the digests.
fn same(columns: &[String]) -> String {
    let parts: Vec<_> =
        columns.iter().map(|c| format!("NEW.{} IS OLD.{} COLLATE BINARY", ident(c), ident(c))).collect();
    format!("({})", parts.join(" AND "))
}

/// True in SQL where the new row's key has a NULL (SQLite allows it in keys that are not the rowid).
fn null_key(plan: &Plan<'_>, ix: TableIx) -> Option<String> {
    let parts: Vec<_> =
        plan.shapes[ix].nullable_key.iter().map(|c| format!("{} IS NULL", column("NEW", c))).collect();
    (!parts.is_empty()).then(|| parts.join(" OR "))
}

/// A row without a whole key can't be named, so it can't be recorded or moved.
fn refuse_null_key(plan: &Plan<'_>, ix: TableIx) -> String {
    let table = plan.layout.tables[ix].name.to_string();
    null_key(plan, ix)
        .map(|null| format!("SELECT {} WHERE {MODE} = 'enforce' AND ({null})", words::no_key(&table)))
        .unwrap_or_default()
}

/// A subject can't become another one: refused where the guard enforces, and in any mode for a subject
/// that is under way. BEFORE, or ON UPDATE CASCADE would reach the children first and they would speak of
/// a missing home, as if a retry could help.
fn subject_key(plan: &Plan<'_>, ix: TableIx) -> Option<Trigger> {
    let Owner::Root { column: key } = &plan.layout.tables[ix].owner else { return None };
    let (table, key) = (plan.layout.tables[ix].name.to_string(), ident(key));
    let under_way = format!(
        "EXISTS (SELECT 1 FROM domicile_home WHERE subject IN (OLD.{key}, NEW.{key}) AND state <> 'h')"
    );
    let refuse = format!("SELECT {} WHERE {MODE} = 'enforce' OR {under_way}", words::subject_key(&table));
    let mut body = vec![refuse];
    body.extend(words::observe(&table, "key of a subject changed", "1"));
    let when = format!("NEW.{key} IS NOT OLD.{key} COLLATE BINARY AND {NOT_EXEMPT}");
    Some(trigger(plan, ix, "subjectkey", &format!("BEFORE UPDATE OF {key}"), &when, &body))
}
