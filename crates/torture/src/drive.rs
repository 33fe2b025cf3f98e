//! The run: shifts of workers in trouble under the load, and after every few a check.

use crate::check::{self, Finding, Kind, Scene};
use crate::deck::{Card, Deck};
use crate::dice::Dice;
use crate::ground::{CONTROL, Engine, Ground};
use crate::load::{self, Load};
use crate::points::Way;
use crate::process::{End, Order, Worker};
use crate::site::{REGIONS, SERVICE};
use crate::tally::Tally;
use crate::worker::Verb;
use crate::{Fallible, evidence};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Shifts between two checks.
const SHIFTS: u32 = 6;
/// A bounded run ends then, whatever is left of its deck.
const ONCE_MAX: Duration = Duration::from_secs(150);
/// A worker that has not ended by then is killed.
const SHIFT_MAX: Duration = Duration::from_secs(25);
/// The same for one that ends what is unfinished; it gives up by itself before.
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// Longer than a worker's turn: whoever stands still for so long is replaced.
const FROZEN: Duration = Duration::from_millis(900);
/// Longest wait for the worker that replaces it.
const REPLACED_MAX: Duration = Duration::from_secs(4);

/// What to run.
#[derive(Debug, Clone)]
pub struct Asked {
    pub engine: Engine,
    pub seed: u64,
    /// `None`: each write once, then an end.
    pub time: Option<Duration>,
    /// Where logs and, after a finding, the evidence lie.
    pub folder: PathBuf,
}

/// What came of it.
pub struct Ran {
    pub findings: Vec<Finding>,
    pub tally: Tally,
    pub took: Duration,
    /// The load's own figures, in words.
    pub load: String,
}

/// A run under way.
struct Drive {
    ground: Ground,
    load: Load,
    tally: Arc<Mutex<Tally>>,
    dice: Dice,
    folder: PathBuf,
    /// Rows were lost on purpose since the last check: verify may and must say so.
    loses: AtomicBool,
    epochs: BTreeMap<i64, i64>,
    /// A server is stopped by one card at a time: two may be drawn together.
    stopping: BTreeMap<&'static str, tokio::sync::Mutex<()>>,
}

/// Runs until time or deck is over, or something is found.
pub async fn run(asked: &Asked) -> Fallible<Ran> {
    let ground = Ground::start(asked.engine, load::first_rows).await?;
    ground.site.adopt().await?;
    let load = Load::start(&ground, asked.seed, &asked.folder.join("acknowledged.jsonl")).await?;
    let (dice, folder) = (Dice::new(asked.seed), asked.folder.clone());
    let tally = Arc::new(Mutex::new(Tally::default()));
    let stopping = ground.clusters.keys().map(|place| (*place, tokio::sync::Mutex::default())).collect();
    let (loses, epochs) = (AtomicBool::new(false), BTreeMap::new());
    let mut drive = Drive { ground, load, tally, dice, folder, loses, epochs, stopping };
    let began = Instant::now();
    let mut findings = drive.rounds(asked, began).await?;
    findings.sort_by_key(|finding| finding.kind);
    if !findings.is_empty() {
        evidence::keep(&drive.ground, &drive.load, &asked.folder, &findings).await?;
    }
    drive.load.stop().await?;
    let load = words(&drive.load);
    let tally = std::mem::take(&mut *drive.tally.lock().unwrap_or_else(|e| e.into_inner()));
    Ok(Ran { findings, tally, took: began.elapsed(), load })
}

fn words(load: &Load) -> String {
    let log = load.log.lock().unwrap_or_else(|e| e.into_inner());
    let refused: u64 = log.refused.values().sum();
    let codes: Vec<_> = log.refused.iter().map(|(code, n)| format!("{code} {n}")).collect();
    format!(
        "{} transactions acknowledged ({} rows written), {} of unknown outcome, {refused} refused ({})",
        log.acknowledged,
        log.written,
        log.unknown,
        codes.join(", ")
    )
}

