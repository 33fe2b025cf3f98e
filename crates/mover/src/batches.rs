//! A wave's batches, several at once, each in this worker's hand: the same for who drives the wave and for
//! who helps.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::halt::{Halt, Why};
use crate::hold::{Hold, LOOK_AGAIN};
use crate::journal;
use crate::pace;
use crate::prints::Prints;
use crate::progress::Event;
use crate::record::{LeftCode, Reached};
use crate::rest::{self, AtRest};
use crate::route::{self, Until};
use crate::service::{Region, Service};
use domicile_directory::{Asked, WaveState};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Between two questions whether the wave is paused while all places are taken.
const HEAR_EVERY: Duration = Duration::from_secs(1);

/// How long a worker stays with a wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stays {
    /// Until every batch is at its end, through pauses: `move` and `resume`.
    ToTheEnd,
    /// The same, but a paused wave is left to others: a worker that drives has other waves, too.
    UnlessPaused,
    /// As long as there is a batch that nobody has in hand: a worker that helps.
    WhileThereIsWork,
}

/// What a worker needs for a wave's batches.
pub(crate) struct Run {
    pub service: Arc<Service>,
    pub from: Arc<Region>,
    pub to: Arc<Region>,
    pub wave: String,
    pub until: Until,
    pub prints: Arc<Prints>,
    pub halt: Arc<Halt>,
    pub stays: Stays,
}

impl Run {
    /// A rehearsal has no wave to share: its batches are in nobody's hand.
    fn is_shared(&self) -> bool {
        self.until == Until::Activated
    }

    fn check_stop(&self) -> Result<()> {
        self.service.check_stop()?;
        self.halt.check(&self.wave)
    }

    async fn asked(&self) -> Result<Asked> {
        match self.service.directory.asked(&self.wave).await {
            Err(domicile_directory::Error::UnknownWave { .. }) if !self.is_shared() => Ok(Asked::Run),
            other => Ok(other?),
        }
    }
}

/// Batches that were seen at their end, each with the token of its lease then: one that was opened again
/// has a larger one.
pub(crate) type Ended = BTreeMap<String, i64>;

/// Is there a batch that this worker could take? Remembers those at their end.
pub(crate) async fn any_free(run: &Run, ended: &mut Ended) -> Result<bool> {
    let (free, _) = free(run, ended, &BTreeSet::new()).await?;
    for (id, token) in free {
        if !is_ended(run, &id).await? {
            return Ok(true);
        }
        ended.insert(id, token);
    }
    Ok(false)
}

/// Runs batches of the wave that are not at their end, several at once, and says how many this worker
/// brought to their end. The first error that trying again does not mend stops the others before their
/// next fence.
///
/// INVARIANT: records are read only of the batches in flight.
pub(crate) async fn run_batches(run: &Arc<Run>, ended: &mut Ended) -> Result<u64> {
    if run.until == Until::Activated {
        warm(run).await;
    }
    let mut shift = Shift {
        run,
        ended,
        waiting: VecDeque::new(),
        in_flight: FuturesUnordered::new(),
        in_hand: BTreeSet::new(),
        done: 0,
        first: Ok(()),
        told: false,
        heard: Instant::now(),
        at_rest: AtRest::new(),
        places: Arc::new(Semaphore::new(run.service.limits.batches_in_flight.div_ceil(2))),
    };
    loop {
        let more = if shift.first.is_ok() { shift.fill().await } else { Ok(More::Nothing) };
        let more = more.unwrap_or_else(|error| shift.fails(error));
        match (shift.in_flight.is_empty(), more) {
            (true, More::Nothing) => break,
            // A helper, too, stays: it goes on as soon as it may.
            (true, More::Ceiling) => tokio::time::sleep(LOOK_AGAIN).await,
            (true, _) if run.stays == Stays::WhileThereIsWork => break,
            (true, More::Paused) if run.stays == Stays::UnlessPaused => {
                return Err(Error::Paused { wave: run.wave.clone() });
            }
            (true, _) => tokio::time::sleep(LOOK_AGAIN).await,
            (false, _) => tokio::select! {
                Some(task) = shift.in_flight.next() => shift.take_in(task),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            },
        }
    }
    run.service.pace.ceilings.rest(&run.service, &run.wave).await;
    shift.first.map(|()| shift.done)
}

/// Connections made ready at most: a store has 16, and others use them, too.
const WARM_MAX: usize = 9;
/// Connections that a batch uses at once under its fence.
const AT_ONCE: usize = 3;

/// Gets both regions ready for fences. What goes wrong is met again where it matters.
async fn warm(run: &Run) {
    let connections = run.service.limits.batches_in_flight.saturating_mul(AT_ONCE).min(WARM_MAX);
    let _ = tokio::join!(run.from.records.warm(connections), run.to.records.warm(connections));
}

