//! Whose turn it is: one worker at a time drives a wave.
//!
//! The turn keeps two commands from working against each other; it does not keep data safe. That is
//! what the lease tokens in the regions' databases are for, which a worker that overslept can't pass.

use crate::error::{Error, Result};
use crate::progress::Event;
use crate::service::Service;
use domicile_directory::WaveLease;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A turn, renewed in the background until it is given back or dropped.
pub(crate) struct Turn {
    service: Arc<Service>,
    lease: WaveLease,
    renewal: JoinHandle<()>,
}

impl Turn {
    /// Takes the turn. One that is held is waited for once, until it would end if its worker died; if it
    /// was renewed meanwhile, its worker lives, and this fails with the directory's `Held`.
    pub async fn take(service: &Arc<Service>, wave: &str) -> Result<Self> {
        let (holder, length) = (holder()?, service.limits.turn);
        let lease = match service.directory.take_wave(wave, &holder, length).await {
            Err(domicile_directory::Error::Held { holder: other, left_ms, .. }) => {
                let left = Duration::from_millis(left_ms.max(0) as u64 + 100);
                service.observer.event(Event::Waits { wave: wave.to_owned(), holder: other, left });
                tokio::time::sleep(left).await;
                service.directory.take_wave(wave, &holder, length).await?
            }
            other => other?,
        };
        let (renewed, other) = (lease.clone(), service.clone());
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
            }
        });
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

/// Names this process and no other.
fn holder() -> Result<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|e| Error::Setting(format!("no randomness from the system: {e}")))?;
    Ok(format!("pid {} {}", std::process::id(), hex::encode(bytes)))
}
