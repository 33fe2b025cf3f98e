//! `domicile` without a word: where to begin.

use crate::screen::Answer;
use serde_json::json;

/// The guide as it stands in the documentation of this version.
const GUIDE: &str = include_str!("../../../../docs/move-your-own-database.md");

const TEXT: &str = "\
Domicile puts every user's data in the region where it may live, moves it there
while the user keeps working, and proves it.

To begin:
  domicile demo      see a phone maker move its users out of Beijing, on this machine
  domicile init      point it at your own database: writes a data map, changes nothing
  domicile guide     the way from there to the first move, command by command

All commands: domicile --help";

/// Three things to do first.
pub fn run() -> Answer {
    Answer::new(TEXT, json!({ "begin": ["domicile demo", "domicile init", "domicile guide"] }))
}

/// The way from an own database to the first move.
pub fn guide() -> Answer {
    Answer::new(GUIDE, json!({ "guide": GUIDE }))
}
