//! `worker`: works on waves beside other workers, until it is stopped or, with `--once`, none is under way.

use crate::app::App;
use crate::args::WorkerArgs;
use crate::commands::moving;
use crate::config::{Config, Service};
use crate::failure::{self, Failure, Result};
use crate::figures::{count, duration};
use crate::metrics::serve;
use crate::named;
use crate::open::{self, Want};
use crate::progress::Progress;
use crate::screen::{Answer, Exit};
use crate::wave_state;
use domicile_directory::{Directory, Wave, WaveFilter};
use domicile_mover::{Did, Error, Part, WorkerName, is_for_workers};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between two looks for something to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How fast a signal is heard while there is nothing to do.
const HEAR_EVERY: Duration = Duration::from_millis(100);
/// Before a wave that failed is tried again: at first, and at most.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LAST: Duration = Duration::from_secs(30);

/// Works until a signal comes.
pub async fn run(app: &App, args: WorkerArgs) -> Result<Answer> {
    app.signals.be_careful();
    let config = app.config()?;
    let services: Vec<&Service> = match &app.global.service {
        Some(name) => vec![config.service(Some(name))?],
        None => config.services.iter().collect(),
    };
    // An address that can't be served at is found before anything begins.
    let metrics = serve::begin(&args.metrics.typed(), &config, &app.screen).await?;
    let directory = open::directory(&config).await?;
    let name = app.worker()?;
    let presence = Presence::begin(&directory, &name, config.limits.turn).await?;
    let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
    app.screen.say(&format!("worker {name}: looking for waves of {}", names.join(", ")));
    let progress = Progress::start(&app.screen);
    progress.count(metrics);
    let mut desk = Desk {
        app,
        config: &config,
        services,
        directory: directory.clone(),
        once: args.once,
        progress: progress.clone(),
        parts: BTreeMap::new(),
        troubles: BTreeMap::new(),
        drove: Vec::new(),
        stopped: false,
    };
    let worked = desk.work().await;
    progress.end();
    presence.end().await;
    let batches = progress.batches();
    let text = format!("{} brought to their end here{}\n", batches_of(batches), driven(&desk.drove));
    let mut answer =
        Answer::new(text, json!({ "worker": name.as_str(), "batches": batches, "drove": desk.drove }));
    worked?;
    if desk.stopped {
        answer.exit = Exit::Stopped;
    }
    Ok(answer)
}

fn batches_of(n: u64) -> String {
    if n == 1 { "1 batch".to_owned() } else { format!("{} batches", count(n)) }
}

fn driven(waves: &[String]) -> String {
    if waves.is_empty() { String::new() } else { format!("; driven to their end: {}", waves.join(", ")) }
}

/// What a worker has before it.
struct Desk<'a> {
    app: &'a App,
    config: &'a Config,
    services: Vec<&'a Service>,
    directory: Arc<Directory>,
    once: bool,
    progress: Arc<Progress>,
    /// Its part in each wave under way.
    parts: BTreeMap<String, Part>,
    /// Waves that failed; the control store's own trouble under the empty name.
    troubles: BTreeMap<String, Trouble>,
    /// Waves that it drove to their end.
    drove: Vec<String>,
    /// A signal came while it was at a wave, which others, or `resume`, go on with.
    stopped: bool,
}

/// Why a wave is not gone on with for now.
struct Trouble {
    failure: Box<Failure>,
    /// It may pass by itself.
    passes: bool,
    since: Instant,
    until: Instant,
    wait: Duration,
}

