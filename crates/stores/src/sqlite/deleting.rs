//! Deleting rows by key so that no foreign key's action hits a row it should not.
//!
//! Foreign keys stay on. ON DELETE CASCADE, SET NULL and SET DEFAULT act at once, even where the rest of
//! the transaction would mend the reference, and they reach rows of other subjects. So before rows are
//! deleted: references answered `null` by the data map are set to NULL ([`detach`]), rows that an action
//! would hit wrongly are looked for, and where catch-up may still mend them the deletion waits for the
//! commit ([`postponed`]).

use super::fault::Fault;
use super::paths::{self, keys_json};
use super::quote::{column, columns, ident, key_json, key_part};
use crate::Error;
use crate::records::{Key, KeySet};
use domicile_datamap::catalogue::{FkAction, ForeignKey};
use domicile_datamap::layout::{Layout, MappedTable, Owner, TableIx};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Keys deleted by one statement: bounds what is held in memory for a subject of any size.
pub(crate) const KEYS_AT_ONCE: usize = 20_000;

/// Whose rows may go.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// These subjects' (JSON).
    Subjects(&'a str),
    /// Those of subjects that are `arriving` or `away` here and are not these (JSON).
    DeadBut(&'a str),
}

impl Scope<'_> {
    fn subjects(&self) -> &str {
        match self {
            Scope::Subjects(json) | Scope::DeadBut(json) => json,
        }
    }

    /// The condition on a row of table `ix`, after [`paths::up_to_owner`].
    fn holds(&self, layout: &Layout, ix: TableIx) -> String {
        let ours = paths::owner_in_subjects(layout, ix);
        match self {
            Scope::Subjects(_) => ours,
            Scope::DeadBut(_) => format!(
                "(EXISTS (SELECT 1 FROM domicile_home AS h WHERE h.subject = {} AND h.state IN ('a', 'w')) AND NOT {ours})",
                paths::owner(layout, ix)
            ),
        }
    }
}

/// A foreign key that refers to the table asked about.
struct Reference<'l> {
    from: TableIx,
    table: &'l MappedTable,
    key: &'l ForeignKey,
}

impl Reference<'_> {
    /// The path by which the row finds its subject: referrer and referred have the same owner.
    fn is_path(&self, to: TableIx) -> bool {
        matches!(&self.table.owner, Owner::Derived { parent, link, .. } if *parent == to
            && link.len() == self.key.columns.len()
            && link.iter().all(|(c, _)| self.key.columns.contains(c)))
    }

    /// `k` (keys of the table referred to) joined to it as `t` and to the referring rows as `a0`.
    fn rows(&self, layout: &Layout, to: TableIx) -> String {
        let referred = &layout.tables[to];
        let on: Vec<_> = self
            .key
            .referenced
            .iter()
            .zip(&self.key.columns)
            .map(|(there, here)| format!("{} = {}", column("t", there), column("a0", here)))
            .collect();
        format!(
            "json_each(?2) AS k CROSS JOIN {} AS t ON {} CROSS JOIN {} AS a0 ON {}",
            ident(&referred.name.name),
            paths::by_key("t", &referred.key),
            ident(&self.table.name.name),
            on.join(" AND ")
        )
    }

    fn acts(&self) -> bool {
        matches!(self.key.on_delete, FkAction::Cascade | FkAction::SetNull | FkAction::SetDefault)
    }
}

fn references(layout: &Layout, to: TableIx) -> impl Iterator<Item = Reference<'_>> {
    let name = &layout.tables[to].name;
    layout.tables.iter().enumerate().flat_map(move |(from, table)| {
        let keys = table.foreign_keys.iter().filter(move |key| &key.references == name);
        keys.map(move |key| Reference { from, table, key })
    })
}

/// Deletes those keys, all of whose rows are in scope. Returns rows deleted.
pub(crate) fn remove(
    conn: &Connection,
    layout: &Layout,
    ix: TableIx,
    keys: &BTreeSet<Key>,
    scope: Scope<'_>,
) -> Result<u64, Fault> {
    let keys = keys_json(keys);
    detach(conn, layout, ix, &keys, scope, true)?;
    for reference in references(layout, ix).filter(|r| r.acts() && !r.is_path(ix)) {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {}{} WHERE NOT {})",
            reference.rows(layout, ix),
            paths::up_to_owner(layout, reference.from),
            scope.holds(layout, reference.from)
        );
        let bites: bool =
            conn.prepare_cached(&sql)?.query_row([scope.subjects(), &keys], |row| row.get(0))?;
        if bites {
            return Err(bite(&reference, &layout.tables[ix]).into());
        }
    }
    delete_keys(conn, &layout.tables[ix], &keys)
}

