//! Hexadecimal of either case: both ways to pair the digits of a run.

use super::nibble;
use crate::Encoding;
use crate::classes::{Classes, WORD_MIN, runs_in};
use crate::level::{Level, Map};
use crate::search::Search;

/// Decodes runs that are long enough.
#[inline(never)]
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    let shortest = search.wanted.bounds.shortest;
    if shortest > level.bytes.len() {
        return;
    }
    let mut decode = |run| one(search, level, run);
    if 2 * shortest < WORD_MIN {
        return runs_in(&classes.hex, &(0..level.bytes.len()), 2 * shortest, decode);
    }
    classes.hexes.iter().filter(|run| run.len() >= 2 * shortest).for_each(|run| decode(run.clone()));
}

fn one(search: &mut Search, level: &Level, run: std::ops::Range<usize>) {
    let bytes = level.bytes;
    let end = run.end;
    for phase in [run.start, run.start + 1] {
        let (mut decoded, places) = search.take();
        let pair = |pair: &[u8]| digit(pair[0]) << 4 | digit(pair[1]);
        decoded.extend(bytes[phase..end].chunks_exact(2).map(pair));
        super::texts(search, &decoded, |search, text| {
            let map = Map::Pairs(phase + 2 * text.start);
            search.level(&level.decoded(&decoded[text], map, Some(Encoding::Hex)));
        });
        search.leave(decoded, places);
    }
}

fn digit(byte: u8) -> u8 {
    nibble(byte).unwrap_or(0)
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
