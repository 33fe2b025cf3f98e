//! Connections to one SQLite file, and transactions on Tokio's blocking threads.
//!
//! What the guard keeps for us here (its tables are created by `guard`):
//! - `domicile_lease(batch PRIMARY KEY, token, ...)`: the token every transaction of the mover reads first;
//! - `domicile_exempt(one)`: a row is inserted at the start of a transaction that holds a lease and
//!   deleted before its commit. The guard's triggers pass while a row is there. No other connection
//!   can see it, since it is never committed.
//!
//! `BEGIN` followed by a write is never used: a deferred transaction that read before another writer
//! committed fails at once with SQLITE_BUSY whatever the busy timeout (ATTACKS, S13).

use super::fault::Fault;
use super::session::Seat;
use crate::records::Lease;
use crate::{Error, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Longest wait for the file's write lock: longer than any sane transaction of an application, short
/// enough that a worker that can't get it says so.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(15);
/// Idle connections kept open; more are opened when needed and closed afterwards.
const IDLE_MAX: usize = 4;
/// Statements kept prepared per connection: a few for each mapped table.
const STATEMENTS_MAX: usize = 512;

/// One SQLite file and its idle connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cell {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Open write transactions of this process, by batch.
    writings: Mutex<Vec<(String, Weak<Seat>)>>,
    /// Longest wait for a lock.
    wait: Duration,
}

impl Cell {
    /// Opens the file, and one connection to see that it is a database.
    pub(crate) async fn open(path: &Path, create: bool) -> Result<Self> {
        let name = format!("sqlite:{}", path.display());
        if !create && !path.exists() {
            return Err(Error::Setting { what: format!("{name} does not exist") });
        }
        let inner = Inner {
            name,
            path: path.to_owned(),
            idle: Mutex::default(),
            writings: Mutex::default(),
            wait: WRITE_WAIT_MAX,
        };
        let cell = Self { inner: Arc::new(inner) };
        let opening = cell.clone();
        cell.blocking("open", move || {
            let conn = opening.connect(create)?;
            conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
            opening.put_back(conn);
            Ok(())
        })
        .await?;
        Ok(cell)
    }

