//! Digests in the bytes of one level: in hexadecimal at every position, in base64 at the start of a word, raw where bytes are no text.

use super::Search;
use crate::classes::{Classes, ones, unicode};
use crate::digests::{ALL, COMPARED_BYTES, head};
use crate::level::Level;
use crate::{Encoding, decode};
use std::ops::Range;

/// The shortest digest has so many hexadecimal digits.
const HEX_MIN: usize = 2 * ALL[0].1;
/// The shortest digest has so many characters of base64, without padding.
const BASE64_MIN: usize = 22;
/// Zero bytes that the first sixteen of a digest do not have: they do once in 30 000 times, and most of a database's pages have more.
const ZEROS_MAX: u32 = 3;

/// What may be the text of a digest: where, and where the word ends that it is in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Candidate {
    at: u32,
    end: u32,
    how: How,
}

/// How it would be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum How {
    #[default]
    Hex,
    Base64,
    Raw,
}

impl Search<'_> {
    /// Looks up digests.
    #[inline(never)]
    pub(super) fn digests(&mut self, level: &Level, classes: &Classes) {
        self.cpu.run(
            #[inline(always)]
            || {
                for word in classes.words.iter().filter(|word| word.len() >= BASE64_MIN) {
                    self.base64_digests(level, classes, word);
                }
                for run in classes.hexes.iter().filter(|run| run.len() >= HEX_MIN) {
                    self.hex_digests(level, run.start, run.end);
                }
                if level.depth == 0 && classes.odd.iter().fold(0, |any, odd| any | odd) != 0 {
                    self.raw_digests(level, classes);
                }
            },
        );
        self.look_up_digests(level);
    }

    #[inline(always)]
    fn hex_digests(&mut self, level: &Level, start: usize, end: usize) {
        let nibble = |at: usize| u64::from(decode::nibble(level.bytes[at]).unwrap_or(0));
        // The first half of a digest's digits decides; after the last of them the other half of the shortest must follow.
        let half = HEX_MIN / 2;
        let mut value = (start..start + half - 1).fold(0, |value, at| value << 4 | nibble(at));
        for at in start..=end - HEX_MIN {
            value = value << 4 | nibble(at + half - 1);
            self.candidate(level, value, Candidate { at: at as u32, end: end as u32, how: How::Hex });
        }
    }

    fn base64_digests(&mut self, level: &Level, classes: &Classes, word: &Range<usize>) {
        let last = word.end - BASE64_MIN;
        self.base64_digest(level, word.start, word.end);
        for block in word.start / 64..=last / 64 {
            for sign in ones(classes.sign[block]) {
                let at = block * 64 + sign as usize + 1;
                if at > word.start && at <= last {
                    self.base64_digest(level, at, word.end);
                }
            }
        }
    }

    fn base64_digest(&mut self, level: &Level, at: usize, end: usize) {
        if drawn(&level.bytes[at..at + BASE64_MIN]) {
            let mut first = [0; 9];
            decode::base64::sextets(&level.bytes[at..at + 12], &mut first);
            let found = Candidate { at: at as u32, end: end as u32, how: How::Base64 };
            self.candidate(level, head(&first), found);
        }
    }

    /// Keeps it until there are enough to look up together.
    #[inline(always)]
    fn candidate(&mut self, level: &Level, first: u64, candidate: Candidate) {
        let probe = self.wanted.digests.probe(&self.wanted.keys, first);
        if self.digests.add(probe, candidate) {
            self.look_up_digests(level);
        }
    }

    #[inline(never)]
    fn look_up_digests(&mut self, level: &Level) {
        let (cpu, wanted) = (self.cpu, self.wanted);
        let passing = cpu.run(
            #[inline(always)]
            || wanted.digests.passing(self.digests.probes()),
        );
        for n in ones(passing) {
            self.look_up_digest(level, self.digests.at(n));
        }
        self.digests.clear();
    }

    fn look_up_digest(&mut self, level: &Level, candidate: Candidate) {
        let (bytes, at, end) = (level.bytes, candidate.at as usize, candidate.end as usize);
        let mut digest = [0; 18];
        match candidate.how {
            How::Hex => {
                if decode::hex::pairs(&bytes[at..], &mut digest[..COMPARED_BYTES]) {
                    let ends = |length: usize| at + 2 * length;
                    let whole = |length| decode::hex::reaches(bytes, at, ends(length));
                    self.digest(level, at, &digest, Encoding::Hex, ends, whole);
                }
            }
            How::Base64 => {
                decode::base64::sextets(&bytes[at..(at + 24).min(end)], &mut digest);
                let ends = |length: usize| at + (length * 8).div_ceil(6);
                self.digest(level, at, &digest, Encoding::Base64, ends, |n| ends(n) <= end);
            }
            How::Raw => {
                let ends = |length: usize| at + length;
                self.digest(level, at, &bytes[at..end], Encoding::Raw, ends, |n| ends(n) <= bytes.len());
            }
        }
    }

    /// INVARIANT: no window is skipped but those whose first sixteen bytes are all UTF-8 text where they stand, or have three zeros.
    #[inline(always)]
    fn raw_digests(&mut self, level: &Level, classes: &Classes) {
        let blocks = classes.odd.len() - 1;
        let mut carry = 0;
        let mut broken = no_text(level.bytes, classes, 0, &mut carry);
        for block in 0..blocks {
            let next = no_text(level.bytes, classes, block + 1, &mut carry);
            let both = u128::from(broken) | u128::from(next) << 64;
            broken = next;
            if both != 0 {
                let zeros = u128::from(classes.zero[block]) | u128::from(classes.zero[block + 1]) << 64;
                self.raw_block(level, block, anywhere(both) & !many(zeros));
            }
        }
    }

    /// Looks up the windows that begin at these bits of a block.
    #[inline(always)]
    fn raw_block(&mut self, level: &Level, block: usize, mut windows: u64) {
        let last = (level.bytes.len() + 1 - block * 64).saturating_sub(COMPARED_BYTES);
        if last < 64 {
            windows &= (1 << last) - 1;
        }
        for first in ones(windows) {
            let at = block * 64 + first as usize;
            let found = Candidate { at: at as u32, end: (at + COMPARED_BYTES) as u32, how: How::Raw };
            self.candidate(level, head(&level.bytes[at..]), found);
        }
    }

    fn digest(
        &mut self,
        level: &Level,
        start: usize,
        first: &[u8],
        how: Encoding,
        ends: impl Fn(usize) -> usize,
        whole: impl Fn(usize) -> bool,
    ) {
        let wanted = self.wanted;
        for (identifier, algorithm, length) in wanted.digests.of(&wanted.keys, first) {
            if whole(length) {
                self.found(level, start..ends(length), identifier, &[how, algorithm]);
            }
        }
    }
}

