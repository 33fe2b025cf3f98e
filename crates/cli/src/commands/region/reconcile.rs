//! `region reconcile`: a backup of a region was restored; what came back of subjects who live elsewhere is shut, counted,
//! and erased where that is asked for.

use crate::app::App;
use crate::config::{Config, Service};
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted};
use crate::open::{self, Want};
use crate::paper;
use crate::progress::Progress;
use crate::screen::{Answer, Exit};
use domicile_datamap::Layout;
use domicile_mover::Error;
use domicile_mover::reconcile::{self, May, Reconciled};
use serde_json::{Value, json};

/// Shuts, counts, and with `erase` erases.
pub(super) async fn run(app: &App, config: &Config, of: &Service, id: &str, may: May) -> Result<Answer> {
    app.signals.be_careful();
    config.chosen(of, Some(id))?;
    let progress = Progress::start(&app.screen);
    // The others are asked whether they know whom the directory sends there, before anything is erased.
    let want = Want::at_least([id]);
    let service = open::service_of(app, config, of, open::today(), progress.clone(), &want).await;
    progress.end();
    let service = service?;
    if may.open {
        all_can_be_asked(id, &service)?;
    }
    app.screen.say(&format!("looking at every subject of {id}, and shutting those who live elsewhere"));
    let found = reconcile::run(&service, id, may).await.map_err(|e| failed(id, &e))?;
    let text = said(id, &found, &service.layout, may.erase, &app.service_flag());
    let answer = Answer::new(text, as_json(id, &found, &service.layout));
    Ok(match (found.is_clean(), found.in_wave) {
        (true, 0) => answer,
        // When it has ended, the same command says whether all is well.
        (true, _) => Answer { exit: Exit::Stopped, ..answer },
        (false, _) => answer.no_if(true),
    })
}

/// A half copy is opened where no whole one is found, so every region has to be looked at.
fn all_can_be_asked(id: &str, service: &domicile_mover::Service) -> Result<()> {
    let Some((closed, why)) = service.closed.iter().find(|(_, why)| *why != open::NO_TABLES) else {
        return Ok(());
    };
    Err(Failure::new(
        "store-unreachable",
        format!("region {closed} can't be reached, so no half copy of {id} is opened"),
        format!("the whole copies may be there; it says: {why}"),
        format!("domicile region reconcile {id} --open   # when it answers; without --open now"),
    ))
}

fn failed(id: &str, error: &Error) -> Box<Failure> {
    match error {
        Error::NoGuard { .. } => no_guard(id),
        Error::Stopped => Failure::new(
            "stopped",
            "stopped on request",
            "between two pages of subjects is the place to stop",
            format!("domicile region reconcile {id}   # begins again; what was shut stays shut"),
        )
        .exit(Exit::Stopped),
        other => failure::of_mover(other),
    }
}

/// The backup is older than the guard.
fn no_guard(id: &str) -> Box<Failure> {
    let why =
        "the backup is older than it, and in such a database nothing can be shut: keep the application away";
    let fix = format!("{}\ndomicile guard enforce --region {id}", before_enforce(id));
    Failure::new("guard-absent", format!("{id}: the guard is not installed"), why, fix).exit(Exit::No)
}

/// The steps up to `enforce`, which is refused while somebody has no row in the guard.
fn before_enforce(id: &str) -> String {
    format!(
        "domicile guard install --region {id}\ndomicile guard backfill --region {id}     # for those who live there\n\
         domicile region reconcile {id}           # for those who live elsewhere"
    )
}

fn said(id: &str, found: &Reconciled, layout: &Layout, erase: bool, flag: &str) -> String {
    let mut text = format!("{} looked at in {id}\n", counted(found.looked_at, "subject"));
    if found.came_back > 0 {
        text.push_str(&came_back(id, found, layout, erase, flag));
    } else {
        text.push_str("nothing came back of anybody who lives elsewhere\n");
    }
    if found.observing {
        let waits = "The guard only observes: the backup is older than its `enforce`. What is shut is not refused yet: keep \
                     the application away until then, and look again.";
        text.push_str(&format!("{}\n  domicile guard enforce --region {id}\n", paper::wrapped("", waits)));
    }
    for (n, meaning, next) in notes(id, found).into_iter().filter(|(n, ..)| *n > 0) {
        text.push_str(&format!("{}\n", paper::wrapped(&format!("{:>6}  ", count(n)), &meaning)));
        if !next.is_empty() {
            text.push_str(&format!("        {next}\n"));
        }
    }
    text
}