    /// The same file for callers that can't wait long for a lock: with connections of its own.
    pub(crate) fn waiting_at_most(&self, wait: Duration) -> Self {
        let Inner { name, path, .. } = &*self.inner;
        let inner = Inner {
            name: name.clone(),
            path: path.clone(),
            idle: Mutex::default(),
            writings: Mutex::default(),
            wait,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The store's name for messages.
    pub(crate) fn name(&self) -> &str {
        &self.inner.name
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `f` in a read transaction.
    pub(crate) async fn read<T, F>(&self, what: &'static str, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.with_connection(what, move |conn| {
            conn.execute_batch("BEGIN")?;
            let value = f(conn)?;
            conn.execute_batch("COMMIT")?;
            Ok(value)
        })
        .await
    }

    /// Runs `f` in a write transaction, with a lease as the mover.
    pub(crate) async fn write<T, F>(&self, what: &'static str, lease: Option<&Lease>, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let lease = lease.cloned();
        self.with_connection(what, move |conn| {
            begin_write(conn, lease.as_ref())?;
            let value = f(conn)?;
            commit_write(conn, lease.is_some())?;
            Ok(value)
        })
        .await
    }

    /// Runs `f` with a connection of the pool outside any transaction (PRAGMA, VACUUM). A
    /// connection whose `f` failed, or that still is in a transaction, is closed, which rolls back.
    pub(crate) async fn with_connection<T, F>(&self, what: &'static str, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    {
        let cell = self.clone();
        self.blocking(what, move || {
            let mut conn = cell.take()?;
            let value = f(&mut conn)?;
            cell.put_back(conn);
            Ok(value)
        })
        .await
    }

    /// Runs `f` on a blocking thread and names its error.
    pub(crate) async fn blocking<T, F>(&self, what: &'static str, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Fault> + Send + 'static,
    {
        match tokio::task::spawn_blocking(f).await {
            Ok(result) => result.map_err(|fault| fault.named(self.name(), what)),
            Err(ended) => {
                let why = if ended.is_panic() { "a defect ended the step" } else { "the program is ending" };
                Err(Error::Failed { store: self.name().into(), what: what.into(), why: why.into() })
            }
        }
    }

    /// An idle connection, or a new one.
    pub(crate) fn take(&self) -> Result<Connection, Fault> {
        let idle = self.inner.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        match idle {
            Some(conn) => Ok(conn),
            None => Ok(self.connect(false)?),
        }
    }

    /// Gives a connection back to the pool.
    pub(crate) fn put_back(&self, conn: Connection) {
        let mut idle = self.inner.idle.lock().unwrap_or_else(|e| e.into_inner());
        if conn.is_autocommit() && idle.len() < IDLE_MAX {
            idle.push(conn);
        }
    }

    /// Remembers an open write transaction, so that whoever takes its lease over can end it.
    pub(crate) fn remember(&self, batch: &str, seat: &Arc<Seat>) {
        let mut writings = self.inner.writings.lock().unwrap_or_else(|e| e.into_inner());
        writings.retain(|(_, seat)| seat.strong_count() > 0);
        writings.push((batch.to_owned(), Arc::downgrade(seat)));
    }

    /// Ends the batch's write transactions of this process: they roll back and free the file's lock.
    /// One of another process can't be ended from here; it holds the lock until it ends itself.
    pub(crate) async fn end_writings(&self, batch: &str) -> Result<()> {
        let batch = batch.to_owned();
        let cell = self.clone();
        self.blocking("end the transactions of a batch", move || {
            let all = std::mem::take(&mut *cell.inner.writings.lock().unwrap_or_else(|e| e.into_inner()));
            let (ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(of, _)| *of == batch);
            cell.inner.writings.lock().unwrap_or_else(|e| e.into_inner()).extend(others);
            ours.iter().filter_map(|(_, seat)| seat.upgrade()).for_each(|seat| seat.end());
            Ok(())
        })
        .await
    }

    fn connect(&self, create: bool) -> rusqlite::Result<Connection> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let mut conn = Connection::open_with_flags(&self.inner.path, flags)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let (mut since, wait) = (Instant::now(), self.inner.wait);
        conn.busy_handler(Some(move |count| wait_for_lock(&mut since, count, wait)))?;
        super::rows::register(&conn)?;
        // secure_delete: erased rows are overwritten with zeros in the pages that held them.
        conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;")?;
        Ok(conn)
    }
}

/// A connection of its own that writes nothing to the database.
pub(super) fn to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(WRITE_WAIT_MAX)?;
    conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    Ok(conn)
}

/// SQLite asks this whenever a lock is held: `true` tries again. Asks often, since the gap between two
/// writers of an application under load is short, and nobody queues in SQLite.
fn wait_for_lock(since: &mut Instant, count: i32, wait: Duration) -> bool {
    if count == 0 {
        *since = Instant::now();
    }
    std::thread::sleep(if count < 200 { Duration::from_millis(1) } else { Duration::from_millis(5) });
    since.elapsed() < wait
}

/// Takes the write lock and, with a lease, checks the token and lets the guard's triggers pass.
/// INVARIANT: the token can't change until this transaction ends, since there is one writer at a time.
pub(crate) fn begin_write(conn: &Connection, lease: Option<&Lease>) -> Result<(), Fault> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let Some(lease) = lease else { return Ok(()) };
    let token: Option<i64> = conn
        .prepare_cached("SELECT token FROM domicile_lease WHERE batch = ?1")?
        .query_row([&lease.batch], |row| row.get(0))
        .optional()?;
    if token != Some(lease.token) {
        conn.execute_batch("ROLLBACK")?;
        return Err(Error::LeaseLost { batch: lease.batch.clone() }.into());
    }
    conn.prepare_cached("INSERT INTO domicile_exempt(one) VALUES (1)")?.execute([])?;
    Ok(())
}

/// Commits what [`begin_write`] began.
/// CRASH: before COMMIT returns nothing of the transaction is there, after it everything is.
pub(crate) fn commit_write(conn: &Connection, leased: bool) -> Result<(), Fault> {
    if leased {
        conn.prepare_cached("DELETE FROM domicile_exempt")?.execute([])?;
    }
    conn.execute_batch("COMMIT")?;
    Ok(())
}
