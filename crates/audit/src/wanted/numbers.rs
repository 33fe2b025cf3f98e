//! Rows of digits: phone numbers with and without their country codes, IMEIs, IMSIs.
//!
//! Numbers of texts seldom begin as numbers of a list do: they are dates, amounts, and digits that write other characters. So the filter
//! keeps forms together that begin alike: the few places that a text asks about most stay in a core's cache.

use crate::Identifier;
use crate::filter::{Filter, Probe};
use crate::forms::{self, DIGITS_MAX, Writing};
use crate::keys::Keys;
use crate::table::Table;

/// Bits of the filter for each form: 0.3 % of other windows pass.
const FILTER_BITS: usize = 16;

/// Digits that a form begins with, and how many ways there are.
pub(crate) const LEAD_DIGITS: usize = 4;
const LEADS: usize = 10_000;
const _: () = assert!(DIGITS_MAX - LEAD_DIGITS < 16, "a bit for each length");

/// Rows of digits that stand for identifiers.
#[derive(Debug)]
pub(crate) struct Numbers {
    filter: Filter,
    table: Table,
    /// By the first four digits: the lengths that forms have which begin so, as bits.
    begins: Vec<u16>,
    /// By the first four digits: where such forms' words in the filter begin. One more at the end.
    words: Vec<u32>,
    /// Bit n: there are forms of n digits.
    lengths: u32,
}

impl Numbers {
    pub(crate) fn new(identifiers: &[Identifier], keys: &Keys) -> Self {
        let (mut begins, mut forms) = (vec![0; LEADS], vec![0; LEADS]);
        let (mut count, mut lengths) = (0, 0);
        each(identifiers, |digits| {
            count += 1;
            lengths |= 1 << digits.len();
            forms[lead(digits)] += 1;
            begins[lead(digits)] |= 1 << (digits.len() - LEAD_DIGITS);
        });
        let mut words = vec![0];
        words.extend(forms.iter().scan(0, |words, forms| {
            *words += Filter::words_for(*forms, FILTER_BITS) as u32;
            Some(*words)
        }));
        let mut filter = Filter::of_words(words[LEADS] as usize);
        each(identifiers, |digits| {
            let mixed = keys.mixed(value(digits), digits.len() as u64);
            let lead = lead(digits);
            filter.insert(filter.probe_within(mixed, &(words[lead]..words[lead + 1])));
        });
        let table = Table::of(count, |push| {
            for (number, identifier) in (0..).zip(identifiers) {
                for (digits, writing) in forms::digits(identifier) {
                    push(keys.of_digits(value(&digits), digits.len()), number | (writing as u32) << 24);
                }
            }
        });
        Self { filter, table, begins, words, lengths }
    }

    /// How long forms are that begin with these four digits: bit n says that there are some of n.
    #[inline(always)]
    pub(crate) fn lengths_from(&self, lead: u64) -> u32 {
        self.begins.get(lead as usize).map_or(0, |lengths| u32::from(*lengths) << LEAD_DIGITS)
    }

    /// What the filter knows a window by; `lead`: its first four digits.
    #[inline(always)]
    pub(crate) fn probe(&self, keys: &Keys, value: u64, length: usize, lead: u64) -> Probe {
        let words = self.words.get(lead as usize..lead as usize + 2).map_or(0..1, |words| words[0]..words[1]);
        self.filter.probe_within(keys.mixed(value, length as u64), &words)
    }

    /// Which of these windows (at most 64) may be forms, as bits.
    #[inline(always)]
    pub(crate) fn passing(&self, probes: &[Probe]) -> u64 {
        self.filter.passing(probes)
    }

    /// Whose form so many digits of this value are, and which.
    pub(crate) fn of(&self, keys: &Keys, value: u64, length: usize) -> impl Iterator<Item = (u32, Writing)> {
        self.table.meanings(keys.of_digits(value, length)).iter().map(|meaning| {
            let writing = if meaning >> 24 == 1 { Writing::National } else { Writing::Whole };
            (meaning & 0xFF_FFFF, writing)
        })
    }

    pub(crate) fn shortest(&self) -> Option<usize> {
        (self.lengths != 0).then(|| self.lengths.trailing_zeros() as usize)
    }

    /// Of the longest with its separators.
    pub(crate) fn longest(&self) -> usize {
        if self.lengths == 0 { 0 } else { 4 * DIGITS_MAX }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.filter.held_bytes()
            + self.table.held_bytes()
            + 2 * self.begins.capacity()
            + 4 * self.words.capacity()
    }
}

/// Calls `form` for each form.
fn each(identifiers: &[Identifier], mut form: impl FnMut(&str)) {
    for identifier in identifiers {
        forms::digits(identifier).iter().for_each(|(digits, _)| form(digits));
    }
}

/// The first digits of a form.
fn lead(digits: &str) -> usize {
    value(&digits[..LEAD_DIGITS]) as usize
}

/// The number that digits write.
fn value(digits: &str) -> u64 {
    digits.bytes().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
}
