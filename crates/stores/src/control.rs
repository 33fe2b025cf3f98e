//! The control store: plain SQL for the directory, on SQLite or on anything that speaks PostgreSQL.
//!
//! A caller hands over a whole transaction, a list of [`Statement`]s, and gets the rows of each. Nothing
//! is asked in between, so on PostgreSQL a transaction is two round trips, and the locks it takes live no
//! longer than the server needs. What a statement must know of the one before, it finds out in SQL.
//!
//! INVARIANT: [`Error::Unreachable`](crate::Error::Unreachable) means *unknown*: the transaction may have
//! been done, or may still be done later, since a server doesn't stop a statement whose client went away
//! (ATTACKS A1). Every other error means that nothing was done.

mod postgres;
mod sqlite;

pub(crate) use postgres::transaction;
pub(crate) use sqlite::{all_read_only as is_read_only, execute};

use crate::{Error, Result};
use async_trait::async_trait;
use secrecy::SecretString;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a connection, seconds included in every call that needs a new one.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest time a statement may run or wait for a lock, enforced by the store itself.
pub const STATEMENT_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the answer to a whole transaction; after it the outcome is unknown.
pub const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A value that goes in as a parameter or comes back in a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// NULL.
    Null,
    /// BIGINT; INTEGER on SQLite.
    Int(i64),
    /// TEXT.
    Text(String),
    /// BYTEA; BLOB on SQLite.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Value::Bytes(value.to_vec())
    }
}

/// One statement with its parameters, written `$1`, `$2`, ... for both engines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL: one statement.
    pub sql: Cow<'static, str>,
    /// Values of `$1`, `$2`, ...
    pub params: Vec<Value>,
}

impl Statement {
    /// A statement with its parameters.
    pub fn new(sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> Self {
        Self { sql: sql.into(), params }
    }
}

/// What one statement gave back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// The rows of a SELECT or of RETURNING, each with its columns in order.
    pub rows: Vec<Vec<Value>>,
    /// Rows inserted, updated or deleted; for a SELECT the number of rows returned.
    pub affected: u64,
}

/// How the store's SQL differs where plain SQL doesn't suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL itself.
    Postgres,
    /// Another engine that speaks PostgreSQL's protocol: no PL/pgSQL trigger is asked of it.
    PostgresLike,
}

/// A store that runs a list of statements as one transaction. [`ControlStore`] is the real one; tests
/// wrap it in doubles that lose the answer.
#[async_trait]
pub trait Control: Send + Sync {
    /// The store's name for messages, without secrets.
    fn name(&self) -> String;
    /// Which SQL it speaks.
    async fn dialect(&self) -> Result<Dialect>;
    /// Runs the statements as one transaction; the answer has one element for each.
    ///
    /// # Errors
    /// `Unreachable`: whether it was done is unknown. `Again`: it was not, and may succeed later.
    /// Anything else: it was not.
    async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>>;
    /// The same store over connections of its own, for what may not wait behind everybody else's questions, such as a lease
    /// that is renewed. `None`: it has no others to give.
    ///
    /// # Errors
    /// The store's.
    async fn apart(&self) -> Result<Option<Arc<dyn Control>>> {
        Ok(None)
    }
}

/// The control store that a configuration names.
#[derive(Debug, Clone)]
pub struct ControlStore {
    engine: Engine,
}

#[derive(Debug, Clone)]
enum Engine {
    Sqlite(sqlite::File),
    Postgres(postgres::Pool),
}

impl ControlStore {
    /// Opens `sqlite:PATH` (relative to `base_dir`; created with mode 0600 if absent) or
    /// `postgres://USER@HOST/DATABASE`. `secret` is the password, which needs not stand in the URL.
    /// A PostgreSQL server is asked at once, so that a wrong address is noticed here.
    ///
    /// # Errors
    /// `Setting` for a URL that can't work, `Unreachable`, `Denied`.
    pub async fn open(url: &str, base_dir: &Path, secret: Option<SecretString>) -> Result<Self> {
        let engine = if let Some(path) = url.strip_prefix("sqlite:") {
            Engine::Sqlite(sqlite::File::open(path, base_dir).await?)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Engine::Postgres(postgres::Pool::open(url, secret).await?)
        } else {
            return Err(Error::Setting {
                what: "the control store's URL must begin with `sqlite:` or `postgres://`".into(),
            });
        };
        Ok(Self { engine })
    }
}

#[async_trait]
impl Control for ControlStore {
    fn name(&self) -> String {
        match &self.engine {
            Engine::Sqlite(file) => file.name(),
            Engine::Postgres(pool) => pool.name(),
        }
    }

    async fn dialect(&self) -> Result<Dialect> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(Dialect::Sqlite),
            Engine::Postgres(pool) => pool.dialect().await,
        }
    }

    async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>> {
        match &self.engine {
            Engine::Sqlite(file) => file.run(statements).await,
            Engine::Postgres(pool) => pool.run(statements).await,
        }
    }

    async fn apart(&self) -> Result<Option<Arc<dyn Control>>> {
        let engine = match &self.engine {
            Engine::Sqlite(file) => Engine::Sqlite(file.apart().await?),
            Engine::Postgres(pool) => Engine::Postgres(pool.apart()),
        };
        Ok(Some(Arc::new(Self { engine })))
    }
}
