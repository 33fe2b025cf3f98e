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
use rusqlite::Connection;
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

enum Slot {
    Here(Connection),
    Away(oneshot::Receiver<Connection>),
    Gone,
}

/// One connection with an open transaction.
pub(crate) struct Session {
    cell: Cell,
    slot: Slot,
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
        Ok(Self { cell: cell.clone(), slot: Slot::Here(conn) })
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
        if let Slot::Here(conn) = self.arrive(what).await? {
            self.cell.put_back(conn);
        }
        Ok(())
    }

    async fn start<T, F>(&mut self, what: &'static str, f: F) -> Result<JoinHandle<Result<T, Fault>>>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let Slot::Here(conn) = self.arrive(what).await? else { return Err(self.over(what)) };
        let (home, away) = oneshot::channel();
        self.slot = Slot::Away(away);
        Ok(tokio::task::spawn_blocking(move || {
            let value = f(&conn)?;
            // Nobody waits any more: the session was dropped, and so is the connection.
            let _ = home.send(conn);
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

    /// The connection, once it is back; leaves [`Slot::Gone`].
    async fn arrive(&mut self, what: &'static str) -> Result<Slot> {
        match &mut self.slot {
            Slot::Away(back) => match back.await {
                Ok(conn) => {
                    self.slot = Slot::Gone;
                    Ok(Slot::Here(conn))
                }
                Err(_) => {
                    self.slot = Slot::Gone;
                    Err(self.over(what))
                }
            },
            _ => Ok(std::mem::replace(&mut self.slot, Slot::Gone)),
        }
    }

    fn over(&self, what: &str) -> Error {
        Error::Failed {
            store: self.cell.name().into(),
            what: what.into(),
            why: "an earlier step of this transaction failed; it has rolled back".into(),
        }
    }
}

impl Drop for Session {
    /// Rolls back. On a blocking thread where there is one, since a large rollback takes its time.
    fn drop(&mut self) {
        if let Slot::Here(conn) = std::mem::replace(&mut self.slot, Slot::Gone)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let cell = self.cell.clone();
            runtime.spawn_blocking(move || {
                if conn.is_autocommit() || conn.execute_batch("ROLLBACK").is_ok() {
                    cell.put_back(conn);
                }
            });
        }
    }
}
