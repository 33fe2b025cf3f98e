//! `domicile demo`: the reference case on this machine, from an empty folder to the proofs.
//!
//! Scenes in their order: [`world`], [`adopt`], then for each trip [`plans`] and [`moving`] while
//! [`applications`] write, [`cheat`], [`erasing`], [`verdict`], [`phone`], [`last`]. What is moved, guarded, planned and
//! erased is so by the functions of the commands; what is proven is proven by code of the demo alone
//! ([`journal`], [`proof`], [`scan`]).

// The demo is a program of its own inside the command: its types are for its scenes only.
#![allow(missing_docs)]

mod adopt;
mod applications;
mod case;
mod census;
mod cheat;
mod dice;
mod erasing;
mod folder;
mod journal;
mod last;
mod moving;
mod page;
mod people;
mod phone;
mod plans;
mod proof;
mod scan;
mod stage;
mod tables;
mod verdict;
mod watch;
mod world;

#[cfg(test)]
mod tests;

use crate::app::App;
use crate::failure::{self, Failure, Result};
use crate::figures::{bytes, count};
use crate::screen::Answer;
use applications::Applications;
use case::Case;
use clap::{Args, ValueEnum};
use folder::Folder;
use journal::Journal;
use last::Told;
use page::Page;
use stage::Stage;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use world::World;

/// Fewer people, and some country would have nobody in it, or the flagged would be most of India.
const ACCOUNTS_MIN: usize = 400;
/// More would take the folder beyond what a demo may use of a disk (some gigabytes).
const ACCOUNTS_MAX: usize = 1_000_000;

/// `domicile demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many accounts there are
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub accounts: usize,
    /// reference: a phone maker moves users out of Beijing; mirror: a foreign maker moves users into China
    #[arg(long, value_enum, default_value_t = CaseName::Reference)]
    pub case: CaseName,
    /// Where everything is written
    #[arg(long, value_name = "DIR", default_value = "domicile-demo")]
    pub dir: PathBuf,
    /// Another seed, other people
    #[arg(long, value_name = "S", default_value_t = 2014)]
    pub seed: u64,
    /// No pauses for reading
    #[arg(long)]
    pub fast: bool,
}

/// The cases by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CaseName {
    Reference,
    Mirror,
}

impl CaseName {
    fn case(self) -> &'static Case {
        match self {
            CaseName::Reference => &case::REFERENCE,
            CaseName::Mirror => &case::MIRROR,
        }
    }
}

/// Examples for the help.
pub const HELP: &str = "\
Nothing to install; takes half a minute to a minute. The folder is left for you to look at.
Exit code 1 where a proof fails.

Examples:
  domicile demo
  domicile demo --case mirror
  domicile demo --accounts 2000 --fast";

/// How long each scene took.
struct Clock {
    began: Instant,
    last: Instant,
    scenes: Vec<(&'static str, Duration)>,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { began: now, last: now, scenes: Vec::new() }
    }

    fn lap(&mut self, scene: &'static str) {
        self.scenes.push((scene, self.last.elapsed()));
        self.last = Instant::now();
    }
}

/// Runs the demo.
pub async fn run(app: &App, args: DemoArgs) -> Result<Answer> {
    if !(ACCOUNTS_MIN..=ACCOUNTS_MAX).contains(&args.accounts) {
        let what = format!("--accounts {} is not between {ACCOUNTS_MIN} and {ACCOUNTS_MAX}", args.accounts);
        let why = "with fewer, some country has nobody in it; with more, the folder grows beyond a demo's";
        return Err(Failure::usage("usage", what, why, "domicile demo"));
    }
    let case = args.case.case();
    let page = Page::new(app.global.json || app.global.quiet, args.fast, case.name);
    let mut clock = Clock::start();
    let stage = build(app, page, &args, case).await?;
    clock.lap("world");
    adopt::adopt(&stage).await?;
    clock.lap("guard");
    let mut journal = tokio::task::block_in_place(|| Journal::begin(case, &stage.world.folder))
        .map_err(|e| world::of_sqlite("read the first rows", &e))?;
    let before = census_of(&stage)?;
    let handle = tokio::runtime::Handle::current();
    let apps = Applications::start(&stage.world, &stage.directory, &handle);
    let apps = apps.map_err(|e| failure::of_file("start the applications in", &args.dir, &e))?;
    clock.lap("journal");
    let told = story(&stage, &apps, &mut clock).await;
    let counters = apps.counters.clone();
    let log = tokio::task::block_in_place(|| apps.stop());
    let (moved, erased) = told?;
    log?.into_journal(&mut journal);
    clock.lap("applications end");
    let verdict = verdict::prove(&stage, &journal).await?;
    clock.lap("proofs");
    let phone = Box::pin(phone::phone(&stage)).await?;
    clock.lap("phone");
    let after = census_of(&stage)?;
    let told = Told {
        before,
        after,
        moved,
        erased,
        verdict,
        phone,
        wait_us_max: counters.wait_us(1.0),
        refused: counters.refused.load(Ordering::Relaxed),
        wall: clock.began.elapsed(),
        scenes: clock.scenes,
    };
    Ok(last::answer(&stage, &told))
}

/// Everything between the first acknowledged write and the last.
async fn story(
    stage: &Stage,
    apps: &Applications,
    clock: &mut Clock,
) -> Result<(Vec<moving::Moved>, erasing::Erased)> {
    let mut moved = Vec::new();
    for (at, trip) in stage.world.case.trips.iter().enumerate() {
        let (plan, file) = plans::plan_trip(stage, at + 1, trip).await?;
        clock.lap("plan");
        moved.push(moving::move_trip(stage, trip, &plan, &file, &apps.counters).await?);
        clock.lap("move");
        if trip.killed {
            cheat::cheat(stage).await?;
            clock.lap("cheat");
        }
    }
    let erased = erasing::erase(stage).await?;
    clock.lap("erase");
    Ok((moved, erased))
}

fn census_of(stage: &Stage) -> Result<Vec<census::Held>> {
    let counted = census::count(stage.world.case, &stage.world.folder);
    counted.map_err(|e| world::of_sqlite("count the rows", &e))
}

/// Scene 1: makes the world and shows it.
async fn build(app: &App, page: Page, args: &DemoArgs, case: &'static Case) -> Result<Stage> {
    page.begin(case.title);
    page.say(case.story);
    let folder = Folder::make(&args.dir)?;
    let (world, made) = tokio::task::block_in_place(|| World::make(case, folder, args.accounts, args.seed))?;
    let planted = scan::plant(&world.folder.region(case.old));
    planted.map_err(|e| failure::of_file("plant the control in", &world.folder.region(case.old), &e))?;
    page.done(&format!(
        "{} accounts in {}: {} rows, {} photos ({})",
        count(args.accounts as u64),
        case.old,
        count(made.rows),
        count(made.objects),
        bytes(made.object_bytes)
    ));
    let others: Vec<&str> = case.regions.iter().map(|r| r.id).filter(|id| *id != case.old).collect();
    page.done(&format!("empty, with the same tables: {}", others.join(", ")));
    page.done("phones keep keyed hashes of their contacts' numbers, and no message holds a number");
    page.done(&format!(
        "a fake number is planted among the files of {}: a scan must find it in the end",
        case.old
    ));
    page.gap();
    page.rest().await;
    Stage::set(app, page, world).await
}
