//! So much at once and so much a second, for each of many: a bucket of tokens each, the least recently used one forgotten.

use hashlink::LruCache;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Buckets.
pub(super) struct Rates {
    buckets: Mutex<LruCache<String, Bucket>>,
    burst: f64,
    per_s: f64,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// For `kept` at most. One that is forgotten begins with a full bucket: so many have to come in between.
    pub fn new(kept: usize, burst: u32, per_s: f64) -> Self {
        Self { buckets: Mutex::new(LruCache::new(kept.max(1))), burst: f64::from(burst.max(1)), per_s }
    }

    /// Takes one; how long it is until there is one again, where there is none.
    pub fn take(&self, whose: &str, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket { left: self.burst, at: now };
        let mut bucket = buckets.get(whose).copied().unwrap_or(full);
        // A clock that goes back adds nothing.
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * self.per_s).min(self.burst);
        bucket.at = now.max(bucket.at);
        let taken = bucket.left >= 1.0;
        if taken {
            bucket.left -= 1.0;
        }
        buckets.insert(whose.to_owned(), bucket);
        if taken { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - bucket.left) / self.per_s)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let rates = Rates::new(10, 3, 2.0);
        let begun = Instant::now();
        assert!((0..3).all(|_| rates.take("ann", begun).is_ok()));
        assert_eq!(rates.take("ann", begun), Err(Duration::from_millis(500)));
        assert!(rates.take("bob", begun).is_ok(), "each for itself");
        let later = begun + Duration::from_secs(1);
        assert!((0..2).all(|_| rates.take("ann", later).is_ok()));
        assert!(rates.take("ann", begun).is_err(), "a clock that goes back gives nothing");
    }

    #[test]
    fn no_more_are_remembered_than_may() {
        let (rates, now) = (Rates::new(4, 1, 1.0), Instant::now());
        for n in 0..100 {
            assert!(rates.take(&n.to_string(), now).is_ok());
        }
        assert_eq!(rates.buckets.lock().unwrap().len(), 4);
    }
}
