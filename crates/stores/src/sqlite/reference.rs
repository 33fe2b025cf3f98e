//! Shared tables: read at one region, written at another.

use super::Sqlite;
use super::fault::Fault;
use super::quote::{column, ident};
use super::reading::send_rows;
use super::rows::Frames;
use super::storing::{bind, upsert_sql};
use crate::{Error, Result};
use bytes::Bytes;
use domicile_datamap::layout::{MovedColumn, Personal, ReferenceTable};
use rusqlite::Connection;

impl Sqlite {
    /// See [`crate::Records::reference_rows`].
    pub(super) async fn read_reference(&self, table: usize) -> Result<Vec<Bytes>> {
        let layout = self.layout.clone();
        self.read("read a reference table", move |conn| {
            let table = reference(&layout.references, table)?;
            let columns: Vec<_> = table.columns.iter().map(|c| sent(table, c)).collect();
            let order: Vec<_> = table.key.iter().map(|k| column("", k)).collect();
            let order = if order.is_empty() { "1".into() } else { order.join(", ") };
            let sql =
                format!("SELECT {} FROM {} ORDER BY {order}", columns.join(", "), ident(&table.name.name));
            let mut chunks = Vec::new();
            send_rows(conn, &sql, [], table.columns.len(), &mut |chunk| {
                chunks.push(chunk);
                true
            })?;
            Ok(chunks)
        })
        .await
    }

    /// See [`crate::Records::put_reference`].
    ///
    /// CRASH: one transaction, and safe to repeat.
    pub(super) async fn write_reference(&self, table: usize, rows: Vec<Bytes>) -> Result<u64> {
        let layout = self.layout.clone();
        self.write("write a reference table", None, move |conn| {
            conn.execute_batch("PRAGMA defer_foreign_keys = ON")?;
            put(conn, reference(&layout.references, table)?, &rows)
        })
        .await
    }
}

fn reference(all: &[ReferenceTable], ix: usize) -> Result<&ReferenceTable, Fault> {
    all.get(ix).ok_or_else(|| {
        Error::Setting { what: format!("the data map has {} reference tables, not {}", all.len(), ix + 1) }
            .into()
    })
}

/// Upserts by key; rows that are the same already are not counted.
fn put(conn: &Connection, table: &ReferenceTable, chunks: &[Bytes]) -> Result<u64, Fault> {
    if table.key.is_empty() {
        let what = format!("reference table {} has no primary key to write its rows by", table.name);
        return Err(Error::Schema { store: String::new(), what }.into());
    }
    let differs: Vec<_> = table
        .columns
        .iter()
        .filter(|c| !table.key.contains(&c.name))
        .map(|c| format!("{} IS NOT {}", column("a0", &c.name), column("excluded", &c.name)))
        .collect();
    let only_where = format!("WHERE {}", differs.join(" OR "));
    let sql = upsert_sql(&table.name.name, &table.columns, &table.key, &only_where);
    let mut statement = conn.prepare_cached(&sql)?;
    let (mut frames, mut written) = (Frames::default(), 0);
    for chunk in chunks {
        frames.feed(chunk, |row| -> Result<(), Fault> {
            if row.len() != table.columns.len() {
                let what = format!("rows of {} have another number of columns", table.name);
                return Err(Error::Schema { store: String::new(), what }.into());
            }
            bind(&mut statement, row.iter().copied())?;
            written += statement.raw_execute()? as u64;
            Ok(())
        })?;
    }
    frames.finish()?;
    Ok(written)
}

/// A column as it leaves this region. Of a stub only the key and what NOT NULL demands: fillers, but a
/// foreign key's value, since it names a row of another table and no person.
fn sent(table: &ReferenceTable, moved: &MovedColumn) -> String {
    let kept = || column("", &moved.name);
    let referring = table.foreign_keys.iter().any(|key| key.columns.contains(&moved.name));
    match table.personal {
        Personal::Copy => kept(),
        Personal::Stub if table.key.contains(&moved.name) || (moved.not_null && referring) => kept(),
        Personal::Stub if moved.not_null => filler(&moved.type_name).into(),
        Personal::Stub => "NULL".into(),
    }
}

/// A value of the column's own kind that says nothing.
fn filler(type_name: &str) -> &'static str {
    let upper = type_name.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    if has(&["INT"]) {
        "0"
    } else if has(&["CHAR", "CLOB", "TEXT"]) || upper.is_empty() || upper == "ANY" {
        "'-'"
    } else if has(&["BLOB"]) {
        "x''"
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        "0.0"
    } else if has(&["DATE", "TIME"]) {
        "'1970-01-01 00:00:00'"
    } else {
        "0"
    }
}
