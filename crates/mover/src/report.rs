//! What a wave did, in numbers, from the records its batches left.

use crate::error::Result;
use crate::journal;
use crate::members::Skipped;
use crate::record::{Outcome, Record};
use crate::service::{Region, Service};
use crate::wave::WaveNote;
use domicile_stores::records::Size;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Numbers of one wave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaveReport {
    /// The wave.
    pub wave: String,
    /// From.
    pub from: String,
    /// To.
    pub to: String,
    /// Subjects at their new home.
    pub subjects: u64,
    /// Subjects that stayed, by reason.
    pub left: BTreeMap<String, u64>,
    /// Subjects of the plan that were not tried, by reason.
    pub skipped: Skipped,
    /// Rows and bytes by table, as compared.
    pub tables: BTreeMap<String, Size>,
    /// Objects moved.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Measured pauses, ascending, microseconds.
    #[serde(skip)]
    pub pauses_us: Vec<u64>,
    /// Subjects whose pause nobody measured, since their worker was replaced.
    pub pauses_unmeasured: u64,
    /// Subjects of the plan's list wait for the next `move` of it (`--first`).
    pub unfinished: bool,
    /// Rows of subjects that earlier runs had moved.
    pub rows_before: u64,
    /// This run's time.
    pub elapsed_ms: u64,
    /// Where the receipts are.
    pub receipts: Option<PathBuf>,
    /// What scrubbing did, after an erase.
    pub scrubbed: Option<String>,
}

impl WaveReport {
    /// Adds up the wave's batches, one after the other.
    pub(crate) async fn gather(
        service: &Service,
        from: &Region,
        wave: &str,
        note: &WaveNote,
        elapsed: Duration,
    ) -> Result<Self> {
        let mut report = Self {
            wave: wave.to_owned(),
            from: note.planned.from.clone(),
            to: note.planned.to.clone(),
            subjects: 0,
            left: BTreeMap::new(),
            skipped: Skipped::new(),
            tables: BTreeMap::new(),
            objects: 0,
            object_bytes: 0,
            pauses_us: Vec::new(),
            pauses_unmeasured: 0,
            unfinished: false,
            rows_before: 0,
            elapsed_ms: elapsed.as_millis() as u64,
            receipts: None,
            scrubbed: None,
        };
        for batch in journal::batches(from, wave).await? {
            report.add(service, &journal::record(from, wave, &batch).await?);
        }
        report.pauses_us.sort_unstable();
        Ok(report)
    }

    fn add(&mut self, service: &Service, record: &Record) {
        for note in record.subjects.values() {
            match &note.outcome {
                Outcome::Open => continue,
                Outcome::Left { why, .. } => {
                    *self.left.entry(why.clone()).or_default() += 1;
                    continue;
                }
                Outcome::Moved => self.subjects += 1,
            }
            for digest in &note.tables {
                let size =
                    self.tables.entry(service.layout.tables[digest.table].name.to_string()).or_default();
                *size = Size { rows: size.rows + digest.rows, bytes: size.bytes + digest.bytes };
            }
            self.objects += note.objects.len() as u64;
            self.object_bytes += note.objects.iter().map(|o| o.size).sum::<u64>();
            match note.pause_us {
                Some(us) => self.pauses_us.push(us),
                None => self.pauses_unmeasured += 1,
            }
        }
    }

    /// Rows and bytes in all tables.
    pub fn size(&self) -> Size {
        self.tables
            .values()
            .fold(Size::default(), |sum, s| Size { rows: sum.rows + s.rows, bytes: sum.bytes + s.bytes })
    }

    /// The pause that `share` (0 to 1) of the subjects did not exceed, in microseconds.
    pub fn pause_us(&self, share: f64) -> Option<u64> {
        let last = self.pauses_us.len().checked_sub(1)?;
        let at = (last as f64 * share).ceil() as usize;
        self.pauses_us.get(at).copied()
    }
}
