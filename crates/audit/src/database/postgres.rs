//! A live PostgreSQL: what its catalogue lists, in one snapshot.
//!
//! Read: every ordinary table, each partition (the parent has no rows of its own), materialised views,
//! large objects, and what the planner's statistics keep of values (`pg_stats`), since ANALYZE remembers rows
//! that were deleted. TOAST comes with the values. Listed as unseen: foreign tables, what the role may not
//! read or row-level security hides, other databases of the server.

mod catalogue;

use super::Error;
use super::rows::{KeyPart, Rows, Value};
use crate::{Examiner, Gap, Place, Step};
use catalogue::Table;
use std::hash::RandomState;
use std::io::{self, Read};
use tokio::runtime::Handle;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, Row};

/// Values beyond this are fetched in pieces.
const VALUE_BYTES: usize = 256 << 10;
/// One such piece, in bytes.
const PIECE_BYTES: usize = 4 << 20;
/// Rows fetched at once, at first and at most.
const ROWS_FIRST: usize = 16;
const ROWS_MAX: usize = 10_000;
/// What a fetch aims at, in bytes.
const FETCH_BYTES: usize = 2 << 20;

/// Whatever the role, the database or the connection says.
const SETTINGS: &str = "SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s'; \
    SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL enable_seqscan = on; SET LOCAL search_path = pg_catalog; \
    SET LOCAL extra_float_digits = 3; SET LOCAL datestyle = 'ISO,YMD'";

/// Searches the database that `client` is connected to; `name` is shown as its place and holds no password.
/// Blocks: call it on a blocking thread, with the runtime that drives the connection.
///
/// # Errors
/// Where the connection breaks, or the catalogue can't be read. What single tables refuse is noted as unseen.
pub fn examine(
    runtime: &Handle,
    client: &Client,
    name: &str,
    examiner: &mut Examiner<'_>,
) -> Result<(), Error> {
    let session = Session { runtime, client, naming: RandomState::new() };
    session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    // Rows that a policy hides would be rows not seen: an error instead, which is noted.
    session.run(SETTINGS)?;
    let place = Place::from(Step::Database(name.to_owned()));
    let read = session.everything(&place, examiner);
    if read.is_ok() {
        examiner.rows_read(crate::examine::RowsOf::Postgres);
    }
    // It only read: whatever this says, nothing is lost.
    let _ = session.run("ROLLBACK");
    read
}

struct Session<'a> {
    runtime: &'a Handle,
    client: &'a Client,
    naming: RandomState,
}