/// What is left to take.
enum More {
    /// Every batch is at its end or in flight here.
    Nothing,
    /// Others have batches in hand, or all places are taken.
    Later,
    /// Nothing may begin now.
    Paused,
    /// Nothing may begin as long as a ceiling is exceeded.
    Ceiling,
}

/// A batch's task when it ended: the batch, its lease's token, how it ended.
type Task = (String, i64, Result<()>);

/// The batches of one worker, while it runs them.
struct Shift<'r> {
    run: &'r Arc<Run>,
    ended: &'r mut Ended,
    /// Free when they were looked up, with their leases' tokens.
    waiting: VecDeque<(String, i64)>,
    in_flight: FuturesUnordered<JoinHandle<Task>>,
    in_hand: BTreeSet<String>,
    done: u64,
    first: Result<()>,
    /// It was said that the wave is paused.
    told: bool,
    /// When it was last asked, with all places taken, whether it is.
    heard: Instant,
    /// Batches of the paused wave that are at rest.
    at_rest: AtRest,
    /// Places for the long work, copying and comparing: half as many as batches in flight, rounded up. So others wait for the
    /// disk under their fences meanwhile, and no fence has more long work beside it than that.
    places: Arc<Semaphore>,
}

impl Shift<'_> {
    /// Takes batches until all places are taken.
    async fn fill(&mut self) -> Result<More> {
        self.hear_of_a_pause().await;
        let (mut looked, mut others) = (false, false);
        while self.in_flight.len() < self.run.service.limits.batches_in_flight {
            self.run.check_stop()?;
            let Some((id, token)) = self.waiting.pop_front() else {
                if looked {
                    return Ok(if others { More::Later } else { More::Nothing });
                }
                let (free, held) = free(self.run, self.ended, &self.in_hand).await?;
                (self.waiting, others, looked) = (free.into(), others || held, true);
                continue;
            };
            if is_ended(self.run, &id).await? {
                self.ended.insert(id, token);
                continue;
            }
            match self.run.asked().await? {
                Asked::Run => self.told = false,
                Asked::Abort => return Err(Error::AbortAsked { wave: self.run.wave.clone() }),
                Asked::Pause => {
                    if !std::mem::replace(&mut self.told, true) {
                        self.run.service.observer.event(Event::Paused);
                    }
                    self.waiting.clear();
                    self.bring_to_rest().await?;
                    return Ok(More::Paused);
                }
            }
            let run = self.run;
            if run.service.pace.ceilings.over(&run.service, &run.wave, &run.from, &run.to).await? {
                self.waiting.clear();
                return Ok(More::Ceiling);
            }
            others |= !self.begin(id).await?;
        }
        Ok(More::Later)
    }

    /// False: another worker was quicker.
    async fn begin(&mut self, id: String) -> Result<bool> {
        let run = self.run.clone();
        let hold = match run.is_shared() {
            false => None,
            true => match Hold::take(&run.service, &run.wave, &id, WaveState::Open, &run.halt).await? {
                None => return Ok(false),
                held => held,
            },
        };
        self.in_hand.insert(id.clone());
        let places = self.places.clone();
        self.in_flight.push(tokio::spawn(async move {
            let result = run_batch(&run, &id, hold.as_ref(), &places).await;
            let token = hold.as_ref().map_or(0, Hold::token);
            if let Some(hold) = hold {
                hold.give_back().await;
            }
            (id, token, result)
        }));
        Ok(true)
    }

    /// Says that the wave is paused while batches are in flight, which may be long: nothing else asks before a place is free.
    async fn hear_of_a_pause(&mut self) {
        let full = self.in_flight.len() >= self.run.service.limits.batches_in_flight;
        if self.told || !full || self.heard.elapsed() < HEAR_EVERY {
            return;
        }
        self.heard = Instant::now();
        // Where the control store can't be asked now, whoever has to know asks again.
        if matches!(self.run.asked().await, Ok(Asked::Pause)) {
            self.told = true;
            self.run.service.observer.event(Event::Paused);
        }
    }

    /// What a worker that died left under its fence would stay so for as long as the wave is paused.
    async fn bring_to_rest(&mut self) -> Result<()> {
        let run = self.run;
        let (service, wave, from, to) = (&run.service, &run.wave, &run.from, &run.to);
        rest::look_quietly(service, wave, from, to, &mut self.at_rest, &self.in_hand).await
    }

    fn take_in(&mut self, task: Result<Task, tokio::task::JoinError>) {
        let (id, token, result) = match task {
            Ok(task) => task,
            Err(gone) => {
                self.fails(Error::Setting(format!("a batch's task ended: {gone}")));
                return;
            }
        };
        self.in_hand.remove(&id);
        match result {
            Ok(()) => {
                self.done += 1;
                self.run.service.observer.event(Event::Ended { batch: id.clone() });
                self.ended.insert(id, token);
            }
            // Somebody else goes on with it: it is looked at again like every other.
            Err(Error::TakenOver { batch }) => self.run.service.observer.event(Event::TakenOver { batch }),
            Err(error) => drop(self.fails(error)),
        }
    }

    /// The first error is the run's; the others come to their next safe point by themselves.
    fn fails(&mut self, error: Error) -> More {
        self.run.halt.call(Why::Failed);
        if self.first.is_ok() {
            self.first = Err(error);
        }
        More::Nothing
    }
}

