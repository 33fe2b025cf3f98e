//! The control store on a server that speaks PostgreSQL's protocol.

use super::{ANSWER_MAX, CONNECT_MAX, Dialect, Rows, STATEMENT_MAX, Statement, Value};
use crate::postgres::Target;
use crate::{Error, Result};
use bytes::BytesMut;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use secrecy::SecretString;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::Semaphore;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type};
use tokio_postgres::{Client, Row};

/// Most connections one process holds to the control store; further callers wait.
const CONNECTIONS_MAX: usize = 8;

/// Of those that stand apart: enough for a gateway's lease and for its look at what is new.
const CONNECTIONS_APART_MAX: usize = 2;

/// A small pool. Clones share it.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    target: Target,
    idle: Mutex<Vec<Client>>,
    permits: Semaphore,
    dialect: OnceLock<Dialect>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pool").field(&self.0.target.name()).finish()
    }
}

impl Pool {
    pub(super) async fn open(url: &str, secret: Option<SecretString>) -> Result<Self> {
        let target = Target::parse(url, secret.as_ref()).map_err(|error| match error {
            Error::Setting { what } => {
                let what = what.strip_prefix("records: ").unwrap_or(&what);
                Error::Setting { what: format!("control store: {what}") }
            }
            error => error,
        })?;
        let target = target.without_settings();
        let pool = Self::of(target, CONNECTIONS_MAX, OnceLock::new());
        pool.dialect().await?;
        Ok(pool)
    }

    fn of(target: Target, connections: usize, dialect: OnceLock<Dialect>) -> Self {
        let (idle, permits) = (Mutex::new(Vec::new()), Semaphore::new(connections));
        Self(Arc::new(Shared { target, idle, permits, dialect }))
    }

    /// The same server by connections of its own; each is made when it is first needed.
    pub(super) fn apart(&self) -> Self {
        Self::of(self.0.target.clone(), CONNECTIONS_APART_MAX, self.0.dialect.clone())
    }

    pub(super) fn name(&self) -> String {
        self.0.target.name().to_owned()
    }

    pub(super) async fn dialect(&self) -> Result<Dialect> {
        if let Some(dialect) = self.0.dialect.get() {
            return Ok(*dialect);
        }
        let answer = self.run(vec![Statement::new("SELECT version()", vec![])]).await?;
        let dialect = match answer[0].rows.first().map(Vec::as_slice) {
            Some([Value::Text(version)]) if is_postgres_itself(version) => Dialect::Postgres,
            _ => Dialect::PostgresLike,
        };
        Ok(*self.0.dialect.get_or_init(|| dialect))
    }

