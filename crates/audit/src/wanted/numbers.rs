//! Rows of digits: phone numbers with and without their country codes, IMEIs, IMSIs.

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

/// Rows of digits that stand for identifiers.
#[derive(Debug)]
pub(crate) struct Numbers {
    filter: Filter,
    table: Table,
    /// How forms begin: a bit for each length and the first four digits.
    begins: Vec<u64>,
    /// Bit n: there are forms of n digits.
    lengths: u32,
}

impl Numbers {
    pub(crate) fn new(identifiers: &[Identifier], keys: &Keys) -> Self {
        let count = identifiers.iter().map(|i| forms::digits(i).len()).sum();
        let mut filter = Filter::fronted(count, FILTER_BITS);
        let mut lengths = 0;
        let mut begins = vec![0u64; ((DIGITS_MAX + 1) * LEADS).div_ceil(64)];
        for identifier in identifiers {
            for (digits, _) in forms::digits(identifier) {
                filter.insert(filter.probe(keys.mixed(value(&digits), digits.len() as u64)));
                lengths |= 1 << digits.len();
                let lead = digits[..LEAD_DIGITS].bytes().fold(0, |v, d| v * 10 + usize::from(d - b'0'));
                let bit = digits.len() * LEADS + lead;
                begins[bit / 64] |= 1 << (bit % 64);
            }
        }
        let table = Table::of(count, |push| {
            for (number, identifier) in (0..).zip(identifiers) {
                for (digits, writing) in forms::digits(identifier) {
                    push(keys.of_digits(value(&digits), digits.len()), number | (writing as u32) << 24);
                }
            }
        });
        Self { filter, table, begins, lengths }
    }

    /// Lengths of forms, as bits.
    pub(crate) fn lengths(&self) -> u32 {
        self.lengths
    }

    /// May so many digits be a form that begin with these four?
    #[inline]
    pub(crate) fn may_begin(&self, lead: u64, length: usize) -> bool {
        let bit = length * LEADS + lead as usize;
        self.begins.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// What the filter knows a window by.
    #[inline]
    pub(crate) fn probe(&self, keys: &Keys, value: u64, length: usize) -> Probe {
        self.filter.probe(keys.mixed(value, length as u64))
    }

    /// Which of these windows (at most 64) may be forms, as bits.
    #[inline]
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
        self.filter.held_bytes() + self.table.held_bytes()
    }
}

/// The number that digits write.
fn value(digits: &str) -> u64 {
    digits.bytes().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
}
