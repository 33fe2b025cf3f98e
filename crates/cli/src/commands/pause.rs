//! `pause`: a running wave begins nothing new until `resume`, and nobody stays under a fence that a dead worker left.

use crate::app::App;
use crate::args::WaveName;
use crate::config::Config;
use crate::failure::{self, Failure, Result};
use crate::figures::counted;
use crate::open::{self, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use crate::wave_state;
use domicile_directory::Wave;
use domicile_mover::progress::Silent;
use domicile_mover::rest::{self, Rested};
use serde_json::json;
use std::sync::Arc;

/// Asks the wave's workers, wherever they run, and does what a dead one can't do any more.
pub async fn run(app: &App, args: WaveName) -> Result<Answer> {
    app.signals.be_careful();
    let config = app.config()?;
    // The directory is asked first: a region that is down must not keep a wave from being paused.
    let directory = open::directory(&config).await?;
    let of = |e| failure::of_directory(&e);
    let wave = wave_state::find_or_only(app, &config, args.wave.as_deref()).await?;
    if wave.state != domicile_directory::WaveState::Open {
        return Err(Failure::new(
            "wave-state",
            format!("wave {} is {}", wave.id, wave.state),
            "only a wave under way can be paused",
            "domicile status",
        ));
    }
    directory.pause(&wave.id).await.map_err(of)?;
    Ok(answer(&wave.id, bring_to_rest(app, &config, &wave).await))
}

async fn bring_to_rest(app: &App, config: &Config, wave: &Wave) -> Result<Rested> {
    let service = app.service(config)?;
    let want = Want::of_wave(wave);
    let opened = open::service_of(app, config, service, open::today(), Arc::new(Silent), &want).await?;
    rest::rest(&opened, &wave.id).await.map_err(|e| failure::of_mover(&e))
}

fn answer(wave: &str, rested: Result<Rested>) -> Answer {
    let head = format!("wave {wave} begins nothing new; batches under way are finished first\n");
    let next = format!("next: domicile resume {wave}");
    match rested {
        Ok(Rested { freed, in_hand }) => {
            let was = match freed {
                0 => String::new(),
                n => format!("{} under a fence, whose worker is gone: brought to rest\n", were(n)),
            };
            let writes = match in_hand {
                0 => "everybody can write where they are\n".to_owned(),
                n => format!("{} under a fence of a worker that is alive, and finishes it\n", are(n)),
            };
            let json =
                json!({ "wave": wave, "asked": "pause", "brought_to_rest": freed, "under_a_fence": in_hand });
            Answer::new(format!("{head}{was}{writes}{next}"), json)
        }
        Err(failure) => {
            let said = format!(
                "It could not be seen whether a worker that is gone has left somebody under a fence: {}. \
                 Whoever is sealed stays so until then.",
                open::in_a_line(&failure)
            );
            let text = format!(
                "{head}{}\nonce that is mended: domicile pause {wave}\n{next}",
                paper::wrapped("", &said)
            );
            let json = json!({ "wave": wave, "asked": "pause", "not_looked_at": failure.json() });
            Answer { exit: Exit::Failed, ..Answer::new(text, json) }
        }
    }
}

fn are(n: u64) -> String {
    format!("{} {}", counted(n, "subject"), if n == 1 { "is" } else { "are" })
}

fn were(n: u64) -> String {
    format!("{} {}", counted(n, "subject"), if n == 1 { "was" } else { "were" })
}
