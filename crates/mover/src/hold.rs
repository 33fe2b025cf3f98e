//! A batch in this worker's hand: a lease of the control store, renewed until it is given back.
//!
//! Like the turn it does not keep data safe, it keeps workers from stealing each other's batches. A worker
//! that overslept learns here that its batch is somebody else's; the regions' tokens made sure of it before.

use crate::error::{Error, Result};
use crate::halt::{Halt, Why};
use crate::progress::Event;
use crate::service::Service;
use domicile_directory::{Asked, BatchLease, WaveState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between two looks whether another worker has given a batch back.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The hold on a batch.
pub(crate) struct Hold {
    service: Arc<Service>,
    lease: BatchLease,
    lost: Arc<AtomicBool>,
    renewal: JoinHandle<()>,
}

impl Hold {
    /// Takes the batch in hand while its wave is in state `during`; `None` where another worker has it, or
    /// the wave is not for it now. While the wave is open, its abort halts the run.
    pub async fn take(
        service: &Arc<Service>,
        wave: &str,
        batch: &str,
        during: WaveState,
        halt: &Arc<Halt>,
    ) -> Result<Option<Self>> {
        let (holder, length) = (service.worker.as_str(), service.limits.turn);
        let lease = service.directory.take_batch(wave, batch, holder, length, during).await?;
        Ok(lease.map(|lease| Self::of(service, lease, (during == WaveState::Open).then(|| halt.clone()))))
    }

    /// Takes the batch of a paused wave in hand, to bring it to rest; `None` where another worker has it, or the wave is not
    /// paused any more.
    pub async fn to_rest(service: &Arc<Service>, wave: &str, batch: &str) -> Result<Option<Self>> {
        let (holder, length) = (service.worker.as_str(), service.limits.turn);
        let lease = service.directory.take_batch_to_rest(wave, batch, holder, length).await?;
        Ok(lease.map(|lease| Self::of(service, lease, None)))
    }

    fn of(service: &Arc<Service>, lease: BatchLease, heeding: Option<Arc<Halt>>) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let renewal = tokio::spawn(renew(service.clone(), lease.clone(), lost.clone(), heeding));
        Self { service: service.clone(), lease, lost, renewal }
    }

    /// The same, but a worker that has it is waited for until `patience` is over: it gives it back, or its
    /// lease runs out.
    pub async fn wait(
        service: &Arc<Service>,
        wave: &str,
        batch: &str,
        during: WaveState,
        halt: &Arc<Halt>,
        patience: Instant,
    ) -> Result<Self> {
        let mut told = false;
        loop {
            halt.check(wave)?;
            if let Some(hold) = Self::take(service, wave, batch, during, halt).await? {
                return Ok(hold);
            }
            let in_hand = service.directory.batches_in_hand(wave).await?;
            let other = in_hand.into_iter().find(|b| b.batch == batch && b.left_ms > 0);
            let Some((holder, left_ms)) = other.and_then(|b| Some((b.holder?, b.left_ms))) else {
                // Given back since, or the wave is over: taking it again tells.
                crate::wave::still_in(service, wave, &[during]).await?;
                continue;
            };
            if Instant::now() > patience {
                let wave = wave.to_owned();
                return Err(domicile_directory::Error::Held { wave, holder, left_ms }.into());
            }
            if !std::mem::replace(&mut told, true) {
                let left = Duration::from_millis(left_ms.max(0).unsigned_abs());
                service.observer.event(Event::Waits { wave: wave.to_owned(), holder, left });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// [`Error::TakenOver`] once it is known that another worker has the batch.
    pub fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::SeqCst) { Err(self.taken_over()) } else { Ok(()) }
    }

    /// The same, asked of the control store now.
    pub async fn confirm(&self) -> Result<()> {
        self.check()?;
        match self.service.directory.renew_batch(&self.lease, self.service.limits.turn).await {
            Err(domicile_directory::Error::BatchLost { .. }) => Err(self.taken_over()),
            other => Ok(other?),
        }
    }

    /// The lease's token.
    pub fn token(&self) -> i64 {
        self.lease.token
    }

    fn taken_over(&self) -> Error {
        Error::TakenOver { batch: self.lease.batch.clone() }
    }

    /// Gives it back, so that the next worker need not wait for it to end.
    pub async fn give_back(self) {
        self.renewal.abort();
        // Where this fails, the lease runs out by itself.
        let _ = self.service.directory.release_batch(&self.lease).await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Renews a lease until it is lost. A renewal that fails otherwise is tried again: nobody can take the batch
/// over while the control store is away.
async fn renew(service: Arc<Service>, lease: BatchLease, lost: Arc<AtomicBool>, heeding: Option<Arc<Halt>>) {
    loop {
        tokio::time::sleep(service.limits.turn / 4).await;
        let answer = service.directory.renew_batch(&lease, service.limits.turn).await;
        if matches!(answer, Err(domicile_directory::Error::BatchLost { .. })) {
            lost.store(true, Ordering::SeqCst);
            return;
        }
        let Some(halt) = &heeding else { continue };
        // Workers look before a batch begins, and one may be long.
        if matches!(service.directory.asked(&lease.wave).await, Ok(Asked::Abort)) {
            halt.call(Why::Abort);
        }
    }
}
