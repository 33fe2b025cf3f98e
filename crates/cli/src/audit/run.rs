//! The search itself, on a blocking thread; meanwhile stderr says how far it is.

use super::Target;
use super::identifiers::{Looked, forms};
use crate::app::App;
use crate::args::OutputArgs;
use crate::failure::{Failure, Result};
use crate::figures::{bytes, counted};
use crate::screen::Screen;
use domicile_audit::report::{self, Asked};
use domicile_audit::{Examiner, Limits, Progress, Report, Wanted};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Between two lines of the story.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What a search came to.
pub struct Ran {
    /// What was found. Holds no identifier.
    pub report: Report,
    /// What it was asked.
    pub asked: Asked,
}

/// Searches all targets for all identifiers.
pub async fn run(app: &App, looked: Looked, targets: Vec<Target>, output: &OutputArgs) -> Result<Ran> {
    let hosts = super::hosts(app, output)?;
    let forms = forms(output)?;
    let salts = forms.salts.len() as u64;
    if looked.unfit > 0 {
        let what = counted(looked.unfit, "value");
        app.screen
            .say(&format!("{what} in those columns can't be an identifier of that kind: not looked for"));
    }
    let names: Vec<String> = targets.iter().map(Target::name).collect();
    let progress = Arc::new(Progress::default());
    let story = tokio::spawn(tell(app.screen.clone(), progress.clone()));
    let runtime = tokio::runtime::Handle::current();
    let began = Timestamp::now();
    let searched = tokio::task::spawn_blocking(move || {
        let wanted = Wanted::new(looked.identifiers, &forms, None);
        let mut asked = Asked::new(&wanted, salts, names, format!("{began:.0}"));
        let mut report = search(&wanted, targets, &runtime, progress)?;
        hosts.tell(&mut report);
        report::hide(&mut report, &mut asked, &wanted);
        Ok(Ran { report, asked })
    });
    let ran = searched.await;
    story.abort();
    ran.map_err(|_| {
        Failure::new(
            "system",
            "the search ended by a defect",
            "it is ours, not yours",
            "domicile audit ...   # report it, please",
        )
    })?
}

fn search(
    wanted: &Wanted,
    targets: Vec<Target>,
    runtime: &tokio::runtime::Handle,
    progress: Arc<Progress>,
) -> Result<Report> {
    let mut examiner = Examiner::new(wanted, Limits::default()).telling(progress);
    for target in targets {
        let name = target.name();
        let searched = match target {
            Target::Path(path) => path_at(&path, &mut examiner),
            Target::Postgres(client, name) => {
                domicile_audit::database::postgres::examine(runtime, &client, &name, &mut examiner)
                    .map_err(|e| e.to_string())
            }
            Target::Sqlite(connection, name) => {
                domicile_audit::database::sqlite::examine(&connection, &name, &mut examiner)
                    .map_err(|e| e.to_string())
            }
            Target::Objects(objects) => {
                domicile_audit::objects::examine(runtime, &objects, &mut examiner).map_err(|e| e.to_string())
            }
        };
        searched.map_err(|why| {
            Failure::new(
                "audit-target",
                format!("{name} could not be searched to its end"),
                why,
                "run the same command again once that is mended",
            )
        })?;
    }
    Ok(examiner.finish())
}

fn path_at(path: &Path, examiner: &mut Examiner<'_>) -> Result<(), String> {
    examiner.files(path);
    Ok(())
}

/// A line every ten seconds: how much was read, how fast, how much was found.
async fn tell(screen: Screen, progress: Arc<Progress>) {
    let began = Instant::now();
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        let read = progress.bytes.load(Ordering::Relaxed);
        let rate = (read as f64 / began.elapsed().as_secs_f64()) as u64;
        let found = counted(progress.findings.load(Ordering::Relaxed), "trace");
        screen.say(&format!("{} read, {}/s, {found} found so far", bytes(read), bytes(rate)));
    }
}
