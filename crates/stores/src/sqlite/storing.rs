//! Writing rows that arrive as a stream.
//!
//! `OR ABORT` everywhere: a constraint declared `ON CONFLICT REPLACE` would otherwise delete whatever
//! row stands in the way, without a word.

use super::fault::Fault;
use super::paths;
use super::quote::{column, columns, ident, key_json};
use super::rows::{Broken, Frames, put_frame, values};
use super::session::Feed;
use crate::Error;
use crate::records::Key;
use domicile_datamap::layout::{Layout, MappedTable, MovedColumn, TableIx};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Statement};
use std::collections::BTreeSet;

/// Rows that wait for a unique value another row of the same stream still holds; more are a collision.
const WAITING_MAX: usize = 10_000;

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        let why = format!("the rows can't be read: {}", broken.0);
        Fault::Store(Error::Setting { what: why })
    }
}

/// Inserts all rows; a key that is there already fails with [`Error::Taken`].
pub(crate) fn load(conn: &Connection, table: &MappedTable, mut feed: Feed) -> Result<u64, Fault> {
    let mut statement = conn.prepare_cached(&insert(&table.name.name, &table.columns))?;
    let (mut frames, mut written) = (Frames::default(), 0);
    while let Some(chunk) = feed.next()? {
        frames.feed(&chunk, |row| {
            written += 1;
            put(&mut statement, table, row, None).map(drop)
        })?;
    }
    frames.finish()?;
    Ok(written)
}

/// Inserts rows or replaces them by key, where the owner of the row that is there is in the batch's
/// hands (finding 7): another's row under the same key is [`Error::Taken`]. Returns rows written and the postponed deletions (`late`) that
/// are left: a row that is written stays.
pub(crate) fn upsert(
    conn: &Connection,
    layout: &Layout,
    ix: TableIx,
    batch: &str,
    mut feed: Feed,
    mut late: BTreeSet<Key>,
) -> Result<(u64, BTreeSet<Key>), Fault> {
    let table = &layout.tables[ix];
    let ours = format!("WHERE {} = ?{}", paths::batch_of_owner(layout, ix), table.columns.len() + 1);
    let sql = upsert_sql(&table.name.name, &table.columns, &table.key, &ours);
    let mut statement = conn.prepare_cached(&sql)?;
    let (mut frames, mut written) = (Frames::default(), 0);
    let mut waiting = Vec::new();
    while let Some(chunk) = feed.next()? {
        frames.feed(&chunk, |row| -> Result<(), Fault> {
            if !late.is_empty() {
                late.remove(&key_of(conn, table, row)?);
            }
            match replace(&mut statement, table, batch, row) {
                Ok(()) => written += 1,
                Err(fault) if is_unique(&fault) && waiting.len() < WAITING_MAX => {
                    let mut frame = Vec::new();
                    put_frame(&mut frame, row.iter().copied());
                    waiting.push(frame);
                }
                Err(fault) => return Err(fault),
            }
            Ok(())
        })?;
    }
    frames.finish()?;
    written += settle(conn, table, batch, &mut statement, waiting)?;
    Ok((written, late))
}

/// Rows whose unique values were still held by a row that is written by now; then those that hold each
/// other's: their old versions, which are replaced anyway, first give their values up.
fn settle(
    conn: &Connection,
    table: &MappedTable,
    batch: &str,
    statement: &mut CachedStatement<'_>,
    mut waiting: Vec<Vec<u8>>,
) -> Result<u64, Fault> {
    let (mut written, mut parked) = (0, false);
    while !waiting.is_empty() {
        let (mut left, mut refusal) = (Vec::new(), None);
        let before = waiting.len();
        for frame in waiting {
            match replace(statement, table, batch, &values(&frame[4..])?) {
                Ok(()) => written += 1,
                Err(fault) if is_unique(&fault) => {
                    refusal = Some(fault);
                    left.push(frame);
                }
                Err(fault) => return Err(fault),
            }
        }
        if let Some(fault) = refusal
            && left.len() == before
        {
            if parked || !park(conn, table, &left)? {
                return Err(fault);
            }
            parked = true;
        }
        waiting = left;
    }
    Ok(written)
}