    pub(super) async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>> {
        let _permit = self.0.permits.acquire().await.expect("the semaphore is never closed");
        // The client is out of the pool meanwhile: if the answer doesn't come, or the caller goes away,
        // it is dropped with whatever it was doing and never serves anybody else.
        let client = self.client().await?;
        let answer = match tokio::time::timeout(ANSWER_MAX, transaction(&client, &statements)).await {
            Ok(answer) => answer.map_err(|e| self.translate(e)),
            Err(_) => Err(Error::Unreachable {
                store: self.name(),
                why: format!("no answer in {} s", ANSWER_MAX.as_secs()),
            }),
        };
        if !matches!(answer, Err(Error::Unreachable { .. })) {
            self.idle().push(client);
        }
        answer
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Client>> {
        self.0.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn client(&self) -> Result<Client> {
        loop {
            let idle = self.idle().pop();
            match idle {
                Some(client) if client.is_closed() => {}
                Some(client) => return Ok(client),
                None => break,
            }
        }
        match tokio::time::timeout(CONNECT_MAX, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(Error::Unreachable {
                store: self.name(),
                why: format!("no connection in {} s", CONNECT_MAX.as_secs()),
            }),
        }
    }

    async fn connect(&self) -> Result<Client> {
        let (client, _) = self.0.target.connect().await?;
        let limit_ms = STATEMENT_MAX.as_millis();
        // CRASH: an acknowledged cutover must survive the server's crash, whatever the database's default is.
        let settings = format!(
            "SET statement_timeout = {limit_ms}; SET lock_timeout = {limit_ms}; \
             SET idle_in_transaction_session_timeout = {limit_ms}; SET client_min_messages = warning; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'"
        );
        client.batch_execute(&settings).await.map_err(|e| self.translate(e))?;
        Ok(client)
    }

    fn translate(&self, error: tokio_postgres::Error) -> Error {
        let store = self.name();
        let Some(db) = error.as_db_error() else {
            return match &error {
                // A parameter that doesn't fit its type never left this process.
                e if e.to_string().starts_with("error serializing") => {
                    Error::Failed { store, what: "running a statement".into(), why: e.to_string() }
                }
                e => Error::Unreachable { store, why: in_full(e) },
            };
        };
        // The detail of a database error may hold values, its message does not.
        let (what, why) = ("running a statement".to_owned(), db.message().to_owned());
        let code = db.code();
        match code.code().get(..2).unwrap_or_default() {
            _ if again(code) => Error::Again { store, what, why },
            // 40003: whether it was done is unknown (CockroachDB). 57P: the server ends this session;
            // it may do so after a commit that waited for its standbys.
            // A standby, or a primary that has become one: the writable server is elsewhere, or will be here. The
            // connection is given up with it.
            "08" => Error::Unreachable { store, why },
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Error::Unreachable { store, why },
            _ if code.code() == "40003" || code.code().starts_with("57P") => {
                Error::Unreachable { store, why }
            }
            "53" if *code == SqlState::DISK_FULL => Error::Full { store },
            "53" => Error::Again { store, what, why },
            _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => Error::Denied {
                store,
                what: why,
                grant: "GRANT CREATE, USAGE ON SCHEMA public TO the role in the control store's URL".into(),
            },
            _ if *code == SqlState::UNIQUE_VIOLATION => Error::Taken {
                store,
                table: db.table().unwrap_or_default().to_owned(),
                constraint: db.constraint().unwrap_or_default().to_owned(),
            },
            _ => Error::Failed { store, what, why },
        }
    }
}

/// Rolled back and worth another try: serialization failure, deadlock, a lock or statement time-out.
fn again(code: &SqlState) -> bool {
    [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
    ]
    .contains(code)
}

fn is_postgres_itself(version: &str) -> bool {
    version.starts_with("PostgreSQL ") && !version.contains("-YB-")
}

/// An error with its causes: the driver's own words alone say only `error connecting to server`.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

/// Waits for BEGIN, then sends the statements and COMMIT without waiting in between: two round trips;
/// one for a single statement, which is a transaction by itself. After a failed statement the server
/// refuses the rest and turns COMMIT into ROLLBACK, so the first error is the whole truth; and where
/// every statement succeeded, COMMIT's own answer is.
///
/// BEGIN isn't sent along with the rest: were it cancelled, each statement would commit by itself.
pub(crate) async fn transaction(
    client: &Client,
    statements: &[Statement],
) -> Result<Vec<Rows>, tokio_postgres::Error> {
    if let [single] = statements {
        return Ok(vec![execute(client, single).await?]);
    }
    simple(client, "BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let mut calls: Vec<BoxFuture<'_, Answer>> =
        statements.iter().map(|s| execute(client, s).boxed()).collect();
    // CRASH: before the server has done this, nothing was done; a lost answer to it is an unknown outcome.
    calls.push(simple(client, "COMMIT").boxed());
    // A call is sent when it is first polled: all of them now, in order.
    let calls: Vec<_> = calls.into_iter().map(sent).collect();
    let mut answers: Vec<Answer> = Vec::with_capacity(calls.len());
    for call in calls {
        answers.push(match call {
            Sent::Answered(answer) => answer,
            Sent::Waiting(rest) => rest.await,
        });
    }
    let mut answers: Vec<Rows> = answers.into_iter().collect::<Result<_, _>>()?;
    answers.truncate(statements.len());
    Ok(answers)
}

type Answer = Result<Rows, tokio_postgres::Error>;

enum Sent<'a> {
    Answered(Answer),
    Waiting(BoxFuture<'a, Answer>),
}

fn sent(mut call: BoxFuture<'_, Answer>) -> Sent<'_> {
    match call.as_mut().now_or_never() {
        Some(answer) => Sent::Answered(answer),
        None => Sent::Waiting(call),
    }
}

async fn simple(client: &Client, sql: &str) -> Answer {
    client.batch_execute(sql).await.map(|()| Rows::default())
}

async fn execute(client: &Client, statement: &Statement) -> Answer {
    let params = statement.params.iter().map(|v| (v as &(dyn ToSql + Sync), v.oid()));
    let mut stream = pin!(client.query_typed_raw(&statement.sql, params).await?);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        rows.push(values(&row)?);
    }
    let affected = stream.rows_affected().unwrap_or(rows.len() as u64);
    Ok(Rows { rows, affected })
}

fn values(row: &Row) -> Result<Vec<Value>, tokio_postgres::Error> {
    let mut values = Vec::with_capacity(row.len());
    for (i, column) in row.columns().iter().enumerate() {
        values.push(match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(i)?.map_or(Value::Null, Value::Int),
            Type::INT4 => row.try_get::<_, Option<i32>>(i)?.map_or(Value::Null, |n| Value::Int(n.into())),
            Type::BOOL => row.try_get::<_, Option<bool>>(i)?.map_or(Value::Null, |b| Value::Int(b.into())),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(i)?.map_or(Value::Null, Value::Bytes),
            _ => row.try_get::<_, Option<String>>(i)?.map_or(Value::Null, Value::Text),
        });
    }
    Ok(values)
}

impl Value {
    fn oid(&self) -> Type {
        match self {
            Value::Null => Type::UNKNOWN,
            Value::Int(_) => Type::INT8,
            Value::Text(_) => Type::TEXT,
            Value::Bytes(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(n) => n.to_sql(ty, out),
            Value::Text(text) => text.to_sql(ty, out),
            Value::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA, Type::UNKNOWN].contains(ty)
    }

    tokio_postgres::types::to_sql_checked!();
}
