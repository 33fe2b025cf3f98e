//! A Bloom filter whose bits for one value stand in two neighbouring words: a lookup touches one cache line.

use std::ops::Range;

/// Bits set for a value in each of the two words.
const PROBES: u32 = 3;

/// Says no for nearly all that was not inserted, and never for what was.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    words: Vec<[u64; 2]>,
    /// One bit a value, small enough for a core's own cache; empty where there is none.
    front: Vec<u64>,
    /// How far to shift for a bit of the front.
    shift: u32,
}

/// What a filter knows a value by, and where the value's bits stand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Probe {
    mixed: u64,
    word: u32,
}

/// Bits of a front at most.
const FRONT_BITS_MAX: usize = 1 << 22;
/// Bits of a front for each value, at least: else half of all others pass it.
const FRONT_BITS_MIN: usize = 2;

impl Filter {
    /// For so many values with so many bits each.
    pub(crate) fn new(values: usize, bits_each: usize) -> Self {
        let words = vec![[0; 2]; values.saturating_mul(bits_each).div_ceil(128).max(1)];
        Self { words, front: Vec::new(), shift: 0 }
    }

    /// The same with a front: one filter at most, since a core's cache holds one.
    pub(crate) fn fronted(values: usize, bits_each: usize) -> Self {
        let bits = values.saturating_mul(bits_each / 2).next_power_of_two().clamp(64, FRONT_BITS_MAX);
        let front = vec![0; if values.saturating_mul(FRONT_BITS_MIN) > bits { 0 } else { bits / 64 }];
        Self { front, shift: 64 - bits.ilog2(), ..Self::new(values, bits_each) }
    }

    /// How many words there are to put values in.
    pub(crate) fn words(&self) -> u32 {
        self.words.len() as u32
    }

    /// Where a value is, given well mixed.
    #[inline]
    pub(crate) fn probe(&self, mixed: u64) -> Probe {
        self.probe_within(mixed, &(0..self.words()))
    }

    /// Where a value is that is kept in these words.
    #[inline]
    pub(crate) fn probe_within(&self, mixed: u64, words: &Range<u32>) -> Probe {
        // Other bits than those that are set: these are the upper ones.
        let word = words.start + ((mixed >> 32) * u64::from(words.end - words.start) >> 32) as u32;
        Probe { mixed, word }
    }

    /// Remembers a value.
    pub(crate) fn insert(&mut self, probe: Probe) {
        let [a, b] = bits(probe.mixed);
        let words = &mut self.words[probe.word as usize];
        words[0] |= a;
        words[1] |= b;
        let at = self.front_bit(probe.mixed);
        if let Some(word) = self.front.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    /// May the value have been inserted?
    #[inline]
    pub(crate) fn may_hold(&self, probe: Probe) -> bool {
        let at = self.front_bit(probe.mixed);
        if self.front.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 0) {
            return false;
        }
        self.may_hold_passed(probe)
    }

    /// Which of these values (64 at most) may have been inserted, as bits: no branch between the lookups, so that a core has many
    /// under way.
    #[inline]
    pub(crate) fn passing(&self, probes: &[Probe]) -> u64 {
        let each = probes.iter().take(64).enumerate();
        if self.front.is_empty() {
            return each.fold(0, |bits, (n, probe)| bits | u64::from(self.may_hold_passed(*probe)) << n);
        }
        let bit = |mixed: u64| {
            let at = self.front_bit(mixed);
            self.front.get(at / 64).map_or(0, |word| word >> (at % 64) & 1)
        };
        let mut passing = each.fold(0, |bits, (n, probe)| bits | bit(probe.mixed) << n);
        let mut left = passing;
        while left != 0 {
            let n = left.trailing_zeros();
            left &= left - 1;
            passing &= !(u64::from(!self.may_hold_passed(probes[n as usize])) << n);
        }
        passing
    }

    /// Of a value that passed the front: may it have been inserted?
    #[inline]
    fn may_hold_passed(&self, probe: Probe) -> bool {
        let [a, b] = bits(probe.mixed);
        let words = self.words.get(probe.word as usize);
        words.is_some_and(|words| (words[0] & a ^ a) | (words[1] & b ^ b) == 0)
    }

    #[inline]
    fn front_bit(&self, mixed: u64) -> usize {
        // Other bits than those that choose a word.
        (mixed.rotate_left(32) >> self.shift) as usize
    }

    /// Adds all that another one of the same size holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        let words = self.words.iter_mut().flatten().chain(&mut self.front);
        for (word, more) in words.zip(other.words.iter().flatten().chain(&other.front)) {
            *word |= more;
        }
    }

    /// Bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        (2 * self.words.capacity() + self.front.capacity()) * 8
    }
}

#[inline]
fn bits(mixed: u64) -> [u64; 2] {
    let of = |mixed: u64| (0..PROBES).fold(0, |bits, probe| bits | 1 << (mixed >> (6 * probe) & 63));
    [of(mixed), of(mixed >> (6 * PROBES))]
}
