//! Pace: back-off between tries, and the ceilings on rows and bytes a second.
//!
//! A ceiling holds for all that one process brings over, whatever batch it is of: they draw on one bucket. It
//! is kept while rows and objects travel ([`crate::paced`]), not only between batches, or a large subject
//! would go at full speed; catch-up and what is under a fence never waits, and is booked on credit.

use crate::batch::Batch;
use crate::ceilings::Ceilings;
use crate::error::Result;
use crate::limits::Limits;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The longest single wait between two tries.
const LONGEST: Duration = Duration::from_millis(500);
/// How fast somebody who waits for their pace hears that the process is to stop.
pub(crate) const HEAR_EVERY: Duration = Duration::from_millis(100);
/// What was not used of a ceiling is made up for this long afterwards: timers wake late.
const MADE_UP: Duration = Duration::from_millis(200);
/// How far ahead what never waits may be booked: an application that writes faster than the ceiling would otherwise
/// keep every later copy waiting, and the wave would never end.
const CREDIT_MAX: Duration = Duration::from_secs(1);
/// Less is not worth a timer.
const WORTH_A_TIMER: Duration = Duration::from_millis(20);

/// Waits before try number `round`: nothing before the first, then doubling from 2 ms with jitter.
pub(crate) async fn back_off(round: u32) {
    if round == 0 {
        return;
    }
    let base = Duration::from_millis(2).saturating_mul(1 << round.min(10)).min(LONGEST);
    // Jitter from the clock's own noise: two movers must not step in time, nothing more is asked of it.
    let noise = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.subsec_nanos() % 1000);
    tokio::time::sleep(base / 2 + base * noise / 1000).await;
}

/// How fast a process may bring things over, and whether it may go on now.
pub struct Pace {
    rows: Option<Mutex<Bucket>>,
    bytes: Option<Mutex<Bucket>>,
    /// One copy at a time where there is a ceiling, see [`Pace::turn`].
    copies: Semaphore,
    pub(crate) ceilings: Ceilings,
}

impl Pace {
    /// As these limits say.
    pub fn new(limits: &Limits) -> Self {
        let bucket = |per_s: Option<u64>| per_s.map(|n| Mutex::new(Bucket::new(n, Instant::now())));
        Self {
            rows: bucket(limits.rows_per_s),
            bytes: bucket(limits.bytes_per_s),
            copies: Semaphore::new(1),
            ceilings: Ceilings::default(),
        }
    }

    /// Is there a ceiling on rows or bytes a second?
    pub(crate) fn is_bounded(&self) -> bool {
        self.rows.is_some() || self.bytes.is_some()
    }

    /// Books what travels, and says how long it is to wait.
    pub(crate) fn book(&self, rows: impl FnOnce() -> u64, bytes: u64) -> Duration {
        self.book_with(rows, bytes, Bucket::book)
    }

    /// Books what travels and never waits: the next copies wait for it, at most [`CREDIT_MAX`].
    pub(crate) fn book_on_credit(&self, rows: impl FnOnce() -> u64, bytes: u64) {
        self.book_with(rows, bytes, |bucket, n, now| {
            bucket.book_on_credit(n, now);
            Duration::ZERO
        });
    }

    /// Books rows that are gone; whoever goes next waits for them ([`Pace::paid`]).
    pub(crate) fn book_for_later(&self, rows: u64) {
        self.book(|| rows, 0);
    }

    fn book_with(
        &self,
        rows: impl FnOnce() -> u64,
        bytes: u64,
        book: impl Fn(&mut Bucket, u64, Instant) -> Duration,
    ) -> Duration {
        let now = Instant::now();
        let of = |bucket: &Mutex<Bucket>, n| {
            book(&mut bucket.lock().unwrap_or_else(PoisonError::into_inner), n, now)
        };
        let for_rows = self.rows.as_ref().map(|bucket| of(bucket, rows()));
        let for_bytes = self.bytes.as_ref().map(|bucket| of(bucket, bytes));
        for_rows.max(for_bytes).unwrap_or_default()
    }

