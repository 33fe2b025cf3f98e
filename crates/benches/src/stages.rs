//! Where a wave's time goes, by stage, from what it tells of itself.

use domicile_mover::progress::{Event, Observer};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Adds up how long batches were in each stage.
#[derive(Default)]
pub struct Stages(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    now: BTreeMap<String, (&'static str, Instant)>,
    sums: BTreeMap<&'static str, (u64, Duration)>,
}

impl Observer for Stages {
    fn event(&self, event: Event) {
        let Event::Stage { batch, stage } = event else { return };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((before, since)) = seen.now.insert(batch, (stage, now)) {
            let sum = seen.sums.entry(before).or_default();
            *sum = (sum.0 + 1, sum.1 + (now - since));
        }
    }
}

impl Stages {
    /// A line for each stage: its share of the batches' time, seconds, times entered.
    pub fn told(&self) -> String {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Duration = seen.sums.values().map(|(_, time)| *time).sum();
        let mut sums: Vec<_> = seen.sums.iter().collect();
        sums.sort_by_key(|(_, (_, time))| std::cmp::Reverse(*time));
        let lines = sums.into_iter().map(|(stage, (times, time))| {
            let share = time.as_secs_f64() / all.as_secs_f64().max(1e-9) * 100.0;
            format!("| {stage} | {share:.0} % | {:.2} | {times} |\n", time.as_secs_f64())
        });
        format!(
            "| stage | share | batch seconds | entered |\n|---|---|---|---|\n{}",
            lines.collect::<String>()
        )
    }
}
