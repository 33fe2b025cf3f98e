//! What was tried, counted from what workers say.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Counts of one run.
#[derive(Debug, Default)]
pub struct Tally {
    pub checks: u32,
    pub shifts: u32,
    pub workers: u32,
    pub waves: u64,
    pub resumed: u64,
    /// Subjects at a new home, and how long each group's pause was.
    pub moved: u64,
    pub pauses_us: Vec<u64>,
    pub erased_rows: u64,
    /// Faults that struck: point, way and side.
    pub struck: BTreeMap<String, u32>,
    /// How often each durable write came about in workers that lived to say so.
    pub passed: BTreeMap<String, u64>,
    /// Kills at a time rather than at a write.
    pub random_kills: u32,
    pub overdue: u32,
    /// Databases stopped, by place.
    pub crashes: BTreeMap<&'static str, u32>,
    /// Subjects that stayed, by reason.
    pub left: BTreeMap<String, u64>,
    /// Errors that workers ended with, numbers left out.
    pub errors: BTreeMap<String, u32>,
}

impl Tally {
    /// Takes in one line of a worker's.
    pub fn hear(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let first = || rest.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        match word {
            "wave" => {
                self.waves += 1;
                self.resumed += u64::from(rest.ends_with("resumed=true"));
            }
            "moved" => {
                self.moved += first();
                let pause = rest.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
                self.pauses_us.extend(pause.filter(|us| *us > 0));
            }
            "erased" => self.erased_rows += first(),
            "left" => {
                let why = rest.split_once(' ').map_or(rest, |(_, why)| why);
                *self.left.entry(plain(why)).or_default() += first();
            }
            "fault" => {
                let fault = rest.rsplit_once(':').map_or(rest, |(fault, _)| fault);
                *self.struck.entry(fault.to_owned()).or_default() += 1;
            }
            "passed" => {
                let (point, times) = rest.split_once(' ').unwrap_or((rest, "0"));
                *self.passed.entry(point.to_owned()).or_default() += times.parse::<u64>().unwrap_or(0);
            }
            "error" => *self.errors.entry(plain(rest)).or_default() += 1,
            _ => {}
        }
    }

    /// Was this write made to fail or die at least once?
    pub fn has_struck(&self, point: &str) -> bool {
        self.struck.keys().any(|fault| fault.split(':').next() == Some(point))
    }

    /// For people.
    pub fn told(&self, took: Duration) -> String {
        let mut text = String::new();
        let mut line = |words: String| {
            let _ = writeln!(text, "  {words}");
        };
        let kills: u32 = self.struck.iter().filter(|(f, _)| f.contains(":dies:")).map(|(_, n)| n).sum();
        line(format!(
            "{} s, {} rounds checked, {} shifts of {} workers",
            took.as_secs(),
            self.checks,
            self.shifts,
            self.workers
        ));
        line(format!(
            "{} subjects moved in {} waves ({} resumed), {} rows erased at old homes",
            self.moved, self.waves, self.resumed, self.erased_rows
        ));
        line(format!("pause, ms: {}", quantiles(&self.pauses_us)));
        line(format!(
            "workers killed (SIGKILL): {kills} times at a write, {} at random times under load; {} too slow and killed",
            self.random_kills, self.overdue
        ));
        let crashes: Vec<_> = self.crashes.iter().map(|(place, n)| format!("{place} {n}")).collect();
        line(format!(
            "databases stopped as by a crash: {}",
            if crashes.is_empty() { "none".into() } else { crashes.join(", ") }
        ));
        let left: Vec<_> = self.left.iter().map(|(why, n)| format!("{n} {why}")).collect();
        line(format!("stayed: {}", if left.is_empty() { "nobody".into() } else { left.join("; ") }));
        text
    }

    /// By write: how often each way of failing struck.
    pub fn told_by_point(&self) -> String {
        let mut text = String::new();
        for point in &crate::points::POINTS {
            let ways = self.struck.iter().filter_map(|(fault, n)| {
                let (name, way) = fault.split_once(':')?;
                (name == point.name).then(|| format!("{} {n}", way.replace(':', " ")))
            });
            let ways: Vec<_> = ways.collect();
            let ways = if ways.is_empty() { "never struck".to_owned() } else { ways.join(", ") };
            let passed = self.passed.get(point.name).copied().unwrap_or(0);
            let _ = writeln!(text, "  {:<17} passed {passed:>6}; {ways}", point.name);
        }
        text
    }
}

/// Without numbers and names of databases, so that the same words are counted together.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if !(c == '#' && out.ends_with('#')) {
            out.push(c);
        }
    }
    out.truncate(out.char_indices().nth(160).map_or(out.len(), |(at, _)| at));
    out
}

fn quantiles(us: &[u64]) -> String {
    let mut sorted = us.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| sorted.get((sorted.len().saturating_sub(1) as f64 * share) as usize);
    match (at(0.5), at(0.99), sorted.last()) {
        (Some(p50), Some(p99), Some(max)) => {
            let ms = |us: &u64| *us as f64 / 1000.0;
            format!("p50 {:.0}, p99 {:.0}, max {:.0} (of {} groups)", ms(p50), ms(p99), ms(max), sorted.len())
        }
        _ => "none measured".into(),
    }
}
