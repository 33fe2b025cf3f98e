//! `erase`: removes what moved subjects left at their old homes, after the grace period.

use crate::app::App;
use crate::args::EraseArgs;
use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::figures::counted;
use crate::open::{self, Want};
use crate::paper;
use crate::progress::Progress;
use crate::screen::{Answer, Exit};
use crate::wave_state::{self, WaveFacts};
use domicile_directory::{Wave, WaveState};
use domicile_mover::{Service, wave};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// What became of the waves.
#[derive(Default)]
struct Done {
    text: String,
    list: Vec<Value>,
    /// Their grace period runs: each with its end.
    waiting: Vec<(WaveFacts, Value, Timestamp)>,
    /// One of their regions does not answer.
    down: Vec<(String, Box<Failure>)>,
}

/// Erases one wave, or all whose grace period is over.
pub async fn run(app: &App, args: EraseArgs) -> Result<Answer> {
    app.signals.be_careful();
    let config = app.config()?;
    let waves = match &args.wave {
        Some(wave) => vec![wave_state::find(app, &config, wave).await?],
        None => moved(wave_state::list(app, &config).await?),
    };
    let progress = Progress::start(&app.screen);
    let mut done = Done::default();
    for wave in waves {
        let id = wave.id.clone();
        match due(app, &config, wave, args.wave.is_some(), &progress, &mut done).await {
            Ok(()) => {}
            // The others need not wait for a region that is not theirs.
            Err(failure) if args.wave.is_none() && failure.code == "store-unreachable" => {
                done.down.push((id, failure));
            }
            Err(failure) => {
                progress.end();
                return Err(failure);
            }
        }
    }
    progress.end();
    Ok(done.answer())
}

fn moved(waves: Vec<Wave>) -> Vec<Wave> {
    waves.into_iter().filter(|wave| wave.state == WaveState::Moved).collect()
}

/// Erases a wave if its grace period is over; one that was `asked` for is refused while it runs.
async fn due(
    app: &App,
    config: &Config,
    wave: Wave,
    asked: bool,
    progress: &Arc<Progress>,
    done: &mut Done,
) -> Result<()> {
    let want = Want::to_erase(&wave);
    let of = app.service(config)?;
    let service = open::service_of(app, config, of, open::today(), progress.clone(), &want).await?;
    let facts = wave_state::one(&service, &wave.id).await?;
    let runs = |ends: &Timestamp| facts.state == WaveState::Moved && *ends > Timestamp::now();
    if let Some(ends) = facts.grace_ends(&service).filter(runs) {
        if asked {
            return Err(in_grace(&service, &facts, ends).await);
        }
        let json = facts.json(&service);
        done.waiting.push((facts, json, ends));
        return Ok(());
    }
    match one(&service, &facts).await {
        Ok((said, json)) => {
            done.text.push_str(&said);
            done.list.push(json);
            Ok(())
        }
        Err(error) => Err(wave_state::failed(&service, &[facts.id], &error).await),
    }
}

async fn in_grace(service: &Service, facts: &WaveFacts, ends: Timestamp) -> Box<Failure> {
    let wave = &facts.id;
    Failure::new(
        "grace",
        format!("wave {wave} can't be erased yet: its grace period ends at {ends:.0}"),
        "until then a route that still leads to the old home may write there, and nobody would see it",
        format!("domicile erase {wave}   # then; [limits] grace is the period"),
    )
    .state(wave_state::sentence(service, std::slice::from_ref(wave)).await)
    .exit(Exit::No)
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
        // The store's answer to "what was done to make it harder to find?": `nothing` reads badly alone.
        let said = match scrubbed.strip_prefix("nothing: ") {
            Some(rest) => format!("not scrubbed: {rest}"),
            None => scrubbed.clone(),
        };
        text.push_str(&format!("{}\n", paper::wrapped("  ", &said)));
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

impl Done {
    fn answer(self) -> Answer {
        let Self { mut text, list, waiting, down } = self;
        for (facts, _, ends) in &waiting {
            let who = counted(facts.moved, "subject");
            let line =
                format!("wave {}: {who} at {} can be erased from {ends:.0} on\n", facts.id, facts.from);
            text.push_str(&line);
        }
        for (wave, failure) in &down {
            let said = format!("{}: {}; when it answers: domicile erase {wave}", failure.what, failure.why);
            text.push_str(&format!("{}\n", paper::wrapped(&format!("wave {wave}: not erased: "), &said)));
        }
        if text.is_empty() {
            text.push_str("no moved wave waits to be erased");
        }
        let waits: Vec<&Value> = waiting.iter().map(|(_, json, _)| json).collect();
        let unreached: Vec<Value> =
            down.iter().map(|(wave, f)| json!({ "wave": wave, "error": f.json() })).collect();
        let mut answer =
            Answer::new(text, json!({ "erased": &list, "waiting": waits, "unreached": unreached }));
        answer.exit = match (down.is_empty(), list.is_empty() && !waiting.is_empty()) {
            (false, _) => Exit::Failed,
            (true, true) => Exit::No,
            (true, false) => Exit::Done,
        };
        answer
    }
}
