//! A Bloom filter whose bits for one value stand in two neighbouring words: a lookup touches one cache line.

use std::hint::black_box;
use std::ops::Range;

/// Bits set for a value in each of the two words.
const PROBES: u32 = 3;

/// Says no for nearly all that was not inserted, and never for what was.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    words: Vec<[u64; 2]>,
}

/// What a filter knows a value by, and where the value's bits stand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Probe {
    mixed: u64,
    word: u32,
}

impl Filter {
    /// For so many values with so many bits each.
    pub(crate) fn new(values: usize, bits_each: usize) -> Self {
        Self::of_words(Self::words_for(values, bits_each))
    }

    /// Of so many pairs of words.
    pub(crate) fn of_words(words: usize) -> Self {
        Self { words: vec![[0; 2]; words.max(1)] }
    }

    /// Pairs of words for so many values with so many bits each.
    pub(crate) fn words_for(values: usize, bits_each: usize) -> usize {
        values.saturating_mul(bits_each).div_ceil(128)
    }

    /// How many words there are to put values in.
    pub(crate) fn words(&self) -> u32 {
        self.words.len() as u32
    }

    /// Where a value is, given well mixed.
    #[inline(always)]
    pub(crate) fn probe(&self, mixed: u64) -> Probe {
        self.probe_within(mixed, &(0..self.words()))
    }

    /// Where a value is that is kept in these words.
    #[inline(always)]
    pub(crate) fn probe_within(&self, mixed: u64, words: &Range<u32>) -> Probe {
        // Other bits than those that are set: these are the upper ones.
        let word = words.start + (((mixed >> 32) * u64::from(words.end - words.start)) >> 32) as u32;
        Probe { mixed, word }
    }

    /// Remembers a value.
    pub(crate) fn insert(&mut self, probe: Probe) {
        let [a, b] = bits(probe.mixed);
        let words = &mut self.words[probe.word as usize];
        words[0] |= a;
        words[1] |= b;
    }

    /// May the value have been inserted?
    #[inline(always)]
    pub(crate) fn may_hold(&self, probe: Probe) -> bool {
        let [a, b] = bits(probe.mixed);
        let words = self.words.get(probe.word as usize);
        words.is_some_and(|words| (words[0] & a ^ a) | (words[1] & b ^ b) == 0)
    }

    /// Which of these values (64 at most) may have been inserted, as bits. First all places are touched, with so few
    /// instructions that a core has all misses under way at once, then the bits are compared.
    #[inline(always)]
    pub(crate) fn passing(&self, probes: &[Probe]) -> u64 {
        let first = |probe: &Probe| self.words.get(probe.word as usize).map_or(0, |words| words[0]);
        black_box(probes.iter().fold(0, |all, probe| all ^ first(probe)));
        let each = probes.iter().take(64).enumerate();
        each.fold(0, |bits, (n, probe)| bits | u64::from(self.may_hold(*probe)) << n)
    }

    /// Adds all that another one of the same size holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        let words = self.words.iter_mut().flatten();
        for (word, more) in words.zip(other.words.iter().flatten()) {
            *word |= more;
        }
    }

    /// Bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        16 * self.words.capacity()
    }
}

#[inline(always)]
fn bits(mixed: u64) -> [u64; 2] {
    let of = |mixed: u64| (0..PROBES).fold(0, |bits, probe| bits | 1 << (mixed >> (6 * probe) & 63));
    [of(mixed), of(mixed >> (6 * PROBES))]
}
