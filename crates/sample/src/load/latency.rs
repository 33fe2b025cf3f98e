//! A histogram of latencies: fixed size, about 1.6 % exact, whatever comes.

use std::time::Duration;

/// Buckets between one power of two and the next.
const STEPS: usize = 64;
/// Powers of two of microseconds: up to about 19 hours.
const POWERS: usize = 30;

/// So many latencies fell into each bucket.
#[derive(Debug, Clone)]
pub struct Latency {
    counts: Vec<u64>,
    count: u64,
    longest: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * (POWERS + 1)], count: 0, longest: Duration::ZERO }
    }
}

impl Latency {
    /// One more.
    pub fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = bucket(us).min(self.counts.len() - 1);
        self.counts[at] += 1;
        self.count += 1;
        self.longest = self.longest.max(took);
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(n, more)| *n += more);
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exactly.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// What the `share` (0 to 1) of them that were fastest took at most.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(upper(at)).min(self.longest);
            }
        }
        self.longest
    }
}

/// Values below [`STEPS`] have a bucket each; above, each power of two has as many.
fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let power = us.ilog2() - STEPS.ilog2();
    (power as usize + 1) * STEPS + (us >> power) as usize - STEPS
}

/// The largest value of a bucket.
fn upper(at: usize) -> u64 {
    let (power, step) = (at / STEPS, at % STEPS);
    if power == 0 { step as u64 } else { (((STEPS + step + 1) as u64) << (power - 1)) - 1 }
}

#[cfg(test)]
mod tests {
    use super::{Latency, bucket, upper};
    use std::time::Duration;

    #[test]
    fn a_value_is_in_its_bucket_and_buckets_are_narrow() {
        for us in (0..5000).chain([1 << 20, (1 << 20) + 12_345, 3_599_999_999]) {
            let at = bucket(us);
            assert!(us <= upper(at), "{us} in {at}");
            assert!(at == 0 || us > upper(at - 1), "{us} in {at}");
            assert!(upper(at) as f64 <= us as f64 * 1.016, "{us} in {at}: {}", upper(at));
        }
    }

    #[test]
    fn quantiles_are_found() {
        let mut all = Latency::default();
        (1..=1000).for_each(|ms| all.record(Duration::from_millis(ms)));
        let near = |share: f64, ms: f64| {
            let found = all.quantile(share).as_secs_f64() * 1000.0;
            assert!((found - ms).abs() <= ms * 0.016, "{found} is not {ms}");
        };
        near(0.5, 500.0);
        near(0.99, 990.0);
        assert_eq!(all.quantile(1.0), Duration::from_secs(1));
        assert_eq!(all.count(), 1000);
    }
}
