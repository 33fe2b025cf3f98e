//! Erasing what the moves left behind, when the grace period is over.

use super::case::Case;
use super::stage::Stage;
use super::watch::Tally;
use crate::failure::{self, Result};
use crate::figures::{count, duration};
use crate::{open, paper};
use domicile_directory::{WaveFilter, WaveState};
use domicile_mover::{WaveReport, wave};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A little longer than the grace of the demo's configuration, since clocks are read at different times.
const AFTER_GRACE: Duration = Duration::from_millis(150);

/// What all waves came to, read from the journals of their batches.
#[derive(Debug, Default)]
pub struct Erased {
    pub reports: Vec<WaveReport>,
    pub rows: u64,
    pub objects: u64,
    pub elapsed: Duration,
}

impl Erased {
    /// Measured pauses of all subjects, ascending, microseconds.
    pub fn pauses_us(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.reports.iter().flat_map(|r| r.pauses_us.iter().copied()).collect();
        all.sort_unstable();
        all
    }
}

/// Waits for the grace period's end, then erases every wave of every service.
pub async fn erase(stage: &Stage) -> Result<Erased> {
    let page = &stage.page;
    page.begin("Erase the old homes");
    let grace = stage.config.limits.grace;
    page.say(&format!(
        "The rows are still at the old homes, and nobody can write them. An application may believe an old route \
         for a while: here one second. So erase waits: {} here, a day by default.",
        duration(grace)
    ));
    tokio::time::sleep(grace + AFTER_GRACE).await;
    let (began, mut erased) = (Instant::now(), Erased::default());
    let mut by_region: BTreeMap<String, (u64, u64, u64, String)> = BTreeMap::new();
    for service in stage.world.case.services {
        let opened = stage.service(service.name, open::today(), Arc::new(Tally::default())).await?;
        let filter = WaveFilter { service: Some(service.name.as_str().to_owned()), unfinished: false };
        let waves = stage.directory.waves(&filter).await.map_err(|e| failure::of_directory(&e))?;
        for wave in waves.into_iter().filter(|w| w.state == WaveState::Moved) {
            let (done, report) =
                wave::erase_wave(&opened, &wave.id).await.map_err(|e| failure::of_mover(&e))?;
            erased.rows += done.rows;
            erased.objects += done.objects;
            let sum = by_region.entry(report.from.clone()).or_default();
            (sum.0, sum.1, sum.2) = (sum.0 + done.subjects, sum.1 + done.rows, sum.2 + done.objects);
            sum.3 = report.scrubbed.clone().unwrap_or_default();
            erased.reports.push(report);
        }
    }
    erased.elapsed = began.elapsed();
    show(stage, &by_region, &erased);
    page.rest().await;
    Ok(erased)
}

fn show(stage: &Stage, by_region: &BTreeMap<String, (u64, u64, u64, String)>, erased: &Erased) {
    let page = &stage.page;
    let rows = by_region.iter().map(|(region, (people, rows, objects, _))| {
        vec![region.clone(), count(*people), count(*rows), count(*objects)]
    });
    page.show(&paper::table(&["erased at", "people", "rows", "objects"], &[1, 2, 3], rows.collect()));
    if let Some((_, _, _, scrubbed)) = by_region.get(old(stage.world.case)) {
        let did = scrubbed.split(';').next().unwrap_or_default();
        page.done(&format!("the files were rewritten: {did}"));
    }
    page.done(&format!("done in {}; the applications were writing all the time", duration(erased.elapsed)));
}

fn old(case: &Case) -> &'static str {
    case.old
}