/// Has a word letters of both cases? A digest has none of one of them once in 90 000 times; words and paths of texts often.
fn drawn(word: &[u8]) -> bool {
    // All are looked at: where the first of a case stands can't be foretold, and a wrong guess takes longer.
    let cases = word.iter().fold(0, |cases, b| {
        let letter = (b | 0x20).is_ascii_lowercase();
        cases | if letter { 1 << (b >> 5 & 1) } else { 0 }
    });
    cases == 3
}

/// Where, in the 64 bits of the first word, one of sixteen in a row is set.
#[inline(always)]
fn anywhere(mut bits: u128) -> u64 {
    for by in [1, 2, 4, 8] {
        bits |= bits >> by;
    }
    bits as u64
}

/// Where, in the 64 bits of the first word, [`ZEROS_MAX`] of sixteen in a row are set. Sums of 2, 4, 8 and 16, each bit of them
/// in a word of its own; what reaches four stays there.
#[inline(always)]
fn many(bits: u128) -> u64 {
    if bits.count_ones() < ZEROS_MAX {
        return 0;
    }
    let (mut one, mut two, mut four) = (bits, 0u128, 0u128);
    for by in [1, 2, 4, 8] {
        let (a, b) = (one >> by, two >> by);
        let carry = one & a;
        let sum = two ^ b;
        four |= four >> by | two & b | sum & carry;
        two = sum ^ carry;
        one ^= a;
    }
    (four | one & two) as u64
}

/// Where bytes of a block are no UTF-8 text (RFC 3629, but for some of its rarer rules): control characters, and leading and
/// following bytes that do not fit. `carry`: which of the next bytes must follow.
#[inline(always)]
fn no_text(bytes: &[u8], classes: &Classes, block: usize, carry: &mut u64) -> u64 {
    let odd = classes.odd.get(block).copied().unwrap_or(0);
    if odd | *carry == 0 {
        return 0;
    }
    let here = &bytes[(block * 64).min(bytes.len())..];
    let mut last = [b' '; 64];
    let whole = here.first_chunk().unwrap_or_else(|| {
        last[..here.len()].copy_from_slice(here);
        &last
    });
    let [high, follows, two, three, four] = unicode(whole);
    let never = high & !(follows | two | three | four);
    let wide = |bits: u64, by: u32| u128::from(bits) << by;
    let due = wide(two | three | four, 1) | wide(three | four, 2) | wide(four, 3) | u128::from(*carry);
    *carry = (due >> 64) as u64;
    (due as u64 ^ follows) | never | odd & !high
}

#[cfg(test)]
mod tests {
    use super::{ZEROS_MAX, anywhere, many, no_text};
    use crate::classes::{Classes, Shortest};
    use crate::cpu::Cpu;

    #[test]
    fn windows_are_counted_as_one_by_one() {
        let mut bits = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C834u128;
        for round in 0..2_000 {
            bits = bits.wrapping_mul(0xDA94_2042_E4DD_58B5).rotate_left(37) ^ round;
            // Of all densities.
            let sparse = (0..round % 6).fold(bits, |bits, n| bits & bits.rotate_left(11 + n as u32));
            for at in 0..64 {
                let window = sparse >> at & 0xFFFF;
                assert_eq!(
                    many(sparse) >> at & 1 == 1,
                    window.count_ones() >= ZEROS_MAX,
                    "{sparse:x} at {at}"
                );
                assert_eq!(anywhere(sparse) >> at & 1 == 1, window != 0);
            }
        }
    }

    #[test]
    fn text_is_told_from_other_bytes() {
        let mut text = "caf\u{e9} \u{5ba2}\u{6237}\u{1f600}\ttab\r\n".repeat(20).into_bytes();
        let broken = |text: &[u8]| {
            let mut classes = Classes::default();
            classes.fill(Cpu::here(), text, Shortest { row: 10, quanta: 2 });
            let mut carry = 0;
            let blocks = classes.odd.len();
            let words =
                (0..blocks).map(|block| no_text(text, &classes, block, &mut carry)).collect::<Vec<_>>();
            (0..text.len() + 1).filter(|at| words[at / 64] >> (at % 64) & 1 == 1).collect::<Vec<_>>()
        };
        assert!(broken(&text).is_empty());
        for (at, byte) in [(70, 0xC0), (200, 0x1B), (63, 0xFF), (127, 0)] {
            let was = std::mem::replace(&mut text[at], byte);
            assert!(broken(&text).iter().any(|wrong| wrong.abs_diff(at) < 4), "{byte} at {at}");
            text[at] = was;
        }
    }
}
