//! The search through bytes that are all there: tokens first, then what they may be decoded to.

mod batch;
mod digests;
mod numbers;
mod tokens;

pub(crate) use tokens::each_run;

use crate::classes::{Classes, Shortest};
use crate::cpu::Cpu;
use crate::level::Level;
use crate::{Encoding, Wanted, decode};
use batch::Batch;
use std::ops::Range;

/// Decodings within one another: base64 of base64 of percent-encoded text is found, one more is not.
pub(crate) const DEPTH_MAX: usize = 3;

/// A hit in the bytes at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) at: Range<usize>,
    pub(crate) identifier: u32,
    pub(crate) how: Vec<Encoding>,
}

/// Decoded bytes that begin like a packed stream.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) at: Range<usize>,
    pub(crate) how: Encoding,
    pub(crate) bytes: Vec<u8>,
}

/// Finds identifiers in bytes.
#[derive(Debug)]
pub(crate) struct Search<'w> {
    pub(crate) wanted: &'w Wanted,
    pub(crate) hits: Vec<Raw>,
    pub(crate) packed: Vec<Packed>,
    /// Does the first byte stand at an odd offset?
    pub(crate) odd: bool,
    pub(crate) cpu: Cpu,
    pub(crate) shortest: Shortest,
    classes: Vec<Classes>,
    bytes: Vec<Vec<u8>>,
    places: Vec<Vec<u32>>,
    row: numbers::Row,
    windows: Batch<numbers::Window>,
    digests: Batch<digests::Candidate>,
    /// Where pieces of free strings may stand.
    pieces: Batch<u32>,
}

impl<'w> Search<'w> {
    pub(crate) fn new(wanted: &'w Wanted) -> Self {
        Self {
            wanted,
            hits: Vec::new(),
            packed: Vec::new(),
            odd: false,
            cpu: Cpu::here(),
            shortest: Shortest {
                row: wanted.numbers.shortest().unwrap_or(1),
                quanta: decode::base64::quanta(wanted.bounds.shortest),
            },
            classes: Vec::new(),
            bytes: Vec::new(),
            places: Vec::new(),
            row: numbers::Row::default(),
            windows: Batch::default(),
            digests: Batch::default(),
            pieces: Batch::default(),
        }
    }

    /// Searches bytes in every way, and all that they decode to.
    pub(crate) fn level(&mut self, level: &Level) {
        let mut classes = self.classes.pop().unwrap_or_default();
        classes.fill(self.cpu, level.bytes, self.shortest);
        self.numbers(level, &classes);
        self.mails(level, &classes);
        self.free(level);
        self.digests(level, &classes);
        if level.depth < DEPTH_MAX {
            decode::utf16::run(self, level, &classes);
            decode::hex::run(self, level, &classes);
            decode::base64::run(self, level, &classes);
            decode::escapes::run(self, level, &classes);
            decode::marks::run(self, level, &classes);
            decode::base32::run(self, level, &classes);
            decode::packed::run(self, level, &classes);
        }
        self.classes.push(classes);
    }

    /// Notes a hit in the bytes of a level; `form` says how it differs from a normal form there.
    pub(crate) fn found(&mut self, level: &Level, at: Range<usize>, identifier: u32, form: &[Encoding]) {
        let (at, mut how) = level.outward(at, self.odd);
        how.extend_from_slice(form);
        if how.is_empty() {
            how.push(Encoding::Plain);
        }
        self.hits.push(Raw { at, identifier, how });
    }

    /// Notes a packed stream.
    pub(crate) fn packed(&mut self, level: &Level, at: Range<usize>, how: Encoding, bytes: &[u8]) {
        let (at, _) = level.outward(at, self.odd);
        self.packed.push(Packed { at, how, bytes: bytes.to_vec() });
    }

    /// Room to decode into, given back by [`Self::leave`].
    pub(crate) fn take(&mut self) -> (Vec<u8>, Vec<u32>) {
        let mut bytes = self.bytes.pop().unwrap_or_default();
        let mut places = self.places.pop().unwrap_or_default();
        bytes.clear();
        places.clear();
        (bytes, places)
    }

    pub(crate) fn leave(&mut self, bytes: Vec<u8>, places: Vec<u32>) {
        self.bytes.push(bytes);
        self.places.push(places);
    }
}
