//! Who works: the name by which a worker is known to others, and its part in waves.

use crate::batches::{self, Ended, Run, Stays};
use crate::error::{Error, Result};
use crate::prints::Prints;
use crate::progress::Event;
use crate::report::WaveReport;
use crate::rest::{self, AtRest};
use crate::route::Until;
use crate::service::Service;
use crate::wave::{self, WaveNote};
use domicile_directory::{Asked, Wave, WaveState};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A wave whose abort was asked for belongs to whoever asked; a worker carries it out only where nobody
/// has taken its turn for so many lengths of a turn.
const ABORT_IS_LEFT: u32 = 2;

/// Names one process and no other: `pid 4711 1a2b3c4d on host7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerName(String);

impl WorkerName {
    /// A name of its own at each call.
    ///
    /// # Errors
    /// `Setting` where the system gives no randomness.
    pub fn new() -> Result<Self> {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes)
            .map_err(|e| Error::Setting(format!("no randomness from the system: {e}")))?;
        let system = rustix::system::uname();
        let (pid, host) = (std::process::id(), system.nodename().to_string_lossy());
        Ok(Self(format!("pid {pid} {} on {host}", hex::encode(bytes))))
    }

    /// As it stands in the control store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a worker did for a wave.
#[derive(Debug, Clone, PartialEq)]
pub enum Did {
    /// It had the turn and brought the wave to its end.
    Drove(Box<WaveReport>),
    /// Another worker has the turn; this one brought so many batches to their end.
    Helped(u64),
    /// There is nothing for it to do now: paused, or all batches are in others' hands.
    Nothing,
}

/// Is there anything for workers in this wave, now or later? One that moved its `--first` subjects waits
/// for its plan.
pub fn is_for_workers(wave: &Wave) -> bool {
    let waits = || serde_json::from_value(wave.note.clone()).is_ok_and(|note: WaveNote| note.waits_for_plan);
    matches!(wave.state, WaveState::Open | WaveState::Aborting) && !(wave.asked == Asked::Run && waits())
}

/// A worker's part in one wave: drives it where nobody does, else helps with batches that nobody has in hand.
pub struct Part {
    service: Arc<Service>,
    wave: String,
    ended: Ended,
    prints: Option<Arc<Prints>>,
    abort_seen: Option<Instant>,
    at_rest: AtRest,
}

impl Part {
    /// A part in a wave of the service.
    pub fn new(service: Arc<Service>, wave: &str) -> Self {
        let (ended, at_rest) = (Ended::new(), AtRest::new());
        Self { service, wave: wave.to_owned(), ended, prints: None, abort_seen: None, at_rest }
    }

    /// The service it works for.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Does what there is to do for the wave now. After an error begin with a new part: what this one knows
    /// of the wave may be old.
    ///
    /// # Errors
    /// As `resume`; `TurnLost` where another worker took over meanwhile.
    pub async fn go_on(&mut self) -> Result<Did> {
        let (row, note) = wave::find(&self.service, &self.wave).await?;
        let me = self.service.worker.as_str();
        let driver = row.holder.clone().filter(|holder| holder != me && !row.lease_left.is_zero());
        if !is_for_workers(&row) {
            return Ok(Did::Nothing);
        }
        match (driver, row.asked) {
            (_, Asked::Pause) if row.state == WaveState::Open => self.rest(&note).await,
            (None, Asked::Abort) if row.state == WaveState::Open => self.abort_if_left().await,
            (None, _) => self.drive(&row).await,
            (Some(driver), Asked::Run) if row.state == WaveState::Open => self.help(&note, driver).await,
            (Some(_), _) => Ok(Did::Nothing),
        }
    }

    /// Of a paused wave only what a dead worker left under its fence.
    async fn rest(&mut self, note: &WaveNote) -> Result<Did> {
        let service = &self.service;
        let (from, to) = (service.region(&note.planned.from)?, service.region(&note.planned.to)?);
        // A worker is at one wave at a time: it has nothing in flight now.
        rest::look_quietly(service, &self.wave, from, to, &mut self.at_rest, &BTreeSet::new()).await?;
        Ok(Did::Nothing)
    }

    async fn drive(&self, row: &Wave) -> Result<Did> {
        match wave::resume_as_worker(&self.service, &row.id).await {
            Ok(report) => Ok(Did::Drove(Box::new(report))),
            // Somebody was quicker, or it was paused: another look says what to do.
            Err(Error::Directory(domicile_directory::Error::Held { .. }) | Error::Paused { .. }) => {
                Ok(Did::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    async fn abort_if_left(&mut self) -> Result<Did> {
        let seen = *self.abort_seen.get_or_insert_with(Instant::now);
        if seen.elapsed() < self.service.limits.turn * ABORT_IS_LEFT {
            return Ok(Did::Nothing);
        }
        wave::abort(&self.service, &self.wave).await.map(|report| Did::Drove(Box::new(report)))
    }

    async fn help(&mut self, note: &WaveNote, driver: String) -> Result<Did> {
        let service = &self.service;
        wave::same_map(service, &self.wave, note)?;
        let (from, to) =
            (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
        let mut run = Run {
            service: service.clone(),
            from,
            to,
            wave: self.wave.clone(),
            until: Until::Activated,
            prints: Arc::default(),
            halt: Arc::default(),
            stays: Stays::WhileThereIsWork,
        };
        if !batches::any_free(&run, &mut self.ended).await? {
            return Ok(Did::Nothing);
        }
        self.waits_for_the_same_standbys(&run, note).await?;
        let prints = match &self.prints {
            Some(prints) => prints.clone(),
            None => Arc::new(Prints::of_a_whole_guard(&run.from, &run.to).await?),
        };
        run.prints = self.prints.insert(prints).clone();
        let (from, to) = (run.from.id.clone(), run.to.id.clone());
        service.observer.event(Event::Helps { wave: self.wave.clone(), from, to, driver });
        let run = Arc::new(run);
        let done = batches::run_batches(&run, &mut self.ended).await;
        run.halt.explains(&self.wave, done).map(Did::Helped)
    }

    /// Receipts name the standbys that were waited for before every cutover of the wave, whoever made it.
    async fn waits_for_the_same_standbys(&self, run: &Run, note: &WaveNote) -> Result<()> {
        let listed = wave::listed_standbys(&self.service, &run.from).await?;
        match note.standbys.iter().flatten().find(|one| !listed.contains(*one)) {
            None => Ok(()),
            Some(missing) => Err(Error::Setting(format!(
                "wave {} waits for standby {missing} of region {} before each cutover, and this worker's \
                 configuration does not list it: give all workers the same `standbys`",
                self.wave, run.from.id
            ))),
        }
    }
}