impl Drive {
    async fn rounds(&mut self, asked: &Asked, began: Instant) -> Fallible<Vec<Finding>> {
        let once = asked.time.is_none();
        let mut deck = Deck::new(asked.engine, asked.seed, once);
        let (time, mut again) = (asked.time.unwrap_or(ONCE_MAX), deck.len() / 3);
        loop {
            for _ in 0..SHIFTS {
                if began.elapsed() > time {
                    break;
                }
                let Some(card) = deck.draw() else { break };
                // The bounded run has two in trouble side by side, the long one a witness beside each.
                let second = if once { deck.draw() } else { None };
                let beside = if once { None } else { self.beside() };
                let (first, other) = tokio::join!(self.shift(&card, beside), async {
                    match &second {
                        Some(card) => self.shift(card, None).await,
                        None => Ok(true),
                    }
                });
                // A write that did not come about is waited for once more, as long as that ends.
                for (struck, card) in [(first?, Some(card)), (other?, second)] {
                    if let Some(card) = card.filter(|_| !struck && once && again > 0) {
                        again -= 1;
                        deck.put_back(card);
                    }
                }
            }
            let over = began.elapsed() > time || (once && deck.len() == 0);
            let findings = self.settled().await?;
            let seconds = began.elapsed().as_secs();
            self.progress(seconds, deck.len());
            if !findings.is_empty() || over {
                return Ok(findings);
            }
        }
    }

