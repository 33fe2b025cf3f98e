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

/// Entries that become a table.
#[derive(Debug)]
pub(crate) struct Entries(Vec<Vec<Entry>>);

impl Entries {
    /// Room for so many.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self((0..SHARDS).map(|_| Vec::with_capacity(entries / SHARDS)).collect())
    }

    pub(crate) fn push(&mut self, print: u64, meaning: u32) {
        self.0[(print >> 56) as usize].push([(print >> 32) as u32, print as u32, meaning]);
    }
}

/// Fingerprints and what they mean.
#[derive(Debug)]
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
    /// The table of what several threads collected. Shard by shard, so that no second copy of all is ever held.
    pub(crate) fn new(mut parts: Vec<Entries>) -> Self {
        let shard = |at: usize, parts: &mut Vec<Entries>| {
            let mut all = parts.iter_mut().map(|part| std::mem::take(&mut part.0[at]));
            let mut entries = all.next().unwrap_or_default();
            all.for_each(|more| entries.extend_from_slice(&more));
            entries.sort_unstable();
            entries.dedup();
            Shard::new(&entries)
        };
        Self((0..SHARDS).map(|at| shard(at, &mut parts)).collect())
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
    use super::{Entries, Table};

    fn print(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    #[test]
    fn everything_is_found_and_nothing_else() {
        for count in [0, 1, 5, 1_000, 50_000] {
            let mut parts = [Entries::with_capacity(count as usize), Entries::with_capacity(0)];
            for n in 0..count {
                parts[(n % 2) as usize].push(print(n), n as u32);
            }
            let table = Table::new(parts.into());
            for n in 0..count {
                assert_eq!(table.meanings(print(n)), [n as u32]);
                assert!(table.meanings(print(n + count)).is_empty());
            }
            assert!(table.held_bytes() < 40_000 + 12 * count as usize);
        }
    }

    #[test]
    fn one_form_may_mean_several() {
        let mut entries = Entries::with_capacity(3);
        for n in [3, 1, 1] {
            entries.push(print(7), n);
        }
        assert_eq!(Table::new(vec![entries]).meanings(print(7)), [1, 3]);
    }
}
