//! Hexadecimal of either case: both ways to pair the digits of a run.

use super::nibble;
use crate::Encoding;
use crate::classes::{Classes, runs};
use crate::level::{Level, Map};
use crate::search::Search;

/// Decodes runs that are long enough.
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    let shortest = search.wanted.bounds.shortest;
    if shortest > level.bytes.len() {
        return;
    }
    let mut done = 0;
    for block in 0..classes.hex.len() {
        let begins = runs(&classes.hex, block, 2 * shortest);
        if begins != 0 {
            crate::search::each_run(begins, block, &mut done, |at| one(search, level, at, shortest));
        }
    }
}

fn one(search: &mut Search, level: &Level, start: usize, shortest: usize) -> usize {
    let bytes = level.bytes;
    let end = start + bytes[start..].iter().take_while(|b| nibble(**b).is_some()).count();
    for phase in [start, start + 1] {
        if !search.wanted.bounds.wide && !looks_like_text(&bytes[phase..end], shortest) {
            continue;
        }
        let (mut decoded, places) = search.take();
        let pair = |pair: &[u8]| NIBBLE(pair[0]) << 4 | NIBBLE(pair[1]);
        decoded.extend(bytes[phase..end].chunks_exact(2).map(pair));
        search.level(&level.decoded(&decoded, Map::Pairs(phase), Some(Encoding::Hex)));
        search.leave(decoded, places);
    }
    end
}

#[allow(non_snake_case, reason = "a function as short as a table")]
fn NIBBLE(byte: u8) -> u8 {
    nibble(byte).unwrap_or(0)
}

/// Are so many bytes in a row under 128?
fn looks_like_text(digits: &[u8], shortest: usize) -> bool {
    let mut row = 0;
    digits.chunks_exact(2).any(|pair| {
        row = if matches!(pair[0], b'0'..=b'7') { row + 1 } else { 0 };
        row >= shortest
    })
}

/// Decodes the pairs at the start of `digits`; false if they are too few.
pub(crate) fn pairs(digits: &[u8], into: &mut [u8]) -> bool {
    let enough = digits.len() >= 2 * into.len();
    for (byte, pair) in into.iter_mut().zip(digits.chunks_exact(2)) {
        let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else { return false };
        *byte = high << 4 | low;
    }
    enough
}

/// Do hexadecimal digits reach from `start` to `end`?
pub(crate) fn reaches(bytes: &[u8], start: usize, end: usize) -> bool {
    bytes.get(start..end).is_some_and(|digits| digits.iter().all(|b| nibble(*b).is_some()))
}