/// Gives the old versions of those rows values that nobody has. `false`: the table has no unique
/// constraint on plain columns.
fn park(conn: &Connection, table: &MappedTable, frames: &[Vec<u8>]) -> Result<bool, Fault> {
    let unique: BTreeSet<&String> =
        table.uniques.iter().flat_map(|u| &u.columns).filter(|c| !table.key.contains(c)).collect();
    let set: Vec<_> = table
        .columns
        .iter()
        .filter(|c| unique.contains(&c.name))
        .map(|c| format!("{} = {}", ident(&c.name), nobodys(c)))
        .collect();
    if set.is_empty() {
        return Ok(false);
    }
    let places = places(table);
    let by_key: Vec<_> =
        table.key.iter().enumerate().map(|(n, k)| format!("{} = ?{}", ident(k), n + 1)).collect();
    let sql =
        format!("UPDATE {} SET {} WHERE {}", ident(&table.name.name), set.join(", "), by_key.join(" AND "));
    let mut statement = conn.prepare_cached(&sql)?;
    for frame in frames {
        let row = values(&frame[4..])?;
        bind(&mut statement, places.iter().map(|&n| row[n]))?;
        statement.raw_execute()?;
    }
    Ok(true)
}

/// NULL, which is never equal to another, or a value at random.
fn nobodys(column: &MovedColumn) -> &'static str {
    let upper = column.type_name.to_ascii_uppercase();
    if !column.not_null {
        "NULL"
    } else if upper.contains("INT") {
        "-abs(random() / 2)"
    } else {
        "'domicile parks ' || hex(randomblob(16))"
    }
}

/// Where the key's columns stand among the moved ones.
fn places(table: &MappedTable) -> Vec<usize> {
    // INVARIANT: key columns move, so each is among the columns.
    table.key.iter().filter_map(|k| table.columns.iter().position(|c| &c.name == k)).collect()
}

fn key_of(conn: &Connection, table: &MappedTable, row: &[ValueRef<'_>]) -> Result<Key, Fault> {
    let columns: Vec<_> =
        table.key.iter().enumerate().map(|(n, k)| format!("?{} AS {}", n + 1, ident(k))).collect();
    let sql = format!("SELECT {} FROM (SELECT {})", key_json("", &table.key), columns.join(", "));
    let mut statement = conn.prepare_cached(&sql)?;
    bind(&mut statement, places(table).into_iter().filter_map(|n| row.get(n).copied()))?;
    let mut rows = statement.raw_query();
    let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Key(row.get(0)?))
}

fn is_unique(fault: &Fault) -> bool {
    matches!(fault, Fault::Sql(rusqlite::Error::SqliteFailure(code, _))
        if code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// Puts a row; one that stayed unwritten has its key held by somebody else's row.
fn replace(
    statement: &mut Statement<'_>,
    table: &MappedTable,
    batch: &str,
    row: &[ValueRef<'_>],
) -> Result<(), Fault> {
    // A row that is all key has nothing to replace.
    let only_keys = table.columns.iter().all(|c| table.key.contains(&c.name));
    let batch = (!only_keys).then_some(batch);
    if put(statement, table, row, batch)? > 0 || only_keys {
        return Ok(());
    }
    let (table, constraint) = (table.name.to_string(), "primary key".to_owned());
    Err(Error::Taken { store: String::new(), table, constraint }.into())
}

/// Runs the statement with a row, and after its columns the batch. Returns rows written.
fn put(
    statement: &mut Statement<'_>,
    table: &MappedTable,
    row: &[ValueRef<'_>],
    batch: Option<&str>,
) -> Result<usize, Fault> {
    if row.len() != table.columns.len() {
        let what = format!("rows of {} have {} columns, not {}", table.name, row.len(), table.columns.len());
        return Err(Error::Schema { store: String::new(), what }.into());
    }
    bind(statement, row.iter().copied().chain(batch.map(ValueRef::from)))?;
    Ok(statement.raw_execute()?)
}

/// Binds values of any storage class, text of any bytes.
pub(crate) fn bind<'v>(
    statement: &mut Statement<'_>,
    values: impl Iterator<Item = ValueRef<'v>>,
) -> Result<(), Fault> {
    for (n, value) in values.enumerate() {
        statement.raw_bind_parameter(n + 1, ToSqlOutput::Borrowed(value))?;
    }
    Ok(())
}

fn insert(table: &str, moved: &[MovedColumn]) -> String {
    let names: Vec<_> = moved.iter().map(|c| c.name.as_str()).collect();
    let holes: Vec<_> = (1..=names.len()).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT OR ABORT INTO {} AS a0 ({}) VALUES ({})",
        ident(table),
        columns("", &names),
        holes.join(", ")
    )
}

/// An insert that replaces the row with the same key; `only_where` may hold a further condition.
pub(crate) fn upsert_sql(table: &str, moved: &[MovedColumn], key: &[String], only_where: &str) -> String {
    let set: Vec<_> = moved
        .iter()
        .filter(|c| !key.contains(&c.name))
        .map(|c| format!("{} = {}", ident(&c.name), column("excluded", &c.name)))
        .collect();
    let action =
        if set.is_empty() { "NOTHING".into() } else { format!("UPDATE SET {} {only_where}", set.join(", ")) };
    format!("{} ON CONFLICT ({}) DO {action}", insert(table, moved), columns("", key))
}
