//! Digests in the bytes of one level: in hexadecimal at every position, in base64 at the start of a word, raw where bytes are no text.

use super::Search;
use crate::classes::{Classes, runs_in};
use crate::digests::{ALL, COMPARED_BYTES, head};
use crate::level::Level;
use crate::{Encoding, decode};

/// The shortest digest has so many hexadecimal digits.
const HEX_MIN: usize = 2 * ALL[0].1;
/// The shortest digest has so many characters of base64, without padding.
const BASE64_MIN: usize = 22;
/// Zero bytes that the first sixteen of a digest do not have: they do once in 2 million times, and most of a database's pages have more.
const ZEROS_MAX: u32 = 4;

/// What may be the text of a digest: where, and where the word ends that it is in.
#[derive(Debug)]
pub(super) struct Candidate {
    at: u32,
    end: u32,
    how: Encoding,
}

impl Search<'_> {
    /// Looks up digests.
    #[inline(never)]
    pub(super) fn digests(&mut self, level: &Level, classes: &Classes) {
        for word in &classes.words {
            if word.len() >= BASE64_MIN {
                self.base64_digests(level, word.start, word.end);
            }
            // Whatever is hexadecimal is a part of a word.
            if word.len() >= HEX_MIN {
                runs_in(&classes.hex, word, HEX_MIN, |run| self.hex_digests(level, run.start, run.end));
            }
        }
        self.look_up_digests(level);
        if level.depth == 0 && classes.odd.iter().fold(0, |any, odd| any | odd) != 0 {
            self.raw_digests(level, classes);
        }
    }

    fn hex_digests(&mut self, level: &Level, start: usize, end: usize) {
        let nibble = |at: usize| u64::from(decode::nibble(level.bytes[at]).unwrap_or(0));
        // The first half of a digest's digits decides; after the last of them the other half of the shortest must follow.
        let half = HEX_MIN / 2;
        let mut value = (start..start + half - 1).fold(0, |value, at| value << 4 | nibble(at));
        for at in start..=end - HEX_MIN {
            value = value << 4 | nibble(at + half - 1);
            self.candidate(level, value, Candidate { at: at as u32, end: end as u32, how: Encoding::Hex });
        }
    }

    fn base64_digests(&mut self, level: &Level, start: usize, end: usize) {
        let bytes = level.bytes;
        for at in start..=end - BASE64_MIN {
            let begins = at == start || !bytes[at - 1].is_ascii_alphanumeric();
            if begins && drawn(&bytes[at..at + BASE64_MIN]) {
                let mut first = [0; 9];
                decode::base64::sextets(&bytes[at..at + 12], &mut first);
                let found = Candidate { at: at as u32, end: end as u32, how: Encoding::Base64 };
                self.candidate(level, head(&first), found);
            }
        }
    }

    /// Keeps it until there are enough to look up together.
    #[inline]
    fn candidate(&mut self, level: &Level, first: u64, candidate: Candidate) {
        let mixed = self.wanted.digests.mixed(&self.wanted.keys, first);
        if self.digests.add(mixed, candidate) {
            self.look_up_digests(level);
        }
    }

    fn look_up_digests(&mut self, level: &Level) {
        let mut waiting = std::mem::take(&mut self.digests);
        waiting.each(self.wanted.digests.passing(waiting.mixed()), |candidate| {
            let (at, end) = (candidate.at as usize, candidate.end as usize);
            if candidate.how == Encoding::Hex {
                let mut digest = [0; COMPARED_BYTES];
                if decode::hex::pairs(&level.bytes[at..], &mut digest) {
                    let ends = |length: usize| at + 2 * length;
                    let whole = |length| decode::hex::reaches(level.bytes, at, ends(length));
                    self.digest(level, at, &digest, Encoding::Hex, ends, whole);
                }
            } else {
                let mut digest = [0; 18];
                decode::base64::sextets(&level.bytes[at..(at + 24).min(end)], &mut digest);
                let ends = |length: usize| at + (length * 8).div_ceil(6);
                self.digest(level, at, &digest[..COMPARED_BYTES], Encoding::Base64, ends, |n| ends(n) <= end);
            }
        });
        self.digests = waiting;
    }

    /// INVARIANT: no window is skipped but those whose first sixteen bytes are all UTF-8 text where they stand, or have four zeros.
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
    fn raw_block(&mut self, level: &Level, block: usize, mut windows: u64) {
        let bytes = &level.bytes[block * 64..];
        let last = (bytes.len() + 1).saturating_sub(COMPARED_BYTES);
        if last < 64 {
            windows &= (1 << last) - 1;
        }
        let (mut at, mut mixed, mut count) = ([0u8; 64], [0; 64], 0);
        while windows != 0 {
            let first = windows.trailing_zeros() as usize;
            windows &= windows - 1;
            at[count] = first as u8;
            mixed[count] = self.wanted.digests.mixed(&self.wanted.keys, head(&bytes[first..]));
            count += 1;
        }
        let mut passing = self.wanted.digests.passing(&mixed[..count]);
        while passing != 0 {
            let first = block * 64 + usize::from(at[passing.trailing_zeros() as usize]);
            passing &= passing - 1;
            let ends = |length: usize| first + length;
            let window = &level.bytes[first..first + COMPARED_BYTES];
            self.digest(level, first, window, Encoding::Raw, ends, |n| ends(n) <= level.bytes.len());
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
fn anywhere(mut bits: u128) -> u64 {
    for by in [1, 2, 4, 8] {
        bits |= bits >> by;
    }
    bits as u64
}

/// Where, in the 64 bits of the first word, [`ZEROS_MAX`] of sixteen in a row are set. Sums of 2, 4, 8 and 16, each bit of them
/// in a word of its own; what reaches four stays there.
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
    four as u64
}

/// Where bytes of a block are no UTF-8 text (RFC 3629, but for some of its rarer rules): control characters, and leading and
/// following bytes that do not fit. `carry`: which of the next bytes must follow.
fn no_text(bytes: &[u8], classes: &Classes, block: usize, carry: &mut u64) -> u64 {
    let odd = classes.odd.get(block).copied().unwrap_or(0);
    if odd | *carry == 0 {
        return 0;
    }
    let (mut follows, mut leads, mut never) = (0, [0u64; 3], 0);
    let here = &bytes[(block * 64).min(bytes.len())..];
    for (at, byte) in here.iter().take(64).enumerate() {
        let bit = 1 << at;
        match byte {
            0x80..0xC0 => follows |= bit,
            0xC2..0xE0 => leads[0] |= bit,
            0xE0..0xF0 => leads[1] |= bit,
            0xF0..0xF5 => leads[2] |= bit,
            0xC0 | 0xC1 | 0xF5.. => never |= bit,
            _ => {}
        }
    }
    let high = follows | leads[0] | leads[1] | leads[2] | never;
    let [two, three, four] = leads;
    let wide = |bits: u64, by: u32| u128::from(bits) << by;
    let due = wide(two | three | four, 1) | wide(three | four, 2) | wide(four, 3) | u128::from(*carry);
    *carry = (due >> 64) as u64;
    (due as u64 ^ follows) | never | odd & !high
}
