//! Single flight: one request for a key goes to the origin, whoever asks meanwhile waits for its answer.

use super::entry::Entry;
use super::fill::Filling;
use crate::Problem;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How a flight ended, for all who waited.
#[derive(Debug, Clone)]
pub(super) enum Landed {
    /// An answer that is coming in, and is stored once it is whole.
    Filling(Arc<Filling>),
    /// A stored answer: new, or still true.
    Stored {
        entry: Arc<Entry>,
        /// The origin's status, where it was asked whether the answer has changed.
        asked: Option<u16>,
        /// The origin failed, and the answer may be given stale.
        failed: bool,
    },
    /// The origin gave none.
    Failed(Problem),
    /// What came is for the one who asked; the others ask for themselves.
    Alone,
}

type Waiting = watch::Receiver<Option<Landed>>;

/// Flights under way, by key.
#[derive(Debug)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<String, Waiting>>,
    many_max: usize,
}

/// One's place at a flight.
pub(super) enum Joined {
    /// Nobody asks yet: do, and land it.
    Lead(Landing),
    /// Somebody asks.
    Wait(Waiting),
    /// Too many flights: ask alone.
    Full,
}

impl Flights {
    pub(super) fn new(many_max: usize) -> Arc<Self> {
        Arc::new(Self { under_way: Mutex::default(), many_max })
    }

    pub(super) fn join(self: &Arc<Self>, key: &str) -> Joined {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = under_way.get(key) {
            return Joined::Wait(waiting.clone());
        }
        if under_way.len() >= self.many_max {
            return Joined::Full;
        }
        let (landed, waiting) = watch::channel(None);
        under_way.insert(key.to_owned(), waiting);
        Joined::Lead(Landing { flights: Arc::clone(self), key: key.to_owned(), landed })
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Whoever leads a flight holds this; dropped, it ends the flight, also where the leader panicked.
#[derive(Debug)]
pub(super) struct Landing {
    flights: Arc<Flights>,
    key: String,
    landed: watch::Sender<Option<Landed>>,
}

impl Landing {
    /// Tells all who wait. Who comes before it is dropped hears the same.
    pub(super) fn tell(&self, how: Landed) {
        self.landed.send_replace(Some(how));
    }

    /// For the leader itself.
    pub(super) fn waiting(&self) -> Waiting {
        self.landed.subscribe()
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.key);
    }
}

/// Waits until a flight has landed; `None`: its leader is gone.
pub(super) async fn landed(mut waiting: Waiting) -> Option<Landed> {
    waiting.wait_for(Option::is_some).await.ok().and_then(|how| how.clone())
}
