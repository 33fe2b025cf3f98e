//! `guard backfill`: every subject that is there gets its home, in paced batches.
//!
//! CRASH: a subject may be registered in the directory and not yet adopted in the region: the next
//! backfill finds it unhomed, and registering it again changes nothing.

use super::at;
use crate::app::App;
use crate::args::BackfillArgs;
use crate::claims::{self as columns, Found};
use crate::config::{Config, Region};
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted};
use crate::open::{self, Mapped};
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_directory::Directory;
use domicile_stores::Records;
use domicile_stores::records::{State, SubjectId};
use serde_json::json;
use std::time::{Duration, Instant};

mod claims;

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
    /// At home for the guard and unknown to the directory: signed up without registering.
    unregistered: u64,
    /// At home for the guard here and for the directory elsewhere.
    second_home: u64,
}

/// Fills the regions one after the other.
pub(super) async fn run(
    app: &App,
    config: &Config,
    mapped: &Mapped<'_>,
    regions: &[&Region],
    args: &BackfillArgs,
) -> Result<Answer> {
    let found = claim_columns(mapped)?;
    app.signals.be_careful();
    let directory = open::directory(config).await?;
    let (mut rows, mut list, mut notes, mut wrong) = (Vec::new(), Vec::new(), Vec::new(), false);
    let mut import = claims::Import::new(&mapped.service.name, &found, args.list.as_deref())?;
    for region in regions {
        let records = mapped.records(region).await?;
        let status = records.status(false).await.map_err(at(region))?;
        if !status.installed {
            let fix = format!("domicile guard install --region {}", region.id());
            let why = "homes are kept in the guard's own table";
            let what = format!("{}: the guard is not installed", region.id());
            return Err(Failure::new("guard-absent", what, why, fix).exit(Exit::No));
        }
        let mut filled = fill(app, config, mapped, &directory, region, records.as_ref()).await?;
        register(app, config, mapped, &directory, region, records.as_ref(), &mut filled).await?;
        import.region(app, config, &directory, region, records.as_ref()).await?;
        rows.push(vec![
            region.id().to_owned(),
            count(filled.adopted),
            count(filled.elsewhere + filled.second_home),
        ]);
        list.push(json!({
            "region": region.id(), "adopted": filled.adopted, "elsewhere": filled.elsewhere,
            "unregistered": filled.unregistered, "second_home": filled.second_home,
        }));
        notes.extend(notes_of(region.id(), &filled, &app.service_flag()));
        wrong |= filled.elsewhere + filled.second_home > 0;
    }
    for region in regions {
        import.name_owners(app, &directory, region, mapped.records(region).await?.as_ref()).await?;
    }
    let (said, claims, taken) = import.end(&app.service_flag())?;
    notes.extend(said);
    let table = paper::table(&["region", "given a home", "homed elsewhere"], &[1, 2], rows);
    if !wrong {
        notes.push("next: domicile guard enforce".to_owned());
    }
    let text = format!("{table}\n\n{}", notes.join("\n\n"));
    Ok(Answer::new(text, json!({ "regions": list, "claims": claims })).no_if(wrong || taken))
}

/// The columns with claims; one that is not there stops the command before it begins.
fn claim_columns<'c>(mapped: &Mapped<'c>) -> Result<Vec<Found<'c>>> {
    let found = columns::columns(&mapped.service.claims, &mapped.layout).into_iter();
    found.collect::<Result<_, _>>().map_err(|absent| {
        let why = "claims are read from columns of mapped tables: their rows have a subject";
        Failure::usage("claim-column", absent.what, why, absent.fix)
    })
}

/// What to say of a region's subjects besides their number.
fn notes_of(region: &str, filled: &Filled, flag: &str) -> Vec<String> {
    let have = |n: u64, verb: [&str; 2]| {
        if n == 1 { format!("1 subject {}", verb[0]) } else { format!("{} subjects {}", count(n), verb[1]) }
    };
    let mut notes = Vec::new();
    if filled.unregistered > 0 {
        let verbs = ["was signed up without registering", "were signed up without registering"];
        let who = have(filled.unregistered, verbs);
        let it = if filled.unregistered == 1 { "it has its home" } else { "they have their home" };
        let said = format!(
            "{region}: {who}: the directory knows now that {it} here. Sign-up begins with \
             `domicile register SUBJECT --region {region}`, or a subject can get two homes."
        );
        notes.push(paper::wrapped("", &said));
    }
    if filled.elsewhere > 0 {
        let said = format!(
            "{region}: {} here and at home in another region: each has one home, and the directory says it is \
             the other one. Keep the rows of one of the two regions, then run `domicile guard backfill` again.",
            have(filled.elsewhere, ["has rows", "have rows"])
        );
        notes.push(paper::wrapped("", &said));
    }
    if filled.second_home > 0 {
        let is = have(filled.second_home, ["is", "are"]);
        let said = format!("{region}: {is} at home here for the guard, and elsewhere for the directory.");
        notes.push(format!("{}\n{}", paper::wrapped("", &said), super::disown::steps(region, flag)));
    }
    notes
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

/// Subjects that the guard has at home here and the directory does not know: their sign-up skipped its
/// first step. They get their home in the directory. Whom it knows elsewhere is counted and left alone.
async fn register(
    app: &App,
    config: &Config,
    mapped: &Mapped<'_>,
    directory: &Directory,
    region: &Region,
    records: &dyn Records,
    filled: &mut Filled,
) -> Result<()> {
    let service = &mapped.service.name;
    let mut after = None::<SubjectId>;
    loop {
        if app.signals.stopped() {
            return Err(stopped(region, filled));
        }
        let page = records.subjects(after.as_ref(), BATCH).await.map_err(at(region))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.subject.clone());
        let rows = page.len();
        let home: Vec<SubjectId> =
            page.into_iter().filter(|f| f.state == Some(State::Home)).map(|f| f.subject).collect();
        let known = directory.homes(service, &home).await.map_err(|e| failure::of_directory(&e))?;
        let second = known.iter().flatten().filter(|h| h.region != region.id()).count();
        filled.second_home += second as u64;
        let unknown: Vec<SubjectId> =
            home.into_iter().zip(&known).filter(|(_, h)| h.is_none()).map(|(s, _)| s).collect();
        if !unknown.is_empty() {
            // CRASH: done or not; the next backfill finds who is still unknown.
            let registered = directory.register(service, region.id(), &unknown).await;
            let registered = registered.map_err(|e| failure::of_directory(&e))?;
            filled.unregistered += registered.new.len() as u64;
            // Somebody was quicker in another region, between the question and the answer.
            filled.second_home += registered.elsewhere.len() as u64;
        }
        tokio::time::sleep(pause(config, rows)).await;
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
