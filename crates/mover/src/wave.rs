//! A wave: the subjects that one command moves together, as batches side by side.

use crate::batch::{Batch, json, leases};
use crate::erase::{self, Erased};
use crate::error::{At, Error, Result};
use crate::evidence;
use crate::journal;
use crate::members;
use crate::pace;
use crate::plan::{Plan, PlannedMove};
use crate::preflight::preflight;
use crate::prints::Prints;
use crate::progress::Event;
use crate::record::{LeftCode, Reached};
use crate::report::WaveReport;
use crate::route::{self, Until};
use crate::service::{Region, Service};
use crate::turn::Turn;
use domicile_directory::{Asked, NewWave, Wave, WaveFilter, WaveState};
use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long `abort` waits for the wave's worker to stop: it may be in the middle of a long copy.
const ABORT_PATIENCE: Duration = Duration::from_secs(120);
/// Tries to scrub; each waits for the engine's own busy time-out.
const SCRUB_TRIES: u32 = 8;

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
    /// How the wave ended, written before its journal is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
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
        return Ok(Started::Ran(Box::new(rehearsal(service, note).await?)));
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
    // CRASH: an open wave without batches; resume lists its subjects and goes on.
    let wave = service.directory.open_wave(&new).await?;
    match wave.state {
        WaveState::Open => {
            let before: WaveNote = serde_json::from_value(wave.note.clone()).map_err(json)?;
            let note = WaveNote { standbys: before.standbys, ..note };
            let report = drive(service, &wave.id, note, wave.note != new.note).await?;
            Ok(Started::Ran(Box::new(report)))
        }
        state @ (WaveState::Moved | WaveState::Erased) => Ok(Started::Over(wave.id, state)),
        state => Err(Error::Wave { wave: wave.id, why: format!("this plan's wave is {state} already") }),
    }
}

/// Goes on with a wave that was interrupted, wherever it was.
pub async fn resume(service: &Arc<Service>, wave: &str) -> Result<WaveReport> {
    let (row, note) = find(service, wave).await?;
    match row.state {
        // Whoever asked for its abort did not stay to carry it out.
        WaveState::Open if row.asked == Asked::Abort => abort(service, wave).await,
        WaveState::Open => drive(service, wave, note, true).await,
        WaveState::Aborting => abort(service, wave).await,
        state => Err(Error::Wave {
            wave: wave.to_owned(),
            why: format!("it is {state}: there is nothing to resume"),
        }),
    }
}

