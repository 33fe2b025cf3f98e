//! Rows of digits: every window of one that has the length of a form is looked up.
//!
//! A byte beside a number may look like a digit (a length before a string is such a byte in many files), so windows within a row
//! are looked up as well, and said to be within one. Across separators a window begins at most three digits after the start of
//! a group and ends at most one before the end of one.

use super::Search;
use crate::Encoding;
use crate::classes::{Classes, run_end, runs};
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
#[derive(Debug)]
pub(super) struct Window {
    value: u64,
    length: usize,
    at: Range<u32>,
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
}

impl Row {
    /// Reads the row that begins at `at`, where a digit stands; gives where it ends.
    fn read(&mut self, bytes: &[u8], classes: &Classes, mut at: usize) -> usize {
        self.places.clear();
        self.values.clear();
        self.groups.clear();
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
            self.groups.push(first..self.places.len());
            match gap(bytes, at) {
                Some(next) => at = next,
                None => return at,
            }
        }
    }

    /// The value of a window.
    #[inline]
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
        let Some(shortest) = self.wanted.numbers.shortest() else { return };
        let mut row = std::mem::take(&mut self.row);
        let mut done = 0;
        let mut before = [0u64; 2];
        let mut cover = covered(classes, 0, &mut before);
        for block in 0..classes.digit.len() - 1 {
            let next = covered(classes, block + 1, &mut before);
            let covers = u128::from(cover) | u128::from(next) << 64;
            let mut begins = runs(&[cover, next], 0, shortest);
            cover = next;
            if begins == 0 {
                continue;
            }
            let digits = u128::from(classes.digit[block]) | u128::from(classes.digit[block + 1]) << 64;
            while begins != 0 {
                let first = begins.trailing_zeros();
                let at = block * 64 + first as usize;
                if at >= done {
                    let length = (!(covers >> first)).trailing_zeros();
                    // A row's first byte is a digit; where it is not, the row began before and was read.
                    if !level.bytes[at].is_ascii_digit() {
                        done = at + 1;
                    } else if first + length < 128 && few_digits(digits >> first, length, shortest) {
                        done = at + length as usize;
                    } else {
                        done = row.read(level.bytes, classes, at);
                        if row.places.len() >= shortest {
                            self.row(level, &row);
                        }
                    }
                }
                let next = done - block * 64;
                if next > 63 {
                    break;
                }
                begins &= u64::MAX << next;
            }
        }
        self.row = row;
        self.look_up(level);
    }

    fn row(&mut self, level: &Level, row: &Row) {
        let lengths = self.wanted.numbers.lengths();
        for (number, group) in row.groups.iter().enumerate() {
            for start in group.clone() {
                let mut fitting = lengths & ((2u64 << (group.end - start).min(DIGITS_MAX)) - 1) as u32;
                while fitting != 0 {
                    self.window(level, row, start, fitting.trailing_zeros() as usize);
                    fitting &= fitting - 1;
                }
            }
            for start in group.clone().take(SKIPPED_MAX + 1) {
                for other in &row.groups[number + 1..] {
                    if other.start - start >= DIGITS_MAX {
                        break;
                    }
                    // The last digit may be a byte that only looks like one.
                    let nearly = (other.len() > 1).then(|| other.end - 1);
                    for end in nearly.into_iter().chain([other.end]) {
                        if end - start <= DIGITS_MAX && lengths >> (end - start) & 1 == 1 {
                            self.window(level, row, start, end - start);
                        }
                    }
                }
            }
        }
    }

    /// Keeps a window until there are enough to look up together.
    #[inline]
    fn window(&mut self, level: &Level, row: &Row, start: usize, length: usize) {
        if !self.wanted.numbers.may_begin(row.value(start, LEAD_DIGITS), length) {
            return;
        }
        let value = row.value(start, length);
        let at = row.places[start]..row.places[start + length - 1] + 1;
        let probe = self.wanted.numbers.probe(&self.wanted.keys, value, length);
        if self.windows.add(probe, Window { value, length, at }) {
            self.look_up(level);
        }
    }

    fn look_up(&mut self, level: &Level) {
        let wanted = self.wanted;
        let mut windows = std::mem::take(&mut self.windows);
        windows.each(wanted.numbers.passing(windows.probes()), |Window { value, length, at }| {
            let at = at.start as usize..at.end as usize;
            for (identifier, writing) in wanted.numbers.of(&wanted.keys, *value, *length) {
                self.number(level, at.clone(), *length, identifier, writing);
            }
        });
        self.windows = windows;
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

/// Are fewer than `shortest` of the first `length` bits set?
#[inline]
fn few_digits(digits: u128, length: u32, shortest: usize) -> bool {
    let within = digits & !(u128::MAX << length);
    ((within as u64).count_ones() + ((within >> 64) as u64).count_ones()) < shortest as u32
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

/// Digits and up to three separators after each.
#[inline]
fn covered(classes: &Classes, block: usize, before: &mut [u64; 2]) -> u64 {
    let Some((&digit, &joint)) = classes.digit.get(block).zip(classes.joint.get(block)) else { return 0 };
    let shift = |this: u64, carried: u64, by: u32| this << by | carried >> (64 - by);
    let one = joint & shift(digit, before[0], 1);
    let (joint_before, digit_before) = (before[1], before[0]);
    let one_before = joint_before & digit_before << 1;
    let two = joint & shift(one, one_before, 1);
    let two_before = joint_before & one_before << 1;
    let three = joint & shift(two, two_before, 1);
    *before = [digit, joint];
    digit | one | two | three
}
