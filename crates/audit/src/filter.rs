//! A Bloom filter whose bits for one value stand in one word: a lookup touches one cache line.

/// Bits set for a value.
const PROBES: u32 = 3;

/// Says no for nearly all that was not inserted, and never for what was.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// For so many values with so many bits each.
    pub(crate) fn new(values: usize, bits_each: usize) -> Self {
        Self { words: vec![0; values.saturating_mul(bits_each).div_ceil(64).max(1)] }
    }

    /// Remembers a value, given well mixed.
    pub(crate) fn insert(&mut self, mixed: u64) {
        let at = self.word(mixed);
        self.words[at] |= bits(mixed);
    }

    /// May the value have been inserted?
    #[inline]
    pub(crate) fn may_hold(&self, mixed: u64) -> bool {
        let wanted = bits(mixed);
        self.words.get(self.word(mixed)).is_some_and(|word| word & wanted == wanted)
    }

    #[inline]
    fn word(&self, mixed: u64) -> usize {
        ((u128::from(mixed) * self.words.len() as u128) >> 64) as usize
    }

    /// Adds all that another one of the same size holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

#[inline]
fn bits(mixed: u64) -> u64 {
    (0..PROBES).fold(0, |bits, probe| bits | 1 << (mixed >> (6 * probe) & 63))
}
