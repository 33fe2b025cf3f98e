//! `abort`: ends a wave early.

use crate::app::App;
use crate::args::WaveName;
use crate::commands::moving;
use crate::failure::Result;
use crate::figures::counted;
use crate::open::{self, Want};
use crate::progress::Progress;
use crate::screen::Answer;
use crate::wave_state;
use domicile_mover::wave;
use serde_json::json;

/// Whoever has not moved stays at the old home; the target is emptied of their copies.
pub async fn run(app: &App, args: WaveName) -> Result<Answer> {
    app.signals.be_careful();
    let progress = Progress::start(&app.screen);
    let config = app.config()?;
    let found = wave_state::find_or_only(app, &config, args.wave.as_deref()).await?;
    let id = found.id.clone();
    let want = Want::of_wave(&found);
    let service =
        open::service_of(app, &config, app.service(&config)?, open::today(), progress.clone(), &want).await?;
    let aborted = wave::abort(&service, &id).await;
    progress.end();
    let report = match aborted {
        Ok(report) => report,
        Err(error) => return Err(wave_state::failed(&service, &[id], &error).await),
    };
    let stayed: u64 = report.left.values().sum();
    let mut text = format!(
        "wave {} is ended: {} at {}, as before, and {} holds nothing of them\n",
        report.wave,
        if stayed == 1 { "1 subject is".to_owned() } else { format!("{} are", counted(stayed, "subject")) },
        report.from,
        report.to
    );
    if report.subjects > 0 {
        let were = counted(report.subjects, "subject");
        text.push_str(&format!("{were} had moved already and live at {}: next: domicile erase\n", report.to));
    }
    Ok(Answer::new(text, json!({ "wave": moving::json_of(&report), "stayed": stayed })))
}
