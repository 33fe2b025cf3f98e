//! Homes that nobody lives in: the directory counts more of a region than the region's guard knows. A hint that costs two
//! counts; `verify` looks for them one by one.

use crate::figures::{count, counted};
use domicile_stores::records::{GuardStatus, Mode, State};

/// How many homes the directory has at the region beyond the subjects that its guard knows there. Nothing is said of a
/// region whose adoption is not finished.
///
/// Sign-ups under way, and cutovers between the two counts, are counted as well.
pub fn absent(homes: u64, status: &GuardStatus) -> u64 {
    if !matches!(status.mode, Some(Mode::Enforce | Mode::Wave)) {
        return 0;
    }
    let here = status.subjects.iter().filter(|(state, _)| **state != State::Away).map(|(_, n)| n).sum();
    homes.saturating_sub(here)
}

/// What it means.
pub fn words(absent: u64, homes: u64) -> String {
    let who = if absent == 1 { "1 has".to_owned() } else { format!("{} have", count(absent)) };
    format!(
        "of {} in the directory {who} nobody here: registered and not signed up yet, or lost with a database that was restored \
         from an older backup",
        counted(homes, "home")
    )
}
