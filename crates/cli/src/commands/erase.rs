//! `erase`: removes what moved subjects left at their old homes, after the grace period.

use crate::app::App;
use crate::args::WaveArg;
use crate::failure::{Failure, Result};
use crate::figures::{count, counted};
use crate::open;
use crate::paper;
use crate::progress::Progress;
use crate::screen::{Answer, Exit};
use crate::wave_state::{self, WaveFacts};
use domicile_directory::WaveState;
use domicile_mover::{Service, wave};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Erases one wave, or all whose grace period is over.
pub async fn run(app: &App, args: WaveArg) -> Result<Answer> {
    app.signals.be_careful();
    let progress = Progress::start(&app.screen);
    let service = open::service(app, open::today(), progress.clone()).await?;
    let (due, waiting) = match &args.wave {
        Some(wave) => (vec![named(&service, wave).await?], Vec::new()),
        None => due(&service, wave_state::all(&service).await?),
    };
    let (mut text, mut list) = (String::new(), Vec::new());
    for facts in due {
        match one(&service, &facts).await {
            Ok((said, json)) => {
                text.push_str(&said);
                list.push(json);
            }
            Err(error) => {
                progress.end();
                return Err(wave_state::failed(&service, &[facts.id], &error).await);
            }
        }
    }
    progress.end();
    Ok(answer(text, list, &waiting, &service))
}

/// The wave asked for; refused while its grace period runs.
async fn named(service: &Service, wave: &str) -> Result<WaveFacts> {
    let facts = wave_state::one(service, wave).await?;
    let runs = |ends: &Timestamp| facts.state == WaveState::Moved && *ends > Timestamp::now();
    let Some(ends) = facts.grace_ends(service).filter(runs) else { return Ok(facts) };
    Err(Failure::new(
        "grace",
        format!("wave {wave} can't be erased yet: its grace period ends at {ends:.0}"),
        "until then a route that still leads to the old home may write there, and nobody would see it",
        format!("domicile erase {wave}   # then; [limits] grace is the period"),
    )
    .state(wave_state::sentence(service, &[wave.to_owned()]).await)
    .exit(Exit::No))
}

/// Moved waves, split by whether their grace period is over.
fn due(service: &Service, waves: Vec<WaveFacts>) -> (Vec<WaveFacts>, Vec<WaveFacts>) {
    let now = Timestamp::now();
    let moved = waves.into_iter().filter(|w| w.state == WaveState::Moved);
    moved.partition(|w| w.grace_ends(service).is_none_or(|ends| ends <= now))
}

async fn one(service: &Arc<Service>, facts: &WaveFacts) -> Result<(String, Value), domicile_mover::Error> {
    let (erased, report) = wave::erase_wave(service, &facts.id).await?;
    let mut text = format!(
        "wave {}: {} erased at {}: {}{}\n",
        facts.id,
        counted(erased.subjects, "subject"),
        facts.from,
        counted(erased.rows, "row"),
        if erased.objects > 0 { format!(", {}", counted(erased.objects, "object")) } else { String::new() },
    );
    if let Some(scrubbed) = &report.scrubbed {
        text.push_str(&format!("{}\n", paper::wrapped("  ", scrubbed)));
    }
    if let Some(path) = &report.receipts {
        text.push_str(&format!("  domicile receipt verify {}\n", path.display()));
    }
    let json = json!({
        "wave": facts.id, "region": facts.from, "subjects": erased.subjects, "rows": erased.rows,
        "objects": erased.objects, "scrubbed": report.scrubbed, "receipts": report.receipts,
    });
    Ok((text, json))
}

fn answer(mut text: String, list: Vec<Value>, waiting: &[WaveFacts], service: &Service) -> Answer {
    for facts in waiting {
        let Some(ends) = facts.grace_ends(service) else { continue };
        let who = if facts.moved == 1 {
            "1 subject".to_owned()
        } else {
            format!("{} subjects", count(facts.moved))
        };
        text.push_str(&format!(
            "wave {}: {who} at {} can be erased from {ends:.0} on\n",
            facts.id, facts.from
        ));
    }
    if text.is_empty() {
        text.push_str("no moved wave waits to be erased");
    }
    let waits: Vec<Value> = waiting.iter().map(|w| w.json(service)).collect();
    let mut answer = Answer::new(text, json!({ "erased": &list, "waiting": waits }));
    if list.is_empty() && !waiting.is_empty() {
        answer.exit = Exit::No;
    }
    answer
}