async fn find(service: &Service, wave: &str) -> Result<(Wave, WaveNote)> {
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
async fn drive(service: &Arc<Service>, wave: &str, note: WaveNote, resumed: bool) -> Result<WaveReport> {
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    let turn = Turn::take(service, wave).await?.heeding_abort();
    let result = drive_with_turn(service, wave, &note, resumed, &from, &to, &turn).await;
    turn.give_back().await;
    match (result, service.directory.asked(wave).await) {
        (Err(Error::Stopped), Ok(Asked::Abort)) => {
            // It was this wave that was to stop, not the process.
            service.stop.store(false, std::sync::atomic::Ordering::Relaxed);
            Err(Error::AbortAsked { wave: wave.to_owned() })
        }
        (result, _) => result,
    }
}

async fn drive_with_turn(
    service: &Arc<Service>,
    wave: &str,
    note: &WaveNote,
    resumed: bool,
    from: &Arc<Region>,
    to: &Arc<Region>,
    turn: &Turn,
) -> Result<WaveReport> {
    let started = Instant::now();
    still_open(service, wave).await?;
    if note.map_hash != service.layout.hash {
        let why = "the data map or the mapped tables changed since its plan: abort it and plan again".into();
        return Err(Error::Wave { wave: wave.to_owned(), why });
    }
    let problems = preflight(service, from, to).await?;
    if !problems.is_empty() {
        return Err(Error::Preflight(problems));
    }
    let note = &with_standbys(service, from, note).await?;
    // `--first` of this run is kept, so that resume does not go on beyond it.
    let kept = serde_json::to_value(note).map_err(json)?;
    set_state(service, turn, &[WaveState::Open], WaveState::Open, Some(&kept)).await?;
    arm(from, to, true).await?;
    let prints = Arc::new(Prints::of_a_whole_guard(from, to).await?);
    let before = match resumed {
        true => Some(WaveReport::gather(service, from, wave, note, started.elapsed()).await?),
        false => None,
    };
    service.observer.event(Event::Wave {
        wave: wave.to_owned(),
        from: from.id.clone(),
        to: to.id.clone(),
        subjects: note.planned.subjects,
        rows: note.planned.size().rows,
        resumed,
        moved: before.as_ref().map_or(0, |report| report.subjects),
    });
    let skipped = members::open_batches(service, from, wave, note).await?;
    run_batches(service, from, to, wave, Until::Activated, &prints).await?;
    for _ in 0..service.limits.straggler_rounds {
        if members::regroup_stragglers(from, wave).await? == 0 {
            break;
        }
        run_batches(service, from, to, wave, Until::Activated, &prints).await?;
    }
    let mut report = WaveReport::gather(service, from, wave, note, started.elapsed()).await?;
    report.skipped = skipped;
    report.rows_before = before.map_or(0, |report| report.size().rows);
    report.receipts = evidence::write(service, from, wave, note).await?;
    report.unfinished = !members::all_listed(service, from, wave, note).await?;
    if !report.unfinished {
        set_state(service, turn, &[WaveState::Open], WaveState::Moved, None).await?;
    }
    arm(from, to, false).await?;
    Ok(report)
}

/// What a receipt may say of standbys: those listed in every run, since settings may change between two.
/// Asked before anybody is marked, so that one that doesn't follow is heard of before the first cutover.
async fn with_standbys(service: &Service, from: &Region, note: &WaveNote) -> Result<WaveNote> {
    let listed = from.records.wait_for_standbys(service.limits.standby_wait).await.at(from)?;
    let listed: BTreeSet<String> = listed.into_iter().collect();
    let standbys = note.standbys.as_ref().map_or(listed.clone(), |before| before & &listed);
    Ok(WaveNote { standbys: Some(standbys), ..note.clone() })
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
async fn still_open(service: &Service, wave: &str) -> Result<()> {
    still_in(service, wave, &[WaveState::Open]).await
}

/// The same for a wave that may be aborting.
async fn still_under_way(service: &Service, wave: &str) -> Result<()> {
    still_in(service, wave, &[WaveState::Open, WaveState::Aborting]).await
}

async fn still_in(service: &Service, wave: &str, states: &[WaveState]) -> Result<()> {
    match service.directory.wave(wave).await? {
        Some(row) if !states.contains(&row.state) => Err(Error::Wave {
            wave: wave.to_owned(),
            why: format!("it is {} by now: another command was at it", row.state),
        }),
        _ => Ok(()),
    }
}

/// `guard = "wave"`: triggers are armed for as long as a wave is open.
async fn arm(from: &Region, to: &Region, armed: bool) -> Result<()> {
    from.records.arm(armed).await.at(from)?;
    to.records.arm(armed).await.at(to)
}

/// Runs all batches of a wave that are not at their end, several at once. The first error that
/// trying again does not mend stops the others before their next fence.
///
/// INVARIANT: records are read only of the batches in flight.
async fn run_batches(
    service: &Arc<Service>,
    from: &Arc<Region>,
    to: &Arc<Region>,
    wave: &str,
    until: Until,
    prints: &Arc<Prints>,
) -> Result<()> {
    let tasks = journal::batches(from, wave).await?.into_iter().map(|id| {
        let (service, from, to, prints) = (service.clone(), from.clone(), to.clone(), prints.clone());
        let wave = wave.to_owned();
        async move {
            let run = async move { run_batch(&service, &from, &to, &wave, &id, until, prints).await };
            let task = tokio::spawn(run);
            task.await.unwrap_or_else(|gone| Err(Error::Setting(format!("a batch's task ended: {gone}"))))
        }
    });
    let mut results = futures::stream::iter(tasks).buffer_unordered(service.limits.batches_in_flight);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    let (mut first, mut stopping) = (Ok(()), false);
    while let Some(result) = results.next().await {
        if first.is_ok() && result.is_err() {
            first = result;
            // The others come to their next safe point by themselves: left alone, they would be cut off
            // with the process, perhaps between the seal and the swap.
            stopping = !service.stop.swap(true, relaxed);
        }
    }
    if stopping {
        service.stop.store(false, relaxed);
    }
    first
}

/// Runs one batch; what has to be tried again, or lost its connection, begins again at [`route::run`] from
/// the record as the journal has it then.
async fn run_batch(
    service: &Service,
    from: &Region,
    to: &Region,
    wave: &str,
    id: &str,
    until: Until,
    prints: Arc<Prints>,
) -> Result<()> {
    let mut round = 0;
    loop {
        wait_while_paused(service, wave).await?;
        let attempt = async {
            let record = journal::record(from, wave, id).await?;
            if record.reached >= Reached::Activated {
                return Ok(());
            }
            drop(record);
            let batch = Batch::take(service, wave, id, from, to, prints.clone()).await?;
            if batch.record.lock().await.reached >= Reached::Activated {
                return Ok(());
            }
            route::run(&batch, until).await?;
            if until == Until::Verified { route::abort(&batch).await } else { Ok(()) }
        };
        match attempt.await {
            Err(error) if error.may_pass() && round < service.limits.tries => {
                let why = error.to_string();
                service.observer.event(Event::Again { batch: id.to_owned(), why });
                pace::back_off(round + 4).await;
                round += 1;
            }
            Err(error) if error.is_again() => {
                // Nothing is wrong with the data: the subjects go back and with a later batch.
                let why = "its writers kept getting in the way";
                let batch = take(service, from, to, wave, id).await?;
                return route::give_up(&batch, LeftCode::Busy, why).await;
            }
            other => return other,
        }
    }
}

/// Looks what another terminal asks for before a batch begins.
async fn wait_while_paused(service: &Service, wave: &str) -> Result<()> {
    let mut told = false;
    loop {
        service.check_stop()?;
        match service.directory.asked(wave).await {
            Ok(Asked::Run) | Err(domicile_directory::Error::UnknownWave { .. }) => return Ok(()),
            Ok(Asked::Abort) => return Err(Error::Stopped),
            Ok(Asked::Pause) if !told => {
                service.observer.event(Event::Paused);
                told = true;
            }
            Ok(Asked::Pause) => {}
            Err(error) => return Err(Error::Directory(error)),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn rehearsal(service: &Arc<Service>, note: WaveNote) -> Result<WaveReport> {
    // Not in the journal of waves: nothing of a rehearsal outlives it but, after a crash, a copy that the
    // next rehearsal or move of the plan clears.
    let wave = format!("{}.rehearsal", note.planned.list);
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    let started = Instant::now();
    not_under_way(service, &note).await?;
    arm(&from, &to, true).await?;
    let prints = Arc::new(Prints::of_a_whole_guard(&from, &to).await?);
    members::open_batches(service, &from, &wave, &note).await?;
    let ran = run_batches(service, &from, &to, &wave, Until::Verified, &prints).await;
    let report = WaveReport::gather(service, &from, &wave, &note, started.elapsed()).await?;
    for id in journal::batches(&from, &wave).await? {
        route::abort(&take(service, &from, &to, &wave, &id).await?).await?;
        close(&from, &to, &id).await?;
    }
    arm(&from, &to, false).await?;
    ran.map(|()| report)
}

/// A copy that its own wave is making can't be made a second time beside it.
async fn not_under_way(service: &Service, note: &WaveNote) -> Result<()> {
    let filter = WaveFilter { service: Some(service.name.clone()), unfinished: true };
    let waves = service.directory.waves(&filter).await?;
    let under_way = |w: &Wave| matches!(w.state, WaveState::Open | WaveState::Aborting);
    match waves.into_iter().find(|w| w.plan_hash == note.plan_hash && under_way(w)) {
        None => Ok(()),
        Some(wave) => Err(Error::Wave {
            wave: wave.id,
            why: "it moves this very plan: resume or abort it before the plan is rehearsed again".into(),
        }),
    }
}

/// Ends a wave before its end: subjects that have not moved stay, the target is emptied of them. A
/// worker that is at it is asked to stop and waited for.
pub async fn abort(service: &Arc<Service>, wave: &str) -> Result<WaveReport> {
    let (row, note) = find(service, wave).await?;
    if !matches!(row.state, WaveState::Open | WaveState::Aborting) {
        let state = row.state;
        let why = format!(
            "it is {state}: only a wave under way can be aborted; what has moved moves back by a new plan"
        );
        return Err(Error::Wave { wave: wave.to_owned(), why });
    }
    service.directory.ask_abort(wave).await?;
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    // Its worker hears of it when it renews its turn, and stops at its next safe point.
    let turn = Turn::take_within(service, wave, ABORT_PATIENCE).await?;
    let started = Instant::now();
    still_under_way(service, wave).await?;
    set_state(service, &turn, &[WaveState::Open], WaveState::Aborting, None).await?;
    for id in journal::batches(&from, wave).await? {
        route::abort(&take(service, &from, &to, wave, &id).await?).await?;
    }
    let mut report = WaveReport::gather(service, &from, wave, &note, started.elapsed()).await?;
    let ended = if report.subjects > 0 { WaveState::Moved } else { WaveState::Aborted };
    if ended == WaveState::Moved {
        report.receipts = evidence::write(service, &from, wave, &note).await?;
    } else {
        close_all(&from, &to, wave).await?;
        from.records.drop_list(&note.planned.list).await.at(&from)?;
    }
    set_state(service, &turn, &[WaveState::Aborting], ended, None).await?;
    arm(&from, &to, false).await?;
    turn.give_back().await;
    Ok(report)
}

/// Erases a moved wave's subjects at the old home and completes its receipts.
pub async fn erase_wave(service: &Arc<Service>, wave: &str) -> Result<(Erased, WaveReport)> {
    let (row, note) = find(service, wave).await?;
    let closing = row.state == WaveState::Erased;
    if row.state != WaveState::Moved && !closing {
        let why = format!("it is {}: only a wave whose move is done can be erased", row.state);
        return Err(Error::Wave { wave: wave.to_owned(), why });
    }
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    let turn = Turn::take(service, wave).await?;
    let started = Instant::now();
    let mut total = Erased::default();
    let to_erase = if closing { Vec::new() } else { journal::batches(&from, wave).await? };
    for id in to_erase {
        service.check_stop()?;
        let erased = erase::erase(&take(service, &from, &to, wave, &id).await?, Timestamp::now()).await?;
        total.subjects += erased.subjects;
        total.rows += erased.rows;
        total.objects += erased.objects;
    }
    let mut report = WaveReport::gather(service, &from, wave, &note, started.elapsed()).await?;
    if !closing {
        // Before the receipts, since they say that it was done.
        scrub(&from).await?;
        report.receipts = evidence::write(service, &from, wave, &note).await?;
        let ended = Ended { moved: report.subjects, stayed: report.left.values().sum() };
        let note = serde_json::to_value(WaveNote { ended: Some(ended), ..note.clone() }).map_err(json)?;
        set_state(service, &turn, &[WaveState::Moved], WaveState::Erased, Some(&note)).await?;
    }
    // CRASH: the receipts are complete; a rest of the journal, which names subjects, is removed when
    // erase is asked for the wave again.
    close_all(&from, &to, wave).await?;
    from.records.drop_list(&note.planned.list).await.at(&from)?;
    // Once more, since the journal named subjects, too.
    report.scrubbed = Some(scrub(&from).await?);
    // While somebody was `away` the triggers of `guard = "wave"` had to stay armed.
    arm(&from, &to, false).await?;
    turn.give_back().await;
    Ok((total, report))
}

/// Scrubs the old home, waiting for readers to make room.
async fn scrub(from: &Region) -> Result<String> {
    let mut round = 0;
    loop {
        match from.records.scrub().await {
            Err(error) if error.is_again() && round < SCRUB_TRIES => pace::back_off(round + 5).await,
            other => return other.at(from),
        }
        round += 1;
    }
}

/// Takes a batch of the journal as its record says, to undo or erase it: nothing is fenced, so no
/// fingerprints are needed.
async fn take<'a>(
    service: &'a Service,
    from: &'a Region,
    to: &'a Region,
    wave: &str,
    id: &str,
) -> Result<Batch<'a>> {
    Batch::take(service, wave, id, from, to, Arc::default()).await
}

/// Forgets all batches of a wave at both sides. What they recorded is not read: nothing of it counts any more.
async fn close_all(from: &Region, to: &Region, wave: &str) -> Result<()> {
    for id in journal::batches(from, wave).await? {
        close(from, to, &id).await?;
    }
    Ok(())
}

/// Forgets a batch at both sides.
async fn close(from: &Region, to: &Region, id: &str) -> Result<()> {
    let (source_lease, target_lease) = leases(id, from, to).await?;
    to.records.close_batch(&target_lease).await.at(to)?;
    from.records.close_batch(&source_lease).await.at(from)
}