    /// Waits for the turn to copy, where there is a ceiling, and until what was booked is paid.
    ///
    /// A paced copy is a transaction at the target and a snapshot at the source that stay open for as long as
    /// it takes. Two that share a ceiling are open twice as long, so one copies at the whole of it and the
    /// other waits here, where it holds nothing.
    pub(crate) async fn turn(&self, batch: &Batch<'_>) -> Result<Option<SemaphorePermit<'_>>> {
        if !self.is_bounded() {
            return Ok(None);
        }
        let turn = loop {
            batch.check_stop()?;
            if let Ok(turn) = tokio::time::timeout(HEAR_EVERY, self.copies.acquire()).await {
                // It is never closed.
                break turn.ok();
            }
        };
        self.paid(batch).await?;
        Ok(turn)
    }

    /// Waits until what was booked is paid.
    pub(crate) async fn paid(&self, batch: &Batch<'_>) -> Result<()> {
        let paid_at = Instant::now() + self.book(|| 0, 0);
        while let Some(rest) = paid_at.checked_duration_since(Instant::now()) {
            batch.check_stop()?;
            tokio::time::sleep(rest.min(HEAR_EVERY)).await;
        }
        Ok(())
    }
}

/// So much a second, counted as the moment at which all that was booked is paid.
struct Bucket {
    per_s: f64,
    paid_at: Instant,
}

impl Bucket {
    fn new(per_s: u64, now: Instant) -> Self {
        Self { per_s: per_s.max(1) as f64, paid_at: now }
    }

    /// Books `n` more. Whoever waits so long before they let them pass never exceeds the ceiling: not by what
    /// was left unused before, but for [`MADE_UP`], and not by the size of a piece.
    fn book(&mut self, n: u64, now: Instant) -> Duration {
        let unused = now.checked_sub(MADE_UP).unwrap_or(now);
        // A year is as good as for ever, and no clock overflows.
        let cost = Duration::from_secs_f64((n as f64 / self.per_s).min(31_536_000.0));
        let paid_at = self.paid_at.max(unused);
        self.paid_at = paid_at.checked_add(cost).unwrap_or(paid_at);
        let wait = self.paid_at.saturating_duration_since(now);
        if wait < WORTH_A_TIMER { Duration::ZERO } else { wait }
    }

    fn book_on_credit(&mut self, n: u64, now: Instant) {
        let before = self.paid_at;
        self.book(n, now);
        self.paid_at = self.paid_at.min(before.max(now + CREDIT_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of many sizes, and a standstill in the middle: from any moment on no more has passed than the
    /// ceiling allows, but for what may be made up; and in all no less.
    #[test]
    fn a_bucket_is_never_faster_than_its_ceiling_and_hardly_slower() {
        let begun = Instant::now();
        let (mut bucket, mut now, mut passed) = (Bucket::new(1_000, begun), begun, Vec::new());
        for round in 0..2_000_u64 {
            if round == 1_000 {
                now += Duration::from_secs(60);
            }
            let n = 1 + round * 7 % 90;
            now += bucket.book(n, now);
            passed.push((now, n));
        }
        for (at, (since, _)) in passed.iter().enumerate().step_by(50) {
            let mut sum = 0;
            for (until, n) in &passed[at + 1..] {
                sum += n;
                let slack = MADE_UP + WORTH_A_TIMER;
                let allowed = (until.duration_since(*since) + slack).as_secs_f64() * 1_000.0 + 91.0;
                assert!((sum as f64) <= allowed, "{sum} in {:?}", until.duration_since(*since));
            }
        }
        let all: u64 = passed.iter().map(|(_, n)| n).sum();
        let busy = now.duration_since(begun) - Duration::from_secs(60);
        assert!(busy.as_secs_f64() <= all as f64 / 1_000.0, "{all} in {busy:?}");
    }

    /// Catches: a debt without end, so that a wave under writers faster than its ceiling never copies again.
    #[test]
    fn what_never_waits_keeps_a_copy_waiting_for_a_second_at_most() {
        let now = Instant::now();
        let mut bucket = Bucket::new(100, now);
        for _ in 0..1_000 {
            bucket.book_on_credit(50, now);
        }
        assert_eq!(bucket.book(0, now), CREDIT_MAX);
        let long = bucket.book(1_000, now);
        assert!(long > Duration::from_secs(10), "a copy itself is paid in full: {long:?}");
        bucket.book_on_credit(50, now);
        assert_eq!(bucket.book(0, now), long, "and is not forgiven by what follows");
    }

    #[test]
    fn a_ceiling_that_is_out_of_reach_overflows_nothing() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1, now);
        for _ in 0..3 {
            bucket.book(u64::MAX, now);
        }
        assert!(bucket.book(1, now) > Duration::from_secs(31_000_000));
    }
}
