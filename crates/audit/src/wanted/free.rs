//! Free strings: found by rare pieces of them.
//!
//! Of each string a run of neighbouring pieces (grams) is remembered, as many as the stride is long, so that a scan that looks
//! only at every n-th position of a text meets one of them wherever the string stands. Which run: the one whose pieces are rarest in
//! the list, so that strings with a common beginning are told apart by their ends.

use super::threes::Threes;
use crate::classes::ones;
use crate::filter::{Filter, Probe};
use crate::keys::{Keys, Sort};
use crate::table::Table;
use crate::{Encoding, Identifier, Kind};
use zeroize::Zeroizing;

/// Bits of the filter for each gram: 0.3 % of others pass.
const FILTER_BITS: usize = 16;
/// Counters for how common grams are in the list.
const COUNTERS: usize = 1 << 20;
/// Where a remembered gram may begin, in bytes: it shares a word with the pattern's number.
const POSITION_MAX: usize = 255;

/// How grams are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grams {
    /// Every so many-th position of a text is looked at.
    pub(crate) stride: usize,
    /// Bytes of a gram, at most 8.
    pub(crate) length: usize,
}

impl Grams {
    /// The longest stride for strings of at least `shortest` bytes.
    fn of(shortest: usize) -> Self {
        let stride = match shortest {
            0..6 => 1,
            6..8 => 2,
            8..15 => 4,
            _ => 8,
        };
        Self { stride, length: (shortest + 1 - stride).min(8) }
    }

    /// The gram at the start of `bytes`, as a number.
    #[inline(always)]
    pub(crate) fn value(self, bytes: &[u8]) -> u64 {
        let word = bytes.first_chunk().map_or_else(
            || bytes.iter().take(8).rev().fold(0, |v, b| v << 8 | u64::from(*b)),
            |first| u64::from_le_bytes(*first),
        );
        word & u64::MAX >> (64 - 8 * self.length)
    }

    /// A gram's last three bytes.
    #[inline(always)]
    fn end(self, gram: u64) -> u64 {
        gram >> (8 * self.length.saturating_sub(3))
    }
}

/// One string as it is looked for.
#[derive(Debug)]
struct Pattern {
    identifier: u32,
    length: u16,
    /// UTF-16 of either order, for what no decoder finds.
    how: Option<Encoding>,
    print: u64,
}

/// Free strings.
#[derive(Debug)]
pub(crate) struct Free {
    pub(crate) grams: Grams,
    /// How grams begin and how they end.
    begins: Threes,
    ends: Threes,
    filter: Filter,
    table: Table,
    patterns: Vec<Pattern>,
    shortest: usize,
    longest: usize,
    wide: bool,
    spaced: bool,
    /// Which bytes stand in the strings, however they are spelt.
    bytes: [bool; 256],
}

impl Free {
    pub(crate) fn new(identifiers: &[Identifier], keys: &Keys) -> Self {
        let all = || (0..).zip(identifiers).filter(|(_, i)| i.kind == Kind::Free);
        let lengths = || all().flat_map(|(_, i)| spellings(&i.text)).map(|(bytes, _)| bytes.len());
        let shortest = lengths().min().unwrap_or(8);
        let grams = Grams::of(shortest);
        let count = lengths().count();
        let mut counters = vec![0u8; if count == 0 { 0 } else { COUNTERS }];
        for (_, identifier) in all() {
            for (bytes, _) in spellings(&identifier.text) {
                for gram in bytes.windows(grams.length) {
                    let counter = &mut counters[counter(keys, grams.value(gram))];
                    *counter = counter.saturating_add(1);
                }
            }
        }
        let mut free = Self {
            grams,
            begins: Threes::new(),
            ends: Threes::new(),
            filter: Filter::new(count * grams.stride, FILTER_BITS),
            table: Table::default(),
            patterns: Vec::with_capacity(count),
            shortest: lengths().min().unwrap_or(0),
            longest: lengths().max().unwrap_or(0),
            wide: all().any(|(_, i)| !i.text.is_ascii()),
            spaced: all().any(|(_, i)| i.text.contains(' ')),
            bytes: [false; 256],
        };
        let mut entries = Vec::with_capacity(count * grams.stride);
        for (identifier, text) in all() {
            for (bytes, how) in spellings(&text.text) {
                free.add(identifier, &bytes, how, &counters, keys, &mut entries);
            }
        }
        free.table =
            Table::of(entries.len(), |push| entries.iter().for_each(|(gram, meaning)| push(*gram, *meaning)));
        free
    }

