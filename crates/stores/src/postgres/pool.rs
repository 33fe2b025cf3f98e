//! A small pool of connections and what every statement goes through.
//!
//! INVARIANT: a connection goes back to the pool only outside a transaction. One dropped inside (a
//! stage failed, a future was cancelled) is asked to stop and closed, and the server rolls back.

use super::connect::Target;
use super::failure;
use super::watch;
use crate::error::{Error, Result};
use bytes::Bytes;
use futures::future::{join, join_all};
use futures::{FutureExt, Stream, TryStreamExt};
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, CopyInSink, CopyOutStream, Row, Statement};

/// Connections at most, per store opened.
const CONNECTIONS_MAX: usize = 16;
/// How long a caller waits for a free one.
const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// Prepared statements kept per connection; they are few (tables times operations).
const STATEMENTS_MAX: usize = 2_000;

/// Takes the rows of a `COPY ... FROM STDIN`.
pub(super) type Sink = Pin<Box<CopyInSink<Bytes>>>;

/// Parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Connections of one store.
#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    idle: Mutex<Vec<Session>>,
    free: Arc<Semaphore>,
    /// Texts that some connection ran more than once. A new one prepares them all in one flight: a round trip
    /// for each would otherwise come when it is first run, and that may be under a fence.
    usual: Mutex<HashSet<String>>,
}

struct Session {
    client: Client,
    /// Its name in the server's list of sessions.
    name: String,
    statements: Mutex<HashMap<String, Kept>>,
    ended: Arc<OnceLock<String>>,
}

/// A prepared statement.
struct Kept {
    statement: Statement,
    is_usual: bool,
}

/// A connection on loan. Statements take `&self`, so that several can be sent before the first answer
/// is in (join the futures): the server runs them in the order they were first polled.
pub(super) struct Conn {
    session: Option<Session>,
    in_transaction: bool,
    /// What begins the transaction and goes out with its first statement, in one round trip.
    unsent: Mutex<Option<String>>,
    /// A `COPY ... FROM STDIN` whose rows are all on their way: it ends together with the next statement.
    unfinished: Mutex<Option<(String, Sink)>>,
    /// Nobody answers there any more: it serves nobody else.
    given_up: AtomicBool,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(target: Target) -> Self {
        let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (idle, usual) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { target, idle, free, usual }) }
    }

    pub(super) fn target(&self) -> &Target {
        &self.shared.target
    }

    /// A connection: an idle one, else a new one; waits where all are in use.
    pub(super) async fn get(&self) -> Result<Conn> {
        let shared = self.shared.clone();
        let waiting = tokio::time::timeout(WAIT_LIMIT, shared.free.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = waiting else {
            return Err(Error::Again {
                store: shared.target.whose.store.0.clone(),
                what: "waiting for a connection".to_owned(),
                why: format!("all {CONNECTIONS_MAX} are in use"),
            });
        };
        let idle = loop {
            match lock(&shared.idle).pop() {
                Some(session) if session.client.is_closed() => {}
                other => break other,
            }
        };
        let is_new = idle.is_none();
        let session = match idle {
            Some(session) => session,
            None => {
                let name = watch::session_name();
                let (client, ended) = Box::pin(shared.target.connect_as(&name)).await?;
                Session { client, name, statements: Mutex::default(), ended }
            }
        };
        let conn = Conn {
            session: Some(session),
            in_transaction: false,
            unsent: Mutex::default(),
            unfinished: Mutex::default(),
            given_up: AtomicBool::new(false),
            shared,
            _permit: permit,
        };
        if is_new {
            Box::pin(conn.prepare_the_usual()).await;
        }
        Ok(conn)
    }
}

impl Conn {
    /// Rows of a statement; prepared once per connection, unless it has no parameters: then it is not, which
    /// costs the server little and saves the first round trip.
    pub(super) async fn query(&self, what: &str, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
        if params.is_empty() {
            return self.send(what, self.client().query_typed(sql, &[])).await;
        }
        let statement = self.prepare(what, sql).await?;
        self.send(what, self.client().query(&statement, params)).await
    }

    /// The one row of a statement that always has one.
    pub(super) async fn query_one(&self, what: &str, sql: &str, params: Params<'_>) -> Result<Row> {
        if params.is_empty() {
            return self.send(what, self.client().query_typed_one(sql, &[])).await;
        }
        let statement = self.prepare(what, sql).await?;
        self.send(what, self.client().query_one(&statement, params)).await
    }

    /// The row of a statement that has at most one.
    pub(super) async fn query_opt(&self, what: &str, sql: &str, params: Params<'_>) -> Result<Option<Row>> {
        let statement = self.prepare(what, sql).await?;
        self.send(what, self.client().query_opt(&statement, params)).await
    }

