//! `guard disown`: a subject that signed up in two regions has one home for the directory, and the guard of
//! the other region still takes writes for it. That other copy is shut, looked at, and then erased.
//!
//! INVARIANT: nothing is shut or erased unless the directory names another region, and there the guard has
//! the subject at home and its root row stands. A wave can't make this region its home meanwhile: it
//! refuses a target where the subject is `home`, and where it is `away` it clears the old rows itself.

use super::at;
use crate::app::App;
use crate::args::DisownArgs;
use crate::config::{Config, Guard, Region};
use crate::failure::{self, Failure, Result};
use crate::figures::counted;
use crate::open::{self, Mapped, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_directory::{Directory, Home};
use domicile_mover::{armed, outside};
use domicile_stores::Records;
use domicile_stores::records::{BatchRow, HomeRow, Lease, Mode, State, SubjectId};
use serde_json::json;
use std::time::Duration;

/// How long the subject's writers in flight are waited for.
const WRITERS: Duration = Duration::from_secs(3);

/// The steps for subjects with two homes, for whoever finds some.
pub fn steps(region: &str, flag: &str) -> String {
    format!(
        "  domicile verify{flag} --list found.txt   # who they are; the file is for you alone\n  \
         domicile locate{flag} SUBJECT            # both copies; which one is the dead one?\n{}\n  \
         domicile guard disown{flag} SUBJECT --region {region}           # shuts it here\n  \
         domicile guard disown{flag} SUBJECT --region {region} --erase   # removes it here",
        paper::wrapped("  ", "If it is this one (the directory's home is the other):")
    )
}

/// Is it a batch of this command, and of no wave?
pub fn is_ours(batch: &str) -> bool {
    batch.starts_with(BATCH)
}

/// What the names of its batches begin with.
const BATCH: &str = "disown-";

/// Both sides of a subject with two homes.
struct Two<'m> {
    subject: SubjectId,
    home: Home,
    region: &'m Region,
    here: std::sync::Arc<domicile_mover::Region>,
    guard: HomeRow,
    rows: u64,
    rows_at_home: u64,
}

impl Two<'_> {
    /// The epoch it was shut in: a move since then may have made the directory's a later one.
    fn epoch_here(&self) -> u64 {
        if self.guard.state == State::Away { self.guard.epoch } else { self.home.epoch }
    }
}

/// Shuts the copy here, or erases one that was shut.
pub async fn run(app: &App, args: DisownArgs) -> Result<Answer> {
    let config = app.config()?;
    let service = app.service(&config)?;
    let directory = open::directory(&config).await?;
    let here = open::mapped(&config, service, &Want::only([args.region.clone()])).await?;
    let subject = canonical(&here, &args.region, args.subject).await?;
    let home = directory.home(&service.name, &subject).await.map_err(|e| failure::of_directory(&e))?;
    let home = elsewhere(home, &args.region)?;
    let both =
        open::mapped(&config, service, &Want::only([args.region.clone(), home.region.clone()])).await?;
    let two = look(&both, &directory, subject, home, &args.region).await?;
    let done = disown(&config, &both, &directory, &two, args.erase).await;
    // Also after a failure: the triggers are armed for as long as anybody is away, and for no longer.
    let name = armed_for(&directory, &service.name, &two.subject);
    armed::disarm(&two.here, &name, wave_only(&both)).await.map_err(|e| failure::of_mover(&e))?;
    done
}

async fn disown(
    config: &Config,
    both: &Mapped<'_>,
    directory: &Directory,
    two: &Two<'_>,
    erase: bool,
) -> Result<Answer> {
    let records = two.here.records.as_ref();
    let batch = batch_of(directory, &both.service.name, &two.subject);
    let name = armed_for(directory, &both.service.name, &two.subject);
    armed::arm(&two.here, &name, wave_only(both)).await.map_err(|e| failure::of_mover(&e))?;
    let lease = begin(records, &batch, two).await.map_err(at(two.region))?;
    let shut = shut(&lease, two).await?;
    if !shut {
        records.close_batch(&lease).await.map_err(at(two.region))?;
        return Err(busy(two));
    }
    if !erase {
        records.close_batch(&lease).await.map_err(at(two.region))?;
        return Ok(was_shut(two));
    }
    records.wait_for_standbys(config.limits.standby_wait).await.map_err(at(two.region))?;
    let whom = [(two.subject.clone(), two.epoch_here())];
    let limit = config.limits.erase_rows;
    let erased = outside::erase(&two.here, &both.layout, &lease, &whom, limit).await;
    let erased = erased.map_err(|e| failure::of_mover(&e))?;
    records.close_batch(&lease).await.map_err(at(two.region))?;
    Ok(was_erased(two, erased.rows, erased.objects))
}

fn wave_only(mapped: &Mapped<'_>) -> bool {
    mapped.service.guard == Guard::Wave
}

async fn canonical(mapped: &Mapped<'_>, id: &str, typed: String) -> Result<SubjectId> {
    let Some(region) = mapped.prepared().find(|r| r.id() == id) else { return Err(open::unprepared(id)) };
    let records = mapped.records(region).await?;
    let typed = SubjectId(typed);
    let found = records.canonical(std::slice::from_ref(&typed)).await.map_err(at(region))?;
    Ok(found.into_iter().next().unwrap_or(typed))
}

fn elsewhere(home: Option<Home>, here: &str) -> Result<Home> {
    match home {
        Some(home) if home.region != here => Ok(home),
        Some(_) => Err(refused(
            format!("the directory says that its home is {here}"),
            "only a copy outside the subject's home can be disowned; to take it from here, plan a move",
            "domicile locate SUBJECT",
        )),
        None => Err(refused(
            "the directory knows no home for it".to_owned(),
            "without another home this may be its only copy",
            format!("domicile guard backfill --region {here}"),
        )),
    }
}

