//! What a batch leaves behind: the record the journal stores and the receipts are made of.
//!
//! It lives in the source region's `domicile.batch`, since it names subjects; after erase and
//! evidence it is removed with the batch.

use domicile_stores::records::{SubjectId, TableDigest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How far a batch has come, durably. Stages under the fence are not written down: they are read
/// from the states in the region's own database, which can't be older than the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Reached {
    /// The batch is in the journal; nothing was copied for certain.
    #[default]
    Planned,
    /// A copy stands at the target as `arriving`.
    Copied,
    /// Every subject is at its new home, or left the batch.
    Activated,
    /// The old home holds nothing of the moved subjects.
    Erased,
}

/// A batch's record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    /// How far it has come.
    pub reached: Reached,
    /// One note a subject.
    pub subjects: BTreeMap<SubjectId, SubjectNote>,
}

/// What is known of one subject's move.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SubjectNote {
    /// The epoch at the old home.
    pub epoch: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Digests at the last snapshot in which both sides were compared whole.
    pub tables: Vec<TableDigest>,
    /// Rows that changed after that snapshot and were compared one by one under the fence.
    pub rechecked: u64,
    /// Its objects.
    pub objects: Vec<ObjectNote>,
    /// Keys of objects that a copy was begun of, written before the first byte: what a dead worker left at
    /// the target and no row names any more is found by these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub begun: BTreeSet<String>,
    /// When the first write was refused.
    pub fenced_at: Option<Timestamp>,
    /// From the first refused to the first accepted write, in microseconds; `None` where the worker
    /// was replaced in between, so that nobody measured it.
    pub pause_us: Option<u64>,
    /// When the new home became writable.
    pub activated_at: Option<Timestamp>,
    /// When the old home was read back empty of this move's copy.
    pub erased_at: Option<Timestamp>,
    /// It had come back to the old home by then, where its old copy was replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub came_back: bool,
    /// Rows erased at the old home.
    pub erased_rows: u64,
    /// Objects (all their listed versions) erased at the old home.
    pub erased_objects: u64,
}

/// How a subject's part in a batch ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "lowercase")]
pub enum Outcome {
    /// Not ended yet.
    #[default]
    Open,
    /// At its new home.
    Moved,
    /// Left the batch: at its old home, writable, the target empty of it.
    Left {
        /// Why, as a stable code.
        code: LeftCode,
        /// Why in words, without naming the subject.
        why: String,
    },
}

/// Why a subject left its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftCode {
    /// Its writers never paused long enough; it goes with a later batch.
    Busy,
    /// Source and target differed again and again.
    Differs,
    /// A unique value of it is taken at the target.
    Taken,
    /// The wave was aborted, or it was a rehearsal.
    Aborted,
    /// It was not at home at the source any more.
    Gone,
    /// A row ties it to another subject by a column answered `refuse`.
    Tied,
}

impl LeftCode {
    /// The code on receipts and in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            LeftCode::Busy => "busy",
            LeftCode::Differs => "differs",
            LeftCode::Taken => "taken",
            LeftCode::Aborted => "aborted",
            LeftCode::Gone => "gone",
            LeftCode::Tied => "tied",
        }
    }
}

/// One object that moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectNote {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256, hex, of the bytes that were copied.
    pub sha256: String,
    /// The source's ETag at that time.
    pub etag: String,
}
