//! A load: people who write notes, each write unique, each acknowledged one in a log before the next of the same
//! person.
//!
//! A request whose connection broke is repeated with the same idempotency key at the next address, and counted.
//! Every other answer that is no success counts as failed: under Domicile there is none.

mod client;
mod latency;
mod log;
mod person;
mod tally;

pub use client::Answer;
pub use latency::Latency;
pub use log::{Entry, Log, What};
pub use person::Person;
pub use tally::Tally;

use client::Client;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Requests in flight at most. Where so many wait, the service is the one that is late, and that is in the
/// latencies: they count from when a request was due.
pub const IN_FLIGHT_MAX: usize = 1000;

/// How requests follow each other.
#[derive(Debug, Clone, Copy)]
pub enum Rate {
    /// So many a second, whether the last ones were answered or not.
    Open(f64),
    /// So many at once, each after the one before.
    Closed(usize),
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Addresses of gateways or of the application, `http://HOST:PORT`; each person begins at one of them.
    pub bases: Vec<String>,
    /// Begins each idempotency key, so that two runs differ.
    pub run: String,
    /// How requests follow each other.
    pub rate: Rate,
    /// New people a second, signed up beside the load.
    pub sign_ups_per_s: f64,
    /// Countries of the new people, in turn.
    pub countries: Vec<String>,
    /// The log of acknowledged writes.
    pub log: PathBuf,
}

/// A load at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    at_work: tokio::task::JoinHandle<()>,
}

/// What all requests share.
#[derive(Debug)]
struct Shared {
    asked: Asked,
    client: Client,
    log: Log,
    /// Since the last lap.
    tally: Mutex<Tally>,
    /// All laps before.
    before: Mutex<Tally>,
    /// People without a request in flight.
    idle: Mutex<Vec<Person>>,
    /// The addresses of now; an application in front of which a gateway is put gets others.
    bases: watch::Sender<Bases>,
}

/// Addresses, at least one each.
#[derive(Debug, Clone)]
struct Bases {
    all: Vec<String>,
    sign_ups: Vec<String>,
}

impl Load {
    /// Begins. `people` are there already, each with an id that is theirs.
    ///
    /// # Errors
    /// Where the log can't be made.
    pub fn start(asked: Asked, people: Vec<Person>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            client: Client::new(),
            log: Log::create(&asked.log)?,
            tally: Mutex::default(),
            before: Mutex::default(),
            idle: Mutex::new(people),
            bases: watch::Sender::new(Bases { all: asked.bases.clone(), sign_ups: asked.bases.clone() }),
            asked,
        });
        let (stop, stopped) = watch::channel(false);
        let at_work = tokio::spawn(work(shared.clone(), stopped));
        Ok(Self { shared, stop, at_work })
    }

    /// Sends what comes next to other addresses.
    pub fn send_to(&self, bases: Vec<String>) {
        self.shared.bases.send_replace(Bases { all: bases.clone(), sign_ups: bases });
    }

    /// Sends those who sign up next to other addresses, as a balancer of loads does by the path.
    pub fn send_sign_ups_to(&self, bases: Vec<String>) {
        self.shared.bases.send_modify(|now| now.sign_ups = bases);
    }

    /// What was counted since the last lap, without ending it.
    pub fn tally(&self) -> Tally {
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends a lap: what was counted since the last one.
    pub fn lap(&self) -> Tally {
        let lap = std::mem::take(&mut *self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.before.lock().unwrap_or_else(PoisonError::into_inner).add(&lap);
        lap
    }

    /// Ends it: what is in flight is waited for. What was counted in all laps.
    ///
    /// # Errors
    /// Where the log could not be written: then nothing can be said of the run.
    pub async fn stop(self) -> io::Result<Tally> {
        self.stop.send_replace(true);
        self.at_work.await.map_err(io::Error::other)?;
        self.shared.log.finish()?;
        let mut all = self.shared.before.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.add(&self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(all)
    }
}

async fn work(shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let mut all = JoinSet::new();
    all.spawn(sign_ups(shared.clone(), stopped.clone()));
    match shared.asked.rate {
        Rate::Open(per_s) => open(&shared, per_s, stopped).await,
        Rate::Closed(many) => {
            for _ in 0..many {
                all.spawn(closed(shared.clone(), stopped.clone()));
            }
        }
    }
    while all.join_next().await.is_some() {}
}

/// Begins a request whenever one is due.
async fn open(shared: &Arc<Shared>, per_s: f64, mut stopped: watch::Receiver<bool>) {
    let mut in_flight = JoinSet::new();
    let mut clock = Clock::new(per_s);
    while let Some(due) = clock.next(&mut stopped).await {
        while in_flight.try_join_next().is_some() {}
        if in_flight.len() >= IN_FLIGHT_MAX {
            in_flight.join_next().await;
        }
        in_flight.spawn(visit(shared.clone(), due));
    }
    while in_flight.join_next().await.is_some() {}
}

/// One request after the other.
async fn closed(shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if !visit(shared.clone(), Instant::now()).await {
            // All are busy: more at once than people.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// One request of somebody who is idle; false where nobody is.
async fn visit(shared: Arc<Shared>, due: Instant) -> bool {
    let Some(mut person) = shared.anybody() else { return false };
    person.visit(&shared, due).await;
    shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(person);
    true
}

async fn sign_ups(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let (per_s, countries) = (shared.asked.sign_ups_per_s, shared.asked.countries.clone());
    if per_s <= 0.0 || countries.is_empty() {
        return;
    }
    let mut clock = Clock::new(per_s);
    let mut n = 0;
    while let Some(due) = clock.next(&mut stopped).await {
        let country = &countries[n % countries.len()];
        if let Some(person) = Person::sign_up(&shared, n, country, due).await {
            shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(person);
        }
        n += 1;
    }
}

impl Shared {
    /// Somebody who is idle, by chance.
    fn anybody(&self) -> Option<Person> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (chance() as usize).checked_rem(idle.len())?;
        Some(idle.swap_remove(at))
    }

    fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// When the next request is due: evenly, without making up for a wait by a rush of more than a second.
struct Clock {
    next: Instant,
    every: Duration,
}

impl Clock {
    fn new(per_s: f64) -> Self {
        Self { next: Instant::now(), every: Duration::from_secs_f64(1.0 / per_s.max(0.001)) }
    }

    /// The instant at which it was due; `None` once the load is stopped.
    async fn next(&mut self, stopped: &mut watch::Receiver<bool>) -> Option<Instant> {
        let due = self.next.max(Instant::now().checked_sub(Duration::from_secs(1))?);
        self.next = due + self.every;
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => None,
            () = tokio::time::sleep_until(due.into()) => Some(due),
        }
    }
}

/// A number by chance. Nothing secret hangs on it.
fn chance() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system's chance");
    u64::from_le_bytes(bytes)
}
