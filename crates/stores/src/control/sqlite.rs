//! The control store in one SQLite file.

use super::{ANSWER_MAX, Rows, STATEMENT_MAX, Statement, Value};
use crate::{Error, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// An open file. Clones share one connection: SQLite has one writer anyway.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

impl File {
    pub(super) async fn open(path: &str, base_dir: &Path) -> Result<Self> {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(Error::Setting { what: "the control store's URL `sqlite:` names no file".into() });
        }
        let path = base_dir.join(path);
        let opened = path.clone();
        let connection = blocking(&path, move || open_connection(&opened)).await?;
        Ok(Self { path, connection: Arc::new(Mutex::new(connection)) })
    }

    /// The same file by a connection of its own.
    pub(super) async fn apart(&self) -> Result<Self> {
        let path = self.path.clone();
        let connection = blocking(&self.path, move || open_connection(&path)).await?;
        Ok(Self { path: self.path.clone(), connection: Arc::new(Mutex::new(connection)) })
    }

    pub(super) fn name(&self) -> String {
        store_name(&self.path)
    }

    pub(super) async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>> {
        let (path, connection) = (self.path.clone(), Arc::clone(&self.connection));
        let work = blocking(&self.path, move || {
            // A thread that panicked while it held the lock rolled its transaction back when it unwound.
            let mut connection = connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            transaction(&path, &mut connection, &statements)
        });
        match tokio::time::timeout(ANSWER_MAX, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::Unreachable { store: self.name(), why: no_answer() }),
        }
    }
}

fn no_answer() -> String {
    format!("no answer in {} s", ANSWER_MAX.as_secs())
}

fn store_name(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Runs `work` on a thread that may block. A caller that goes away doesn't stop it.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::Unreachable { store: store_name(path), why: e.to_string() }),
    }
}

fn open_connection(path: &Path) -> Result<Connection> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |e| translate(path, "opening", e);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(STATEMENT_MAX).map_err(failed)?;
    // CRASH: with WAL and FULL every commit is on the disk before it is acknowledged; a lost cutover
    // would give a subject its old home back after its source was erased.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(failed)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;").map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Creates the file readable by its owner alone, if there is none. SQLite gives its `-wal` and `-shm`
/// files the same mode.
fn create_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Err(Error::Denied {
            store: store_name(path),
            what: "creating the file".into(),
            grant: format!("chmod u+wx '{}'", path.parent().unwrap_or(Path::new(".")).display()),
        }),
        Err(e) => Err(Error::Setting { what: format!("{} cannot be created: {e}", store_name(path)) }),
    }
}

fn transaction(path: &Path, connection: &mut Connection, statements: &[Statement]) -> Result<Vec<Rows>> {
    let run = |e| translate(path, "running a statement", e);
    // Writers queue up at BEGIN, where waiting is still possible; readers need not queue at all.
    let behavior = if all_read_only(connection, statements).map_err(run)? {
        TransactionBehavior::Deferred
    } else {
        TransactionBehavior::Immediate
    };
    let transaction = connection.transaction_with_behavior(behavior).map_err(run)?;
    let mut answers = Vec::with_capacity(statements.len());
    for statement in statements {
        answers.push(execute(&transaction, statement).map_err(run)?);
    }
    // CRASH: before this line nothing was done; after it everything was.
    transaction.commit().map_err(|e| commit_error(path, e))?;
    Ok(answers)
}

pub(crate) fn all_read_only(connection: &Connection, statements: &[Statement]) -> rusqlite::Result<bool> {
    for statement in statements {
        // Statements that create what later ones name can't all be prepared beforehand, but the first can.
        if !connection.prepare_cached(&statement.sql)?.readonly() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn execute(connection: &Connection, statement: &Statement) -> rusqlite::Result<Rows> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    for (number, value) in statement.params.iter().enumerate() {
        let Some(index) = prepared.parameter_index(&format!("${}", number + 1))? else { continue };
        match value {
            Value::Null => prepared.raw_bind_parameter(index, rusqlite::types::Null)?,
            Value::Int(n) => prepared.raw_bind_parameter(index, n)?,
            Value::Text(text) => prepared.raw_bind_parameter(index, text)?,
            Value::Bytes(bytes) => prepared.raw_bind_parameter(index, bytes)?,
        }
    }
    let (columns, read_only) = (prepared.column_count(), prepared.readonly());
    let mut answer = Rows::default();
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        answer.rows.push((0..columns).map(|i| row.get_ref(i).map(value)).collect::<Result<_, _>>()?);
    }
    drop(rows);
    answer.affected = if read_only { answer.rows.len() as u64 } else { connection.changes() };
    Ok(answer)
}

fn value(from: ValueRef<'_>) -> Value {
    match from {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Int(n),
        ValueRef::Real(n) => Value::Text(n.to_string()),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

/// A COMMIT that fails for want of a lock or space leaves the transaction open, and dropping it rolls it
/// back. After an I/O error the log may hold it already: that is unknown.
fn commit_error(path: &Path, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt) => {
            Error::Unreachable { store: store_name(path), why: error.to_string() }
        }
        _ => translate(path, "committing", error),
    }
}

fn translate(path: &Path, what: &str, error: rusqlite::Error) -> Error {
    let (store, why, what) = (store_name(path), error.to_string(), what.to_owned());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Again { store, what, why },
        Some(ErrorCode::DiskFull) => Error::Full { store },
        Some(
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => {
            let grant = format!("chmod u+w '{}'", path.display());
            Error::Denied { store, what: "writing".into(), grant }
        }
        _ => Error::Failed { store, what, why },
    }
}
