//! Rows and objects on their way, at the pace that the limits allow.
//!
//! A paced copy keeps its transaction open for longer, and an open transaction holds back the clean-up of dead
//! rows (VACUUM) in the whole database. Waiting only between batches would keep it short, but a subject of a
//! million rows would then go at full speed. So pieces wait, and all waits of one transaction together are
//! bounded: what is over then goes on at full speed, booked, so that the next copy waits for it before it opens
//! anything.

use crate::batch::Batch;
use crate::error::At;
use crate::objects::Bound;
use crate::pace::HEAR_EVERY;
use async_trait::async_trait;
use domicile_datamap::catalogue::Engine;
use domicile_stores::objects::Throttle;
use domicile_stores::records::{RowStream, rows_in};
use domicile_stores::{Error, Result};
use futures::{StreamExt, TryStreamExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the pieces of one transaction may wait for their pace, all together.
const PACED_MAX: Duration = Duration::from_secs(10 * 60);
/// How long they may wait for the servers to be below the ceilings: nobody knows how long that takes.
const CEILINGS_MAX: Duration = Duration::from_secs(30);

/// One transaction's rows, or one object.
pub(crate) struct Paced<'b> {
    batch: &'b Batch<'b>,
    never_waits: bool,
    /// What may still be waited, in milliseconds.
    patience_ms: AtomicU64,
    patience_for_ceilings_ms: AtomicU64,
    bytes: AtomicU64,
}

impl<'b> Paced<'b> {
    /// Rows of a copy's transaction. On SQLite a write transaction keeps every other writer of the region out, so
    /// pieces wait for nothing there, and the copy waits for what it has booked once it has committed
    /// ([`Pace::paid`](crate::pace::Pace::paid)).
    pub fn copy_of(batch: &'b Batch<'b>) -> Self {
        let waits = batch.service.layout.engine != Engine::Sqlite;
        Self::new(batch, if waits { PACED_MAX } else { Duration::ZERO }, CEILINGS_MAX)
    }

    /// Rows of a catch-up: booked on credit, and they wait for nothing. It has to be faster than the application
    /// writes, or its subjects would stay as busy, and under the fence it is part of their pause.
    pub fn catch_up_of(batch: &'b Batch<'b>) -> Self {
        Self { never_waits: true, ..Self::new(batch, Duration::ZERO, Duration::ZERO) }
    }

    /// An object, which no transaction waits for but under the fence.
    pub fn object_of(batch: &'b Batch<'b>, bound: Bound) -> Self {
        match bound {
            Bound::None => Self::new(batch, Duration::MAX, Duration::MAX),
            Bound::Bytes(_) => Self::catch_up_of(batch),
        }
    }

    /// Rows that are erased, a transaction at a time: what waits between two of them holds nothing open.
    pub fn erase_of(batch: &'b Batch<'b>) -> Self {
        Self::new(batch, Duration::MAX, Duration::MAX)
    }

    /// Waits until what was booked is paid, and the servers are below the ceilings.
    ///
    /// # Errors
    /// The process is to stop.
    pub async fn turn(&self) -> crate::error::Result<()> {
        let pace = &self.batch.service.pace;
        let waited = self.wait(pace.book(|| 0, 0)).await;
        // Whoever is to stop says so in its own word; here nothing has to be rolled back.
        self.batch.check_stop()?;
        waited.at(self.batch.source)
    }

    fn new(batch: &'b Batch<'b>, patience: Duration, for_ceilings: Duration) -> Self {
        let ms = |d: Duration| AtomicU64::new(u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let (patience_ms, patience_for_ceilings_ms) = (ms(patience), ms(for_ceilings));
        Self { batch, never_waits: false, patience_ms, patience_for_ceilings_ms, bytes: AtomicU64::new(0) }
    }

    /// The rows, each piece at its time.
    pub fn rows<'s>(&'s self, rows: RowStream<'s>) -> RowStream<'s> {
        let (engine, service) = (self.batch.service.layout.engine, self.batch.service);
        if !service.pace.is_bounded() && !service.limits.has_ceilings() {
            return rows.inspect_ok(|piece| self.count(piece.len())).boxed();
        }
        let piece_by_piece = rows.and_then(move |piece| async move {
            self.count(piece.len());
            self.pay(|| rows_in(engine, &piece), piece.len() as u64).await?;
            Ok(piece)
        });
        piece_by_piece.boxed()
    }

    /// Bytes of rows that passed so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    async fn pay(&self, rows: impl FnOnce() -> u64, bytes: u64) -> Result<()> {
        let pace = &self.batch.service.pace;
        if self.never_waits {
            pace.book_on_credit(rows, bytes);
            return Ok(());
        }
        self.wait(pace.book(rows, bytes)).await
    }

    async fn wait(&self, long: Duration) -> Result<()> {
        self.sleep(long, &self.patience_ms).await?;
        let b = self.batch;
        let over = || async {
            let pace = &b.service.pace;
            // A server that can't be asked is found out by whoever copies.
            pace.ceilings.over(b.service, &b.wave, b.source, b.target).await.unwrap_or(false)
        };
        while self.patience_for_ceilings_ms.load(Ordering::Relaxed) > 0 && over().await {
            self.sleep(HEAR_EVERY, &self.patience_for_ceilings_ms).await?;
        }
        Ok(())
    }

    /// Sleeps as long as the patience lasts.
    async fn sleep(&self, long: Duration, patience_ms: &AtomicU64) -> Result<()> {
        let ms = u64::try_from(long.as_millis()).unwrap_or(u64::MAX);
        let left = patience_ms.load(Ordering::Relaxed);
        patience_ms.store(left.saturating_sub(ms), Ordering::Relaxed);
        let until = Instant::now() + Duration::from_millis(ms.min(left));
        while let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            self.check_stop()?;
            tokio::time::sleep(rest.min(HEAR_EVERY)).await;
        }
        Ok(())
    }

    /// A copy that is to stop is rolled back here, and not first brought to its end at a low ceiling: whoever
    /// is told to try again looks first whether they are to stop.
    fn check_stop(&self) -> Result<()> {
        self.batch.check_stop().map_err(|stop| Error::Again {
            store: self.batch.target.records.name(),
            what: "bringing rows and objects over".to_owned(),
            why: stop.to_string(),
        })
    }
}

#[async_trait]
impl Throttle for Paced<'_> {
    async fn pass(&self, bytes: u64) -> Result<()> {
        self.pay(|| 0, bytes).await
    }
}
