//! What a load counted.

use super::latency::Latency;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Different failures that are shown; all are counted.
const FAILURES_SHOWN_MAX: usize = 20;

/// Counts and latencies of a load.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// People who were signed up.
    pub sign_ups: u64,
    /// Requests that got an answer that is no success, or none at any address for too long.
    pub failed: u64,
    /// Requests that were sent again with the same key, since nobody took their connection, or it broke.
    pub repeated: u64,
    /// Of these, whose connection had been open: they may have been done the first time.
    pub cut: u64,
    /// Answers to reads that did not say what this person wrote last.
    pub wrong: u64,
    /// What failed and how often: method, path's first part, status, the answer's first words.
    pub failures: BTreeMap<String, u64>,
    /// Latency of writes, from when each was due.
    pub latency: Latency,
    /// Latency of reads, from when each was due.
    pub read_latency: Latency,
}

impl Tally {
    /// One more failure, in words without anybody's id.
    pub fn failure(&mut self, what: String) {
        self.failed += 1;
        let known = self.failures.contains_key(&what);
        let what = if known || self.failures.len() < FAILURES_SHOWN_MAX { what } else { "others".to_owned() };
        *self.failures.entry(what).or_default() += 1;
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.sign_ups += other.sign_ups;
        self.failed += other.failed;
        self.repeated += other.repeated;
        self.cut += other.cut;
        self.wrong += other.wrong;
        for (what, n) in &other.failures {
            *self.failures.entry(what.clone()).or_default() += n;
        }
        self.latency.add(&other.latency);
        self.read_latency.add(&other.read_latency);
    }

    /// Requests that were answered as they should be.
    pub fn answered(&self) -> u64 {
        self.writes + self.reads + self.sign_ups
    }
}

fn ms(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, l: &Latency| {
            let at = |share| ms(l.quantile(share));
            writeln!(f, "  {name:<12} p50 {}, p99 {}, longest {}", at(0.5), at(0.99), ms(l.longest()))
        };
        writeln!(
            f,
            "  requests     {} writes, {} reads, {} sign-ups answered",
            self.writes, self.reads, self.sign_ups
        )?;
        line(f, "write", &self.latency)?;
        line(f, "read", &self.read_latency)?;
        writeln!(
            f,
            "  repeated     {} by the client, {} of them cut in the middle",
            self.repeated, self.cut
        )?;
        writeln!(f, "  failed       {}", self.failed)?;
        write!(f, "  wrong        {} reads did not show the person's last write", self.wrong)?;
        self.failures.iter().try_for_each(|(what, n)| write!(f, "\n    {n:>7} times: {what}"))
    }
}
