//! What was promised: every row that was there at the beginning, and every write acknowledged since.

use super::case::{Case, ServiceName};
use super::folder::Folder;
use super::tables::{self, TableAt};
use super::world;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A row's place in the world: which table, which key.
pub type RowKey = (TableAt, i64);

/// One acknowledged write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub row: RowKey,
    pub subject: i64,
    /// Fingerprint of the whole row after the write; `None`: it was deleted.
    pub value: Option<u64>,
}

/// What must be true of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    pub subject: i64,
    /// Its value now; `None`: it was deleted.
    pub now: Option<u64>,
    /// Values it had before: to find one of them is to find an old state.
    pub before: Vec<u64>,
}

/// All rows that ever were.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    pub rows: HashMap<RowKey, Fate>,
    /// Acknowledged writes, each row of a transaction counted.
    pub acknowledged: u64,
}

impl Journal {
    /// The rows of the old region before anything moves.
    pub fn begin(case: &Case, folder: &Folder) -> rusqlite::Result<Self> {
        let mut journal = Self::default();
        for service in case.services {
            let conn = world::open(folder, case.old, service.name)?;
            each_row(&conn, service.name, |row, subject, value| {
                journal.rows.insert(row, Fate { subject, now: Some(value), before: Vec::new() });
            })?;
        }
        Ok(journal)
    }

    /// Adds writes in the order in which they were acknowledged. Only one application writes a row, so the
    /// logs of several may be added one after the other.
    pub fn add(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.acknowledged += 1;
            let fresh = || Fate { subject: entry.subject, now: None, before: Vec::new() };
            let fate = self.rows.entry(entry.row).or_insert_with(fresh);
            fate.before.extend(fate.now);
            fate.now = entry.value;
        }
    }
}

/// Reads all rows of a service from one database: key, owner and fingerprint.
pub fn each_row(
    conn: &Connection,
    service: ServiceName,
    mut found: impl FnMut(RowKey, i64, u64),
) -> rusqlite::Result<()> {
    for (at, table) in service.tables() {
        let mut statement = conn.prepare(table.read)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found((at, row.get(1)?), row.get(0)?, fingerprint(row, 1, columns)?);
        }
    }
    Ok(())
}

/// A fingerprint of the columns `from..to` of a row. The hash is the standard library's with its fixed key:
/// good against accidents, and nobody here has a reason to forge.
pub fn fingerprint(row: &Row<'_>, from: usize, to: usize) -> rusqlite::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for column in from..to {
        match row.get_ref(column)? {
            ValueRef::Null => 0u8.hash(&mut hasher),
            ValueRef::Integer(n) => (1u8, n).hash(&mut hasher),
            ValueRef::Real(x) => (2u8, x.to_bits()).hash(&mut hasher),
            ValueRef::Text(bytes) => (3u8, bytes).hash(&mut hasher),
            ValueRef::Blob(bytes) => (4u8, bytes).hash(&mut hasher),
        }
    }
    Ok(hasher.finish())
}

/// The table's name, for people.
pub fn table_name(row: RowKey) -> &'static str {
    tables::ALL[usize::from(row.0)].name
}
