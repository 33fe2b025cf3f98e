//! The log of acknowledged writes: what every row may hold now.
//!
//! Each row has one writer, so its writes have an order. An acknowledged write leaves one possibility; one whose
//! outcome nobody knows, since the server was gone, adds one.

use super::rows::{Row, Table};
use crate::Fallible;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a row may hold, as text; `None`: it is not there.
pub type Possible = Vec<Option<String>>;

/// What is known of a row.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub possible: Possible,
    /// When the last write was acknowledged, from the start of the log.
    pub at: Duration,
    /// The subject by the writer's word.
    pub subject: i64,
    /// The region that acknowledged last.
    pub region: &'static str,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged.
    Done,
    /// A row was not there: rolled back.
    NotHere,
    /// Refused, by the guard's, the engine's or a constraint's code: rolled back.
    Refused(String),
    /// The connection broke before COMMIT was sent.
    Down,
    /// The connection broke while COMMIT was under way.
    Unknown,
}

/// What a transaction leaves of a row.
#[derive(Debug, Clone)]
pub struct Effect {
    pub table: Table,
    pub id: i64,
    /// `None`: deleted.
    pub after: Option<String>,
}

/// The log.
pub struct Log {
    started: Instant,
    pub rows: BTreeMap<(Table, i64), Known>,
    /// Transactions acknowledged, and the rows they wrote.
    pub acknowledged: u64,
    pub written: u64,
    pub unknown: u64,
    pub refused: BTreeMap<String, u64>,
    file: BufWriter<File>,
}

impl Log {
    /// A new log with a copy on disk, a line a transaction.
    pub fn create(file: &Path) -> Fallible<Self> {
        Ok(Self {
            started: Instant::now(),
            rows: BTreeMap::new(),
            acknowledged: 0,
            written: 0,
            unknown: 0,
            refused: BTreeMap::new(),
            file: BufWriter::new(File::create(file)?),
        })
    }

    /// A row that was there at the start.
    pub fn found(&mut self, row: &Row, region: &'static str) {
        let possible = vec![Some(row.to_string())];
        self.rows.insert(row.key(), Known { possible, region, ..Known::default() });
    }

    /// What a transaction came to.
    pub fn note(
        &mut self,
        writer: u64,
        subject: i64,
        region: &'static str,
        effects: &[Effect],
        outcome: &Outcome,
    ) {
        let at = self.started.elapsed();
        match outcome {
            Outcome::Done => {
                self.acknowledged += 1;
                self.written += effects.len() as u64;
            }
            Outcome::Unknown => self.unknown += 1,
            Outcome::Refused(code) => {
                *self.refused.entry(code.clone()).or_default() += 1;
                return;
            }
            Outcome::NotHere | Outcome::Down => return,
        }
        for effect in effects {
            let known = self.rows.entry((effect.table, effect.id)).or_default();
            if known.possible.is_empty() {
                known.possible.push(None);
            }
            if *outcome == Outcome::Done {
                known.possible = vec![effect.after.clone()];
                (known.at, known.subject, known.region) = (at, subject, region);
            } else if !known.possible.contains(&effect.after) {
                known.possible.push(effect.after.clone());
            }
        }
        let effects: Vec<_> = effects.iter().map(|e| json!([e.table.name(), e.id, e.after])).collect();
        let line = json!({
            "ms": at.as_millis() as u64, "writer": writer, "subject": subject, "region": region,
            "known": *outcome == Outcome::Done, "rows": effects,
        });
        let _ = writeln!(self.file, "{line}");
    }

    /// Everything on disk.
    pub fn flush(&mut self) {
        let _ = self.file.flush();
    }
}
