//! What a run says: findings, what was read, what could not be seen, and whether its controls were found.

use crate::{Captured, Finding, Place};
use serde::Serialize;

/// One audit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// What was found, in the order of places; at most [`crate::Limits::findings_max`].
    pub findings: Vec<Finding>,
    /// Findings beyond that bound.
    pub more_findings: u64,
    /// What was read.
    pub scanned: Scanned,
    /// What was not read, or not wholly, and why.
    pub unseen: Vec<Unseen>,
    /// Entries of `unseen` beyond its bound.
    pub more_unseen: u64,
    /// Who spoke with whom in each capture.
    pub captures: Vec<Captured>,
    /// The positive controls.
    pub controls: Controls,
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// Files, objects, tables and captures.
    pub targets: u64,
    /// Bytes read from them.
    pub bytes: u64,
    /// Bytes that came out of containers and decodings beside them.
    pub unpacked_bytes: u64,
}

/// Something that this run can't speak about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// Where.
    pub place: Place,
    /// Why, in words: encrypted, truncated, over a limit, no permission.
    pub why: String,
}

/// Positive controls: canaries planted in every encoding and container, searched in the same run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Controls {
    /// How many were planted.
    pub planted: u64,
    /// The names of those not found: with one missed the run proves nothing and fails.
    pub missed: Vec<String>,
}
