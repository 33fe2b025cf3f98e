//! What `check` finds wrong, in the anatomy every error of Domicile has: what, why, fix, code.

use crate::catalogue::TableName;
use std::fmt;

/// One thing that keeps the data map from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code, e.g. `map-question-unanswered`.
    pub code: &'static str,
    /// The table it is about, if it is about one.
    pub table: Option<TableName>,
    /// What is wrong, one sentence.
    pub what: String,
    /// Why it can't be left so.
    pub why: String,
    /// What to write or run; several ways stand one after another.
    pub fix: String,
}

impl Problem {
    /// A problem of the map as a whole.
    pub(crate) fn new(code: &'static str, what: String, why: &str, fix: String) -> Self {
        Self { code, table: None, what, why: why.to_owned(), fix }
    }

    /// A problem of one table.
    pub(crate) fn at(code: &'static str, table: &TableName, what: String, why: &str, fix: String) -> Self {
        Self { code, table: Some(table.clone()), what, why: why.to_owned(), fix }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  why: {}\n  fix: {}\n  code: {}", self.what, self.why, self.fix, self.code)
    }
}
