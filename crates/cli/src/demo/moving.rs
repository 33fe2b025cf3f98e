//! Moving while applications write; and, once, killing the worker in the middle.

use super::applications::Counters;
use super::case::Trip;
use super::page::Tone;
use super::stage::Stage;
use super::watch::{Tally, Watch, of_applications};
use super::world;
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted, duration, milliseconds};
use crate::paper;
use domicile_directory::WaveFilter;
use domicile_mover::wave::{self, Options};
use domicile_mover::{Plan, WaveReport};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The worker is killed when so much of its last wave has moved, in percent.
const KILLED_AT: u64 = 30;
/// How long the applications are watched while nobody moves anything.
const ALONE: Duration = Duration::from_millis(1_200);

/// What a trip came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Moved {
    pub elapsed: Duration,
    pub rows: u64,
    /// The worker was killed in the middle, and another one went on.
    pub killed: bool,
}

/// Carries a plan out.
pub async fn move_trip(
    stage: &Stage,
    trip: &Trip,
    plan: &Plan,
    file: &Path,
    counters: &Arc<Counters>,
) -> Result<Moved> {
    let page = &stage.page;
    page.begin(&format!("{}: the move", trip.title.split(':').next().unwrap_or(trip.title)));
    page.say(
        "Four applications keep writing to the people who move: new messages, edits, deletes, photos. A person \
         is unwritable for some milliseconds, under the fence; a write that comes then is refused, and repeated \
         at the new home.",
    );
    let tally = Arc::new(Tally::default());
    let rows = plan.moves.iter().map(|m| m.size().rows).sum();
    let began = Instant::now();
    let killed = trip.killed && kill_in_the_middle(stage, trip, plan, file, &tally, counters).await?;
    let watch = Watch::start(page, &tally, counters, plan.moves.iter().map(|m| m.subjects).sum(), rows);
    let ran = if killed { go_on(stage, trip, &tally).await } else { all(stage, trip, plan, &tally).await };
    watch.end();
    let reports = ran?;
    show(stage, &reports, counters, began.elapsed());
    page.rest().await;
    Ok(Moved { elapsed: began.elapsed(), rows, killed })
}

async fn all(stage: &Stage, trip: &Trip, plan: &Plan, tally: &Arc<Tally>) -> Result<Vec<WaveReport>> {
    let service = stage.service(trip.service, trip.on, tally.clone()).await?;
    let ran = wave::run_plan(&service, plan, &Options::default()).await;
    Ok(ran.map_err(|e| failure::of_mover(&e))?.reports)
}

/// What `domicile resume` does: every wave that is not at its end goes on.
async fn go_on(stage: &Stage, trip: &Trip, tally: &Arc<Tally>) -> Result<Vec<WaveReport>> {
    let service = stage.service(trip.service, trip.on, tally.clone()).await?;
    let mut reports = Vec::new();
    for wave in unfinished(stage, trip).await? {
        reports.push(wave::resume(&service, &wave).await.map_err(|e| failure::of_mover(&e))?);
    }
    Ok(reports)
}

async fn unfinished(stage: &Stage, trip: &Trip) -> Result<Vec<String>> {
    let filter = WaveFilter { service: Some(trip.service.as_str().to_owned()), unfinished: true };
    let waves = stage.directory.waves(&filter).await.map_err(|e| failure::of_directory(&e))?;
    let open = waves.into_iter().filter(|w| w.state == domicile_directory::WaveState::Open);
    Ok(open.map(|w| w.id).collect())
}

/// Lets a child process carry the plan out and kills it. `false`: it was done before it could be killed.
async fn kill_in_the_middle(
    stage: &Stage,
    trip: &Trip,
    plan: &Plan,
    file: &Path,
    tally: &Arc<Tally>,
    counters: &Arc<Counters>,
) -> Result<bool> {
    let before = stage.counts(trip.service).await?;
    let mut child = worker(stage, trip, file)?;
    let watch = Watch::start(
        &stage.page,
        tally,
        counters,
        plan.moves.iter().map(|m| m.subjects).sum(),
        plan.moves.iter().map(|m| m.size().rows).sum(),
    );
    let ended = follow(stage, trip, plan, &before, tally, &mut child).await;
    watch.end();
    match ended? {
        Some(status) if status.success() => return Ok(false),
        Some(_) => return Err(worker_failed(child)),
        None => {}
    }
    let pid = child.id();
    // SIGKILL: no handler, no clean-up, no last word.
    let killed = child.kill().and_then(|()| child.wait());
    killed.map_err(|e| failure::of_file("kill the worker", file, &e))?;
    after_the_kill(stage, trip, plan, &before, pid, counters).await?;
    Ok(true)
}

fn worker(stage: &Stage, trip: &Trip, file: &Path) -> Result<Child> {
    let program = std::env::current_exe()
        .map_err(|e| failure::of_file("find the program", Path::new("domicile"), &e))?;
    let mut command = Command::new(&program);
    command.arg("--config").arg(stage.world.folder.config());
    command.args(["--service", trip.service.as_str(), "--quiet", "move"]).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|e| failure::of_file("start the program", &program, &e))
}

