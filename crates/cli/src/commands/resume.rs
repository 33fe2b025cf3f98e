//! `resume`: goes on with waves that were stopped, interrupted or paused.

use crate::app::App;
use crate::args::ResumeArgs;
use crate::commands::moving;
use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::metrics::serve;
use crate::open::{self, Want};
use crate::paper;
use crate::progress::Progress;
use crate::screen::{Answer, Exit};
use crate::wave_state::{self, WaveFacts};
use domicile_directory::{Asked, Error as DirectoryError, Wave, WaveState};
use domicile_mover::{Error, Service, WaveReport, wave};
use serde_json::{Value, json};
use std::sync::Arc;

/// What became of the waves.
#[derive(Default)]
struct Done {
    reports: Vec<WaveReport>,
    /// Their worker is alive and goes on by itself.
    handed: Vec<String>,
    /// Another worker has ended them meanwhile.
    ended: Vec<String>,
    /// One of their regions does not answer.
    waiting: Vec<(String, Box<Failure>)>,
}

/// Goes on with one wave, or with every one that is under way.
pub async fn run(app: &App, args: ResumeArgs) -> Result<Answer> {
    app.signals.be_careful();
    let config = app.config()?;
    let waves = match &args.wave {
        Some(wave) => vec![wave_state::find(app, &config, wave).await?],
        None => under_way(wave_state::list(app, &config).await?),
    };
    if waves.is_empty() {
        return Ok(Answer::new("no wave is under way: there is nothing to resume", json!({ "waves": [] })));
    }
    let progress = Progress::start(&app.screen);
    progress.count(serve::begin(&args.metrics.typed(), &config, &app.screen).await?);
    let (several, mut done) = (waves.len() > 1, Done::default());
    for wave in waves {
        let id = wave.id.clone();
        match one(app, &config, wave, &progress, &mut done).await {
            Ok(()) => {}
            // The others need not wait for a region that is not theirs.
            Err(failure) if several && failure.code == "store-unreachable" => {
                done.waiting.push((id, failure))
            }
            Err(failure) => {
                progress.end();
                return Err(failure);
            }
        }
    }
    progress.end();
    done.answer(&config)
}

fn under_way(waves: Vec<Wave>) -> Vec<Wave> {
    waves.into_iter().filter(|w| matches!(w.state, WaveState::Open | WaveState::Aborting)).collect()
}

async fn one(
    app: &App,
    config: &Config,
    wave: Wave,
    progress: &Arc<Progress>,
    done: &mut Done,
) -> Result<()> {
    let want = Want::of_wave(&wave);
    let of = app.service(config)?;
    let service = open::service_of(app, config, of, open::today(), progress.clone(), &want).await?;
    progress.watch(&service);
    let facts = wave_state::one(&service, &wave.id).await?;
    same_map(&service, &facts).await?;
    match go_on(&service, &facts).await {
        Ok(Went::Drove(report)) => done.reports.push(*report),
        Ok(Went::Handed) => done.handed.push(facts.id),
        Ok(Went::Ended) => done.ended.push(facts.id),
        Err(error) => return Err(wave_state::failed(&service, &[facts.id], &error).await),
    }
    Ok(())
}

impl Done {
    /// What others do, or did.
    fn elsewhere(&self) -> String {
        let mut text = String::new();
        if !self.handed.is_empty() {
            text.push_str(&format!("{}: no longer paused; its worker goes on\n", self.handed.join(", ")));
        }
        for wave in &self.ended {
            text.push_str(&format!(
                "{wave}: moved; another worker has ended it\nnext: domicile verify {wave}\n"
            ));
        }
        text
    }

    fn answer(mut self, config: &Config) -> Result<Answer> {
        let elsewhere = !self.handed.is_empty() || !self.ended.is_empty();
        if self.reports.is_empty() && !elsewhere && !self.waiting.is_empty() {
            return Err(self.waiting.swap_remove(0).1);
        }
        let mut answer = if self.reports.is_empty() {
            Answer::new(self.elsewhere(), json!({ "unpaused": self.handed, "ended": self.ended }))
        } else {
            moving::moved(config.limits.grace, &self.reports, None)
        };
        for (wave, failure) in &self.waiting {
            let said = format!("{}: {}; when it answers: domicile resume {wave}", failure.what, failure.why);
            answer.text.push_str(&format!("\n{}\n", paper::wrapped(&format!("wave {wave} waits: "), &said)));
            answer.exit = Exit::Failed;
        }
        if let Value::Object(fields) = &mut answer.json {
            let waiting = self.waiting.iter().map(|(wave, f)| json!({ "wave": wave, "error": f.json() }));
            fields.insert("waiting".to_owned(), waiting.collect());
        }
        Ok(answer)
    }
}

/// A data map, or a column of a mapped table, that changed since the wave began: what was copied then
/// would be compared by another measure now. Undoing (`abort`) stays possible.
async fn same_map(service: &Service, facts: &WaveFacts) -> Result<()> {
    let same = facts.map_hash.as_ref().is_none_or(|hash| *hash == service.layout.hash);
    if same || facts.state != WaveState::Open {
        return Ok(());
    }
    let wave = &facts.id;
    Err(Failure::new(
        "schema-changed",
        format!("the data map, or a table it maps, changed since wave {wave} began"),
        "a table that changes under a move could lose rows unseen, so the wave stops",
        format!("undo the change, then: domicile resume {wave}\nor: domicile abort {wave}"),
    )
    .state(wave_state::sentence(service, std::slice::from_ref(wave)).await))
}

async fn is_moved(service: &Service, wave: &str) -> Result<bool, Error> {
    let wave = service.directory.wave(wave).await?;
    Ok(wave.is_some_and(|wave| matches!(wave.state, WaveState::Moved | WaveState::Erased)))
}

/// Who went on with a wave.
enum Went {
    /// This command.
    Drove(Box<WaveReport>),
    /// The wave was paused, and its worker goes on by itself.
    Handed,
    /// Its worker was alive, and ended it while this command waited for the turn.
    Ended,
}

async fn go_on(service: &Arc<Service>, facts: &WaveFacts) -> Result<Went, Error> {
    let paused = facts.asked == Asked::Pause;
    if paused {
        service.directory.resume(&facts.id).await?;
    }
    match wave::resume(service, &facts.id).await {
        Ok(report) => Ok(Went::Drove(Box::new(report))),
        Err(Error::Directory(DirectoryError::Held { .. })) if paused => Ok(Went::Handed),
        Err(Error::Wave { .. }) if facts.is_under_way() && is_moved(service, &facts.id).await? => {
            Ok(Went::Ended)
        }
        Err(error) => Err(error),
    }
}