    /// Runs a statement; returns the rows it touched.
    pub(super) async fn execute(&self, what: &str, sql: &str, params: Params<'_>) -> Result<u64> {
        let statement = self.prepare(what, sql).await?;
        self.send(what, self.client().execute(&statement, params)).await
    }

    /// Runs statements without parameters or results, in one round trip (one implicit transaction
    /// where none is open).
    pub(super) async fn batch(&self, what: &str, sql: &str) -> Result<()> {
        self.send(what, self.client().batch_execute(sql)).await
    }

    /// Runs several statements in this order and in about one round trip: all are sent before the
    /// first answer is in (two where some are prepared first). In a transaction the first error ends all.
    pub(super) async fn query_all(
        &self,
        what: &str,
        calls: &[(String, Vec<&(dyn ToSql + Sync)>)],
    ) -> Result<Vec<Vec<Row>>> {
        // All are prepared before one is run, or a statement known already would overtake another.
        let prepared = join_all(calls.iter().map(|(sql, _)| self.prepare(what, sql))).await;
        let prepared: Vec<Statement> = prepared.into_iter().collect::<Result<_>>()?;
        let sent = calls.iter().zip(&prepared).map(|((_, params), s)| self.client().query(s, params));
        // All are awaited: the first error ends the others in the server, not here.
        let all = async { join_all(sent).await.into_iter().collect::<Result<Vec<_>, _>>() };
        self.send(what, all).await
    }

    /// `COPY ... TO STDOUT`.
    pub(super) async fn copy_out(&self, what: &str, sql: &str) -> Result<CopyOutStream> {
        self.send(what, self.client().copy_out(sql)).await
    }

    /// `COPY ... FROM STDIN`.
    pub(super) async fn copy_in(&self, what: &str, sql: &str) -> Result<Sink> {
        let statement = self.prepare(what, sql).await?;
        Ok(Box::pin(self.send(what, self.client().copy_in(&statement)).await?))
    }

    /// Ends the COPY `what` together with the next statement, in one round trip; an error of its rows is what that
    /// statement returns, in the words of this one.
    pub(super) fn finish_with_the_next(&self, what: String, sink: Sink) {
        *lock(&self.unfinished) = Some((what, sink));
    }

    /// Opens a transaction: `sql` is `BEGIN ...` and whatever follows it. Until [`Conn::commit`] or
    /// [`Conn::rollback`] the connection does not go back to the pool.
    pub(super) async fn begin(&mut self, sql: &str) -> Result<()> {
        self.in_transaction = true;
        self.batch("beginning a transaction", sql).await
    }

    /// The same, sent with the first statement, so that it costs no round trip of its own. An error of `sql` is the
    /// first statement's; the statement may then have run outside a transaction, so it must only read.
    pub(super) fn begin_with_the_first(&mut self, sql: String) {
        self.in_transaction = true;
        *self.unsent.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(sql);
    }

