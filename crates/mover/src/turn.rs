//! Whose turn it is: one worker at a time drives a wave.
//!
//! The turn keeps two commands from working against each other; it does not keep data safe. That is
//! what the lease tokens in the regions' databases are for, which a worker that overslept can't pass.

use crate::error::{Error, Result};
use crate::progress::Event;
use crate::service::Service;
use domicile_directory::{Asked, WaveLease};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between two looks whether a worker that was asked to stop has given its turn back.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A turn, renewed in the background until it is given back or dropped.
pub(crate) struct Turn {
    service: Arc<Service>,
    lease: WaveLease,
    /// Whether an abort that is asked for stops this worker.
    heeds: Arc<AtomicBool>,
    renewal: JoinHandle<()>,
}

impl Turn {
    /// Takes the turn. One that is held is waited for once, until it would end if its worker died; if it
    /// was renewed meanwhile, its worker lives, and this fails with the directory's `Held`.
    pub async fn take(service: &Arc<Service>, wave: &str) -> Result<Self> {
        Self::take_within(service, wave, Duration::ZERO).await
    }

    /// The same, but a worker that lives is waited for until `patience` is over: it was asked to stop.
    pub async fn take_within(service: &Arc<Service>, wave: &str, patience: Duration) -> Result<Self> {
        let (holder, length, began) = (holder()?, service.limits.turn, Instant::now());
        let mut waited = false;
        let lease = loop {
            match service.directory.take_wave(wave, &holder, length).await {
                Err(domicile_directory::Error::Held { holder: other, left_ms, .. })
                    if !waited || began.elapsed() < patience =>
                {
                    let left = Duration::from_millis(left_ms.max(0) as u64 + 100);
                    if !waited {
                        service.observer.event(Event::Waits { wave: wave.to_owned(), holder: other, left });
                    }
                    waited = true;
                    // One who was asked to stop gives the turn back before it ends.
                    tokio::time::sleep(if patience.is_zero() { left } else { left.min(LOOK_AGAIN) }).await;
                }
                other => break other?,
            }
        };
        let heeds = Arc::new(AtomicBool::new(false));
        let (renewed, other, wave, heeding) =
            (lease.clone(), service.clone(), wave.to_owned(), heeds.clone());
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(length / 4).await;
                // A failed renewal is tried again; a lost turn means somebody else has taken over, and
                // then the regions' tokens end what we do.
                let answer = other.directory.renew_wave(&renewed, length).await;
                if matches!(answer, Err(domicile_directory::Error::LeaseLost { .. })) {
                    other.stop.store(true, Ordering::Relaxed);
                    return;
                }
                // Batches look only before they begin, and one may be long.
                let heeds = heeding.load(Ordering::Relaxed);
                if heeds && matches!(other.directory.asked(&wave).await, Ok(Asked::Abort)) {
                    other.stop.store(true, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { service: service.clone(), lease, heeds, renewal })
    }

    /// Stops the worker that holds it as soon as the wave's abort is asked for.
    pub fn heeding_abort(self) -> Self {
        self.heeds.store(true, Ordering::Relaxed);
        self
    }

    /// The lease, for changing the wave's state.
    pub fn lease(&self) -> &WaveLease {
        &self.lease
    }

    /// Gives the turn back, so that the next command need not wait for it to end.
    pub async fn give_back(self) {
        self.renewal.abort();
        let _ = self.service.directory.release_wave(&self.lease).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Names this process and no other.
fn holder() -> Result<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|e| Error::Setting(format!("no randomness from the system: {e}")))?;
    Ok(format!("pid {} {}", std::process::id(), hex::encode(bytes)))
}