/// The batches that this worker could take, with their leases' tokens, and whether others have any in hand.
async fn free(run: &Run, ended: &Ended, in_hand: &BTreeSet<String>) -> Result<(Vec<(String, i64)>, bool)> {
    let ids = journal::batches(&run.from, &run.wave).await?;
    let mut leases = BTreeMap::new();
    if run.is_shared() {
        let all = run.service.directory.batches_in_hand(&run.wave).await?;
        leases.extend(all.into_iter().map(|lease| (lease.batch.clone(), lease)));
    }
    let (mut free, mut held) = (Vec::new(), false);
    for id in ids.into_iter().filter(|id| !in_hand.contains(id)) {
        let lease = leases.get(&id);
        let token = lease.map_or(0, |lease| lease.token);
        if ended.get(&id) == Some(&token) {
            continue;
        }
        match lease.is_none_or(|lease| lease.is_free_for(run.service.worker.as_str())) {
            true => free.push((id, token)),
            false => held = true,
        }
    }
    Ok((free, held))
}

async fn is_ended(run: &Run, id: &str) -> Result<bool> {
    Ok(journal::record(&run.from, &run.wave, id).await?.reached >= Reached::Activated)
}

/// Takes a batch in hand that is at its end: whoever has it has nothing to do there, and lets it go.
pub(crate) async fn in_hand(run: &Run, id: &str) -> Result<Hold> {
    loop {
        run.check_stop()?;
        if let Some(hold) = Hold::take(&run.service, &run.wave, id, WaveState::Open, &run.halt).await? {
            return Ok(hold);
        }
        match run.asked().await? {
            Asked::Abort => return Err(Error::AbortAsked { wave: run.wave.clone() }),
            Asked::Pause if run.stays != Stays::ToTheEnd => {
                return Err(Error::Paused { wave: run.wave.clone() });
            }
            Asked::Pause | Asked::Run => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Runs one batch; what has to be tried again, or lost its connection, begins again at [`route::run`] from
/// the record as the journal has it then.
async fn run_batch(run: &Run, id: &str, hold: Option<&Hold>, places: &Semaphore) -> Result<()> {
    let mut round = 0;
    loop {
        run.check_stop()?;
        let error = match attempt(run, id, hold, places).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let limits = &run.service.limits;
        // What happened to one who was replaced says nothing of the batch.
        let replaced = error.is_lease_lost();
        if let Some(hold) = hold {
            // Any other error: the control store is away, and nobody can have taken it over meanwhile.
            if let Err(error @ Error::TakenOver { .. }) = hold.confirm().await {
                return Err(error);
            }
        }
        if (error.may_pass() || replaced && hold.is_some()) && round < limits.tries {
            // A copy that waits for its pace ends so when it is to stop.
            run.check_stop()?;
            let why = error.to_string();
            run.service.observer.event(Event::Again { batch: id.to_owned(), code: error.again_code(), why });
            pace::back_off(round + 4).await;
            round += 1;
        } else if error.is_again() {
            // Nothing is wrong with the data: the subjects go back and with a later batch.
            let why = "its writers kept getting in the way";
            let batch = Batch::take(&run.service, &run.wave, id, &run.from, &run.to, Arc::default()).await?;
            return route::give_up(&batch.under(&run.halt, hold), LeftCode::Busy, why).await;
        } else {
            return Err(error);
        }
    }
}

async fn attempt(run: &Run, id: &str, hold: Option<&Hold>, places: &Semaphore) -> Result<()> {
    if let Some(hold) = hold {
        // One that overslept between taking the batch in hand and here must not put another one out.
        hold.confirm().await?;
    }
    let batch = Batch::take(&run.service, &run.wave, id, &run.from, &run.to, run.prints.clone()).await?;
    let batch = batch.under(&run.halt, hold);
    if batch.record.lock().await.reached >= Reached::Activated {
        return Ok(());
    }
    route::run(&batch, run.until, places).await?;
    if run.until == Until::Verified { route::abort(&batch).await } else { Ok(()) }
}
