//! What a search for traces of the wave's subjects found at the source, after the erase.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Searches kept on one receipt: the latest ones.
pub const RESIDUE_SEARCHES_MAX: usize = 32;
/// Entries of a list of one search, and bytes of each.
const LIST_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 4096;

/// One search (`domicile audit residual`). INVARIANT: names no subject and shows no identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidueSearch {
    /// When it began.
    pub at: Timestamp,
    /// Where: databases, object stores and paths, without credentials.
    pub searched: Vec<String>,
    /// Bytes read there.
    pub bytes: u64,
    /// Identifiers looked for.
    pub identifiers: u64,
    /// Moved subjects of the wave whose identifiers those are, read at their new home.
    pub subjects: u64,
    /// Moved subjects that were not at that home any more: nothing of them was looked for.
    pub subjects_not_there: u64,
    /// Positive controls planted; all of them were found.
    pub controls: u64,
    /// Traces found, by what sort of place (`table`, `file`, `object`, ...).
    pub findings: BTreeMap<String, u64>,
    /// What it could not see.
    pub unseen: Vec<String>,
}

impl ResidueSearch {
    /// Traces found.
    pub fn found(&self) -> u64 {
        self.findings.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// What is wrong with it by itself, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let texts = self.searched.iter().chain(&self.unseen).chain(self.findings.keys());
        if texts
            .clone()
            .any(|t| t.trim().is_empty() || t.len() > TEXT_BYTES_MAX || t.chars().any(char::is_control))
        {
            return Err(
                "a search for residue with a text that is empty, too long or holds a control character"
                    .into(),
            );
        }
        if self.searched.is_empty() || texts.count() > 3 * LIST_MAX {
            return Err("a search for residue that says nowhere, or more than it may".into());
        }
        if self.controls == 0 {
            return Err("a search for residue without controls".into());
        }
        Ok(())
    }

    /// Clauses that complete "It is not proven ...".
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut all = Vec::new();
        let at = self.at;
        if self.found() > 0 {
            all.push(format!(
                "that nothing of the subjects is left at the source: the search of {at} found {}",
                self.found_in_words()
            ));
        }
        if self.subjects_not_there > 0 {
            all.push(format!(
                "that nothing is left of {} subject(s) that had moved on or were deleted before the search of {at}",
                self.subjects_not_there
            ));
        }
        all.extend(
            self.unseen
                .iter()
                .map(|what| format!("that nothing is left in what the search of {at} could not see: {what}")),
        );
        all
    }

    fn found_in_words(&self) -> String {
        let places: Vec<String> =
            self.findings.iter().filter(|(_, n)| **n > 0).map(|(place, n)| format!("{place}: {n}")).collect();
        let n = self.found();
        format!("{n} trace{} ({})", if n == 1 { "" } else { "s" }, places.join(", "))
    }
}

impl fmt::Display for ResidueSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = if self.found() == 0 {
            "nothing found".to_owned()
        } else {
            format!("FOUND {}", self.found_in_words())
        };
        write!(
            f,
            "{}: {found}; {} identifiers of {} subjects looked for in {} bytes of {}; all of {} controls found",
            self.at,
            self.identifiers,
            self.subjects,
            self.bytes,
            self.searched.join(", "),
            self.controls
        )
    }
}
