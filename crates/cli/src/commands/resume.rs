//! `resume`: goes on with waves that were stopped, interrupted or paused.

use crate::app::App;
use crate::args::WaveArg;
use crate::commands::moving;
use crate::failure::{Failure, Result};
use crate::open;
use crate::progress::Progress;
use crate::screen::Answer;
use crate::wave_state::{self, WaveFacts};
use domicile_directory::{Asked, Error as DirectoryError, WaveState};
use domicile_mover::{Error, Service, wave};
use serde_json::json;
use std::sync::Arc;

/// Goes on with one wave, or with every one that is under way.
pub async fn run(app: &App, args: WaveArg) -> Result<Answer> {
    app.signals.be_careful();
    let progress = Progress::start(&app.screen);
    let service = open::service(app, open::today(), progress.clone()).await?;
    let waves = match &args.wave {
        Some(wave) => vec![wave_state::one(&service, wave).await?],
        None => under_way(wave_state::all(&service).await?),
    };
    if waves.is_empty() {
        return Ok(Answer::new("no wave is under way: there is nothing to resume", json!({ "waves": [] })));
    }
    for facts in &waves {
        same_map(&service, facts).await?;
    }
    let (mut reports, mut handed) = (Vec::new(), Vec::new());
    for facts in waves {
        match go_on(&service, &facts).await {
            Ok(Some(report)) => reports.push(report),
            Ok(None) => handed.push(facts.id),
            Err(error) => {
                progress.end();
                return Err(wave_state::failed(&service, &[facts.id], &error).await);
            }
        }
    }
    progress.end();
    if reports.is_empty() {
        let text = format!("{}: no longer paused; its worker goes on", handed.join(", "));
        return Ok(Answer::new(text, json!({ "unpaused": handed })));
    }
    Ok(moving::moved(&service, &reports, None))
}

fn under_way(waves: Vec<WaveFacts>) -> Vec<WaveFacts> {
    waves.into_iter().filter(|w| matches!(w.state, WaveState::Open | WaveState::Aborting)).collect()
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

/// `None`: the wave was paused, its worker is alive and goes on by itself.
async fn go_on(
    service: &Arc<Service>,
    facts: &WaveFacts,
) -> Result<Option<domicile_mover::WaveReport>, Error> {
    let paused = facts.asked == Asked::Pause;
    if paused {
        service.directory.resume(&facts.id).await?;
    }
    match wave::resume(service, &facts.id).await {
        Ok(report) => Ok(Some(report)),
        Err(Error::Directory(DirectoryError::Held { .. })) if paused => Ok(None),
        Err(error) => Err(error),
    }
}