    fn progress(&self, seconds: u64, cards: usize) {
        let tally = self.tally.lock().unwrap_or_else(|e| e.into_inner());
        let log = self.load.log.lock().unwrap_or_else(|e| e.into_inner());
        let (moved, shifts, written) = (tally.moved, tally.shifts, log.written);
        eprintln!(
            "torture: {seconds} s: {shifts} shifts, {moved} moves, {written} rows written, {cards} cards left"
        );
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn start(&self, order: &Order) -> Fallible<Worker> {
        let number = {
            let mut tally = self.tally();
            tally.workers += 1;
            tally.workers
        };
        let log = self.folder.join(format!("worker-{number:05}.log"));
        Worker::start(&self.ground.site, order, &self.tally, &log)
    }

    /// Another worker beside, that nothing happens to: two waves at once, or two workers at one.
    fn beside(&mut self) -> Option<Order> {
        let from = self.dice.pick(&REGIONS).map(|(region, _)| *region);
        match self.dice.roll(4) {
            0 => Some(Order { from, ..Order::plain() }),
            1 => Some(Order { verb: Verb::Help, ..Order::plain() }),
            _ => None,
        }
    }

    /// One card. False: what it wanted did not come about.
    async fn shift(&self, card: &Card, beside: Option<Order>) -> Fallible<bool> {
        self.tally().shifts += 1;
        let beside = beside.map(|order| self.start(&order)).transpose()?;
        let struck = match card {
            Card::Faults { before, order, relief, thaw } => {
                if let Some(before) = before {
                    self.ended(self.start(before)?, SHIFT_MAX).await;
                }
                self.in_trouble(order, *relief, *thaw).await?
            }
            Card::Kills(times) => {
                for after in times {
                    self.kill(*after).await?;
                }
                true
            }
            Card::Crash { place, after, gone } => {
                let worker = self.start(&Order { turns: 2, ..Order::plain() })?;
                tokio::time::sleep(*after).await;
                self.crash(place, *gone).await?;
                self.ended(worker, SHIFT_MAX).await;
                true
            }
        };
        if let Some(worker) = beside {
            self.ended(worker, SHIFT_MAX).await;
        }
        Ok(struck)
    }

    async fn ended(&self, worker: Worker, limit: Duration) -> End {
        let end = worker.end(limit).await;
        if end == End::Overdue {
            self.tally().overdue += 1;
        }
        end
    }

    /// A worker with faults. One that stops is replaced when its turn is over, and then goes on.
    async fn in_trouble(&self, order: &Order, relief: Verb, thaw: Option<Duration>) -> Fallible<bool> {
        self.loses.fetch_or(order.faults.iter().any(|f| f.way == Way::Loses), Ordering::Relaxed);
        let before = self.strikes(order);
        let mut worker = self.start(order)?;
        if order.faults.iter().any(|f| f.way == Way::Stops) && worker.stops(SHIFT_MAX).await {
            tokio::time::sleep(FROZEN).await;
            let relief = self.start(&Order { verb: relief, ..Order::plain() })?;
            let relieved = self.ended(relief, SHIFT_MAX);
            tokio::pin!(relieved);
            let over = tokio::time::timeout(thaw.unwrap_or(REPLACED_MAX), &mut relieved).await.is_ok();
            worker.signal(Signal::CONT);
            if !over {
                relieved.await;
            }
        }
        self.ended(worker, SHIFT_MAX).await;
        Ok(self.strikes(order) > before)
    }

    /// How often the last of an order's faults has struck.
    fn strikes(&self, order: &Order) -> u32 {
        let Some(fault) = order.faults.last() else { return 0 };
        let text = fault.to_string();
        let key = text.rsplit_once(':').map_or(text.as_str(), |(key, _)| key);
        self.tally().struck.get(key).copied().unwrap_or(0)
    }

    /// A worker is killed wherever it is by then.
    async fn kill(&self, after: Duration) -> Fallible<()> {
        let worker = self.start(&Order { turns: 2, ..Order::plain() })?;
        tokio::time::sleep(after).await;
        self.tally().random_kills += u32::from(worker.signal(Signal::KILL));
        self.ended(worker, SHIFT_MAX).await;
        Ok(())
    }

    /// `pg_ctl stop -m immediate`, and up again.
    async fn crash(&self, place: &'static str, gone: Duration) -> Fallible<()> {
        let Some(cluster) = self.ground.clusters.get(place).cloned() else { return Ok(()) };
        let Some(stopping) = self.stopping.get(place) else { return Ok(()) };
        let _alone = stopping.lock().await;
        *self.tally().crashes.entry(place).or_default() += 1;
        let down_and_up = move || {
            cluster.crash();
            std::thread::sleep(gone);
            cluster.up();
        };
        Ok(tokio::task::spawn_blocking(down_and_up).await?)
    }

    /// Ends what is unfinished, holds the writers, and checks.
    async fn settled(&mut self) -> Fallible<Vec<Finding>> {
        let worker = self.start(&Order { verb: Verb::Settle, ..Order::plain() })?;
        let log = worker.log.clone();
        let end = self.ended(worker, SETTLE_MAX).await;
        if end != End::Done {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let last = text.lines().rev().find(|line| line.starts_with("error") || line.starts_with("again"));
            let what = format!("moves could not be ended ({end:?}): {}", last.unwrap_or("no word"));
            return Ok(vec![Finding { kind: Kind::Stuck, what }]);
        }
        let held = self.load.pause().await;
        self.tally().checks += 1;
        let scene = scene(&self.ground);
        let rows = self.load.known();
        let mut findings = check::check(&scene, &rows, &mut self.epochs).await?;
        drop(held);
        findings.extend(self.alarms());
        self.loses.store(false, Ordering::Relaxed);
        if self.load.is_broken() {
            return Err("a writer has ended by itself".into());
        }
        Ok(findings)
    }

    /// What workers said that nobody may say.
    fn alarms(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut tally = self.tally();
        let differs = tally.left.iter().filter(|(why, _)| why.contains("differ for"));
        let differs: Vec<String> = differs.map(|(why, n)| format!("{n} {why}")).collect();
        if !differs.is_empty() {
            tally.left.retain(|why, _| !why.contains("differ for"));
            let seen = u64::try_from(differs.len()).unwrap_or(0);
            *tally.left.entry("found by verify after rows were lost on purpose".to_owned()).or_default() +=
                seen;
            if !self.loses.load(Ordering::Relaxed) {
                let what = format!("verify found differences that nobody made: {}", differs.join("; "));
                findings.push(Finding { kind: Kind::Alarm, what });
            }
        }
        if tally.passed.contains_key("unnamed") {
            findings.push(Finding { kind: Kind::Alarm, what: "a durable write has no name".into() });
        }
        findings.extend(evidence::panics(&self.folder));
        findings
    }
}

fn scene(ground: &Ground) -> Scene {
    Scene {
        regions: REGIONS.iter().map(|(region, _)| (*region, ground.reader(region))).collect(),
        control: ground.reader(CONTROL),
        key: ground.site.key_file(),
        service: SERVICE,
        objects: REGIONS.iter().map(|(region, _)| (*region, ground.site.objects(region))).collect(),
        subjects: load::SUBJECTS,
    }
}
