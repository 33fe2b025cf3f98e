//! What is wrong with the file, and where.

use crate::failure::Failure;
use std::path::Path;

/// A fault at a byte of the file.
#[derive(Debug)]
pub(super) struct Fault {
    pub at: usize,
    pub code: &'static str,
    pub what: String,
    pub why: String,
    pub fix: String,
}

impl Fault {
    pub(super) fn new(
        at: usize,
        code: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { at, code, what: what.into(), why: why.into(), fix: fix.into() }
    }

    /// With the line it stands on. The line's text is not shown: a URL in it may hold a password.
    pub(super) fn failure(self, text: &str, path: &Path) -> Box<Failure> {
        let line = text.as_bytes()[..self.at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
        Failure::usage(self.code, format!("{}:{line}: {}", path.display(), self.what), self.why, self.fix)
    }
}
