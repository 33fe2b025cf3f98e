//! A wave: the subjects that one command moves together, as batches side by side, by one worker or several.

mod abort;
mod closing;
mod rehearsal;

pub use abort::abort;
pub use closing::erase_wave;

use crate::armed;
use crate::batch::json;
use crate::batches::{self, Ended as EndedBatches, Run, Stays};
use crate::error::{At, Error, Result};
use crate::evidence;
use crate::halt::Halt;
use crate::members;
use crate::plan::{Plan, PlannedMove};
use crate::preflight::preflight;
use crate::prints::Prints;
use crate::progress::Event;
use crate::report::WaveReport;
use crate::route::Until;
use crate::service::{Region, Service};
use crate::turn::{Abort, Turn, Wait};
use domicile_directory::{Asked, NewWave, Wave, WaveState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// How to run a plan.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only so many subjects of each move; the rest goes with the next `move` of the same plan.
    pub first: Option<u64>,
    /// Copy and compare, then drop the copy: no fence, nobody moves.
    pub rehearse: bool,
}

/// What the control store keeps of a wave, so that `resume` and `erase` need no plan file. Names no subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaveNote {
    /// The move as planned.
    pub planned: PlannedMove,
    /// Hash of the policies it was planned with.
    pub policy_hash: String,
    /// Hash of the data map.
    pub map_hash: String,
    /// Whether the placement was also for latency.
    pub for_latency: bool,
    /// The day of the plan.
    pub today: jiff::civil::Date,
    /// SHA-256 of the plan.
    pub plan_hash: String,
    /// When the plan was made.
    pub planned_at: Timestamp,
    /// When the wave was opened.
    pub opened_at: Timestamp,
    /// `--first`: so many subjects and no more, for now.
    pub first: Option<u64>,
    /// Standbys of the source that every run of the wave so far waited for before each cutover; `None`
    /// before the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standbys: Option<BTreeSet<String>>,
    /// Everybody of its `--first` has moved or stays: the rest waits for the next `move` of its plan, and
    /// workers leave it alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waits_for_plan: bool,
    /// How the wave ended, written before its journal is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

fn is_false(what: &bool) -> bool {
    !what
}

/// What is known of a wave once its journal is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Subjects that moved.
    pub moved: u64,
    /// Subjects that stayed.
    pub stayed: u64,
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// Waves that this run drove to their end.
    pub reports: Vec<WaveReport>,
    /// Waves that an earlier run, or `resume`, had ended.
    pub over: Vec<(String, WaveState)>,
}

/// Runs every move of a plan, one wave after the other. Safe to repeat: what is done is passed over.
pub async fn run_plan(service: &Arc<Service>, plan: &Plan, options: &Options) -> Result<Ran> {
    plan.check_fresh(service)?;
    let mut ran = Ran { reports: Vec::new(), over: Vec::new() };
    for planned in &plan.moves {
        let note = WaveNote {
            planned: planned.clone(),
            policy_hash: plan.policy_hash.clone(),
            map_hash: plan.map_hash.clone(),
            for_latency: plan.for_latency,
            today: plan.today,
            plan_hash: plan.hash()?,
            planned_at: plan.made_at,
            opened_at: Timestamp::now(),
            first: options.first,
            standbys: None,
            waits_for_plan: false,
            ended: None,
        };
        match start(service, note, options.rehearse).await? {
            Started::Ran(report) => ran.reports.push(*report),
            Started::Over(wave, state) => ran.over.push((wave, state)),
        }
    }
    Ok(ran)
}

/// What became of one move of a plan.
enum Started {
    /// It ran to its end.
    Ran(Box<WaveReport>),
    /// An earlier run, or `resume`, ended it: the plan's other moves go on behind it.
    Over(String, WaveState),
}

