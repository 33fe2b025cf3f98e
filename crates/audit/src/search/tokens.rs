//! Mail addresses, free strings and digests in the bytes of one level.

use super::Search;
use crate::classes::{Classes, runs};
use crate::digests::{ALL, COMPARED_BYTES, head};
use crate::level::Level;
use crate::{Encoding, decode};

/// The shortest digest has so many hexadecimal digits.
const HEX_MIN: usize = 2 * ALL[0].1;
/// The shortest digest has so many characters of base64, without padding.
const BASE64_MIN: usize = 22;

impl Search<'_> {
    /// Looks up what stands around each `@`.
    pub(super) fn mails(&mut self, level: &Level, classes: &Classes) {
        let wanted = self.wanted;
        if wanted.mails.is_empty() {
            return;
        }
        for (block, word) in classes.at.iter().enumerate() {
            let mut bits = *word;
            while bits != 0 {
                let at = block * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                wanted.mails.around(&wanted.keys, level.bytes, at, |range, identifier| {
                    self.found(level, range, identifier, &[]);
                });
            }
        }
    }

    /// Looks up a piece of the text at every n-th position.
    pub(super) fn free(&mut self, level: &Level) {
        let wanted = self.wanted;
        let free = &wanted.free;
        if free.is_empty() || level.bytes.len() < free.grams.length {
            return;
        }
        for at in (0..=level.bytes.len() - free.grams.length).step_by(free.grams.stride) {
            let gram = free.grams.value(&level.bytes[at..]);
            if free.may_hold(&wanted.keys, gram) {
                free.around(&wanted.keys, level.bytes, at, gram, |range, identifier, how| {
                    self.found(level, range, identifier, how.as_slice());
                });
            }
        }
    }

    /// Looks up digests: in hexadecimal at every position, in base64 at the start of a word, raw where bytes are no text.
    pub(super) fn digests(&mut self, level: &Level, classes: &Classes) {
        let mut done = [0; 2];
        for block in 0..classes.hex.len() {
            let hex = runs(&classes.hex, block, HEX_MIN);
            if hex != 0 {
                each_run(hex, block, &mut done[0], |at| self.hex_digests(level, at));
            }
            let words = runs(&classes.word, block, BASE64_MIN);
            if words != 0 {
                each_run(words, block, &mut done[1], |at| self.base64_digests(level, at));
            }
            if level.depth == 0 && classes.odd[block] != 0 {
                self.raw_digests(level, block);
            }
        }
    }

    fn hex_digests(&mut self, level: &Level, start: usize) -> usize {
        let bytes = level.bytes;
        let mut value = 0u64;
        let mut at = start;
        while let Some(nibble) = bytes.get(at).and_then(|b| decode::nibble(*b)) {
            value = value << 4 | u64::from(nibble);
            at += 1;
            if at >= start + 16 && self.wanted.digests.may_begin(&self.wanted.keys, value) {
                let first = at - 16;
                let mut digest = [0; COMPARED_BYTES];
                if decode::hex::pairs(&bytes[first..], &mut digest) {
                    let ends = |length: usize| first + 2 * length;
                    let whole = |length| decode::hex::reaches(bytes, first, ends(length));
                    self.digest(level, first, &digest, &[Encoding::Hex], ends, whole);
                }
            }
        }
        at
    }

    fn base64_digests(&mut self, level: &Level, start: usize) -> usize {
        let bytes = level.bytes;
        let end = start + bytes[start..].iter().take_while(|b| decode::sextet(**b).is_some()).count();
        for at in start..end {
            let begins = at == start || !bytes[at - 1].is_ascii_alphanumeric();
            if !begins || end - at < BASE64_MIN {
                continue;
            }
            let mut digest = [0; 18];
            decode::base64::sextets(&bytes[at..(at + 24).min(end)], &mut digest);
            if self.wanted.digests.may_begin(&self.wanted.keys, head(&digest)) {
                let ends = |length: usize| at + (length * 8).div_ceil(6);
                self.digest(level, at, &digest[..COMPARED_BYTES], &[Encoding::Base64], ends, |n| {
                    ends(n) <= end
                });
            }
        }
        end
    }

    /// Windows that begin in a block. INVARIANT: none is skipped but those whose first sixteen bytes are all text,
    /// or whose first or second four are zero: a digest is so once in five million times.
    fn raw_digests(&mut self, level: &Level, block: usize) {
        let bytes = level.bytes;
        let from = (block * 64).saturating_sub(COMPARED_BYTES - 1);
        for first in from..(block * 64 + 64).min(bytes.len()) {
            let Some(window) = bytes.get(first..first + COMPARED_BYTES) else { return };
            let value = head(window);
            if value >> 32 == 0
                || value as u32 == 0
                || !self.wanted.digests.may_begin(&self.wanted.keys, value)
            {
                continue;
            }
            let ends = |length: usize| first + length;
            self.digest(level, first, window, &[Encoding::Raw], ends, |n| ends(n) <= bytes.len());
        }
    }

    fn digest(
        &mut self,
        level: &Level,
        start: usize,
        first: &[u8],
        how: &[Encoding],
        ends: impl Fn(usize) -> usize,
        whole: impl Fn(usize) -> bool,
    ) {
        let wanted = self.wanted;
        for (identifier, algorithm, length) in wanted.digests.of(&wanted.keys, first) {
            if whole(length) {
                let mut form = how.to_vec();
                form.push(algorithm);
                self.found(level, start..ends(length), identifier, &form);
            }
        }
    }
}

/// Calls `read` at the start of each run, once; it gives where the run ends.
pub(crate) fn each_run(begins: u64, block: usize, done: &mut usize, mut read: impl FnMut(usize) -> usize) {
    let mut begins = begins;
    while begins != 0 {
        let at = block * 64 + begins.trailing_zeros() as usize;
        begins &= begins - 1;
        if at >= *done {
            *done = read(at);
        }
    }
}
