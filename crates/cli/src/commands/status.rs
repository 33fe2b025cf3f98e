//! `status`: waves, and how many subjects are in which state at which region.

use crate::app::App;
use crate::args::StatusArgs;
use crate::failure::{self, Result};
use crate::figures::{count, counted};
use crate::open;
use crate::paper;
use crate::screen::{Answer, Exit};
use crate::wave_state::{self, WaveFacts};
use domicile_directory::{Asked, WaveState};
use domicile_mover::Service;
use domicile_mover::progress::Silent;
use domicile_stores::records::{GuardStatus, State};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks with `--watch`.
const EVERY: Duration = Duration::from_secs(2);

/// Shows it once, or again and again.
pub async fn run(app: &App, args: StatusArgs) -> Result<Answer> {
    let service = open::service(app, open::today(), Arc::new(Silent)).await?;
    if !args.watch {
        return look(&service, args.deep).await;
    }
    loop {
        let mut answer = look(&service, args.deep).await?;
        if app.screen.is_terminal() {
            // Home and clear: the newest state stands at the top.
            answer.text = format!("\u{1b}[H\u{1b}[2J{}", answer.text);
        }
        app.screen.answer(&answer);
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(service: &Service, deep: bool) -> Result<Answer> {
    let waves = wave_state::all(service).await?;
    let mut regions = Vec::new();
    for region in service.regions.values() {
        let status = region.records.status(deep).await;
        let status = status.map_err(|e| failure::of_store(&format!("region {}", region.id), &e))?;
        regions.push((region.id.as_str(), status));
    }
    let homes = service.directory.counts(&service.name).await.map_err(|e| failure::of_directory(&e))?;
    let mut text = format!("service {}\n\n", service.name);
    text.push_str(&waves_text(&waves, service));
    text.push_str(&regions_text(&regions, &homes, deep));
    text.push_str(&holders_text(&waves));
    text.push_str(&sealed_text(&regions));
    let json = json!({
        "service": service.name,
        "waves": waves.iter().map(|w| w.json(service)).collect::<Vec<_>>(),
        "regions": regions.iter().map(|(id, s)| json!({ "region": id, "homes": homes.get(*id), "guard": s })).collect::<Vec<_>>(),
    });
    let faulty = regions.iter().any(|(_, s)| s.installed && !s.faults.is_empty());
    let mut answer = Answer::new(text, json);
    if faulty {
        answer.exit = Exit::No;
    }
    Ok(answer)
}

fn waves_text(waves: &[WaveFacts], service: &Service) -> String {
    if waves.is_empty() {
        return "no wave yet: domicile plan\n\n".to_owned();
    }
    let rows = waves.iter().map(|w| {
        let from_to = format!("{} -> {}", w.from, w.to);
        vec![
            w.id.clone(),
            from_to,
            state_words(w),
            format!("{} of {}", count(w.moved), count(w.planned)),
            next(w, service),
        ]
    });
    format!("{}\n\n", paper::table(&["wave", "from -> to", "state", "moved", "next"], &[3], rows.collect()))
}

fn state_words(w: &WaveFacts) -> String {
    match (w.state, w.asked) {
        (WaveState::Open, Asked::Pause) => "paused".to_owned(),
        (state, _) => state.to_string(),
    }
}

fn next(w: &WaveFacts, service: &Service) -> String {
    match w.state {
        WaveState::Open | WaveState::Aborting => "domicile resume".to_owned(),
        WaveState::Moved => match w.grace_ends(service).filter(|ends| *ends > Timestamp::now()) {
            Some(ends) => format!("erase from {ends:.0}"),
            None => "domicile erase".to_owned(),
        },
        _ => String::new(),
    }
}

fn regions_text(
    regions: &[(&str, GuardStatus)],
    homes: &std::collections::BTreeMap<String, u64>,
    deep: bool,
) -> String {
    let rows = regions.iter().map(|(id, s)| {
        let of = |states: &[State]| count(states.iter().filter_map(|state| s.subjects.get(state)).sum());
        let mode = s.mode.map_or("no guard".to_owned(), |m| format!("{m:?}").to_lowercase());
        let mut row = vec![
            (*id).to_owned(),
            mode,
            count(homes.get(*id).copied().unwrap_or(0)),
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
    let mut head = vec!["region", "guard", "homes", "home", "moving", "fenced", "sealed", "arriving", "away"];
    if deep {
        head.push("no home");
    }
    let table = paper::table(&head, &[2, 3, 4, 5, 6, 7, 8, 9], rows.collect());
    let mut text = format!("{table}\n");
    for (id, status) in regions {
        for fault in &status.faults {
            text.push_str(&format!("\n{}\n", paper::wrapped(&format!("{id}: "), fault)));
        }
    }
    text
}

/// Who holds a wave. A worker that was killed never gave it back, so this is no proof that one runs.
fn holders_text(waves: &[WaveFacts]) -> String {
    let open = waves.iter().filter(|w| matches!(w.state, WaveState::Open | WaveState::Aborting));
    let held = open.filter_map(|w| w.holder.as_ref().map(|holder| (w, holder)));
    held.map(|(w, holder)| {
        let said = format!("worked on by {holder}; if that process is gone: domicile resume {}", w.id);
        format!("\n{}\n", paper::wrapped(&format!("{}: ", w.id), &said))
    })
    .collect()
}

/// Sealed subjects are the ones a nervous person asks about: nobody can write them.
fn sealed_text(regions: &[(&str, GuardStatus)]) -> String {
    let mut text = String::new();
    for (id, status) in regions {
        let sealed = status.subjects.get(&State::Sealed).copied().unwrap_or(0);
        if sealed > 0 {
            let said = format!(
                "{} at {id} sealed: the directory is asked for their new home, and nobody can write them until \
                 it has answered. While a worker runs this lasts a moment; without one no clock ends it, and \
                 `domicile resume` does.",
                are(sealed)
            );
            text.push_str(&format!("\n{}\n", paper::wrapped("", &said)));
        }
    }
    text
}

fn are(n: u64) -> String {
    if n == 1 { "1 subject is".to_owned() } else { format!("{} are", counted(n, "subject")) }
}