async fn start(service: &Arc<Service>, note: WaveNote, rehearse: bool) -> Result<Started> {
    let (from, to) = (service.region(&note.planned.from)?, service.region(&note.planned.to)?);
    let problems = preflight(service, from, to).await?;
    if !problems.is_empty() {
        return Err(Error::Preflight(problems));
    }
    members::check_list(service, from, &note.planned).await?;
    if rehearse {
        return Ok(Started::Ran(Box::new(rehearsal::rehearse(service, note).await?)));
    }
    let new = NewWave {
        service: service.name.clone(),
        source: note.planned.from.clone(),
        target: note.planned.to.clone(),
        plan_hash: note.plan_hash.clone(),
        predicate: note.planned.groups.iter().map(|g| g.class.as_str()).collect::<Vec<_>>().join("; "),
        counts: serde_json::json!({ "subjects": note.planned.subjects, "size": note.planned.size() }),
        note: serde_json::to_value(&note).map_err(json)?,
    };
    // CRASH: an open wave without batches; resume lists its subjects and goes on. Its turn is ours from the
    // first moment, or a worker that looks for waves could be quicker than the command that opened it.
    let first = (service.worker.as_str(), service.limits.turn);
    let wave = service.directory.open_wave_for(&new, Some(first)).await?;
    match wave.state {
        WaveState::Open => {
            let before: WaveNote = serde_json::from_value(wave.note.clone()).map_err(json)?;
            let note = WaveNote { standbys: before.standbys, ..note };
            let report = drive(service, &wave.id, note, wave.note != new.note, Stays::ToTheEnd).await?;
            Ok(Started::Ran(Box::new(report)))
        }
        state @ (WaveState::Moved | WaveState::Erased) => Ok(Started::Over(wave.id, state)),
        state => Err(Error::Wave { wave: wave.id, why: format!("this plan's wave is {state} already") }),
    }
}

/// Goes on with a wave that was interrupted, wherever it was.
pub async fn resume(service: &Arc<Service>, wave: &str) -> Result<WaveReport> {
    go_on(service, wave, Stays::ToTheEnd).await
}

/// The same for a worker that has other waves, too: `Held` or `Paused` instead of waiting.
pub(crate) async fn resume_as_worker(service: &Arc<Service>, wave: &str) -> Result<WaveReport> {
    go_on(service, wave, Stays::UnlessPaused).await
}

async fn go_on(service: &Arc<Service>, wave: &str, stays: Stays) -> Result<WaveReport> {
    let (row, note) = find(service, wave).await?;
    match row.state {
        // Whoever asked for its abort did not stay to carry it out.
        WaveState::Open if row.asked == Asked::Abort => abort(service, wave).await,
        WaveState::Open => drive(service, wave, note, true, stays).await,
        WaveState::Aborting => abort(service, wave).await,
        state => Err(Error::Wave {
            wave: wave.to_owned(),
            why: format!("it is {state}: there is nothing to resume"),
        }),
    }
}

pub(crate) async fn find(service: &Service, wave: &str) -> Result<(Wave, WaveNote)> {
    let row = service.directory.wave(wave).await?.ok_or_else(|| Error::Wave {
        wave: wave.to_owned(),
        why: "the control store does not know it; `domicile status` lists the waves".into(),
    })?;
    if row.service != service.name {
        let why = format!("it belongs to service `{}`, not `{}`", row.service, service.name);
        return Err(Error::Wave { wave: wave.to_owned(), why });
    }
    let note = serde_json::from_value(row.note.clone()).map_err(json)?;
    Ok((row, note))
}

/// The one loop that both the normal run and resume go through.
async fn drive(
    service: &Arc<Service>,
    wave: &str,
    note: WaveNote,
    resumed: bool,
    stays: Stays,
) -> Result<WaveReport> {
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    let halt = Arc::<Halt>::default();
    let wait = if stays == Stays::UnlessPaused { Wait::No } else { Wait::Once };
    let turn = Turn::take(service, wave, wait, Abort::Halts, &halt).await?;
    let run = Run {
        service: service.clone(),
        from,
        to,
        wave: wave.to_owned(),
        until: Until::Activated,
        prints: Arc::default(),
        halt: halt.clone(),
        stays,
    };
    let result = drive_with_turn(run, &note, resumed, &turn).await;
    turn.give_back().await;
    halt.explains(wave, result)
}

