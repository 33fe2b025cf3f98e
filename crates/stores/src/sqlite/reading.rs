//! Changes, owners, rows and object keys: what a transaction reads for the mover, each function one
//! question, on a blocking thread. What is counted and hashed stands in `comparing`.

use super::fault::Fault;
use super::paths::{self, keys_json, subjects_json};
use super::quote::{column, ident, key_json, key_part};
use super::rows::{CHUNK_BYTES, put_row};
use crate::Error;
use crate::records::{Change, Key, KeySet, ObjectRef, SubjectId};
use bytes::Bytes;
use domicile_datamap::layout::{Layout, MappedTable, ObjectSource, Owner, TableIx};
use rusqlite::{Connection, Params};
use std::collections::BTreeSet;

/// Which rows of a table, with owned data so that it can go to another thread.
pub(crate) enum Picked {
    /// All rows of the subjects.
    Subjects(Vec<SubjectId>),
    /// These keys, where the owner is one of the subjects.
    Keys(BTreeSet<Key>, Vec<SubjectId>),
}

/// Up to `limit` entries of `domicile_changed`, oldest first.
pub(crate) fn changes(
    conn: &Connection,
    layout: &Layout,
    subjects: &[SubjectId],
    limit: u32,
) -> Result<Vec<Change>, Fault> {
    let sql = format!(
        "SELECT id, CAST(subject AS TEXT), tbl, key, sub FROM domicile_changed WHERE {} ORDER BY id LIMIT {limit}",
        paths::in_subjects("subject", paths::subject_type(layout))
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([subjects_json(subjects)])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let table: String = row.get(2)?;
        let table =
            layout.tables.iter().position(|t| t.name.to_string() == table).ok_or_else(|| Error::Schema {
                store: String::new(),
                what: format!(
                    "the guard's record of changes names {table}, which the data map does not move"
                ),
            })?;
        let (subject, key) = (SubjectId(row.get(1)?), Key(row.get(3)?));
        all.push(Change { id: row.get(0)?, subject, table, key, subtree: row.get(4)? });
    }
    Ok(all)
}

/// The keys of the entries and all descendants of those with `subtree`.
pub(crate) fn expand(conn: &Connection, layout: &Layout, changes: &[Change]) -> Result<KeySet, Fault> {
    let mut all = KeySet::new();
    let mut roots = KeySet::new();
    for change in changes {
        all.entry(change.table).or_default().insert(change.key.clone());
        if change.subtree {
            roots.entry(change.table).or_default().insert(change.key.clone());
        }
    }
    // INVARIANT: a child stands after its parent, so one walk forwards reaches every depth.
    for parent in 0..layout.tables.len() {
        let Some(keys) = roots.get(&parent).filter(|keys| !keys.is_empty()) else { continue };
        let keys = keys_json(keys);
        for &child in &layout.tables[parent].children {
            let found = children(conn, layout, parent, child, &keys)?;
            all.entry(child).or_default().extend(found.iter().cloned());
            roots.entry(child).or_default().extend(found);
        }
    }
    all.retain(|_, keys| !keys.is_empty());
    Ok(all)
}

