//! How fast a wave goes, from what its journal says: who became writable at the new home, when, with how much.
//!
//! The journal hears of a batch when it ends, so a rate is that of whole batches. It is one over the last
//! minute, or, where less than two batches ended in it, over the last ten.

use crate::figures::{bytes, count};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Windows of a rate in seconds, the first that shows enough is taken.
const WINDOWS_S: [i64; 2] = [60, 600];

/// What moved, by the second in which it did.
#[derive(Debug, Default)]
pub struct Speed(BTreeMap<i64, Moved>);

/// Counts.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Moved {
    subjects: u64,
    rows: u64,
    bytes: u64,
}

/// So much a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    subjects_per_s: f64,
    rows_per_s: f64,
    bytes_per_s: f64,
    /// Over so many seconds.
    over_s: i64,
}

impl Speed {
    /// Adds a subject's note, in the mover's own form.
    pub fn note(&mut self, at: Timestamp, note: &Value) {
        // What is older says nothing of now, and a wave may have millions.
        let oldest = Timestamp::now() - SignedDuration::from_secs(WINDOWS_S[1]);
        if at < oldest {
            return;
        }
        let sum = |list: &Value, key: &str| -> u64 {
            list.as_array().into_iter().flatten().filter_map(|one| one[key].as_u64()).sum()
        };
        let moved = self.0.entry(at.as_second()).or_default();
        moved.subjects += 1;
        moved.rows += sum(&note["tables"], "rows");
        moved.bytes += sum(&note["tables"], "bytes") + sum(&note["objects"], "size");
    }

    /// The rate until `now`.
    pub fn rate(&self, now: Timestamp) -> Option<Rate> {
        WINDOWS_S.into_iter().find_map(|window| self.rate_over(now, window))
    }

    fn rate_over(&self, now: Timestamp, window: i64) -> Option<Rate> {
        let since = now.as_second() - window;
        let mut seconds = self.0.range(since..);
        let (first, _) = seconds.next()?;
        // From the first batch's end on: what it took to get there is not known.
        let rest: Vec<&Moved> = seconds.map(|(_, moved)| moved).collect();
        let over = now.as_second() - first;
        if rest.is_empty() || over < 1 {
            return None;
        }
        let per_s = |of: fn(&Moved) -> u64| rest.iter().map(|m| of(m)).sum::<u64>() as f64 / over as f64;
        Some(Rate {
            subjects_per_s: per_s(|m| m.subjects),
            rows_per_s: per_s(|m| m.rows),
            bytes_per_s: per_s(|m| m.bytes),
            over_s: over,
        })
    }
}

impl Rate {
    /// How long so many subjects take.
    pub fn time_for(&self, subjects: u64) -> Option<Duration> {
        let seconds = subjects as f64 / self.subjects_per_s;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// `12.5 subjects/s (410 rows/s, 82 KB/s)`
    pub fn words(&self) -> String {
        let (rows, size) = (count(self.rows_per_s.round() as u64), bytes(self.bytes_per_s.round() as u64));
        format!("{:.1} subjects/s ({rows} rows/s, {size}/s)", self.subjects_per_s)
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        json!({
            "subjects_per_s": self.subjects_per_s, "rows_per_s": self.rows_per_s,
            "bytes_per_s": self.bytes_per_s, "over_s": self.over_s,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_what_ended_since_the_first_batch_of_the_window() {
        let now = Timestamp::now();
        let note = json!({ "tables": [{ "rows": 4, "bytes": 100 }], "objects": [{ "size": 60 }] });
        let mut speed = Speed::default();
        let ago = |s: i64| now - SignedDuration::from_secs(s);
        assert_eq!(speed.rate(now), None);
        for at in [ago(20_000), ago(50), ago(25), ago(25), ago(5)] {
            speed.note(at, &note);
        }
        let rate = speed.rate(now).unwrap();
        assert_eq!((rate.over_s, rate.subjects_per_s), (50, 3.0 / 50.0));
        assert_eq!((rate.rows_per_s, rate.bytes_per_s), (12.0 / 50.0, 480.0 / 50.0));
        assert_eq!(rate.time_for(6), Some(Duration::from_secs(100)));
    }

    #[test]
    fn a_slow_wave_has_the_longer_window() {
        let now = Timestamp::now();
        let mut speed = Speed::default();
        speed.note(now - SignedDuration::from_secs(400), &json!({}));
        assert_eq!(speed.rate(now), None, "one batch has no rate");
        speed.note(now - SignedDuration::from_secs(10), &json!({}));
        assert_eq!(speed.rate(now).unwrap().over_s, 400);
        assert_eq!(speed.rate(now).unwrap().time_for(0), Some(Duration::ZERO));
    }
}
