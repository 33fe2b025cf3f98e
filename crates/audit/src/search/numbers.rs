//! Rows of digits: every window of one that has the length of a form is looked up.
//!
//! A byte beside a number may look like a digit (a length before a string is such a byte in many files), so windows within a row
//! are looked up as well, and said to be within one. Across separators a window begins at most three digits after the start of
//! a group and ends at most one before the end of one.

use super::Search;
use crate::Encoding;
use crate::classes::{Classes, bits_from, ones, run_end};
use crate::forms::{DIGITS_MAX, Writing};
use crate::level::Level;
use crate::wanted::LEAD_DIGITS;
use std::ops::Range;

/// From so many digits on, a window within a longer row of digits counts; a shorter one stands there by chance.
pub(crate) const WITHIN_DIGITS_MIN: usize = 10;
/// Bytes between two groups of digits.
const GAP_BYTES_MAX: usize = 3;
/// Digits of a group's start that a number across separators may begin after: `00`, a trunk 0, a length byte.
const SKIPPED_MAX: usize = 3;

/// Powers of ten, for values of windows.
const TENS: [u64; DIGITS_MAX + 1] = {
    let mut tens = [1; DIGITS_MAX + 1];
    let mut at = 1;
    while at <= DIGITS_MAX {
        tens[at] = tens[at - 1] * 10;
        at += 1;
    }
    tens
};

/// Digits that may be a form.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    value: u64,
    start: u32,
    end: u32,
    length: u8,
}

/// Digits with separators between them.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// Where each digit stands.
    places: Vec<u32>,
    /// The value of all digits before each, modulo 2^64.
    values: Vec<u64>,
    /// Groups, by the numbers of their digits.
    groups: Vec<Range<usize>>,
    /// Where a window across separators may end: before which digit, as bits.
    ends: Vec<u64>,
}

/// Lengths up to one that a window may have, as bits.
#[inline]
fn up_to(length: usize) -> u32 {
    u32::MAX >> (31 - length.min(DIGITS_MAX))
}

impl Row {
    /// Reads the row that begins at `at`, where a digit stands; gives where it ends.
    fn read(&mut self, bytes: &[u8], classes: &Classes, mut at: usize) -> usize {
        self.places.clear();
        self.values.clear();
        self.groups.clear();
        self.ends.clear();
        let mut value = 0u64;
        self.values.push(0);
        loop {
            let first = self.places.len();
            let end = run_end(&classes.digit, at).min(bytes.len());
            self.places.extend(at as u32..end as u32);
            self.values.extend(bytes[at..end].iter().map(|digit| {
                value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                value
            }));
            at = end;
            self.group(first..self.places.len());
            match gap(bytes, at) {
                Some(next) => at = next,
                None => return at,
            }
        }
    }

    #[inline]
    fn group(&mut self, group: Range<usize>) {
        self.ends.resize(group.end / 64 + 1, 0);
        let mut set = |at: usize| self.ends[at / 64] |= 1 << (at % 64);
        set(group.end);
        // The last digit may be a byte that only looks like one.
        if group.len() > 1 {
            set(group.end - 1);
        }
        self.groups.push(group);
    }

    /// Lengths that a window may have which begins at a digit of a group, as bits.
    #[inline(always)]
    fn lengths(&self, start: usize, group: &Range<usize>) -> u32 {
        let within = up_to(group.end - start);
        let across = if start - group.start > SKIPPED_MAX { 0 } else { bits_from(&self.ends, start) as u32 };
        within | across & up_to(DIGITS_MAX)
    }

    /// The value of a window.
    #[inline(always)]
    fn value(&self, start: usize, length: usize) -> u64 {
        self.values[start + length].wrapping_sub(self.values[start].wrapping_mul(TENS[length]))
    }
}

/// Where the next digit stands, if there is one behind a few separators. `(0)` is one of them: a trunk 0 that is
/// not dialled from abroad.
fn gap(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut spent = 0;
    loop {
        let next = *bytes.get(at)?;
        if next.is_ascii_digit() {
            return Some(at);
        }
        let width = match next {
            b'(' if bytes[at..].starts_with(b"(0)") => 3,
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' | b'+' | 0xA0 => 1,
            0xC2 if bytes.get(at + 1) == Some(&0xA0) => 2,
            _ => return None,
        };
        spent += if next == b'(' { 1 } else { width };
        if spent > GAP_BYTES_MAX {
            return None;
        }
        at += width;
    }
}