    fn add(
        &mut self,
        identifier: u32,
        bytes: &[u8],
        how: Option<Encoding>,
        counters: &[u8],
        keys: &Keys,
        entries: &mut Vec<(u64, u32)>,
    ) {
        let Grams { stride, length } = self.grams;
        let value = |at: usize| self.grams.value(&bytes[at..at + length]);
        let count = |at: usize| u32::from(counters[counter(keys, value(at))]);
        // A counter is shared by several grams: where the most common ones tie, the others decide.
        let common = |first: &usize| {
            let all = *first..first + stride;
            (all.clone().map(count).max(), all.map(count).sum::<u32>())
        };
        let last = (bytes.len() + 1 - length - stride).min(POSITION_MAX + 1 - stride);
        let first = (0..=last).min_by_key(common).unwrap_or(0);
        let pattern = self.patterns.len() as u32;
        for at in first..first + stride {
            let gram = value(at);
            self.begins.insert(gram);
            self.ends.insert(self.grams.end(gram));
            self.filter.insert(self.filter.probe(keys.mixed(gram, Sort::Gram as u64)));
            entries.push((keys.of_bytes(Sort::Gram, &gram.to_le_bytes()), pattern | (at as u32) << 24));
        }
        bytes.iter().for_each(|b| self.bytes[usize::from(*b)] = true);
        let print = keys.of_bytes(Sort::Free, bytes);
        self.patterns.push(Pattern { identifier, length: bytes.len() as u16, how, print });
    }

    /// Which positions of `text` (at most 64, a stride apart, from `first` on) begin as a remembered gram does, as bits.
    #[inline(always)]
    fn beginning(&self, text: &[u8], first: usize, count: usize) -> u64 {
        if let (8, 64, Some(block)) = (self.grams.stride, count, text[first..].first_chunk::<512>()) {
            // Neighbouring words: the compiler makes vectors of this.
            let (words, _) = block.as_chunks();
            return words
                .iter()
                .enumerate()
                .fold(0, |bits, (n, word)| bits | self.begins.bit(u64::from_le_bytes(*word)) << n);
        }
        let gram = |n: usize| self.grams.value(&text[first + n * self.grams.stride..]);
        (0..count).fold(0, |bits, n| bits | self.begins.bit(gram(n)) << n)
    }

    /// Which of those positions begin and end as remembered grams do, as bits.
    #[inline(always)]
    pub(crate) fn likely(&self, text: &[u8], first: usize, count: usize) -> u64 {
        let end = |n: u32| self.grams.end(self.grams.value(&text[first + n as usize * self.grams.stride..]));
        // No branch that can't be foretold: first how grams begin, then, of few, how they end.
        let begins = self.beginning(text, first, count.min(64));
        ones(begins).fold(0, |bits, n| bits | self.ends.bit(end(n)) << n)
    }

    /// What the filter knows the gram by that stands at the start of `text`.
    #[inline(always)]
    pub(crate) fn probe(&self, keys: &Keys, text: &[u8]) -> Probe {
        self.filter.probe(keys.mixed(self.grams.value(text), Sort::Gram as u64))
    }

    /// Which of these (at most 64) may be remembered grams, as bits.
    #[inline(always)]
    pub(crate) fn passing(&self, probes: &[Probe]) -> u64 {
        self.filter.passing(probes)
    }

    /// Calls `hit` for every string of which the gram at `at` is a piece: its range, whose it is, how it is spelt.
    pub(crate) fn around(
        &self,
        keys: &Keys,
        text: &[u8],
        at: usize,
        mut hit: impl FnMut(std::ops::Range<usize>, u32, Option<Encoding>),
    ) {
        let gram = self.grams.value(&text[at..]);
        for meaning in self.table.meanings(keys.of_bytes(Sort::Gram, &gram.to_le_bytes())) {
            let pattern = &self.patterns[(meaning & 0xFF_FFFF) as usize];
            let Some(start) = at.checked_sub((meaning >> 24) as usize) else { continue };
            let Some(piece) = text.get(start..start + usize::from(pattern.length)) else { continue };
            if keys.of_bytes(Sort::Free, piece) == pattern.print {
                hit(start..start + piece.len(), pattern.identifier, pattern.how);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Has one a space, which a form sends as `+`?
    pub(crate) fn spaced(&self) -> bool {
        self.spaced
    }

    pub(crate) fn shortest(&self) -> Option<usize> {
        (!self.is_empty()).then_some(self.shortest)
    }

    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Does a string have this byte?
    pub(crate) fn spells(&self, byte: u8) -> bool {
        self.bytes[usize::from(byte)]
    }

    pub(crate) fn wide(&self) -> bool {
        self.wide
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.filter.held_bytes() + self.table.held_bytes() + self.patterns.capacity() * size_of::<Pattern>()
    }
}

/// A string as it is, and in UTF-16 if it has more than ASCII: the decoder of UTF-16 knows ASCII by its zero bytes only.
fn spellings(text: &str) -> Vec<(Zeroizing<Vec<u8>>, Option<Encoding>)> {
    let mut all = vec![(Zeroizing::new(text.as_bytes().to_vec()), None)];
    if !text.is_ascii() {
        let units = |bytes: fn(u16) -> [u8; 2]| {
            Zeroizing::new(text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>())
        };
        let wide =
            [(units(u16::to_le_bytes), Encoding::Utf16Le), (units(u16::to_be_bytes), Encoding::Utf16Be)];
        // A string of one or two characters would be as short as to stand anywhere by chance.
        all.extend(
            wide.into_iter()
                .filter(|(b, _)| b.len() >= crate::LENGTH_BYTES_MIN)
                .map(|(b, how)| (b, Some(how))),
        );
    }
    all
}

fn counter(keys: &Keys, gram: u64) -> usize {
    (keys.mixed(gram, Sort::Gram as u64) >> 44) as usize % COUNTERS
}
