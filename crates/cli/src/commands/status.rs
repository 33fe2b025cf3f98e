//! `status`: waves, and how many subjects are in which state at which region.

use crate::absent;
use crate::app::App;
use crate::args::StatusArgs;
use crate::commands::guard::unreachable;
use crate::failure::{self, Failure, Result};
use crate::fences::Fence;
use crate::figures::{count, counted, duration};
use crate::gateways::Gateways;
use crate::open::{self, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use crate::wave_state::{self, WaveFacts};
use crate::workers::Workers;
use domicile_directory::{Asked as Request, WaveState};
use domicile_mover::Service;
use domicile_mover::progress::Silent;
use domicile_stores::Records;
use domicile_stores::records::{GuardStatus, State};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks with `--watch`.
const EVERY: Duration = Duration::from_secs(2);

/// Shows it once, or again and again.
pub async fn run(app: &App, args: StatusArgs) -> Result<Answer> {
    if !args.watch {
        return look_with(app, &mut None, args.deep).await;
    }
    let mut opened = None;
    loop {
        let mut answer = look_with(app, &mut opened, args.deep).await?;
        if app.screen.is_terminal() {
            // Home and clear: the newest state stands at the top.
            answer.text = format!("\u{1b}[H\u{1b}[2J{}", answer.text);
        }
        // It is shown again soon; the last one tells whether stdout takes it.
        let _ = app.screen.answer(&answer);
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks with a service that is open, or opens it. Without its control store it looks at the regions alone.
async fn look_with(app: &App, opened: &mut Option<Arc<Service>>, deep: bool) -> Result<Answer> {
    // A region that was down is asked again.
    let service = match opened.take().filter(|service| service.closed.is_empty()) {
        Some(service) => Ok(service),
        None => open::service(app, open::today(), Arc::new(Silent), &Want::reachable()).await,
    };
    let looked = match service {
        Ok(service) => look(opened.insert(service), deep).await,
        Err(failure) => Err(failure),
    };
    match looked {
        Err(failure) if failure.is_control_store_away() => {
            *opened = None;
            without_control_store(app, &failure, deep).await
        }
        other => other,
    }
}

/// What the regions say by themselves: above all who is sealed, since nobody can write those until the control
/// store is back.
async fn without_control_store(app: &App, away: &Failure, deep: bool) -> Result<Answer> {
    let config = app.config()?;
    let service = app.service(&config)?;
    let mapped = open::mapped(&config, service, &Want::reachable()).await?;
    let mut regions: Vec<(&str, Asked)> = Vec::new();
    for region in config.regions_of(service) {
        let down =
            mapped.down.iter().find(|(r, _)| r.id() == region.id()).map(|(_, failure)| failure.clone());
        let asked = match (down, mapped.prepared().any(|r| r.id() == region.id())) {
            (Some(failure), _) => Err(open::in_a_line(&failure)),
            (None, false) => Err(open::NO_TABLES.to_owned()),
            (None, true) => match mapped.records(region).await {
                Ok(records) => ask_records(records.as_ref(), region.id(), deep).await?,
                Err(failure) => Err(open::in_a_line(&failure)),
            },
        };
        regions.push((region.id(), asked));
    }
    let mut text = format!("service {}\n\n", service.name);
    let why = away.why.replace('\n', " ");
    let said = format!(
        "the control store can't be reached ({why}), so waves, workers and homes are not known now. Nobody's home changes meanwhile; \
         whoever is at home can write."
    );
    text.push_str(&format!("{}\n\n", paper::wrapped("", &said)));
    text.push_str(&regions_text(&regions, None, deep));
    text.push_str(&fences_text(&regions, config.limits.fence_deadline));
    text.push_str(&sealed_text(&regions, true));
    let json = json!({
        "service": service.name, "control_store": { "unreachable": away.why }, "waves": null, "workers": null,
        "regions": regions_json(&regions, None, config.limits.fence_deadline),
    });
    let mut answer = Answer::new(text, json);
    answer.exit = Exit::Failed;
    Ok(answer)
}

async fn look(service: &Service, deep: bool) -> Result<Answer> {
    let waves = wave_state::all(service).await?;
    let mut regions = Vec::new();
    for place in &service.places {
        regions.push((place.id.as_str(), ask(service, &place.id, deep).await?));
    }
    let homes = service.directory.counts(&service.name).await.map_err(|e| failure::of_directory(&e))?;
    let workers = Workers::of(service).await?;
    let gateways = Gateways::of(service).await?;
    let mut text = format!("service {}\n\n", service.name);
    text.push_str(&waves_text(&waves, service, workers.alive()));
    text.push_str(&regions_text(&regions, Some(&homes), deep));
    text.push_str(&absent_text(&regions, &homes, &waves));
    text.push_str(&workers_text(&waves, workers.alive()));
    text.push_str(&workers.text());
    text.push_str(&gateways.text());
    text.push_str(&fences_text(&regions, service.limits.fence_deadline));
    text.push_str(&sealed_text(&regions, false));
    let json = json!({
        "service": service.name,
        "waves": waves.iter().map(|w| w.json(service)).collect::<Vec<_>>(),
        "workers": workers.json(),
        "gateways": gateways.json(),
        "regions": regions_json(&regions, Some(&homes), service.limits.fence_deadline),
    });
    let faulty = regions.iter().any(|(_, s)| s.as_ref().is_ok_and(|s| s.installed && !s.faults.is_empty()));
    let mut answer = Answer::new(text, json);
    answer.exit = match (faulty, regions.iter().any(|(_, asked)| asked.is_err())) {
        (true, _) => Exit::No,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    };
    Ok(answer)
}

/// Homes by region, where the directory can say.
type Homes<'a> = Option<&'a BTreeMap<String, u64>>;

fn regions_json(regions: &[(&str, Asked)], homes: Homes<'_>, deadline: Duration) -> Vec<serde_json::Value> {
    let one = |(id, asked): &(&str, Asked)| {
        json!({
            "region": id, "homes": homes.and_then(|homes| homes.get(*id)), "guard": asked.as_ref().ok(),
            "fence": asked.as_ref().ok().and_then(|s| Fence::of(s, deadline)).map(|fence| fence.json()),
            "unreachable": asked.as_ref().err(),
        })
    };
    regions.iter().map(one).collect()
}

/// What a region's guard says, or why it can't be asked.
type Asked = std::result::Result<GuardStatus, String>;

async fn ask(service: &Service, id: &str, deep: bool) -> Result<Asked> {
    let Some(region) = service.regions.get(id) else {
        return Ok(Err(service.closed.get(id).cloned().unwrap_or_else(|| "it was not opened".to_owned())));
    };
    ask_records(region.records.as_ref(), id, deep).await
}

async fn ask_records(records: &dyn Records, id: &str, deep: bool) -> Result<Asked> {
    let answer = records.status(deep).await;
    match answer.map_err(|e| failure::of_store(&format!("region {id}"), &e)) {
        Ok(status) => Ok(Ok(status)),
        Err(failure) if failure.code == "store-unreachable" => Ok(Err(open::in_a_line(&failure))),
        Err(failure) => Err(failure),
    }
}

fn waves_text(waves: &[WaveFacts], service: &Service, alive: usize) -> String {
    if waves.is_empty() {
        return "no wave yet: domicile plan\n\n".to_owned();
    }
    let rows = waves.iter().map(|w| {
        let from_to = format!("{} -> {}", w.from, w.to);
        vec![
            w.id.clone(),
            from_to,
            state_words(w, alive),
            format!("{} of {}", w.known(w.moved).map_or("?".to_owned(), count), count(w.planned)),
            next(w, service),
        ]
    });
    format!("{}\n\n", paper::table(&["wave", "from -> to", "state", "moved", "next"], &[3], rows.collect()))
}

fn state_words(w: &WaveFacts, alive: usize) -> String {
    match (w.state, w.asked, &w.worker) {
        (WaveState::Open, Request::Abort, _) => "to be aborted".to_owned(),
        (WaveState::Open, _, _) if w.waits_for_its_plan() => "first moved".to_owned(),
        (WaveState::Open, Request::Pause, _) => "paused".to_owned(),
        (WaveState::Open, _, Some(_)) => "running".to_owned(),
        (WaveState::Aborting, _, Some(_)) => "aborting".to_owned(),
        (WaveState::Open | WaveState::Aborting, _, None) if alive > 0 => "waits".to_owned(),
        (WaveState::Open | WaveState::Aborting, _, None) => "no worker".to_owned(),
        (state, _, _) => state.to_string(),
    }
}

fn next(w: &WaveFacts, service: &Service) -> String {
    match w.state {
        WaveState::Open if w.asked == Request::Abort => format!("domicile abort {}", w.id),
        WaveState::Open if w.waits_for_its_plan() => "domicile move PLAN".to_owned(),
        WaveState::Open if w.asked == Request::Pause => format!("domicile resume {}", w.id),
        WaveState::Open | WaveState::Aborting => match &w.worker {
            Some(_) => String::new(),
            None => format!("domicile resume {}", w.id),
        },
        WaveState::Moved if w.unread.is_some() => String::new(),
        WaveState::Moved => match w.grace_ends(service).filter(|ends| *ends > Timestamp::now()) {
            Some(ends) => format!("erase from {ends:.0}"),
            None => "domicile erase".to_owned(),
        },
        _ => String::new(),
    }
}

fn regions_text(regions: &[(&str, Asked)], homes: Homes<'_>, deep: bool) -> String {
    let homes_at = |id: &str| homes.map_or("?".to_owned(), |all| count(all.get(id).copied().unwrap_or(0)));
    let mut head = vec!["region", "guard", "homes", "home", "moving", "fenced", "sealed", "arriving", "away"];
    if deep {
        head.push("no home");
    }
    let rows = regions.iter().map(|(id, asked)| {
        let Ok(s) = asked else {
            let mut row = unreachable(id, head.len());
            row[2] = homes_at(id);
            return row;
        };
        let of = |states: &[State]| count(states.iter().filter_map(|state| s.subjects.get(state)).sum());
        let mode = s.mode.map_or("no guard".to_owned(), |m| format!("{m:?}").to_lowercase());
        let mut row = vec![
            (*id).to_owned(),
            mode,
            homes_at(id),
            of(&[State::Home]),
            of(&[State::Marking, State::Moving]),
            of(&[State::Fencing, State::Fenced]),
            of(&[State::Sealed]),
            of(&[State::Arriving]),
            of(&[State::Away]),
        ];
        if deep {
            row.push(count(s.unhomed));
        }
        row
    });
    let table = paper::table(&head, &[2, 3, 4, 5, 6, 7, 8, 9], rows.collect());
    let mut text = format!("{table}\n");
    for (id, asked) in regions {
        let faults = match asked {
            Ok(status) => status.faults.clone(),
            Err(why) => vec![format!("can't be reached: {why}")],
        };
        for fault in faults {
            text.push_str(&format!("\n{}\n", paper::wrapped(&format!("{id}: "), &fault)));
        }
    }
    text
}

/// Homes without anybody. While a wave is under way at the region, its subjects are counted here and there.
fn absent_text(regions: &[(&str, Asked)], homes: &BTreeMap<String, u64>, waves: &[WaveFacts]) -> String {
    let busy = |id: &str| waves.iter().any(|w| w.is_under_way() && (w.from == id || w.to == id));
    let mut text = String::new();
    for (id, status) in regions.iter().filter_map(|(id, asked)| asked.as_ref().ok().map(|s| (*id, s))) {
        let lives = homes.get(id).copied().unwrap_or(0);
        let absent = absent::absent(lives, status);
        if absent > 0 && !busy(id) {
            let said = format!("{}: domicile verify", absent::words(absent, lives));
            text.push_str(&format!("\n{}\n", paper::wrapped(&format!("{id}: "), &said)));
        }
    }
    text
}

/// Who is at a wave under way: a worker that renewed its turn, nobody, or those that are alive and look for turns.
fn workers_text(waves: &[WaveFacts], alive: usize) -> String {
    let mut text = String::new();
    for w in waves.iter().filter(|w| w.is_under_way()) {
        let aborts = w.state == WaveState::Aborting || w.asked == Request::Abort;
        let goes = if aborts { "ends it" } else { "goes on" };
        let said = match (&w.worker, w.asked) {
            (Some(worker), Request::Pause) if !aborts => format!(
                "paused: its worker waits (seen {}: {}); `domicile resume {}` {goes}",
                worker.ago(),
                worker.holder,
                w.id
            ),
            (Some(worker), _) => format!("running (worker seen {}: {})", worker.ago(), worker.holder),
            (None, Request::Abort) => format!("its abort was asked for: `domicile abort {}` ends it", w.id),
            (None, _) if w.waits_for_its_plan() => {
                "the first subjects have moved: `domicile move PLAN`, with its plan, moves the rest"
                    .to_owned()
            }
            (None, Request::Pause) if alive > 0 => {
                format!("paused: `domicile resume {}`, and {} {goes}", w.id, looks(alive))
            }
            (None, Request::Run) if alive > 0 => {
                format!("nobody has its turn: {} it; `domicile resume {}` does, too", takes(alive), w.id)
            }
            (None, Request::Pause) => format!("paused, and no worker: `domicile resume {}` {goes}", w.id),
            (None, _) => format!("no worker: `domicile resume {}` {goes}", w.id),
        };
        let said = std::iter::once(said).chain(progress_lines(w)).collect::<Vec<_>>().join("\n");
        text.push_str(&format!("\n{}\n", paper::wrapped(&format!("{}: ", w.id), &said)));
    }
    text
}

fn looks(alive: usize) -> String {
    if alive == 1 {
        "the worker that is there".to_owned()
    } else {
        format!("one of {alive} workers that are there")
    }
}

fn takes(alive: usize) -> String {
    format!("{} takes", looks(alive))
}

/// How fast it goes, who is parked, what is waited for: a line each, where there is something to say.
fn progress_lines(w: &WaveFacts) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(rate) = w.rate() {
        let eta = w.left_for().map_or(String::new(), |left| format!(", about {} left", duration(left)));
        lines.push(format!("{}{eta}", rate.words()));
    }
    if w.parked > 0 && w.unread.is_none() {
        let them = if w.parked == 1 { "is" } else { "are" };
        lines.push(format!("{} {them} parked as busy: tried again", counted(w.parked, "subject")));
    }
    let mut whys: Vec<&str> = w.waits.iter().map(|(_, why)| why.as_str()).collect();
    whys.sort_unstable();
    whys.dedup();
    lines.extend(whys.into_iter().map(|why| format!("waits: {why}")));
    lines
}

/// What is under a fence at the regions, and how many recorded changes wait to be brought over.
fn fences_text(regions: &[(&str, Asked)], deadline: Duration) -> String {
    let mut text = String::new();
    for (id, status) in regions.iter().filter_map(|(id, asked)| asked.as_ref().ok().map(|s| (id, s))) {
        if let Some(fence) = Fence::of(status, deadline) {
            text.push_str(&format!("\n{}\n", paper::wrapped(&format!("{id}: "), &fence.words())));
        }
        if status.changed > 0 {
            let said = format!("{} to be brought over", counted(status.changed, "recorded change"));
            text.push_str(&format!("\n{}\n", paper::wrapped(&format!("{id}: "), &said)));
        }
    }
    text
}

/// Sealed subjects are the ones a nervous person asks about: nobody can write them.
fn sealed_text(regions: &[(&str, Asked)], away: bool) -> String {
    let mut text = String::new();
    for (id, status) in regions.iter().filter_map(|(id, asked)| asked.as_ref().ok().map(|s| (id, s))) {
        let sealed = status.subjects.get(&State::Sealed).copied().unwrap_or(0);
        let how = match away {
            true => {
                "only the control store knows their home, and it is away. Nobody can write them until it is back; \
                 then a worker that still runs finishes them, or `domicile resume` does."
            }
            false => {
                "the directory is asked for their new home, and nobody can write them until it has answered. \
                 While a worker runs this lasts a moment; without one no clock ends it, and `domicile resume` \
                 does."
            }
        };
        if sealed > 0 {
            let said = format!("{} at {id} sealed: {how}", are(sealed));
            text.push_str(&format!("\n{}\n", paper::wrapped("", &said)));
        }
    }
    text
}

fn are(n: u64) -> String {
    if n == 1 { "1 subject is".to_owned() } else { format!("{} are", counted(n, "subject")) }
}
