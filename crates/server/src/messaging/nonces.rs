//! Proofs that were used, for as long as one could be used again.
//!
//! Two halves that take turns: the older one is forgotten whole once all in it is out of date. So forgetting costs nothing at
//! a request, and what is held is bounded by the limit.

use super::limits::CLOCK;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A proof made at the edge of what is accepted is good for twice the clock's tolerance.
const GOOD_FOR: Duration = Duration::from_secs(2 * CLOCK.as_secs() + 1);

/// What is remembered of a proof: a hash of device and nonce, 16 bytes.
pub(super) type Mark = [u8; 16];

/// Was it new?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Yes, and it is remembered.
    New,
    /// It was used before.
    Before,
    /// There is no room to remember it, so it can't be accepted.
    Full,
}

/// Proofs that were used.
#[derive(Debug)]
pub(super) struct Nonces {
    most: usize,
    halves: Mutex<Halves>,
}

#[derive(Debug)]
struct Halves {
    young: HashSet<Mark>,
    old: HashSet<Mark>,
    turned: Instant,
}

impl Nonces {
    /// None yet; `most` are remembered at once.
    pub fn new(most: usize) -> Self {
        let halves = Halves { young: HashSet::new(), old: HashSet::new(), turned: Instant::now() };
        Self { most, halves: Mutex::new(halves) }
    }

    /// Notes one at `now`.
    pub fn note(&self, mark: Mark, now: Instant) -> Seen {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(halves.turned);
        if age >= GOOD_FOR {
            // INVARIANT: what is in `old` was noted before the last turn, so longer ago than a proof is good.
            halves.old = std::mem::take(&mut halves.young);
            halves.turned = now;
            if age >= 2 * GOOD_FOR {
                halves.old.clear();
            }
        }
        if halves.young.contains(&mark) || halves.old.contains(&mark) {
            return Seen::Before;
        }
        if halves.young.len() + halves.old.len() >= self.most {
            return Seen::Full;
        }
        halves.young.insert(mark);
        Seen::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(n: u8) -> Mark {
        [n; 16]
    }

    #[test]
    fn a_proof_is_used_once_for_as_long_as_it_is_good() {
        let nonces = Nonces::new(10);
        let began = Instant::now();
        for n in 0..4 {
            // Whatever moment of a turn it is noted at.
            let noted = began + GOOD_FOR * u32::from(n) + GOOD_FOR / 3 * u32::from(n);
            assert_eq!(nonces.note(mark(n), noted), Seen::New);
            for later in [Duration::ZERO, GOOD_FOR / 2, GOOD_FOR - Duration::from_millis(1)] {
                assert_eq!(nonces.note(mark(n), noted + later), Seen::Before, "{n} {later:?}");
            }
        }
    }

    #[test]
    fn what_can_not_be_remembered_is_not_accepted() {
        let nonces = Nonces::new(2);
        let now = Instant::now();
        assert_eq!([1, 2, 3].map(|n| nonces.note(mark(n), now)), [Seen::New, Seen::New, Seen::Full]);
        assert_eq!(nonces.note(mark(1), now), Seen::Before);
        // Two turns later all of it is out of date.
        assert_eq!(nonces.note(mark(3), now + GOOD_FOR), Seen::Full);
        assert_eq!(nonces.note(mark(3), now + 2 * GOOD_FOR), Seen::New);
    }
}