async fn drive_with_turn(mut run: Run, note: &WaveNote, resumed: bool, turn: &Turn) -> Result<WaveReport> {
    let started = Instant::now();
    let (service, from, to, wave) =
        (&run.service.clone(), &run.from.clone(), &run.to.clone(), &run.wave.clone());
    still_in(service, wave, &[WaveState::Open]).await?;
    same_map(service, wave, note)?;
    let problems = preflight(service, from, to).await?;
    if !problems.is_empty() {
        return Err(Error::Preflight(problems));
    }
    let server = from.records.incarnation().await.at(from)?;
    let note = &with_standbys(service, from, note).await?;
    // `--first` of this run is kept, so that resume does not go on beyond it.
    let kept = serde_json::to_value(note).map_err(json)?;
    set_state(service, turn, &[WaveState::Open], WaveState::Open, Some(&kept)).await?;
    arm(service, wave, from, to).await?;
    run.prints = Arc::new(Prints::of_a_whole_guard(from, to).await?);
    let before = match resumed {
        true => Some(WaveReport::gather(service, from, wave, note, started.elapsed()).await?),
        false => None,
    };
    service.observer.event(Event::Wave {
        wave: wave.clone(),
        from: from.id.clone(),
        to: to.id.clone(),
        subjects: note.planned.subjects,
        rows: note.planned.size().rows,
        resumed,
        moved: before.as_ref().map_or(0, |report| report.subjects),
    });
    let skipped = members::open_batches(service, from, wave, note).await?;
    move_all(&Arc::new(run)).await?;
    // Who stayed is home: a standby that takes over must not have them in the middle of a move that is over.
    closing::for_good(service, from, &server).await?;
    let mut report = WaveReport::gather(service, from, wave, note, started.elapsed()).await?;
    report.skipped = skipped;
    report.rows_before = before.map_or(0, |report| report.size().rows);
    report.receipts = evidence::write(service, from, wave, note).await?;
    report.unfinished = !members::all_listed(service, from, wave, note).await?;
    if report.unfinished {
        let waits = WaveNote { waits_for_plan: true, ..note.clone() };
        let kept = serde_json::to_value(&waits).map_err(json)?;
        set_state(service, turn, &[WaveState::Open], WaveState::Open, Some(&kept)).await?;
    } else {
        set_state(service, turn, &[WaveState::Open], WaveState::Moved, None).await?;
    }
    disarm(service, wave, from, to).await?;
    Ok(report)
}

/// All batches, and those who had to leave theirs once more, in rounds.
async fn move_all(run: &Arc<Run>) -> Result<()> {
    batches::run_batches(run, &mut EndedBatches::new()).await?;
    for _ in 0..run.service.limits.straggler_rounds {
        if members::regroup_stragglers(run).await? == 0 {
            break;
        }
        batches::run_batches(run, &mut EndedBatches::new()).await?;
    }
    Ok(())
}

/// What was copied by one data map can't be compared by another.
pub(crate) fn same_map(service: &Service, wave: &str, note: &WaveNote) -> Result<()> {
    if note.map_hash == service.layout.hash {
        return Ok(());
    }
    let why = "the data map or the mapped tables changed since its plan: abort it and plan again".into();
    Err(Error::Wave { wave: wave.to_owned(), why })
}

/// What a receipt may say of standbys: those listed in every run, since settings may change between two.
/// Asked before anybody is marked, so that one that doesn't follow is heard of before the first cutover.
async fn with_standbys(service: &Service, from: &Region, note: &WaveNote) -> Result<WaveNote> {
    let listed = listed_standbys(service, from).await?;
    let standbys = note.standbys.as_ref().map_or(listed.clone(), |before| before & &listed);
    Ok(WaveNote { standbys: Some(standbys), ..note.clone() })
}

/// The standbys that this worker's configuration lists, once they follow.
pub(crate) async fn listed_standbys(service: &Service, from: &Region) -> Result<BTreeSet<String>> {
    let listed = from.records.wait_for_standbys(service.limits.standby_wait).await.at(from)?;
    Ok(listed.into_iter().collect())
}

async fn set_state(
    service: &Service,
    turn: &Turn,
    from: &[WaveState],
    to: WaveState,
    note: Option<&serde_json::Value>,
) -> Result<()> {
    Ok(service.directory.set_wave_state(turn.lease(), from, to, note).await?)
}

/// Whoever had the turn before us may have ended the wave while we waited.
pub(crate) async fn still_in(service: &Service, wave: &str, states: &[WaveState]) -> Result<()> {
    match service.directory.wave(wave).await? {
        Some(row) if !states.contains(&row.state) => Err(Error::Wave {
            wave: wave.to_owned(),
            why: format!("it is {} by now: another command was at it", row.state),
        }),
        _ => Ok(()),
    }
}

/// `guard = "wave"`: triggers are armed for as long as a wave is open.
async fn arm(service: &Service, wave: &str, from: &Region, to: &Region) -> Result<()> {
    armed::arm(from, wave, service.guard_wave_only).await?;
    armed::arm(to, wave, service.guard_wave_only).await
}

/// The wave no longer needs them; others may.
async fn disarm(service: &Service, wave: &str, from: &Region, to: &Region) -> Result<()> {
    armed::disarm(from, wave, service.guard_wave_only).await?;
    armed::disarm(to, wave, service.guard_wave_only).await
}
