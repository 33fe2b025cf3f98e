//! The search itself, on a blocking thread; meanwhile stderr says how far it is.

use super::Target;
use super::identifiers::{Looked, forms};
use super::watch::Watch;
use crate::app::App;
use crate::args::OutputArgs;
use crate::failure::{Failure, Result};
use crate::figures::counted;
use domicile_audit::report::{self, Asked};
use domicile_audit::{Canaries, Examiner, Gap, Limits, Progress, Report, Wanted};
use jiff::Timestamp;
use std::sync::Arc;

/// Bytes of an identifier that no text has by chance.
const LENGTH_SURE: usize = 6;

/// What a search came to.
pub struct Ran {
    /// What was found. Holds no identifier.
    pub report: Report,
    /// What it was asked.
    pub asked: Asked,
    /// A target could not be searched to its end.
    pub broken: bool,
}

/// Searches all targets for all identifiers.
pub async fn run(app: &App, mut looked: Looked, targets: Vec<Target>, output: &OutputArgs) -> Result<Ran> {
    let hosts = super::hosts(app, output)?;
    let forms = forms(output)?;
    let (salts, keys) = (forms.salts.len() as u64, forms.keys.len() as u64);
    if looked.unfit > 0 {
        let what = counted(looked.unfit, "value");
        app.screen
            .say(&format!("{what} in those columns can't be an identifier of that kind: not looked for"));
    }
    let short = looked.identifiers.iter().filter(|i| i.text.len() < LENGTH_SURE).count() as u64;
    if short > 0 {
        let what = counted(short, "identifier");
        app.screen.say(&format!("{what} under {LENGTH_SURE} bytes: texts have them by chance, too"));
    }
    let names: Vec<String> = targets.iter().map(Target::name).collect();
    let progress = Arc::new(Progress::default());
    let watch = Watch::start(&app.screen, &progress, &targets);
    let accepted = output.accept.iter().copied().collect();
    let runtime = tokio::runtime::Handle::current();
    let began = Timestamp::now();
    let searched = tokio::task::spawn_blocking(move || {
        let canaries = Canaries::plant(&mut looked.identifiers, &forms);
        let wanted = Wanted::new(looked.identifiers, &forms, None);
        let mut asked = Asked::new(&wanted, canaries.first(), salts, names, format!("{began:.0}"));
        asked.keys = keys;
        let examiner = Examiner::new(&wanted, Limits::default()).telling(progress).with_controls(canaries);
        let (mut report, broken) = search(examiner, targets, &runtime);
        report.accepted = accepted;
        hosts.tell(&mut report);
        report::hide(&mut report, &mut asked, &wanted);
        Ran { report, asked, broken }
    });
    let ran = searched.await;
    watch.end();
    ran.map_err(|_| {
        Failure::new(
            "system",
            "the search ended by a defect",
            "it is ours, not yours",
            "domicile audit ...   # report it, please",
        )
    })
}

/// The report, and whether a target could not be searched to its end: that is told, and the others are searched all the same.
fn search(
    mut examiner: Examiner<'_>,
    targets: Vec<Target>,
    runtime: &tokio::runtime::Handle,
) -> (Report, bool) {
    let mut broken = false;
    for target in targets {
        let place = target.place();
        let searched = match target {
            Target::Path(path) => {
                examiner.named_files(&path);
                Ok(())
            }
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
        if let Err(why) = searched {
            broken = true;
            examiner.unseen(&place, Gap::Unread, format!("it could not be searched to its end: {why}"));
        }
    }
    (examiner.finish(), broken)
}
