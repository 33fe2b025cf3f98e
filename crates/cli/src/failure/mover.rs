//! Errors of the route. What is true of a wave afterwards is added by [`crate::wave_state`].

use super::{Failure, of_directory, of_store};
use crate::screen::Exit;
use domicile_mover::Error;

/// An error of the mover. Its state is that nothing was changed unless the caller knows better.
pub fn of_mover(error: &Error) -> Box<Failure> {
    let what = error.to_string();
    match error {
        Error::Region { region, source } => of_store(&format!("region {region}"), source),
        Error::Directory(source) => of_directory(source),
        Error::Stale(why) => Failure::new(
            "plan-stale",
            format!("the plan is stale: {why}"),
            "a plan is carried out exactly as it was shown, or not at all",
            "domicile plan -o plan.json   # look at it, then: domicile move plan.json",
        )
        .exit(Exit::No),
        Error::Preflight(problems) => Failure::new(
            "preflight",
            format!("{} against the start:\n{}", reasons(problems.len()), list(problems)),
            "every reason not to begin is looked for before any byte moves",
            "domicile check   # after each is mended",
        )
        .exit(Exit::No),
        Error::Differs(_) => Failure::new(
            "differs",
            what,
            "nobody is moved before both sides are known to be equal",
            "domicile verify",
        )
        .exit(Exit::No),
        Error::SchemaChanged(_) => Failure::new(
            "schema-changed",
            what,
            "a table that changes under a move could lose rows unseen, so the wave stops",
            "undo the change, or: domicile abort WAVE",
        ),
        Error::Stopped => Failure::new(
            "stopped",
            "stopped on request",
            "before a fence everything can wait, so it is the place to stop",
            "domicile resume",
        )
        .exit(Exit::Stopped),
        Error::AbortAsked { wave } => Failure::new(
            "abort-asked",
            format!("wave {wave} stopped: its abort was asked for"),
            "whoever asked ends it: subjects that have not moved stay, those past their cutover are finished",
            format!("domicile abort {wave}   # if the other terminal has gone"),
        )
        .exit(Exit::Stopped),
        Error::TurnLost { wave } => Failure::new(
            "turn-lost",
            format!("another worker has taken over wave {wave}"),
            "this process stood still for longer than its turn lasts; the databases hold back what it would \
             still do",
            format!("domicile status\ndomicile resume {wave}   # where no worker is at it"),
        )
        .exit(Exit::Stopped),
        Error::Paused { wave } => Failure::new(
            "stopped",
            format!("wave {wave} is paused"),
            "somebody asked for it, and this worker has other waves, too",
            format!("domicile resume {wave}"),
        )
        .exit(Exit::Stopped),
        Error::Kept { wave, why, last } => Failure::new(
            "copies-kept",
            format!("wave {wave} is not erased whole"),
            why.clone(),
            kept_fix(wave, *last),
        )
        .exit(Exit::No),
        Error::Wave { wave, why } => Failure::new(
            "wave-state",
            format!("wave {wave}: {why}"),
            "a wave only goes forwards, or back before its cutover",
            "domicile status",
        ),
        Error::Setting(_) => Failure::usage(
            "config-setting",
            what,
            "the configuration and what was asked for don't fit",
            "domicile check",
        ),
        Error::Evidence(_) => Failure::new(
            "receipts",
            what,
            "a move without its receipts is not finished",
            "domicile resume   # writes them again from the journal",
        ),
        _ => Failure::new("move-failed", what, "the mover's own words stand above", "domicile status"),
    }
}

/// Who is on the way back comes by itself; whose last copy this is has to be brought home.
fn kept_fix(wave: &str, last: bool) -> String {
    let who = match last {
        true => {
            "domicile verify --list found.txt   # `missing`: whose copies may be the last ones\n\
             # how they come back: docs/operate.md, \"After a restore\"; then:\n"
        }
        false => "",
    };
    format!("{who}domicile erase {wave}   # once that is mended; what may go is gone")
}

fn reasons(n: usize) -> String {
    if n == 1 { "1 reason".to_owned() } else { format!("{n} reasons") }
}

fn list(problems: &[String]) -> String {
    problems.iter().map(|p| format!("  - {}", p.replace('\n', "\n    "))).collect::<Vec<_>>().join("\n")
}
