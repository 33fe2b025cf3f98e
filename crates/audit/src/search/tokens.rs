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
        let free = &self.wanted.free;
        if !free.is_empty() && level.bytes.len() >= free.grams.length {
            self.cpu.run(
                #[inline(always)]
                || self.read_pieces(level),
            );
            self.look_up_pieces(level);
        }
    }

    #[inline(always)]
    fn read_pieces(&mut self, level: &Level) {
        let (wanted, bytes) = (self.wanted, level.bytes);
        let free = &wanted.free;
        let stride = free.grams.stride;
        let positions = (bytes.len() - free.grams.length) / stride + 1;
        for first in (0..positions).step_by(64) {
            for n in ones(free.likely(bytes, first * stride, positions - first)) {
                let at = (first + n as usize) * stride;
                if self.pieces.add(free.probe(&wanted.keys, &bytes[at..]), at as u32) {
                    self.look_up_pieces(level);
                }
            }
        }
    }

    #[inline(never)]
    fn look_up_pieces(&mut self, level: &Level) {
        let wanted = self.wanted;
        for n in ones(wanted.free.passing(self.pieces.probes())) {
            let at = self.pieces.at(n) as usize;
            wanted.free.around(&wanted.keys, level.bytes, at, |range, identifier, how| {
                self.found(level, range, identifier, how.as_slice());
            });
        }
        self.pieces.clear();
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