/// Sets references to NULL that the data map answers `null` and, with `cycles`, those of rows in scope
/// that close a cycle. A row of another subject loses only what is never moved nor digested.
pub(crate) fn detach(
    conn: &Connection,
    layout: &Layout,
    ix: TableIx,
    keys: &str,
    scope: Scope<'_>,
    cycles: bool,
) -> Result<(), Fault> {
    for reference in references(layout, ix) {
        let table = reference.table;
        let among = |names: &[String]| -> Vec<String> {
            reference.key.columns.iter().filter(|c| names.contains(c)).cloned().collect()
        };
        let (blanked, cycle) = (among(&table.blanked), among(&table.null_first));
        let (names, only_in_scope) = match (blanked.is_empty(), cycle.is_empty() || !cycles) {
            (false, _) => (blanked, false),
            (true, false) => (cycle, true),
            (true, true) => continue,
        };
        let scoped = if only_in_scope {
            let from = reference.from;
            format!("{} WHERE {}", paths::up_to_owner(layout, from), scope.holds(layout, from))
        } else {
            // The parameter ?1 must be in the statement.
            " WHERE ?1 IS NOT NULL".to_owned()
        };
        let set: Vec<_> = names.iter().map(|n| format!("{} = NULL", ident(n))).collect();
        let sql = format!(
            "UPDATE {} SET {} WHERE ({}) IN (SELECT {} FROM {}{scoped})",
            ident(&table.name.name),
            set.join(", "),
            columns("", &table.key),
            columns("a0", &table.key),
            reference.rows(layout, ix)
        );
        conn.prepare_cached(&sql)?.execute([scope.subjects(), keys])?;
    }
    Ok(())
}

/// Those of the keys that a row still refers to which is not going itself, by a foreign key that would
/// act on it or forbid the deletion at once (RESTRICT ignores deferral); and one such foreign key.
pub(crate) fn postponed(
    conn: &Connection,
    layout: &Layout,
    ix: TableIx,
    keys: &BTreeSet<Key>,
    going: &KeySet,
) -> Result<(BTreeSet<Key>, Option<Error>), Fault> {
    let (mut waiting, mut still) = (BTreeSet::new(), None);
    for reference in references(layout, ix).filter(|r| r.acts() || r.key.on_delete == FkAction::Restrict) {
        let sql = format!(
            "SELECT DISTINCT k.value FROM {} WHERE {} NOT IN (SELECT value FROM json_each(?1))",
            reference.rows(layout, ix),
            key_json("a0", &reference.table.key)
        );
        let leaving = going.get(&reference.from).map_or_else(|| "[]".to_owned(), keys_json);
        let mut statement = conn.prepare_cached(&sql)?;
        let found = statement.query_map([leaving, keys_json(keys)], |row| row.get(0).map(Key))?;
        for key in found {
            waiting.insert(key?);
            still = Some(Error::Referred {
                store: String::new(),
                table: reference.table.name.to_string(),
                constraint: reference.key.name.clone(),
            });
        }
    }
    Ok((waiting, still))
}

/// At the commit: deletes the postponed keys, child-first, now that everything else is in place.
pub(crate) fn remove_late(
    conn: &Connection,
    layout: &Layout,
    late: &KeySet,
    scope: Scope<'_>,
) -> Result<(), Fault> {
    for (&ix, keys) in late.iter().rev() {
        detach(conn, layout, ix, &keys_json(keys), scope, false)?;
        if let (_, Some(still)) = postponed(conn, layout, ix, keys, late)? {
            return Err(still.into());
        }
        delete_keys(conn, &layout.tables[ix], &keys_json(keys))?;
    }
    Ok(())
}

/// Deletes by primary key. Returns rows deleted.
pub(crate) fn delete_keys(conn: &Connection, table: &MappedTable, keys: &str) -> Result<u64, Fault> {
    Ok(conn.prepare_cached(&delete_sql(table))?.execute([keys])? as u64)
}

/// The statement that deletes the keys in `?1`.
pub(crate) fn delete_sql(table: &MappedTable) -> String {
    let parts: Vec<_> = (0..table.key.len()).map(|n| key_part("k.value", n)).collect();
    format!(
        "DELETE FROM {} WHERE ({}) IN (SELECT {} FROM json_each(?1) AS k)",
        ident(&table.name.name),
        columns("", &table.key),
        parts.join(", ")
    )
}

/// Up to `limit` keys of the subjects' rows in a table.
pub(crate) fn keys_of(
    conn: &Connection,
    layout: &Layout,
    ix: TableIx,
    subjects: &str,
    limit: usize,
) -> Result<BTreeSet<Key>, Fault> {
    let sql = format!(
        "SELECT {} FROM {} LIMIT {limit}",
        key_json("a0", &layout.tables[ix].key),
        paths::from_subjects(layout, ix)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([subjects], |row| row.get(0).map(Key))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

fn bite(reference: &Reference<'_>, table: &MappedTable) -> Error {
    Error::Schema {
        store: String::new(),
        what: format!(
            "rows of {} that belong to other subjects refer to rows of {} by {} ({}), whose ON DELETE would \
             change them; the data map must answer for this foreign key",
            reference.table.name,
            table.name,
            reference.key.name,
            reference.key.columns.join(", ")
        ),
    }
}
