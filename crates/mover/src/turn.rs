//! Whose turn it is: one worker at a time drives a wave. It opens batches, groups stragglers again, writes
//! the receipts and ends the wave; others only help with batches.
//!
//! The turn keeps two commands from working against each other; it does not keep data safe. That is
//! what the lease tokens in the regions' databases are for, which a worker that overslept can't pass.

use crate::error::Result;
use crate::halt::{Halt, Why};
use crate::hold::LOOK_AGAIN;
use crate::progress::Event;
use crate::service::Service;
use domicile_directory::{Asked, WaveLease};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// What to do where another worker has the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing: the directory's `Held`.
    No,
    /// Wait once, until it would end if its worker died; if it was renewed meanwhile, its worker lives, and
    /// then it is `Held`.
    Once,
    /// Wait so long: its worker was asked to stop.
    For(Duration),
}

/// Whether an abort that is asked for halts the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abort {
    Halts,
    /// It is what this worker is at, or the wave is past it.
    IsOurs,
}

/// A turn, renewed in the background until it is given back or dropped.
pub(crate) struct Turn {
    service: Arc<Service>,
    lease: WaveLease,
    renewal: JoinHandle<()>,
}

impl Turn {
    /// Takes the turn. `halt` is called when it is lost.
    pub async fn take(
        service: &Arc<Service>,
        wave: &str,
        wait: Wait,
        abort: Abort,
        halt: &Arc<Halt>,
    ) -> Result<Self> {
        let lease = lease(service, wave, wait).await?;
        let heeds = abort == Abort::Halts;
        let renewal = tokio::spawn(renew(service.clone(), lease.clone(), halt.clone(), heeds));
        Ok(Self { service: service.clone(), lease, renewal })
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

async fn lease(service: &Service, wave: &str, wait: Wait) -> Result<WaveLease> {
    let (length, began, mut waited) = (service.limits.turn, Instant::now(), None);
    loop {
        let answer = service.directory.take_wave(wave, service.worker.as_str(), length).await;
        let (holder, left_ms) = match (answer, wait) {
            (Err(domicile_directory::Error::Held { holder, left_ms, .. }), Wait::Once)
                if waited.is_none_or(|until| Instant::now() < until) =>
            {
                (holder, left_ms)
            }
            (Err(domicile_directory::Error::Held { holder, left_ms, .. }), Wait::For(patience))
                if waited.is_none() || began.elapsed() < patience =>
            {
                (holder, left_ms)
            }
            (answer, _) => return Ok(answer?),
        };
        let left = Duration::from_millis(left_ms.max(0).unsigned_abs() + 100);
        if waited.is_none() {
            waited = Some(Instant::now() + left);
            service.observer.event(Event::Waits { wave: wave.to_owned(), holder, left });
        }
        // One who was asked to stop, or comes to the wave's end, gives the turn back before it runs out.
        tokio::time::sleep(left.min(LOOK_AGAIN)).await;
    }
}

/// Renews a turn until it is lost. A renewal that fails otherwise is tried again.
async fn renew(service: Arc<Service>, lease: WaveLease, halt: Arc<Halt>, heeds_abort: bool) {
    loop {
        tokio::time::sleep(service.limits.turn / 4).await;
        let answer = service.directory.renew_wave(&lease, service.limits.turn).await;
        if matches!(answer, Err(domicile_directory::Error::LeaseLost { .. })) {
            halt.call(Why::Turn);
            return;
        }
        // Workers look before a batch begins, and one may be long.
        if heeds_abort && matches!(service.directory.asked(&lease.wave).await, Ok(Asked::Abort)) {
            halt.call(Why::Abort);
        }
    }
}
