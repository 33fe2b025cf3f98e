//! Fingerprints and what they mean, compact: nine bytes and a little an entry.
//!
//! 256 shards by the first byte of the fingerprint, in each shard buckets by the bits that follow it, in each bucket the last 40
//! bits. Some 60 of 64 bits are compared, so that a million lookups of what is not there among 20 million entries go
//! wrong with a probability of some 2 in 100 000; a filter stands before it and lets few lookups through.

use std::ops::Range;

/// Shards: one for each first byte of a fingerprint.
const SHARDS: usize = 256;
/// Entries of a bucket, at most so many on average.
const BUCKET: usize = 4;

/// A fingerprint (two words) and its meaning, while a table is made.
type Entry = [u32; 3];

/// Which fingerprints, by their first bit: a table of many is made of one half after the other, so that its entries take half the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    First,
    Second,
}

impl Half {
    /// Of a fingerprint.
    pub(crate) fn of(print: u64) -> Self {
        if print >> 63 == 0 { Self::First } else { Self::Second }
    }
}

/// Entries that become a half of a table.
#[derive(Debug, Default)]
pub(crate) struct Entries(Vec<Vec<Entry>>);

impl Entries {
    /// Room for so many in both halves.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        // Shards differ by chance; one that had to grow would take twice its room for a while.
        let each = entries / SHARDS;
        Self((0..SHARDS / 2).map(|_| Vec::with_capacity(each + each / 16 + 8)).collect())
    }

    pub(crate) fn push(&mut self, print: u64, meaning: u32) {
        self.0[(print >> 56) as usize % (SHARDS / 2)].push([(print >> 32) as u32, print as u32, meaning]);
    }
}

/// Fingerprints and what they mean.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Shard>);

#[derive(Debug, Default)]
struct Shard {
    bits: u32,
    starts: Vec<u32>,
    high: Vec<u8>,
    low: Vec<u32>,
    meanings: Vec<u32>,
}

impl Table {
    /// The table of a few: `add` gives all entries, and is called for each half.
    pub(crate) fn of(entries: usize, mut add: impl FnMut(&mut dyn FnMut(u64, u32))) -> Self {
        let mut parts = [Entries::with_capacity(entries)];
        let mut table = Self::default();
        for half in [Half::First, Half::Second] {
            add(&mut |print, meaning| {
                if Half::of(print) == half {
                    parts[0].push(print, meaning);
                }
            });
            table.extend(half, &mut parts);
        }
        table
    }

    /// Adds the next half, of what several threads collected; they are left empty, after the first half with their room.
    pub(crate) fn extend(&mut self, half: Half, parts: &mut [Entries]) {
        let mut entries = Vec::new();
        for at in 0..SHARDS / 2 {
            entries.clear();
            for part in &mut *parts {
                entries.append(&mut part.0[at]);
                if half == Half::Second {
                    part.0[at] = Vec::new();
                }
            }
            entries.sort_unstable();
            entries.dedup();
            self.0.push(Shard::new(&entries));
        }
    }

    /// What a fingerprint means: several identifiers may share a form.
    pub(crate) fn meanings(&self, print: u64) -> &[u32] {
        self.0.get((print >> 56) as usize).map_or(&[], |shard| shard.meanings(print))
    }

    /// Bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        let of = |s: &Shard| {
            s.starts.capacity() * 4 + s.high.capacity() + s.low.capacity() * 4 + s.meanings.capacity() * 4
        };
        self.0.iter().map(of).sum::<usize>() + self.0.len() * size_of::<Shard>()
    }
}

impl Shard {
    /// From sorted entries.
    fn new(entries: &[Entry]) -> Self {
        let bits = (entries.len() / BUCKET + 1).next_power_of_two().ilog2().min(24);
        let mut shard = Self {
            bits,
            starts: vec![0; (1 << bits) + 1],
            high: entries.iter().map(|e| e[0] as u8).collect(),
            low: entries.iter().map(|e| e[1]).collect(),
            meanings: entries.iter().map(|e| e[2]).collect(),
        };
        for entry in entries {
            shard.starts[bucket(entry[0], bits) + 1] += 1;
        }
        for at in 1..shard.starts.len() {
            shard.starts[at] += shard.starts[at - 1];
        }
        shard
    }

    fn meanings(&self, print: u64) -> &[u32] {
        if self.low.is_empty() {
            return &[];
        }
        let at = bucket((print >> 32) as u32, self.bits);
        let within = self.starts[at] as usize..self.starts[at + 1] as usize;
        let same = |n: &usize| self.low[*n] == print as u32 && self.high[*n] == (print >> 32) as u8;
        let Some(first) = within.clone().find(same) else { return &[] };
        let equal: Range<usize> = first..within.end.min(first + (first..within.end).take_while(same).count());
        &self.meanings[equal]
    }
}

/// The bits after the first byte.
fn bucket(high: u32, bits: u32) -> usize {
    (u64::from(high << 8) >> (32 - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::{Entries, Half, Table};

    fn print(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    #[test]
    fn everything_is_found_and_nothing_else() {
        for count in [0, 1, 5, 1_000, 50_000] {
            let mut parts = [Entries::with_capacity(count as usize), Entries::with_capacity(0)];
            let mut table = Table::default();
            for half in [Half::First, Half::Second] {
                for n in (0..count).filter(|n| Half::of(print(*n)) == half) {
                    parts[(n % 2) as usize].push(print(n), n as u32);
                }
                table.extend(half, &mut parts);
            }
            for n in 0..count {
                assert_eq!(table.meanings(print(n)), [n as u32]);
                assert!(table.meanings(print(n + count)).is_empty());
            }
            assert!(table.held_bytes() < 40_000 + 12 * count as usize);
        }
    }

    #[test]
    fn one_form_may_mean_several() {
        let table = Table::of(3, |push| [3, 1, 1].into_iter().for_each(|n| push(print(7), n)));
        assert_eq!(table.meanings(print(7)), [1, 3]);
    }
}