fn came_back(id: &str, found: &Reconciled, layout: &Layout, erase: bool, flag: &str) -> String {
    let who = counted(found.came_back, "subject");
    let rows = found.rows.iter().filter(|(_, rows)| **rows > 0);
    let rows = rows.map(|(table, rows)| vec![layout.tables[*table].name.to_string(), count(*rows)]).collect();
    let mut text = format!("\n{who} came back to {id} and lives elsewhere; shut here (RS001)\n");
    if found.came_back > 1 {
        text = text.replace("lives elsewhere", "live elsewhere");
    }
    text.push_str(&format!("{}\n", paper::indented("  ", &paper::table(&["table", "rows"], &[1], rows))));
    if erase {
        let (rows, objects) = (counted(found.erased.rows, "row"), counted(found.erased.objects, "object"));
        let who = counted(found.erased.subjects, "subject");
        text.push_str(&format!("erased: {who}, {rows}, {objects}\n"));
    } else {
        let kept = "What was written only here since the restore, and is worth keeping, has to be written at the \
                    subjects' homes by the application: it goes with the rest.";
        text.push_str(&format!("{}\n", paper::wrapped("", kept)));
        text.push_str(&format!("next, can't be undone: domicile region reconcile{flag} {id} --erase\n"));
    }
    text
}

/// Counts, each with what it means and, where there is one, the command that goes on.
fn notes(id: &str, found: &Reconciled) -> [(u64, String, String); 13] {
    let plain = |n: u64, meaning: &str| (n, meaning.to_owned(), String::new());
    let again = format!("domicile region reconcile {id}");
    let lost = format!(
        "live at {id} by the directory and are not in it: they moved in after the backup, and are lost with it, or were \
         deleted. An older copy may wait for its erase at another region; the way back: docs/operate.md, \"After a restore\". \
         Whose copies wait:"
    );
    let stale =
        format!("live at {id}, with rows of an earlier stay: they left and came back after the backup");
    let half = "live here as a half copy of a wave that is over, so that nobody can write them; a whole copy stands at another \
                region. To remove the half ones:";
    let last = "live here as a half copy of a wave that is over, so that nobody can write them; no whole copy was found. A \
                newer backup is better; else, to let them be written as they are, with whatever lacks:";
    let in_wave = "in a wave that is under way: left alone. End it with `domicile resume` or `domicile abort`, then again:";
    [
        plain(
            found.still_written,
            "not shut: their writers did not end. Keep the application away, and run the same command again",
        ),
        plain(
            found.kept,
            "kept: their home does not know them, or can't be reached. What is here may be the only copy: bring their home \
             back first",
        ),
        (found.lost, lost, "domicile verify --list found.txt".to_owned()),
        (found.half - found.half_removed, half.to_owned(), format!("{again} --erase")),
        plain(found.half_removed, "half copies removed; they live here, and have to be brought back"),
        (found.half_last - found.half_opened, last.to_owned(), format!("{again} --open")),
        plain(found.half_opened, "half copies opened: they are written here from now on, and rows may lack"),
        plain(found.stale, &stale),
        (
            found.unguarded,
            "live here, unknown to the guard:".to_owned(),
            format!("domicile guard backfill --region {id}"),
        ),
        (found.unknown, "have rows and no home in the directory:".to_owned(), "domicile verify".to_owned()),
        (found.in_wave, in_wave.to_owned(), again),
        plain(found.waiting, "old copies that wait for `domicile erase` or `guard disown --erase`"),
        plain(found.put_back, "were in the middle of a wave that has ended: at home again"),
    ]
}

fn as_json(id: &str, found: &Reconciled, layout: &Layout) -> Value {
    let rows: Vec<Value> = found
        .rows
        .iter()
        .map(|(table, rows)| json!({ "table": layout.tables[*table].name.to_string(), "rows": rows }))
        .collect();
    json!({
        "region": id, "looked_at": found.looked_at, "came_back": found.came_back, "rows": rows,
        "still_written": found.still_written, "kept": found.kept, "lost": found.lost, "stale": found.stale,
        "unguarded": found.unguarded, "unknown": found.unknown, "in_wave": found.in_wave, "waiting": found.waiting,
        "half": found.half, "half_removed": found.half_removed, "half_last": found.half_last,
        "half_opened": found.half_opened, "put_back": found.put_back, "observing": found.observing, "batches_closed": found.batches,
        "erased": {
            "subjects": found.erased.subjects, "rows": found.erased.rows, "objects": found.erased.objects,
        },
    })
}