fn refused(what: String, why: &str, fix: impl Into<String>) -> Box<Failure> {
    Failure::new("disown-refused", format!("the subject can't be disowned: {what}"), why, fix).exit(Exit::No)
}

/// Looks at both sides and refuses where the copy here may be the living one.
async fn look<'m>(
    mapped: &Mapped<'m>,
    directory: &Directory,
    subject: SubjectId,
    home: Home,
    here: &str,
) -> Result<Two<'m>> {
    let of = |id: &str| mapped.prepared().find(|r| r.id() == id).ok_or_else(|| open::unprepared(id));
    let (region, there) = (of(here)?, of(&home.region)?);
    let one = std::slice::from_ref(&subject);
    let at_home = mapped.records(there).await?;
    let known = at_home.facts(one).await.map_err(at(there))?;
    if known.first().and_then(|f| f.state) != Some(State::Home) {
        let what = format!("at {}, its home, the guard does not have it at home with its row", there.id());
        let why = "the copy here may be the only one, or a wave is moving it";
        return Err(refused(what, why, "domicile locate SUBJECT\ndomicile status"));
    }
    let opened = mapped.open(region).await?;
    let records = opened.records.as_ref();
    let mode = records.status(false).await.map_err(at(region))?.mode;
    if !matches!(mode, Some(Mode::Enforce | Mode::Wave)) {
        let why = "a guard that only observes would let writes to the dead copy pass";
        let fix = format!("domicile guard enforce --region {here}");
        return Err(refused(format!("the guard at {here} refuses nothing yet"), why, fix));
    }
    let batch = batch_of(directory, &mapped.service.name, &subject);
    let guard = records.homes(one).await.map_err(at(region))?.into_iter().next();
    let guard = guard.filter(|row| match row.state {
        State::Home => row.batch.is_none(),
        State::Away => row.batch.as_deref() == Some(&batch),
        _ => false,
    });
    let Some(guard) = guard else {
        let what = format!("the guard at {here} does not have it at home");
        let why = "what an earlier move left here is removed by `domicile erase`; a wave ends what it began";
        return Err(refused(what, why, "domicile status\ndomicile verify"));
    };
    let sum = |sizes: std::collections::BTreeMap<_, domicile_stores::records::Size>| {
        sizes.values().map(|s| s.rows).sum::<u64>()
    };
    let rows = sum(records.measure(one).await.map_err(at(region))?);
    let rows_at_home = sum(at_home.measure(one).await.map_err(at(there))?);
    Ok(Two { subject, home, region, here: opened, guard, rows, rows_at_home })
}

/// The batch's name: the same whenever the command is repeated, and no subject's key.
fn batch_of(directory: &Directory, service: &str, subject: &SubjectId) -> String {
    format!("{BATCH}{}/0", directory.hash(service, subject))
}

/// Whom the triggers of `guard = "wave"` are armed for.
fn armed_for(directory: &Directory, service: &str, subject: &SubjectId) -> String {
    format!("{BATCH}{}", directory.hash(service, subject))
}

async fn begin(records: &dyn Records, batch: &str, two: &Two<'_>) -> domicile_stores::Result<Lease> {
    let wave = batch.trim_end_matches("/0").to_owned();
    let subjects = vec![two.subject.clone()];
    let row = BatchRow { batch: batch.to_owned(), wave, subjects, record: json!({}) };
    // CRASH: a batch without a change of state; the same command takes it over and closes it.
    records.open_batches(&[row]).await?;
    records.take_lease(batch).await
}

/// Waits for the subject's writers in flight; afterwards none is accepted here any more.
async fn shut(lease: &Lease, two: &Two<'_>) -> Result<bool> {
    if two.guard.state == State::Away {
        return Ok(true);
    }
    let whom = [(two.subject.clone(), two.home.epoch)];
    let shut = outside::shut(&two.here, lease, &whom, WRITERS).await;
    Ok(!shut.map_err(|e| failure::of_mover(&e))?.is_empty())
}

fn busy(two: &Two<'_>) -> Box<Failure> {
    Failure::new(
        "store-busy",
        format!("the subject's writers at {} did not end", two.region.id()),
        format!("they were waited for {} s; nothing is shut while one is in flight", WRITERS.as_secs()),
        "run the same command again",
    )
}

fn was_shut(two: &Two<'_>) -> Answer {
    let (here, home) = (two.region.id(), &two.home.region);
    let (rows, there) = (counted(two.rows, "row"), counted(two.rows_at_home, "row"));
    let said = format!(
        "Nothing was removed yet. {here} has {rows} of it, {home} {there}: what is written only here and is \
         worth keeping has to be written at {home} now, by the application. It is refused here (RS001)."
    );
    let text = format!(
        "shut at {here}; its one home is {home}\n{}\nnext, can't be undone: domicile guard disown SUBJECT --region {here} --erase",
        paper::wrapped("", &said)
    );
    Answer::new(text, json!({ "region": here, "home": home, "rows": two.rows, "erased": false }))
}

fn was_erased(two: &Two<'_>, rows: u64, objects: u64) -> Answer {
    let (here, home) = (two.region.id(), &two.home.region);
    let text = format!(
        "{} and {} of it erased at {here}; its one home is {home}\nnext: domicile verify",
        counted(rows, "row"),
        counted(objects, "object")
    );
    Answer::new(
        text,
        json!({ "region": here, "home": home, "rows": rows, "objects": objects, "erased": true }),
    )
}
