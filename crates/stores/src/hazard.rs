//! What a region's database has that a move can't hold against.

use std::fmt;

/// Something that would break silently or in the middle: found by `check` and before a wave begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hazard {
    /// Stable, for programs and documents.
    pub code: &'static str,
    /// What was found, with its name; never a value of a row.
    pub what: String,
    /// What would happen.
    pub why: &'static str,
    /// What to do, as a statement where one does it.
    pub fix: String,
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; fix: {} ({})", self.what, self.why, self.fix, self.code)
    }
}
