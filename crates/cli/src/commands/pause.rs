//! `pause`: a running wave begins nothing new until `resume`.

use crate::app::App;
use crate::args::WaveName;
use crate::failure::{self, Failure, Result};
use crate::open;
use crate::screen::Answer;
use crate::wave_state;
use serde_json::json;

/// Asks the wave's worker, wherever it runs.
pub async fn run(app: &App, args: WaveName) -> Result<Answer> {
    let config = app.config()?;
    // The directory alone is asked: a region that is down must not keep a wave from being paused.
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
    let text = format!(
        "wave {0} begins nothing new; batches under way are finished first\n\
         everybody can write where they are\nnext: domicile resume {0}",
        wave.id
    );
    Ok(Answer::new(text, json!({ "wave": wave.id, "asked": "pause" })))
}
