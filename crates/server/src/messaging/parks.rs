//! Writes to a mailbox that moves: one of them tries, the others wait behind it, in their order.
//!
//! Whoever tries while a mailbox is fenced makes a whole batch fail (`stores/mailboxes/group.rs`), so of many who want to
//! only one does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Writes that wait for one mailbox at most.
const PER_MAILBOX: usize = 256;

/// Mailboxes that were refused and are being tried again.
pub(super) struct Parks {
    parked: Mutex<HashMap<String, Arc<Park>>>,
    places: Arc<Semaphore>,
}

struct Park {
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: Semaphore,
}

/// One who waits behind others, or tries for them.
pub(super) struct Turn<'a> {
    parks: &'a Parks,
    mailbox: String,
    park: Arc<Park>,
    _place: OwnedSemaphorePermit,
    _turn: OwnedMutexGuard<()>,
}

impl Parks {
    /// For so many writes in all.
    pub fn new(writes: usize) -> Self {
        Self { parked: Mutex::default(), places: Arc::new(Semaphore::new(writes)) }
    }

    fn parked(&self) -> MutexGuard<'_, HashMap<String, Arc<Park>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is somebody trying for this mailbox already?
    pub fn has(&self, mailbox: &str) -> bool {
        self.parked().contains_key(mailbox)
    }

    /// Waits for one's turn to try; `None`: too many wait. With the turn comes whether the park is still there: if not, whoever
    /// tried before has found the mailbox open, or where it went.
    pub async fn turn(&self, mailbox: &str) -> Option<(Turn<'_>, bool)> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let park = {
            let mut parked = self.parked();
            let new = || Park { turn: Arc::default(), waiting: Semaphore::new(PER_MAILBOX) };
            parked.entry(mailbox.to_owned()).or_insert_with(|| Arc::new(new())).clone()
        };
        let waiting = park.waiting.try_acquire().ok()?;
        let turn = park.turn.clone().lock_owned().await;
        drop(waiting);
        let is_parked = self.parked().get(mailbox).is_some_and(|now| Arc::ptr_eq(now, &park));
        Some((Turn { parks: self, mailbox: mailbox.to_owned(), park, _place: place, _turn: turn }, is_parked))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Whatever came of it, those behind find out for themselves: at once, or in a park of their own.
        let mut parked = self.parks.parked();
        if parked.get(&self.mailbox).is_some_and(|now| Arc::ptr_eq(now, &self.park)) {
            parked.remove(&self.mailbox);
        }
    }
}
