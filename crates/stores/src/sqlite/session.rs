//! A transaction that stays open between calls.
//!
//! The connection wanders: each call takes it to a blocking thread and gets it back when it is done,
//! so no thread waits for the next call. A stream keeps it until it ends or is dropped.

use super::connect::Cell;
use super::fault::Fault;
use crate::records::RowStream;
use crate::{Error, Result};
use bytes::Bytes;
use futures::StreamExt;
use rusqlite::{Connection, InterruptHandle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Chunks that wait between a reader and a writer: enough to keep both busy, few enough to stay small.
const CHUNKS_WAITING_MAX: usize = 3;

/// What a stream sends. Its end is said: a channel that closes without it was cut.
pub(crate) enum Fed {
    /// Encoded rows.
    Chunk(Bytes),
    /// The source failed.
    Failed(Error),
    /// All rows were sent.
    End,
}

/// The receiving side of rows that are being written.
pub(crate) struct Feed(mpsc::Receiver<Fed>);

impl Feed {
    /// The next chunk; `None` at the end. Blocks.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        match self.0.blocking_recv() {
            Some(Fed::Chunk(chunk)) => Ok(Some(chunk)),
            Some(Fed::End) => Ok(None),
            Some(Fed::Failed(error)) => Err(error.into()),
            None => {
                Err(Error::Setting { what: "a stream of rows was given up before its end".into() }.into())
            }
        }
    }
}

/// Where a session's connection is between two calls. Shared with whoever may end the session.
pub(crate) struct Seat {
    conn: Mutex<Option<Connection>>,
    /// Nobody may use the connection any more; one that comes back is closed. Changes only under `conn`.
    over: AtomicBool,
    interrupt: InterruptHandle,
}

impl Seat {
    fn new(conn: Connection) -> Arc<Self> {
        let interrupt = conn.get_interrupt_handle();
        Arc::new(Self { conn: Mutex::new(Some(conn)), over: AtomicBool::new(false), interrupt })
    }

    fn conn(&self) -> MutexGuard<'_, Option<Connection>> {
        self.conn.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn take(&self) -> Option<Connection> {
        self.conn().take()
    }

    fn give_back(&self, conn: Connection) {
        let mut seat = self.conn();
        if !self.over.load(Ordering::Relaxed) {
            *seat = Some(conn);
        }
    }

    /// Closes the session and hands its connection out, if it is not in use right now.
    fn close(&self) -> Option<Connection> {
        let mut seat = self.conn();
        self.over.store(true, Ordering::Relaxed);
        seat.take()
    }

    /// Ends the transaction, whoever holds it: it rolls back. Blocks for as long as that takes.
    pub(crate) fn end(&self) {
        match self.close() {
            Some(conn) => drop(conn),
            None => self.interrupt.interrupt(),
        }
    }
}

/// One connection with an open transaction.
pub(crate) struct Session {
    cell: Cell,
    seat: Arc<Seat>,
    /// Says when the call in progress has ended.
    busy: Option<oneshot::Receiver<()>>,
}

impl Session {
    /// Opens a transaction by running `begin` on a connection of the pool.
    pub(crate) async fn open<F>(cell: &Cell, what: &'static str, begin: F) -> Result<Self>
    where
        F: FnOnce(&mut Connection) -> Result<(), Fault> + Send + 'static,
    {
        let taking = cell.clone();
        let conn = cell
            .blocking(what, move || {
                let mut conn = taking.take()?;
                begin(&mut conn)?;
                Ok(conn)
            })
            .await?;
        Ok(Self { cell: cell.clone(), seat: Seat::new(conn), busy: None })
    }

    /// The seat, for those who may end this session.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Runs `f` in the transaction. Once `f` fails the transaction is over: it has rolled back, and
    /// every later call fails, so that nobody can commit half of it.
    pub(crate) async fn run<T, F>(&mut self, what: &'static str, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let job = self.start(what, f).await?;
        self.settle(what, job).await
    }

    /// Runs `f` with rows that arrive while it works.
    pub(crate) async fn run_fed<T, F>(
        &mut self,
        what: &'static str,
        mut rows: RowStream<'_>,
        f: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, Feed) -> Result<T, Fault> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        let job = self.start(what, move |conn| f(conn, Feed(receiver))).await?;
        // A send fails when the writer ended early; its own error says why.
        loop {
            let (fed, last) = match rows.next().await {
                Some(Ok(chunk)) => (Fed::Chunk(chunk), false),
                Some(Err(error)) => (Fed::Failed(error), true),
                None => (Fed::End, true),
            };
            if sender.send(fed).await.is_err() || last {
                break;
            }
        }
        self.settle(what, job).await
    }

