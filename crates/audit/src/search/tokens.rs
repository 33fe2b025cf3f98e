//! Mail addresses and free strings in the bytes of one level.

use super::Search;
use crate::classes::{Classes, ones};
use crate::level::Level;

impl Search<'_> {
    /// Looks up what stands around each `@`.
    #[inline(never)]
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
    #[inline(never)]
    pub(super) fn free(&mut self, level: &Level) {
        self.cpu.run(
            #[inline(always)]
            || self.pieces(level),
        );
    }

    #[inline(always)]
    fn pieces(&mut self, level: &Level) {
        let wanted = self.wanted;
        let free = &wanted.free;
        if free.is_empty() || level.bytes.len() < free.grams.length {
            return;
        }
        let stride = free.grams.stride;
        let positions = (level.bytes.len() - free.grams.length) / stride + 1;
        for first in (0..positions).step_by(64) {
            let count = (positions - first).min(64);
            for n in ones(free.passing(&wanted.keys, level.bytes, first * stride, count)) {
                let at = (first + n as usize) * stride;
                free.around(&wanted.keys, level.bytes, at, |range, identifier, how| {
                    self.found(level, range, identifier, how.as_slice());
                });
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
