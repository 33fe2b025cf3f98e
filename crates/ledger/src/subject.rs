//! One subject's line: what the mover hands in, and what stands on the receipt.

use crate::{Digest, ReceiptSecret, secret::OBJECTS};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the mover knows of one subject of the wave; becomes a [`SubjectRecord`] in
/// [`crate::ReceiptWriter::push`], which leaves the id behind and blinds the digests.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectMove {
    /// The subject's key as canonical text, the empty one too: what a database takes as a key has a receipt.
    pub subject: String,
    /// The epoch before the wave.
    pub epoch_before: u64,
    /// The epoch after: one more if it moved, the same if it stayed.
    pub epoch_after: u64,
    /// Rows by table, any order, each table once; plain digests. Tables without rows may be left out.
    pub tables: Vec<TableRows>,
    /// Objects; `None`: the subject has none. Plain digest.
    pub objects: Option<Objects>,
    /// When its writes were first refused.
    pub fenced_at: Option<Timestamp>,
    /// From the first refused to the first accepted write, microseconds.
    pub pause_us: Option<u64>,
    /// When the source held no live row or object of it any more.
    pub logically_erased_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Outcome,
}

impl fmt::Debug for SubjectMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectMove(subject not shown, {:?})", self.outcome)
    }
}

/// One subject's line of a receipts file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectRecord {
    /// SHA-256(salt || subject id). INVARIANT: first field, so that lines sort by it.
    pub commitment: Digest,
    /// The epoch before the wave.
    pub epoch_before: u64,
    /// The epoch after.
    pub epoch_after: u64,
    /// Rows by table, ascending by the table's name; blinded digests ([`crate::Salt::blind`]).
    pub tables: Vec<TableRows>,
    /// Objects; blinded digest.
    pub objects: Option<Objects>,
    /// When its writes were first refused.
    pub fenced_at: Option<Timestamp>,
    /// From the first refused to the first accepted write, microseconds.
    pub pause_us: Option<u64>,
    /// When the source held no live row or object of it any more; set where the header's erasure
    /// statement is not pending, which says what that means.
    pub logically_erased_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRows {
    /// Qualified name.
    pub table: String,
    /// Rows.
    pub rows: u64,
    /// Bytes of their canonical text.
    pub bytes: u64,
    /// SHA-256 over the rows' own SHA-256 values in ascending order (ARCHITECTURE.md); equal on both sides.
    pub digest: Digest,
}

/// A subject's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// How many.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 over the objects, in the mover's definition; equal on both sides.
    pub digest: Digest,
}

/// How a subject came out of the wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// Its home is the target.
    Moved,
    /// Its home is the source as before; no rows, objects or erasure are listed for it.
    Stayed {
        /// A stable code of lower-case letters, digits and `-`, 1 to 40 bytes, e.g. `straggler`. Not a
        /// sentence: an engine's message could hold values of rows.
        code: String,
    },
}

impl SubjectRecord {
    /// The line of a subject, or what is wrong with what was handed in.
    pub(crate) fn of(wave: &str, secret: &ReceiptSecret, from: SubjectMove) -> Result<Self, String> {
        let salt = secret.salt(wave, &from.subject);
        let mut tables = from.tables;
        tables.sort_by(|a, b| a.table.cmp(&b.table));
        for t in &mut tables {
            t.digest = salt.blind(&t.table, &t.digest);
        }
        let objects = from.objects.map(|o| Objects { digest: salt.blind(OBJECTS, &o.digest), ..o });
        let record = Self {
            commitment: salt.commit(&from.subject),
            epoch_before: from.epoch_before,
            epoch_after: from.epoch_after,
            tables,
            objects,
            fenced_at: from.fenced_at,
            pause_us: from.pause_us,
            logically_erased_at: from.logically_erased_at,
            outcome: from.outcome,
        };
        record.check()?;
        Ok(record)
    }

    /// What is wrong with the line by itself, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        // Control characters are kept out so that no table can be called like OBJECTS.
        if self.tables.iter().any(|t| t.table.is_empty() || t.table.chars().any(char::is_control)) {
            return Err("a table's name is empty or holds a control character".into());
        }
        if !self.tables.is_sorted_by(|a, b| a.table < b.table) {
            return Err("a table stands twice, or tables are not in order".into());
        }
        match &self.outcome {
            Outcome::Moved if self.epoch_before.checked_add(1) != Some(self.epoch_after) => {
                Err("moved, but the epoch did not grow by one".into())
            }
            Outcome::Moved => Ok(()),
            Outcome::Stayed { code } => self.check_stayed(code),
        }
    }

    fn check_stayed(&self, code: &str) -> Result<(), String> {
        let is_code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if code.is_empty() || code.len() > 40 || !code.bytes().all(is_code) {
            return Err(
                "why a subject stayed is not a code of 1 to 40 lower-case letters, digits and `-`".into()
            );
        }
        if self.epoch_before != self.epoch_after {
            return Err("stayed, but the epoch changed".into());
        }
        if !self.tables.is_empty() || self.objects.is_some() || self.logically_erased_at.is_some() {
            return Err("stayed, but rows, objects or an erasure are listed".into());
        }
        Ok(())
    }
}