    /// The same, and the first statement, which has one row at most, in one round trip. If `begin` fails the statement
    /// may all the same have run, outside a transaction.
    pub(super) async fn begin_and_ask(
        &mut self,
        begin: &str,
        what: &str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>> {
        self.prepared(what, sql).await?;
        self.in_transaction = true;
        // Polled in this order, so sent in this order.
        let (begun, row) =
            join(self.batch("beginning a transaction", begin), self.query_opt(what, sql, params)).await;
        begun?;
        row
    }

    /// Commits. An error means "unknown" where [`Error::is_unreachable`] says so, else "not done".
    pub(super) async fn commit(&mut self) -> Result<()> {
        // COMMIT of a failed transaction rolls back and calls that a success: SELECT fails there first.
        self.batch("committing", "SELECT 1; COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Rolls back.
    pub(super) async fn rollback(&mut self) -> Result<()> {
        self.batch("rolling back", "ROLLBACK").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Rolls back a transaction that only read: the server is told, and nobody waits for its answer. Whoever has the
    /// connection next is served after it.
    pub(super) async fn end_reading(&mut self) {
        let was_sent = self.unsent.get_mut().unwrap_or_else(PoisonError::into_inner).take().is_none();
        if was_sent {
            // The driver sends with the first poll; if the connection is gone, so is the transaction.
            let _ = self.client().batch_execute("ROLLBACK").now_or_never();
            // The task that writes to the socket goes first: our caller may be busy for a while, and the server would
            // hold the tables' locks as long.
            tokio::task::yield_now().await;
        }
        self.in_transaction = false;
    }

    /// The answer to a statement, sent behind what begins its transaction if that is still to be sent.
    async fn send<T>(
        &self,
        what: &str,
        call: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let unsent = lock(&self.unsent).take();
        let Some(begin) = unsent else { return self.after_copy(what, call).await };
        // Polled in this order, so sent in this order.
        let both = async {
            let (begun, answer) = join(self.client().batch_execute(&begin), call).await;
            begun.and(answer)
        };
        // Boxed, as below: what is rare does not make every statement's future larger.
        Box::pin(self.after_copy(what, both)).await
    }

    /// The answer to what is sent behind the end of a COPY, where one has still to end.
    async fn after_copy<T>(
        &self,
        what: &str,
        call: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let unfinished = lock(&self.unfinished).take();
        let Some((loading, mut sink)) = unfinished else { return self.answered(what, call).await };
        let both = async { Ok(join(sink.as_mut().finish(), call).await) };
        let (finished, answer) = Box::pin(self.answered(what, both)).await?;
        finished.map_err(|e| self.fail(&loading, &e))?;
        answer.map_err(|e| self.fail(what, &e))
    }

    /// The answer to a call, or `Unreachable` once it is clear that none will come: see [`watch`].
    pub(super) async fn answered<T>(
        &self,
        what: &str,
        call: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let session = self.session();
        match watch::answered(&self.shared.target, &session.name, call).await {
            Ok(answer) => answer.map_err(|e| self.fail(what, &e)),
            Err(why) => {
                self.given_up.store(true, Ordering::Relaxed);
                Err(Error::Unreachable { store: self.store(), why })
            }
        }
    }

    /// The rows of a `COPY ... TO STDOUT`, each waited for like an answer.
    pub(super) fn rows<'a>(
        &'a self,
        what: String,
        stream: CopyOutStream,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'a {
        futures::stream::try_unfold((Box::pin(stream), what), move |(mut stream, what)| async move {
            let row = self.answered(&what, stream.try_next()).await?;
            Ok(row.map(|row| (row, (stream, what))))
        })
    }

    /// Maps a driver's error, with the reason the connection ended if it did.
    pub(super) fn fail(&self, what: &str, error: &tokio_postgres::Error) -> Error {
        let ended = self.session.as_ref().and_then(|s| s.ended.get());
        match (failure::map(&self.shared.target.whose, what, error), ended) {
            (Error::Unreachable { store, .. }, Some(why)) => Error::Unreachable { store, why: why.clone() },
            (mapped, _) => mapped,
        }
    }

    /// The store's name for messages.
    pub(super) fn store(&self) -> String {
        self.shared.target.whose.store.0.clone()
    }

    /// The driver's client, for what the methods above don't cover.
    pub(super) fn client(&self) -> &Client {
        &self.session().client
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect("taken only by drop")
    }

    /// Makes sure that a statement is prepared, so that it can be sent together with others.
    pub(super) async fn prepared(&self, what: &str, sql: &str) -> Result<()> {
        self.prepare(what, sql).await.map(|_| ())
    }

    async fn prepare(&self, what: &str, sql: &str) -> Result<Statement> {
        let session = self.session();
        if let Some(kept) = lock(&session.statements).get_mut(sql) {
            if !std::mem::replace(&mut kept.is_usual, true) {
                lock(&self.shared.usual).insert(sql.to_owned());
            }
            return Ok(kept.statement.clone());
        }
        let statement = Box::pin(self.after_copy(what, session.client.prepare(sql))).await?;
        self.keep(sql, &statement, false);
        Ok(statement)
    }

    fn keep(&self, sql: &str, statement: &Statement, is_usual: bool) {
        let mut kept = lock(&self.session().statements);
        if kept.len() >= STATEMENTS_MAX {
            kept.clear();
        }
        kept.insert(sql.to_owned(), Kept { statement: statement.clone(), is_usual });
    }

    /// Prepares in one flight what is usual. Of what fails here its caller hears when it is run.
    async fn prepare_the_usual(&self) {
        let texts: Vec<String> = lock(&self.shared.usual).iter().cloned().collect();
        let all = async { Ok(join_all(texts.iter().map(|sql| self.client().prepare(sql))).await) };
        let prepared = self.answered("preparing statements", all).await.unwrap_or_default();
        for (sql, statement) in texts.iter().zip(prepared) {
            if let Ok(statement) = statement {
                self.keep(sql, &statement, true);
            }
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if self.in_transaction || self.given_up.load(Ordering::Relaxed) {
            self.shared.target.cancel(session.client.cancel_token());
        } else if !session.client.is_closed() {
            lock(&self.shared.idle).push(session);
        }
    }
}

/// A poisoned lock means that another thread panicked between two pushes: the list is still whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
