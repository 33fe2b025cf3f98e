//! A live SQLite file: every table that its schema lists, in one read transaction.
//!
//! Views are not read (their rows are the tables'), nor are virtual tables, whose shadow tables are. What was
//! deleted and still stands in free pages or in the `-wal` is no row: search the file itself for that.

use super::Error;
use super::rows::{KeyPart, Rows, Value};
use crate::examine::RowsOf;
use crate::{Examiner, Gap, Place, Step};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use std::hash::RandomState;
use std::io::{self, Read};
use std::path::PathBuf;

/// Values beyond this are read in pieces.
const VALUE_BYTES: usize = 256 << 10;
/// One such piece, in bytes.
const PIECE_BYTES: usize = 16 << 20;
/// So much is collected before it is searched, in bytes.
const RUN_BYTES: usize = 2 << 20;

/// Searches the database of `connection`; `name` is shown as its place. Blocks.
///
/// # Errors
/// Where its schema can't be read. What single tables refuse is noted as unseen.
pub fn examine(connection: &Connection, name: &str, examiner: &mut Examiner<'_>) -> Result<(), Error> {
    connection.execute_batch("BEGIN")?;
    let place = Place::from(Step::Database(name.to_owned()));
    let read = everything(connection, &place, examiner);
    if read.is_ok() {
        let path = connection.path().map(PathBuf::from);
        examiner.rows_read(RowsOf::Sqlite(path.unwrap_or_default()));
    }
    // It only read: whatever this says, nothing is lost.
    let _ = connection.execute_batch("ROLLBACK");
    read
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}

fn everything(connection: &Connection, place: &Place, examiner: &mut Examiner<'_>) -> Result<(), Error> {
    for table in tables(connection)? {
        let at = place.then(Step::Table(String::new(), table.name.clone()));
        if table.virtual_by_a_module {
            examiner.unseen(
                &at,
                Gap::Unread,
                "a virtual table: its shadow tables are read, what its module keeps elsewhere is not",
            );
            continue;
        }
        if let Err(why) = read(connection, &table, &at, examiner) {
            examiner.unseen(&at, Gap::Unread, format!("not read, or not wholly: {why}"));
        }
    }
    Ok(())
}

struct Table {
    name: String,
    virtual_by_a_module: bool,
    columns: Vec<String>,
    /// Numbers of the primary key's columns; none: by `rowid`.
    key: Vec<usize>,
    /// A name by which the rowid can be called: no column has it.
    rowid: Option<&'static str>,
}

fn tables(connection: &Connection) -> Result<Vec<Table>, Error> {
    let mut listed = connection.prepare(
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND type <> 'view' ORDER BY name",
    )?;
    let rows = listed.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (name, kind, without_rowid): (String, String, bool) = row?;
        table(connection, name, kind == "virtual", without_rowid)
    })
    .collect()
}

fn table(
    connection: &Connection,
    name: String,
    virtual_by_a_module: bool,
    without_rowid: bool,
) -> Result<Table, Error> {
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    if !virtual_by_a_module {
        let mut listed =
            connection.prepare("SELECT name, pk FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1")?;
        let mut rows = listed.query([&name])?;
        while let Some(row) = rows.next()? {
            let place: i64 = row.get(1)?;
            if place > 0 {
                key.push((place, columns.len()));
            }
            columns.push(row.get::<_, String>(0)?);
        }
    }
    key.sort_unstable();
    let free = |name: &&str| !columns.iter().any(|column: &String| column.eq_ignore_ascii_case(name));
    let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(free).filter(|_| !without_rowid);
    let key = key.into_iter().map(|(_, column)| column).collect();
    Ok(Table { name, virtual_by_a_module, columns, key, rowid })
}

impl Table {
    /// The rowid, then each value and its length in bytes; a long value is null.
    fn select(&self) -> String {
        let mut parts = vec![self.rowid.unwrap_or("NULL").to_owned()];
        for column in &self.columns {
            let column = quoted(column);
            parts.push(format!(
                "CASE WHEN octet_length({column}) <= {VALUE_BYTES} THEN {column} END, octet_length({column})"
            ));
        }
        format!("SELECT {} FROM main.{}", parts.join(", "), quoted(&self.name))
    }
}

