//! Sums over the subject lines: computed by the writer and again by whoever verifies.

use crate::{Erasure, Outcome, SubjectRecord};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sums over a wave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Subjects whose home is now the target.
    pub subjects_moved: u64,
    /// Subjects that stayed, each with its code on its line.
    pub subjects_stayed: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of their canonical text.
    pub bytes: u64,
    /// Rows and bytes by table; tables without rows may be missing.
    pub tables: BTreeMap<String, Size>,
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
}

/// Rows and bytes of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// How long writes of the moved subjects were refused, microseconds. Percentiles are nearest-rank over
/// values rounded up to three significant digits, so that anybody can recompute them for any number of
/// subjects in small memory; the longest is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Half of the pauses were at most this long.
    pub p50_us: u64,
    /// 99 of 100 were.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// The most tables in one file; more would let a forged file eat memory.
const TABLES_MAX: usize = 50_000;

/// Adds up lines as they pass. Memory: the tables, and at most 900 pauses for each power of ten.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    totals: Totals,
    pauses: BTreeMap<u64, u64>,
    pause_us_max: u64,
    /// Moved subjects without a time of erasure.
    not_erased: u64,
    /// Moved subjects with one.
    erased: u64,
}

impl Tally {
    /// Adds one line; says what is wrong where a sum leaves 64 bits.
    pub(crate) fn add(&mut self, line: &SubjectRecord) -> Result<(), String> {
        if line.outcome != Outcome::Moved {
            self.totals.subjects_stayed += 1;
            return Ok(());
        }
        self.totals.subjects_moved += 1;
        match line.logically_erased_at {
            Some(_) => self.erased += 1,
            None => self.not_erased += 1,
        }
        if let Some(us) = line.pause_us {
            *self.pauses.entry(three_digits_up(us)).or_default() += 1;
            self.pause_us_max = self.pause_us_max.max(us);
        }
        self.add_sizes(line).ok_or_else(|| "the sums leave 64 bits, or there are too many tables".into())
    }

    fn add_sizes(&mut self, line: &SubjectRecord) -> Option<()> {
        let sum = &mut self.totals;
        for t in &line.tables {
            if !sum.tables.contains_key(&t.table) {
                (sum.tables.len() < TABLES_MAX).then_some(())?;
                sum.tables.insert(t.table.clone(), Size::default());
            }
            let size = sum.tables.get_mut(&t.table)?;
            size.rows = size.rows.checked_add(t.rows)?;
            size.bytes = size.bytes.checked_add(t.bytes)?;
            sum.rows = sum.rows.checked_add(t.rows)?;
            sum.bytes = sum.bytes.checked_add(t.bytes)?;
        }
        if let Some(o) = &line.objects {
            sum.objects = sum.objects.checked_add(o.count)?;
            sum.object_bytes = sum.object_bytes.checked_add(o.bytes)?;
        }
        Some(())
    }

    /// Where lines and erasure statement contradict each other: what is wrong.
    pub(crate) fn check_erasure(&self, erasure: &Erasure) -> Result<(), String> {
        match erasure {
            Erasure::Pending(_) if self.erased > 0 => {
                Err("erasure is pending, but subjects have a time of erasure".into())
            }
            Erasure::LogicallyErased(_) if self.not_erased > 0 => {
                Err("logically erased, but moved subjects have no time of erasure".into())
            }
            _ => Ok(()),
        }
    }

    /// The sums, and the pauses if there was one.
    pub(crate) fn finish(self) -> (Totals, Option<Pause>) {
        let n: u64 = self.pauses.values().sum();
        let pause = (n > 0).then(|| Pause {
            p50_us: self.percentile(n, 50).min(self.pause_us_max),
            p99_us: self.percentile(n, 99).min(self.pause_us_max),
            max_us: self.pause_us_max,
        });
        (self.totals, pause)
    }

    /// Nearest rank: the smallest value that at least `percent` of the `n` values do not exceed.
    fn percentile(&self, n: u64, percent: u64) -> u64 {
        let rank = (u128::from(n) * u128::from(percent)).div_ceil(100);
        let mut seen = 0u128;
        for (us, count) in &self.pauses {
            seen += u128::from(*count);
            if seen >= rank {
                return *us;
            }
        }
        self.pause_us_max
    }
}

/// Rounded up to three significant digits: 1001 -> 1010.
fn three_digits_up(value: u64) -> u64 {
    let step = 10u64.pow(value.checked_ilog10().unwrap_or(0).saturating_sub(2));
    value.div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn line(pause_us: u64) -> SubjectRecord {
        SubjectRecord {
            commitment: Digest([0; 32]),
            epoch_before: 1,
            epoch_after: 2,
            tables: vec![],
            objects: None,
            fenced_at: None,
            pause_us: Some(pause_us),
            logically_erased_at: None,
            outcome: Outcome::Moved,
        }
    }

    #[test]
    fn rounds_up_to_three_digits() {
        let got = [0, 7, 999, 1000, 1001, 12_345, u64::MAX].map(three_digits_up);
        assert_eq!(got, [0, 7, 999, 1000, 1010, 12_400, u64::MAX]);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut tally = Tally::default();
        (1..=200).for_each(|us| tally.add(&line(us)).unwrap());
        assert_eq!(tally.finish().1, Some(Pause { p50_us: 100, p99_us: 198, max_us: 200 }));

        let mut one = Tally::default();
        one.add(&line(12_345)).unwrap();
        assert_eq!(one.finish().1, Some(Pause { p50_us: 12_345, p99_us: 12_345, max_us: 12_345 }));
        assert_eq!(Tally::default().finish().1, None);
    }

    #[test]
    fn a_sum_that_leaves_64_bits_is_refused() {
        let mut tally = Tally::default();
        let huge = |table: &str| crate::TableRows {
            table: table.into(),
            rows: u64::MAX,
            bytes: 0,
            digest: Digest([0; 32]),
        };
        let line = SubjectRecord { tables: vec![huge("a"), huge("b")], ..line(1) };
        assert!(tally.add(&line).is_err());
    }
}