/// Any value's bytes as the server sends them.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Session<'_> {
    fn run(&self, sql: &str) -> Result<(), Error> {
        self.runtime.block_on(self.client.batch_execute(sql)).map_err(|e| failed(&e))
    }

    fn rows(&self, sql: &str) -> Result<Vec<Row>, Error> {
        self.runtime.block_on(self.client.query(sql, &[])).map_err(|e| failed(&e))
    }

    fn everything(&self, place: &Place, examiner: &mut Examiner<'_>) -> Result<(), Error> {
        for other in self.rows(catalogue::OTHER_DATABASES)? {
            let count: i64 = other.get(0);
            if count > 0 {
                examiner.unseen(
                    place,
                    Gap::Known,
                    format!("{count} other database(s) of this server: each needs a target of its own"),
                );
            }
        }
        for table in catalogue::tables(&self.rows(catalogue::TABLES)?, &self.rows(catalogue::COLUMNS)?) {
            let at = place.then(Step::Table(table.schema.clone(), table.name.clone()));
            for why in &table.unseen {
                examiner.unseen(&at, Gap::Unread, why);
            }
            if !table.columns.is_empty() {
                self.guarded(&at, examiner, |examiner| self.table(&table, &at, examiner))?;
            }
        }
        let at = place.then(Step::Table("pg_catalog".to_owned(), "pg_stats".to_owned()));
        self.guarded(&at, examiner, |examiner| self.table(&catalogue::statistics(), &at, examiner))?;
        let at = place.then(Step::Table("pg_catalog".to_owned(), "pg_largeobject".to_owned()));
        self.guarded(&at, examiner, |examiner| self.large_objects(&at, examiner))
    }

    /// Reads one thing; what the server refuses of it is noted, and the snapshot stays usable.
    fn guarded(
        &self,
        at: &Place,
        examiner: &mut Examiner<'_>,
        read: impl FnOnce(&mut Examiner<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.run("SAVEPOINT audit")?;
        match read(examiner) {
            Ok(()) => self.run("RELEASE SAVEPOINT audit"),
            Err(why) => {
                // A connection that is gone can't go back, and that is the error then.
                self.run("ROLLBACK TO SAVEPOINT audit")?;
                examiner.unseen(at, Gap::Unread, format!("not read, or not wholly: {why}"));
                Ok(())
            }
        }
    }

    fn table(&self, table: &Table, at: &Place, examiner: &mut Examiner<'_>) -> Result<(), Error> {
        examiner.target();
        self.run(&format!("DECLARE audit NO SCROLL CURSOR FOR {}", table.select(VALUE_BYTES)))?;
        let names: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
        let mut rows = Rows::new(at, &names, &self.naming);
        let mut count = ROWS_FIRST;
        loop {
            let fetched = self.rows(&format!("FETCH {count} FROM audit"))?;
            let mut bytes = 0;
            for row in &fetched {
                bytes += self.row(table, row, &mut rows, examiner)?;
            }
            rows.flush(examiner).map_err(|e| io_failed(&e))?;
            if fetched.len() < count {
                return self.run("CLOSE audit");
            }
            count = (count * FETCH_BYTES / bytes.max(1)).clamp(1, (count * 4).min(ROWS_MAX));
        }
    }

    /// Columns of a row: ctid, the parts of the key, each value, and which of them are long.
    fn row(
        &self,
        table: &Table,
        row: &Row,
        rows: &mut Rows,
        examiner: &mut Examiner<'_>,
    ) -> Result<usize, Error> {
        let text = |n: usize| -> Result<String, Error> {
            let raw: Option<Raw<'_>> = row.try_get(n).map_err(|e| failed(&e))?;
            Ok(raw.map_or_else(|| "null".to_owned(), |raw| String::from_utf8_lossy(raw.0).into_owned()))
        };
        let ctid = text(0)?;
        let mut key = Vec::new();
        for (n, part) in table.key.iter().enumerate() {
            key.push(KeyPart { column: part.column, text: text(n + 1)?, personal: part.personal });
        }
        if key.is_empty() {
            let text = if ctid == "null" { String::new() } else { format!("ctid {ctid}") };
            key.push(KeyPart { column: None, text, personal: false });
        }
        rows.row(key);
        let mut bytes = 0;
        let first = 1 + table.key.len();
        let long = text(first + table.columns.len())?;
        for (column, is_long) in long.trim_matches(['{', '}']).split(',').enumerate() {
            let value: Option<Raw<'_>> = row.try_get(first + column).map_err(|e| failed(&e))?;
            match value {
                Some(value) => {
                    bytes += value.0.len();
                    if let Some(value) = rows.value(Value { column, bytes: value.0 }) {
                        rows.alone(column, value.bytes, examiner).map_err(|e| io_failed(&e))?;
                    }
                }
                None if is_long == "t" => {
                    let pieces = Pieces::new(self, table.piece(column, &ctid));
                    rows.alone(column, pieces, examiner).map_err(|e| io_failed(&e))?;
                }
                None => {}
            }
        }
        Ok(bytes)
    }

    fn large_objects(&self, at: &Place, examiner: &mut Examiner<'_>) -> Result<(), Error> {
        let mut after = 0_i64;
        loop {
            let some = self.rows(&format!(
                "SELECT oid::bigint FROM pg_catalog.pg_largeobject_metadata WHERE oid::bigint > {after} ORDER BY 1 LIMIT 1000"
            ))?;
            let Some(last) = some.last() else { return Ok(()) };
            after = last.get(0);
            for row in &some {
                let oid: i64 = row.get(0);
                let one = at.then(Step::Key(oid.to_string()));
                self.guarded(&one, examiner, |examiner| {
                    examiner.target();
                    let from = move |piece: usize| {
                        format!(
                            "SELECT pg_catalog.lo_get({oid}::oid, {}, {PIECE_BYTES})",
                            piece * PIECE_BYTES
                        )
                    };
                    examiner.read(&one, Pieces::new(self, from)).map_err(|e| io_failed(&e))
                })?;
            }
        }
    }
}

/// A large value, read piece by piece.
struct Pieces<'s, F> {
    session: &'s Session<'s>,
    sql: F,
    number: usize,
    piece: Vec<u8>,
    at: usize,
}

impl<'s, F: Fn(usize) -> String> Pieces<'s, F> {
    fn new(session: &'s Session<'s>, sql: F) -> Self {
        Self { session, sql, number: 0, piece: Vec::new(), at: 0 }
    }
}

impl<F: Fn(usize) -> String> Read for Pieces<'_, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && (self.number == 0 || self.piece.len() == PIECE_BYTES) {
            let rows = self.session.rows(&(self.sql)(self.number)).map_err(io::Error::other)?;
            let row = rows.first().ok_or_else(|| io::Error::other("the row is gone"))?;
            let raw: Option<Raw<'_>> = row.try_get(0).map_err(|e| io::Error::other(failed(&e)))?;
            self.piece = raw.map(|raw| raw.0.to_vec()).unwrap_or_default();
            (self.number, self.at) = (self.number + 1, 0);
        }
        let rest = &self.piece[self.at..];
        let taken = rest.len().min(into.len());
        into[..taken].copy_from_slice(&rest[..taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// The server's words without DETAIL, which may quote values.
fn failed(error: &tokio_postgres::Error) -> Error {
    Error::Postgres(match error.as_db_error() {
        Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        None => error.to_string(),
    })
}

fn io_failed(error: &io::Error) -> Error {
    Error::Postgres(error.to_string())
}