fn read(
    connection: &Connection,
    table: &Table,
    at: &Place,
    examiner: &mut Examiner<'_>,
) -> Result<(), Error> {
    examiner.target();
    let naming = RandomState::new();
    let mut collected = Rows::new(at, &table.columns, &naming);
    let mut statement = connection.prepare(&table.select())?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        one(connection, table, row, &mut collected, examiner)?;
        if collected.bytes() >= RUN_BYTES {
            collected.flush(examiner).map_err(said)?;
        }
    }
    collected.flush(examiner).map_err(said)
}

fn one(
    connection: &Connection,
    table: &Table,
    row: &Row<'_>,
    collected: &mut Rows,
    examiner: &mut Examiner<'_>,
) -> Result<(), Error> {
    collected.row(key(table, row)?);
    for column in 0..table.columns.len() {
        let number;
        let bytes: &[u8] = match row.get_ref(1 + 2 * column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
            ValueRef::Integer(value) => {
                number = value.to_string();
                number.as_bytes()
            }
            ValueRef::Real(value) => {
                number = value.to_string();
                number.as_bytes()
            }
            ValueRef::Null => {
                if let Some(length) = row.get::<_, Option<i64>>(2 + 2 * column)? {
                    large(connection, table, row, column, length, collected, examiner)?;
                }
                continue;
            }
        };
        if let Some(value) = collected.value(Value { column, bytes }) {
            collected.alone(column, value.bytes, examiner).map_err(said)?;
        }
    }
    Ok(())
}

/// Integers and blobs name nobody by themselves; a text may.
fn key(table: &Table, row: &Row<'_>) -> Result<Vec<KeyPart>, Error> {
    let part = |column: Option<usize>, at: usize| -> Result<KeyPart, Error> {
        let (text, personal) = match row.get_ref(at)? {
            ValueRef::Integer(value) => (value.to_string(), false),
            ValueRef::Real(value) => (value.to_string(), false),
            ValueRef::Text(text) => (String::from_utf8_lossy(text).into_owned(), true),
            ValueRef::Blob(bytes) => (hex(bytes), true),
            ValueRef::Null => ("null".to_owned(), false),
        };
        let text = if column.is_none() { format!("rowid {text}") } else { text };
        Ok(KeyPart { column, text, personal })
    };
    if table.key.is_empty() {
        return Ok(vec![part(None, 0)?]);
    }
    table.key.iter().map(|column| part(Some(*column), 1 + 2 * column)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value too long to be held: by its rowid or key, in pieces.
fn large(
    connection: &Connection,
    table: &Table,
    row: &Row<'_>,
    column: usize,
    length: i64,
    collected: &mut Rows,
    examiner: &mut Examiner<'_>,
) -> Result<(), Error> {
    let pieces = Pieces {
        connection,
        table,
        row,
        column,
        length: length.max(0) as usize,
        at: 0,
        piece: Vec::new(),
        used: 0,
    };
    collected.alone(column, pieces, examiner).map_err(said)
}

struct Pieces<'a> {
    connection: &'a Connection,
    table: &'a Table,
    row: &'a Row<'a>,
    column: usize,
    length: usize,
    at: usize,
    piece: Vec<u8>,
    used: usize,
}

impl Pieces<'_> {
    fn next(&self) -> Result<Vec<u8>, rusqlite::Error> {
        let Table { name, columns, key, rowid, .. } = self.table;
        let mut values: Vec<rusqlite::types::Value> = Vec::new();
        let mut conditions = Vec::new();
        if let Some(rowid) = rowid {
            values.push(self.row.get(0)?);
            conditions.push(format!("{rowid} IS ?1"));
        } else {
            for column in key {
                values.push(self.row.get(1 + 2 * column)?);
                conditions.push(format!("{} IS ?{}", quoted(&columns[*column]), values.len()));
            }
        }
        let sql = format!(
            "SELECT substr(CAST({} AS BLOB), {}, {PIECE_BYTES}) FROM main.{} WHERE {}",
            quoted(&columns[self.column]),
            self.at + 1,
            quoted(name),
            conditions.join(" AND ")
        );
        self.connection.prepare_cached(&sql)?.query_row(rusqlite::params_from_iter(values), |row| row.get(0))
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() && self.at < self.length {
            self.piece = self.next().map_err(|e| io::Error::other(e.to_string()))?;
            self.at += self.piece.len().max(1);
            self.used = 0;
        }
        let rest = &self.piece[self.used..];
        let taken = rest.len().min(into.len());
        into[..taken].copy_from_slice(&rest[..taken]);
        self.used += taken;
        Ok(taken)
    }
}

fn said(error: io::Error) -> Error {
    Error::Sqlite(error.to_string())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