impl Search<'_> {
    /// Looks up all rows of digits.
    #[inline(never)]
    pub(super) fn numbers(&mut self, level: &Level, classes: &Classes) {
        if let Some(shortest) = self.wanted.numbers.shortest() {
            let cpu = self.cpu;
            let mut row = std::mem::take(&mut self.row);
            cpu.run(
                #[inline(always)]
                || self.rows(level, classes, shortest, &mut row),
            );
            self.row = row;
            self.look_up(level);
        }
    }

    #[inline(always)]
    fn rows(&mut self, level: &Level, classes: &Classes, shortest: usize, row: &mut Row) {
        let mut done = 0;
        for (block, begins) in classes.rows.iter().enumerate() {
            let mut begins = *begins;
            while begins != 0 {
                let at = block * 64 + begins.trailing_zeros() as usize;
                if at >= done {
                    let (digits, covered) = (bits_from(&classes.digit, at), bits_from(&classes.covered, at));
                    let length = covered.trailing_ones();
                    // A row's first byte is a digit; where it is not, the row began before and was read.
                    if digits & 1 == 0 {
                        done = at + 1;
                    } else if length < 64
                        && ((digits & !(u64::MAX << length)).count_ones() as usize) < shortest
                    {
                        done = at + length as usize;
                    } else {
                        done = row.read(level.bytes, classes, at);
                        if row.places.len() >= shortest {
                            self.row(level, row);
                        }
                    }
                }
                // On to where this row ends, or the next block.
                begins = if done < block * 64 + 64 { begins & u64::MAX << (done - block * 64) } else { 0 };
            }
        }
    }

    /// Looks up the windows of a row whose first digits and length some form has.
    #[inline(always)]
    fn row(&mut self, level: &Level, row: &Row) {
        let wanted = self.wanted;
        for group in &row.groups {
            for start in group.start..group.end.min(row.places.len() + 1 - LEAD_DIGITS) {
                let lead = row.value(start, LEAD_DIGITS);
                let mut fitting = wanted.numbers.lengths_from(lead) & row.lengths(start, group);
                while fitting != 0 {
                    self.window(level, row, start, fitting.trailing_zeros() as usize, lead);
                    fitting &= fitting - 1;
                }
            }
        }
    }

    /// Keeps a window until there are enough to look up together.
    #[inline(always)]
    fn window(&mut self, level: &Level, row: &Row, start: usize, length: usize, lead: u64) {
        let value = row.value(start, length);
        let (first, last) = (row.places[start], row.places[start + length - 1]);
        let probe = self.wanted.numbers.probe(&self.wanted.keys, value, length, lead);
        if self.windows.add(probe, Window { value, start: first, end: last + 1, length: length as u8 }) {
            self.look_up(level);
        }
    }

    fn look_up(&mut self, level: &Level) {
        let wanted = self.wanted;
        for n in ones(wanted.numbers.passing(self.windows.probes())) {
            let Window { value, start, end, length } = self.windows.at(n);
            for (identifier, writing) in wanted.numbers.of(&wanted.keys, value, length.into()) {
                self.number(level, start as usize..end as usize, length.into(), identifier, writing);
            }
        }
        self.windows.clear();
    }

    fn number(&mut self, level: &Level, at: Range<usize>, length: usize, identifier: u32, writing: Writing) {
        let separated = at.len() != length;
        let start = prefixed(level.bytes, at.start, writing);
        let digit = |at: Option<usize>| at.and_then(|at| level.bytes.get(at)).is_some_and(u8::is_ascii_digit);
        let (before, after) = (digit(start.checked_sub(1)), digit(Some(at.end)));
        if length < WITHIN_DIGITS_MIN && (after || before && digit(start.checked_sub(2))) {
            return;
        }
        let form = [
            (writing == Writing::National, Encoding::National),
            (separated, Encoding::Separators),
            (before || after, Encoding::Within),
        ];
        let form: Vec<Encoding> = form.into_iter().filter(|(is, _)| *is).map(|(_, how)| how).collect();
        self.found(level, start..at.end, identifier, &form);
    }
}

/// Where a number begins together with the `+`, `00` or trunk 0 before it.
fn prefixed(bytes: &[u8], start: usize, writing: Writing) -> usize {
    let before = &bytes[..start];
    let after_digit = |at: usize| at > 0 && before[at - 1].is_ascii_digit();
    match writing {
        Writing::Whole if before.ends_with(b"+") => start - 1,
        Writing::Whole if before.ends_with(b"00") && !after_digit(start - 2) => start - 2,
        Writing::National if before.ends_with(b"0") && !after_digit(start - 1) => start - 1,
        _ => start,
    }
}