impl Desk<'_> {
    async fn work(&mut self) -> Result<()> {
        let mut waves: Vec<Wave> = Vec::new();
        while !self.app.signals.stopped() {
            match self.under_way().await {
                Ok(found) => {
                    self.troubles.remove("");
                    waves = found;
                }
                Err(failure) => self.fails("", failure)?,
            }
            if self.once && waves.is_empty() && self.troubles.is_empty() {
                return Ok(());
            }
            if let Some(hopeless) = self.hopeless(&waves) {
                return Err(hopeless);
            }
            if !self.troubles.contains_key("") && self.round(&waves).await? {
                continue;
            }
            self.sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The services' waves with something for workers, those first that nobody drives.
    async fn under_way(&mut self) -> Result<Vec<Wave>> {
        let filter = WaveFilter { service: None, unfinished: true };
        let waves = self.directory.waves(&filter).await.map_err(|e| failure::of_directory(&e))?;
        let ours = |w: &Wave| self.services.iter().any(|s| s.name == w.service) && is_for_workers(w);
        let mut waves: Vec<Wave> = waves.into_iter().filter(ours).collect();
        waves.sort_by_key(|wave| !wave.lease_left.is_zero());
        let is_there = |id: &str| waves.iter().any(|wave| wave.id == id);
        self.parts.retain(|id, _| is_there(id));
        self.troubles.retain(|id, _| id.is_empty() || is_there(id));
        Ok(waves)
    }

    /// Does what there is to do for each wave; true where there was something.
    async fn round(&mut self, waves: &[Wave]) -> Result<bool> {
        for wave in waves {
            if self.app.signals.stopped() {
                return Ok(false);
            }
            if self.troubles.get(&wave.id).is_some_and(|trouble| trouble.until > Instant::now()) {
                continue;
            }
            let did = self.go_on(wave).await;
            self.progress.rest();
            match did {
                Ok(Did::Nothing | Did::Helped(0)) => drop(self.troubles.remove(&wave.id)),
                // Then look at all waves anew: a turn may be free by now.
                Ok(did) => {
                    self.troubles.remove(&wave.id);
                    self.say(&wave.id, did);
                    return Ok(true);
                }
                Err(failure) => self.fails(&wave.id, self.of_service(wave, failure))?,
            }
        }
        Ok(false)
    }

    /// A worker need not be told a service; the command that mends its trouble has to be.
    fn of_service(&self, wave: &Wave, mut failure: Box<Failure>) -> Box<Failure> {
        if self.config.services.len() > 1 {
            failure.fix = named::of_service(&failure.fix, &wave.service);
        }
        failure
    }

    async fn go_on(&mut self, wave: &Wave) -> Result<Did> {
        if !self.parts.contains_key(&wave.id) {
            let part = self.part(wave).await?;
            self.parts.insert(wave.id.clone(), part);
        }
        let Some(part) = self.parts.get_mut(&wave.id) else { return Ok(Did::Nothing) };
        if self.config.services.len() > 1 {
            self.progress.of_service(&wave.service);
        }
        let error = match part.go_on().await {
            Ok(did) => return Ok(did),
            Err(error) => error,
        };
        let service = part.service().clone();
        self.parts.remove(&wave.id);
        match error {
            Error::Stopped => {
                self.stopped = true;
                Ok(Did::Nothing)
            }
            Error::TurnLost { .. } | Error::AbortAsked { .. } => {
                self.progress.line(&format!("{error}; going on with others"));
                Ok(Did::Nothing)
            }
            error if error.may_pass() => Err(failure::of_mover(&error)),
            error => Err(wave_state::failed(&service, std::slice::from_ref(&wave.id), &error).await),
        }
    }

    async fn part(&self, wave: &Wave) -> Result<Part> {
        let service = self.config.service(Some(&wave.service))?;
        let want = Want::of_wave(wave);
        let observer = self.progress.clone();
        let opened = open::service_of(self.app, self.config, service, open::today(), observer, &want).await?;
        self.progress.watch(&opened);
        Ok(Part::new(opened, &wave.id))
    }

    fn say(&mut self, wave: &str, did: Did) {
        match did {
            Did::Helped(batches) => {
                self.progress.line(&format!("wave {wave}: helped with {}", batches_of(batches)));
            }
            Did::Drove(report) => {
                self.progress.line(moving::text_of(&report).trim_end());
                self.drove.push(wave.to_owned());
            }
            Did::Nothing => {}
        }
    }

    /// Notes a failure and says it; with `--once` one that lasts is the command's.
    fn fails(&mut self, wave: &str, failure: Box<Failure>) -> Result<()> {
        let passes = ["store-unreachable", "store-busy", "standby-behind"].contains(&failure.code);
        if wave.is_empty() && !passes {
            return Err(failure);
        }
        let now = Instant::now();
        let before = self.troubles.get(wave).map(|trouble| (trouble.since, trouble.wait * 2));
        let (since, wait) = before.unwrap_or((now, AGAIN_FIRST));
        let wait = if passes { wait.min(AGAIN_LAST) } else { AGAIN_LAST };
        let place = if wave.is_empty() { String::new() } else { format!("wave {wave}: ") };
        let why = failure.why.lines().next().unwrap_or_default();
        self.progress.line(&format!(
            "{place}{}: {why}; trying again in {}",
            failure.what.trim_end(),
            duration(wait)
        ));
        // With half of it left to chance, so that workers that failed together part.
        let chance = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX) / 2.0 + 0.5;
        let until = now + wait.mul_f64(chance);
        self.troubles.insert(wave.to_owned(), Trouble { failure, passes, since, until, wait });
        Ok(())
    }

    /// With `--once`: every wave that is left has failed for a reason that does not pass, or for so long.
    fn hopeless(&self, waves: &[Wave]) -> Option<Box<Failure>> {
        let lasts = |t: &Trouble| !t.passes || t.since.elapsed() > self.config.limits.settle_wait;
        let hopeless = |id: &str| self.troubles.get(id).filter(|trouble| lasts(trouble));
        if !self.once {
            return None;
        }
        if let Some(store) = hopeless("") {
            return Some(store.failure.clone());
        }
        let first = waves.first().and_then(|wave| hopeless(&wave.id))?;
        waves.iter().all(|wave| hopeless(&wave.id).is_some()).then(|| first.failure.clone())
    }

    async fn sleep(&self, long: Duration) {
        let until = Instant::now() + long;
        while !self.app.signals.stopped() && Instant::now() < until {
            tokio::time::sleep(HEAR_EVERY).await;
        }
    }
}

/// Says in the control store that this worker is there, for `status`.
struct Presence {
    directory: Arc<Directory>,
    name: WorkerName,
    task: JoinHandle<()>,
}

impl Presence {
    async fn begin(directory: &Arc<Directory>, name: &WorkerName, turn: Duration) -> Result<Self> {
        directory.present(name.as_str(), turn).await.map_err(|e| failure::of_directory(&e))?;
        let (there, who) = (directory.clone(), name.clone());
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(turn / 4).await;
                // Where this fails the worker is shown as silent, and that is what it is.
                let _ = there.present(who.as_str(), turn).await;
            }
        });
        Ok(Self { directory: directory.clone(), name: name.clone(), task })
    }

    async fn end(self) {
        self.task.abort();
        let _ = self.directory.absent(self.name.as_str()).await;
    }
}