    /// Runs `f`, which calls its argument with each chunk and stops when that says `false`.
    pub(crate) async fn stream<F>(&mut self, what: &'static str, f: F) -> Result<RowStream<'_>>
    where
        F: FnOnce(&Connection, &mut dyn FnMut(Bytes) -> bool) -> Result<(), Fault> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
        let name = self.cell.name().to_owned();
        let cut =
            Error::Failed { store: name.clone(), what: what.into(), why: "a defect ended the step".into() };
        // Not awaited: the stream's end, or its drop, ends it.
        let _job = self
            .start(what, move |conn| {
                let sent = f(conn, &mut |chunk| sender.blocking_send(Fed::Chunk(chunk)).is_ok());
                let last = match sent {
                    Ok(()) => Fed::End,
                    Err(fault) => Fed::Failed(fault.named(&name, what)),
                };
                let _ = sender.blocking_send(last);
                Ok(())
            })
            .await?;
        let chunks = futures::stream::unfold(Some((receiver, cut)), |state| async {
            let (mut receiver, cut) = state?;
            match receiver.recv().await {
                Some(Fed::Chunk(chunk)) => Some((Ok(chunk), Some((receiver, cut)))),
                Some(Fed::Failed(error)) => Some((Err(error), None)),
                Some(Fed::End) => None,
                None => Some((Err(cut), None)),
            }
        });
        Ok(chunks.boxed())
    }

    /// Ends the transaction with `end` and gives the connection back.
    pub(crate) async fn close<F>(mut self, what: &'static str, end: F) -> Result<()>
    where
        F: FnOnce(&Connection) -> Result<(), Fault> + Send + 'static,
    {
        self.run(what, end).await?;
        if let Some(conn) = self.seat.close() {
            self.cell.put_back(conn);
        }
        Ok(())
    }

    async fn start<T, F>(&mut self, what: &'static str, f: F) -> Result<JoinHandle<Result<T, Fault>>>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        // A stream that was given up, or a call whose caller went away, may still be at work.
        if let Some(busy) = &mut self.busy {
            let _ = busy.await;
            self.busy = None;
        }
        let Some(conn) = self.seat.take() else { return Err(self.over(what)) };
        let (done, busy) = oneshot::channel();
        self.busy = Some(busy);
        let seat = self.seat.clone();
        Ok(tokio::task::spawn_blocking(move || {
            // Dropped, with the connection, also where `f` fails or panics.
            let _done: oneshot::Sender<()> = done;
            let value = f(&conn)?;
            seat.give_back(conn);
            Ok(value)
        }))
    }

    async fn settle<T>(&mut self, what: &'static str, job: JoinHandle<Result<T, Fault>>) -> Result<T> {
        match job.await {
            Ok(result) => result.map_err(|fault| fault.named(self.cell.name(), what)),
            Err(_) => Err(Error::Failed {
                store: self.cell.name().into(),
                what: what.into(),
                why: "a defect ended the step".into(),
            }),
        }
    }

    fn over(&self, what: &str) -> Error {
        Error::Failed {
            store: self.cell.name().into(),
            what: what.into(),
            why:
                "this transaction has ended and rolled back: an earlier step of it failed, or its lease was \
                  taken over"
                    .into(),
        }
    }
}

impl Drop for Session {
    /// Rolls back. On a blocking thread where there is one, since a large rollback takes its time.
    fn drop(&mut self) {
        let Some(conn) = self.seat.close() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let cell = self.cell.clone();
        runtime.spawn_blocking(move || {
            if conn.is_autocommit() || conn.execute_batch("ROLLBACK").is_ok() {
                cell.put_back(conn);
            }
        });
    }
}
