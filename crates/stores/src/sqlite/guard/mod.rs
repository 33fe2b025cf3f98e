//! The guard on SQLite: tables and triggers in the region's own file (DESIGN section 4).
//!
//! SQLite has one writer at a time, so the guard needs no locks and no snapshots' generations: what a
//! trigger reads is what is true until its transaction ends. What it does need is that *every* write
//! meets a trigger, and that no half of a refused transaction stays.
//!
//! | file | holds |
//! |---|---|
//! | [`tables`] | the guard's own tables and the view for people |
//! | [`shape`] | what the generator must know of a table beyond the layout: every unique index, read from the file |
//! | [`owner`] | how a row finds its subject, as an expression |
//! | [`words`] | refusals: literals, since `RAISE` takes an expression only from SQLite 3.47 on |
//! | [`rows`] | the AFTER triggers of a mapped table |
//! | [`displaced`] | the BEFORE triggers that see rows which REPLACE deletes without a delete trigger (finding 10) |
//! | [`admission`] | which countries may be stored here, at the root |
//! | [`signup`] | the door for a new subject |
//!
//! Everything here is text: [`triggers`] takes values and returns statements. `adoption` runs them.
//!
//! What no trigger sees, and the fingerprint or nobody catches: a connection with
//! `SQLITE_DBCONFIG_ENABLE_TRIGGER` off, `PRAGMA writable_schema`, and a table dropped or rebuilt.

pub(crate) mod admission;
pub(crate) mod displaced;
pub(crate) mod installed;
pub(crate) mod owner;
pub(crate) mod rows;
pub(crate) mod shape;
pub(crate) mod signup;
pub(crate) mod tables;
pub(crate) mod words;

#[cfg(test)]
mod trial;

use crate::records::Admission;
use domicile_datamap::layout::{Layout, TableIx};
use shape::Shape;

/// The condition every trigger ends with: the mover's own transactions pass. A row is in that table
/// only inside them, never committed, so no other connection can see one. Last, since SQLite asks from
/// left to right, and for an application's write to a subject at home the first answer is enough.
pub(crate) const NOT_EXEMPT: &str = "NOT EXISTS (SELECT 1 FROM domicile_exempt)";

/// One trigger: its name and the statement that makes it, as `sqlite_master` will hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trigger {
    /// The mapped table it stands on, unquoted.
    pub(crate) table: String,
    /// Its name, unquoted.
    pub(crate) name: String,
    /// `CREATE TRIGGER ...` without a semicolon at its end.
    pub(crate) sql: String,
}

/// What the generator works with.
pub(crate) struct Plan<'a> {
    /// The resolved data map.
    pub(crate) layout: &'a Layout,
    /// One for each of `layout.tables`, in the same order.
    pub(crate) shapes: &'a [Shape],
    /// Policy's word on countries.
    pub(crate) admission: &'a [Admission],
}

/// All triggers of the mapped tables. Created in this order, and after the user's own, so that they
/// fire first: SQLite fires the newest trigger first, and a user's AFTER trigger that says
/// `RAISE(IGNORE)` would keep later ones from firing at all.
pub(crate) fn triggers(plan: &Plan<'_>) -> Vec<Trigger> {
    let mut all = Vec::new();
    for ix in 0..plan.layout.tables.len() {
        all.extend(rows::triggers(plan, ix));
        all.extend(displaced::triggers(plan, ix));
        if ix == 0 {
            all.extend(admission::triggers(plan));
        }
    }
    all
}

/// Joins a trigger's parts. `event` is e.g. `AFTER INSERT`; statements come without semicolons.
pub(crate) fn trigger(
    plan: &Plan<'_>,
    ix: TableIx,
    suffix: &str,
    event: &str,
    when: &str,
    body: &[String],
) -> Trigger {
    let table = plan.layout.tables[ix].name.name.clone();
    let name = format!("domicile_{table}_{suffix}");
    let body: Vec<_> = body.iter().filter(|s| !s.is_empty()).map(|s| format!("  {s};\n")).collect();
    let sql = format!(
        "CREATE TRIGGER {} {event} ON {} FOR EACH ROW WHEN {when}\nBEGIN\n{}END",
        super::quote::ident(&name),
        super::quote::ident(&table),
        body.concat()
    );
    Trigger { table, name, sql }
}