fn worker_failed(child: Child) -> Box<Failure> {
    let said =
        child.wait_with_output().map(|o| String::from_utf8_lossy(&o.stderr).into_owned()).unwrap_or_default();
    let why = "the worker ended before it was to be killed";
    Failure::new(
        "demo-worker",
        format!("`domicile move` failed:\n{said}"),
        why,
        "domicile demo   # with --case and --seed as before",
    )
}

/// Waits until the last wave is in its middle; or until the child ends by itself.
async fn follow(
    stage: &Stage,
    trip: &Trip,
    plan: &Plan,
    before: &BTreeMap<String, u64>,
    tally: &Tally,
    child: &mut Child,
) -> Result<Option<std::process::ExitStatus>> {
    let Some(last) = plan.moves.last() else { return Ok(None) };
    let enough = (last.subjects * KILLED_AT / 100).max(1);
    loop {
        let now = stage.counts(trip.service).await?;
        let came = |region: &str| {
            now.get(region).copied().unwrap_or(0).saturating_sub(before.get(region).copied().unwrap_or(0))
        };
        let moved: u64 = plan.moves.iter().map(|m| came(&m.to)).sum();
        tally.moved.store(moved, Ordering::Relaxed);
        let rows: u64 = plan.moves.iter().map(|m| m.size().rows * came(&m.to) / m.subjects.max(1)).sum();
        tally.rows.store(rows, Ordering::Relaxed);
        if came(&last.to) >= enough {
            return Ok(None);
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return Ok(Some(status)),
            Err(e) => return Err(failure::of_file("wait for the worker", Path::new("domicile"), &e)),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Says what is true while the worker is dead and nobody has gone on yet.
async fn after_the_kill(
    stage: &Stage,
    trip: &Trip,
    plan: &Plan,
    before: &BTreeMap<String, u64>,
    pid: u32,
    counters: &Counters,
) -> Result<()> {
    let page = &stage.page;
    page.say(&format!("{} process {pid}, in the middle of its last wave.", page.paint(Tone::Bad, "kill -9")));
    let now = stage.counts(trip.service).await?;
    let mut rows = Vec::new();
    for region in plan
        .moves
        .iter()
        .map(|m| &m.from)
        .chain(plan.moves.iter().map(|m| &m.to))
        .collect::<std::collections::BTreeSet<_>>()
    {
        let at = |counts: &BTreeMap<String, u64>| counts.get(region).copied().unwrap_or(0);
        rows.push(vec![region.clone(), count(at(before)), count(at(&now)), states(stage, trip, region)?]);
    }
    page.show(&paper::table(&["region", "before", "now", "by its guard"], &[1, 2], rows));
    let written = counters.acknowledged.load(Ordering::Relaxed);
    tokio::time::sleep(ALONE).await;
    let alone = counters.acknowledged.load(Ordering::Relaxed) - written;
    page.say(&format!(
        "Everybody has exactly one home, and the applications go on: {} in the {} since. Now `domicile \
         resume`. A dead worker looks like a slow one, so it waits until that one's turn has run out: {} here, \
         {} by default.",
        counted(alone, "write"),
        duration(ALONE),
        duration(stage.config.limits.turn),
        duration(domicile_mover::Limits::default().turn),
    ));
    Ok(())
}

/// The states of a region's guard, read by plain SQL as anybody may.
fn states(stage: &Stage, trip: &Trip, region: &str) -> Result<String> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let conn = world::open(&stage.world.folder, region, trip.service)?;
        let mut statement =
            conn.prepare("SELECT state, count(*) FROM domicile_homes GROUP BY state ORDER BY 2 DESC")?;
        let states = statement.query_map([], |row| {
            Ok(format!("{} {}", row.get::<_, String>(0)?, count(row.get::<_, i64>(1)? as u64)))
        })?;
        states.collect()
    };
    read().map(|all| all.join(", ")).map_err(|e| world::of_sqlite("read the guard's states", &e))
}

fn show(stage: &Stage, reports: &[WaveReport], counters: &Counters, elapsed: Duration) {
    let page = &stage.page;
    let rows = reports.iter().map(|r| {
        let ms = |share| r.pause_us(share).map_or("-".to_owned(), |us| milliseconds(us as f64 / 1000.0));
        let left: u64 = r.left.values().sum();
        vec![
            format!("{} -> {}", r.from, r.to),
            count(r.subjects),
            count(r.size().rows),
            count(r.objects),
            ms(0.5),
            ms(0.99),
            count(left),
        ]
    });
    page.show(&paper::table(
        &["moved", "people", "rows", "objects", "pause p50", "p99", "stayed"],
        &[1, 2, 3, 4, 5, 6],
        rows.collect(),
    ));
    page.done(&format!(
        "done in {}: copied, compared row by row, fenced, and the directory switched",
        duration(elapsed)
    ));
    page.done(&of_applications(counters));
}
