//! The guard on PostgreSQL as text: tables, functions and triggers from a layout.
//!
//! Pure: nothing here asks a database, so what a region will run can be read before it runs.
//! [`script`] is what `install` executes in one transaction. What each piece is for stands with the
//! piece; the reasons are the numbered findings of the design's section 4.
//!
//! Everything is owned by the role that installs (the mover's role, a member of the tables' owner).
//! Trigger functions are SECURITY DEFINER with a pinned `search_path` and qualified names, so neither
//! row security nor a temporary table can hide a row's parent from them (attacks P8, P8c).

mod admission;
mod enter;
mod function;
pub(super) mod path;
pub(super) mod privileges;
mod tables;
pub(super) mod triggers;

use crate::postgres::quote::{ident, literal};
use crate::records::{GuardSpec, State};
use domicile_datamap::catalogue::TableName;
use domicile_datamap::layout::{AttributePath, Layout, MappedTable, Owner};
use sha2::{Digest, Sha256};

/// Version of the guard's tables; raised when `install` has to migrate something.
pub(super) const VERSION: i32 = 1;

/// Name of the row trigger. PostgreSQL fires triggers in the order of their names and a foreign
/// key's are called `RI_...`: this one has to speak first, or a write by a stale route gets 23503
/// instead of RS001 (finding D2).
pub(super) const ROW_TRIGGER: &str = "00_domicile";
/// Deferred to commit: a row that may be written before its parent, and a country behind foreign keys.
pub(super) const COMMIT_TRIGGER: &str = "00_domicile_commit";
/// On tables through which the country is found: marks subjects that no longer fit here.
pub(super) const COUNTRY_TRIGGER: &str = "00_domicile_country";
/// Before TRUNCATE, which no row trigger sees.
pub(super) const TRUNCATE_TRIGGER: &str = "00_domicile_truncate";

/// Rows of `domicile.gate` a round: spreads the share locks of writers without a home row, since
/// many transactions locking one row make multixacts by the thousand a second.
pub(super) const GATE_SLOTS: u32 = 64;

/// Rows `domicile.observed` holds at most; what comes after is only counted (by a sequence, which no
/// transaction waits for).
pub(super) const OBSERVED_ROWS_MAX: u32 = 100_000;

/// What every function of ours runs with.
pub(super) const PINNED: &str = "set search_path = pg_catalog, pg_temp";

/// The statements that install the guard, in order, for one transaction.
///
/// `identity` is what [`crate::Records::identity`] says of this database. The script keeps the rows of
/// `home` and `changed`, the mode and whether the triggers of `guard = "wave"` are armed.
pub(super) fn script(layout: &Layout, spec: &GuardSpec, mover: &str, identity: &str) -> Vec<String> {
    let mut all = tables::create(layout);
    all.push(tables::region_row(layout, spec, identity));
    all.extend(tables::admission_rows(&spec.admission));
    all.extend(enter::functions(layout));
    all.extend(admission::functions(layout));
    for table in &layout.tables {
        all.extend(path::functions(layout, table));
        all.extend(function::functions(layout, table));
    }
    all.push(triggers::retire(layout));
    all.extend(triggers::attach(layout, mover));
    all.push(tables::grants());
    all.push(triggers::grants(layout));
    all
}

/// An attribute of a subject (country, citizenship, flags) as a scalar expression over the root's row.
pub(super) fn attribute(path: &AttributePath, root: &str) -> String {
    admission::value(path, root)
}

/// A state's letter in `domicile.home`.
pub(super) fn letter(state: State) -> &'static str {
    match state {
        State::Home => "h",
        State::Marking => "k",
        State::Moving => "m",
        State::Fencing => "g",
        State::Fenced => "f",
        State::Sealed => "s",
        State::Arriving => "a",
        State::Away => "w",
    }
}

/// The state of a letter; `None` for a letter that is none of ours.
pub(super) fn state(letter: &str) -> Option<State> {
    Some(match letter {
        "h" => State::Home,
        "k" => State::Marking,
        "m" => State::Moving,
        "g" => State::Fencing,
        "f" => State::Fenced,
        "s" => State::Sealed,
        "a" => State::Arriving,
        "w" => State::Away,
        _ => return None,
    })
}

/// `"schema"."table"`.
pub(super) fn qualified(name: &TableName) -> String {
    format!("{}.{}", ident(&name.schema), ident(&name.name))
}

/// The name of a function that belongs to one table: readable, and unique though names are cut at
/// 63 bytes and two schemas may hold tables of one name.
pub(super) fn function_name(prefix: &str, table: &TableName) -> String {
    let digest = hex::encode(Sha256::digest(table.to_string().as_bytes()));
    let mut short = table.name.clone();
    while short.len() > 40 {
        short.pop();
    }
    format!("domicile.{}", ident(&format!("{prefix}_{short}_{}", &digest[..8])))
}

/// The root's subject column and its type: the type of `subject` in all of the guard's tables.
pub(super) fn subject_column(layout: &Layout) -> (&str, &str) {
    let root = &layout.tables[0];
    let Owner::Root { column } = &root.owner else {
        unreachable!("tables[0] is the root: invariant of Layout");
    };
    (column, type_of(root, column))
}

/// The declared type of a table's column; `text` where the layout does not carry the column.
fn type_of<'a>(table: &'a MappedTable, column: &str) -> &'a str {
    table.columns.iter().find(|c| c.name == column).map_or("text", |c| c.type_name.as_str())
}

/// `create or replace function`, SECURITY DEFINER or not, with a dollar quote that its body does not hold.
fn plpgsql(signature: &str, returns: &str, definer: bool, settings: &str, body: &str) -> String {
    let tag = tag(body);
    let security = if definer { "security definer" } else { "security invoker" };
    format!(
        "create or replace function {signature} returns {returns} language plpgsql {security} {PINNED} {settings} \
         as {tag}\n#variable_conflict use_variable\n{body}\n{tag}"
    )
}

/// `do` with that body.
fn run_once(body: &str) -> String {
    let tag = tag(body);
    format!("do {tag} {body} {tag}")
}

/// A dollar quote that the body does not hold: a table may be called anything.
fn tag(body: &str) -> String {
    let mut tag = String::from("$domicile$");
    while body.contains(&tag) {
        tag.insert(tag.len() - 1, '_');
    }
    tag
}

/// A text as the guard names tables in `changed.tbl` and in its messages.
fn table_literal(name: &TableName) -> String {
    literal(&name.to_string())
}