/// Keys of `child`'s rows below those keys of `parent`. The parent's row may be gone by now: where the
/// link stands on its primary key, its values are in the key itself.
fn children(
    conn: &Connection,
    layout: &Layout,
    parent: TableIx,
    child: TableIx,
    keys: &str,
) -> Result<Vec<Key>, Fault> {
    let (above, below) = (&layout.tables[parent], &layout.tables[child]);
    let Owner::Derived { link, .. } = &below.owner else { return Ok(Vec::new()) };
    let place = |name: &String| above.key.iter().position(|k| k == name);
    let by_key = link.iter().all(|(_, p)| place(p).is_some());
    let on: Vec<_> = link
        .iter()
        .map(|(c, p)| match place(p).filter(|_| by_key) {
            Some(n) => format!("{} = {}", column("c", c), key_part("k.value", n)),
            None => format!("{} = {}", column("p", p), column("c", c)),
        })
        .collect();
    let through = if by_key {
        String::new()
    } else {
        format!(" CROSS JOIN {} AS p ON {}", ident(&above.name.name), paths::by_key("p", &above.key))
    };
    let sql = format!(
        "SELECT {} FROM json_each(?1) AS k{through} CROSS JOIN {} AS c ON {}",
        key_json("c", &below.key),
        ident(&below.name.name),
        on.join(" AND ")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([keys], |row| row.get(0).map(Key))?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// Those of the keys whose row exists and is owned by one of the subjects.
pub(crate) fn owned(
    conn: &Connection,
    layout: &Layout,
    keys: &KeySet,
    subjects: &[SubjectId],
) -> Result<KeySet, Fault> {
    let subjects = subjects_json(subjects);
    let mut all = KeySet::new();
    for (&ix, keys) in keys {
        let found = owned_of(conn, layout, ix, keys, &subjects)?;
        if !found.is_empty() {
            all.insert(ix, found);
        }
    }
    Ok(all)
}

/// [`owned`] for one table; `subjects` as JSON.
pub(crate) fn owned_of(
    conn: &Connection,
    layout: &Layout,
    ix: TableIx,
    keys: &BTreeSet<Key>,
    subjects: &str,
) -> Result<BTreeSet<Key>, Fault> {
    let sql = format!(
        "SELECT k.value FROM {} WHERE {}",
        paths::from_keys(layout, ix),
        paths::owner_in_subjects(layout, ix)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([subjects, &keys_json(keys)], |row| row.get(0).map(Key))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Sends the rows as chunks; `send` says `false` once nobody listens.
pub(crate) fn rows(
    conn: &Connection,
    layout: &Layout,
    ix: TableIx,
    picked: &Picked,
    null_first: bool,
    send: &mut dyn FnMut(Bytes) -> bool,
) -> Result<(), Fault> {
    let columns = moved_columns(&layout.tables[ix], null_first);
    match picked {
        Picked::Subjects(subjects) => {
            let sql = format!("SELECT {columns} FROM {}", paths::from_subjects(layout, ix));
            send_rows(conn, &sql, [subjects_json(subjects)], layout.tables[ix].columns.len(), send)
        }
        Picked::Keys(keys, subjects) => {
            let sql = format!(
                "SELECT {columns} FROM {} WHERE {}",
                paths::from_keys(layout, ix),
                paths::owner_in_subjects(layout, ix)
            );
            let parameters = [subjects_json(subjects), keys_json(keys)];
            send_rows(conn, &sql, parameters, layout.tables[ix].columns.len(), send)
        }
    }
}

/// Runs a query and sends its first `columns` columns as chunks of rows.
pub(crate) fn send_rows(
    conn: &Connection,
    sql: &str,
    parameters: impl Params,
    columns: usize,
    send: &mut dyn FnMut(Bytes) -> bool,
) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
    while let Some(row) = rows.next()? {
        put_row(&mut chunk, row, columns)?;
        if chunk.len() >= CHUNK_BYTES {
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8));
            if !send(full.into()) {
                return Ok(());
            }
        }
    }
    if !chunk.is_empty() {
        send(chunk.into());
    }
    Ok(())
}

/// The table's columns as they travel: `blanked` ones are NULL, those that close a cycle too if asked.
fn moved_columns(table: &MappedTable, null_first: bool) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|c| {
            let blank = table.blanked.contains(&c.name) || (null_first && table.null_first.contains(&c.name));
            if blank { "NULL".to_owned() } else { column("a0", &c.name) }
        })
        .collect();
    columns.join(", ")
}

/// Object keys named by rows of these subjects, each once; with `keys` only by those rows.
pub(crate) fn objects(
    conn: &Connection,
    layout: &Layout,
    subjects: &[SubjectId],
    keys: Option<&KeySet>,
) -> Result<Vec<ObjectRef>, Fault> {
    let subjects = subjects_json(subjects);
    let mut all = BTreeSet::new();
    for (rule, object) in layout.objects.iter().enumerate() {
        let ObjectSource::Column { table, column: named } = &object.source else { continue };
        let named = format!("CAST({} AS TEXT)", column("a0", named));
        let (sql, keys) = match keys {
            None => {
                let from = paths::from_subjects(layout, *table);
                (format!("SELECT s.value, {named} FROM {from} WHERE {named} IS NOT NULL"), None)
            }
            Some(keys) => {
                let Some(keys) = keys.get(table) else { continue };
                let sql = format!(
                    "SELECT CAST({} AS TEXT), {named} FROM {} WHERE {} AND {named} IS NOT NULL",
                    paths::owner(layout, *table),
                    paths::from_keys(layout, *table),
                    paths::owner_in_subjects(layout, *table)
                );
                (sql, Some(keys_json(keys)))
            }
        };
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = match &keys {
            None => statement.query([&subjects])?,
            Some(keys) => statement.query([&subjects, keys])?,
        };
        while let Some(row) = rows.next()? {
            all.insert(ObjectRef { subject: SubjectId(row.get(0)?), rule, key: row.get(1)? });
        }
    }
    Ok(all.into_iter().collect())
}
