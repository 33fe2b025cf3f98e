//! `guard backfill`: every subject that is there gets its home, in paced batches.
//!
//! CRASH: a subject may be registered in the directory and not yet adopted in the region: the next
//! backfill finds it unhomed, and registering it again changes nothing.

use super::at;
use crate::app::App;
use crate::config::{Config, Region};
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted};
use crate::open::{self, Mapped};
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_directory::Directory;
use domicile_stores::Records;
use domicile_stores::records::SubjectId;
use serde_json::json;
use std::time::{Duration, Instant};

/// Subjects in one batch: a transaction short enough that no application notices it.
const BATCH: u32 = 1_000;
/// Between two batches, so that the application's own writes come first.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What became of one region's subjects.
#[derive(Default)]
struct Filled {
    adopted: u64,
    elsewhere: u64,
}

/// Fills the regions one after the other.
pub(super) async fn run(
    app: &App,
    config: &Config,
    mapped: &Mapped<'_>,
    regions: &[&Region],
) -> Result<Answer> {
    app.signals.be_careful();
    let directory = open::directory(config).await?;
    let (mut rows, mut list, mut elsewhere) = (Vec::new(), Vec::new(), 0);
    for region in regions {
        let records = mapped.records(region).await?;
        let status = records.status(false).await.map_err(at(region))?;
        if !status.installed {
            let fix = format!("domicile guard install --region {}", region.id());
            let why = "homes are kept in the guard's own table";
            let what = format!("{}: the guard is not installed", region.id());
            return Err(Failure::new("guard-absent", what, why, fix).exit(Exit::No));
        }
        let filled = fill(app, config, mapped, &directory, region, records.as_ref()).await?;
        rows.push(vec![region.id().to_owned(), count(filled.adopted), count(filled.elsewhere)]);
        list.push(json!({ "region": region.id(), "adopted": filled.adopted, "elsewhere": filled.elsewhere }));
        elsewhere += filled.elsewhere;
    }
    let table = paper::table(&["region", "given a home", "homed elsewhere"], &[1, 2], rows);
    let next = if elsewhere == 0 {
        "next: domicile guard enforce".to_owned()
    } else {
        paper::wrapped(
            "",
            &format!(
                "{} here and at home in another region: each has one home, and the directory says it is the \
                 other one. Keep the rows of one of the two regions, then run `domicile guard backfill` again.",
                if elsewhere == 1 {
                    "1 subject has rows".to_owned()
                } else {
                    format!("{} subjects have rows", count(elsewhere))
                }
            ),
        )
    };
    Ok(Answer::new(format!("{table}\n\n{next}"), json!({ "regions": list })).no_if(elsewhere > 0))
}

async fn fill(
    app: &App,
    config: &Config,
    mapped: &Mapped<'_>,
    directory: &Directory,
    region: &Region,
    records: &dyn Records,
) -> Result<Filled> {
    let (mut filled, mut after, mut said) = (Filled::default(), None::<SubjectId>, Instant::now());
    app.screen.say(&format!("giving the subjects of {} their home", region.id()));
    loop {
        if app.signals.stopped() {
            return Err(stopped(region, &filled));
        }
        let page = records.unhomed(after.as_ref(), BATCH).await.map_err(at(region))?;
        let Some(last) = page.last().cloned() else { return Ok(filled) };
        let registered = directory.register(&mapped.service.name, region.id(), &page).await;
        let registered = registered.map_err(|e| failure::of_directory(&e))?;
        let homes = registered.new.into_iter().chain(registered.already);
        let here: Vec<(SubjectId, u64)> = homes.map(|(subject, home)| (subject, home.epoch)).collect();
        filled.adopted += records.adopt(&here).await.map_err(at(region))?;
        filled.elsewhere += registered.elsewhere.len() as u64;
        after = Some(last);
        if said.elapsed() >= LINE_EVERY {
            said = Instant::now();
            app.screen.say(&format!(
                "{}: {} have their home",
                region.id(),
                counted(filled.adopted, "subject")
            ));
        }
        tokio::time::sleep(pause(config, page.len())).await;
    }
}

/// The user's ceiling on rows a second holds here, too.
fn pause(config: &Config, rows: usize) -> Duration {
    match config.limits.rows_per_s {
        Some(ceiling) if ceiling > 0 => Duration::from_secs_f64(rows as f64 / ceiling as f64).max(PAUSE),
        _ => PAUSE,
    }
}

fn stopped(region: &Region, filled: &Filled) -> Box<Failure> {
    Failure::new(
        "stopped",
        "stopped on request",
        "backfill may stop between any two batches",
        format!("domicile guard backfill --region {}", region.id()),
    )
    .state(format!(
        "{} of {} have their home, the others wait",
        counted(filled.adopted, "subject"),
        region.id()
    ))
    .exit(Exit::Stopped)
}
