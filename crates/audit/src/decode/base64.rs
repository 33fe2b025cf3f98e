//! Base64 and base64url at every alignment, over line ends as well.
//!
//! Three bytes under 128 leave their marks in the four characters that they become, so that of all texts made of these
//! characters only those are decoded that decode to ASCII for some bytes in a row.

use super::sextet;
use crate::Encoding;
use crate::classes::{Classes, runs};
use crate::level::{Level, Map};
use crate::search::Search;

/// Characters before and after a line end from which on it may be one within base64.
const LINE_MIN: usize = 16;

/// Decodes what decodes to ASCII.
#[inline(never)]
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    let shortest = search.wanted.bounds.shortest;
    if shortest == usize::MAX {
        return;
    }
    if search.wanted.bounds.wide {
        whole(search, level, classes, shortest);
    } else {
        textual(search, level, classes);
    }
    // Lines are joined once: what they are joined to has no line ends.
    if level.depth == 0 || level.outer.as_ref().is_some_and(|outer| outer.how.is_some()) {
        folded(search, level, classes);
    }
}

/// Quanta in a row that are ASCII wherever so many bytes are.
pub(crate) fn quanta(bytes: usize) -> usize {
    if bytes >= 11 { 3 } else { 2 }
}

/// Decodes where quanta in a row are ASCII, with one more on both sides.
fn textual(search: &mut Search, level: &Level, classes: &Classes) {
    let mut done = [0; 4];
    for (block, begins) in classes.texts.iter().enumerate() {
        let mut begins = *begins;
        while begins != 0 {
            let at = block * 64 + begins.trailing_zeros() as usize;
            begins &= begins - 1;
            if at >= done[at % 4] {
                done[at % 4] = around(search, level, classes, at);
            }
        }
    }
}

fn around(search: &mut Search, level: &Level, classes: &Classes, at: usize) -> usize {
    let bytes = level.bytes;
    let word = |n: usize| bytes.get(n).is_some_and(|b| sextet(*b).is_some());
    let ascii = |n: usize| classes.quantum[n / 64] >> (n % 64) & 1 == 1;
    let start = if at >= 4 && (at - 4..at).all(word) { at - 4 } else { at };
    let mut text = at;
    while text < bytes.len() && ascii(text) {
        text += 4;
    }
    let end = text + (text..text + 4).take_while(|n| word(*n)).count();
    decode(search, level, start..end.min(bytes.len()));
    text
}

/// Decodes runs at all four alignments, whatever they decode to.
fn whole(search: &mut Search, level: &Level, classes: &Classes, shortest: usize) {
    let mut done = 0;
    for block in 0..classes.word.len() {
        let begins = runs(&classes.word, block, (shortest * 4).div_ceil(3));
        if begins != 0 {
            crate::search::each_run(begins, block, &mut done, |at| {
                let end = at + level.bytes[at..].iter().take_while(|b| sextet(**b).is_some()).count();
                for phase in 0..4 {
                    decode(search, level, at + phase..end);
                }
                end
            });
        }
    }
}

fn decode(search: &mut Search, level: &Level, at: std::ops::Range<usize>) {
    let (mut decoded, places) = search.take();
    decoded.resize(at.len() * 6 / 8, 0);
    sextets(&level.bytes[at.clone()], &mut decoded);
    super::texts(search, &decoded, |search, text| {
        // From the start of a group on.
        let group = text.start / 3;
        let map = Map::Sextets(at.start + 4 * group);
        search.level(&level.decoded(&decoded[3 * group..text.end], map, Some(Encoding::Base64)));
    });
    search.leave(decoded, places);
}

/// Decodes characters to as many bytes as there is room for.
pub(crate) fn sextets(characters: &[u8], into: &mut [u8]) {
    let (groups, _) = characters.as_chunks::<4>();
    let (threes, _) = into.as_chunks_mut::<3>();
    let whole = groups.len().min(threes.len());
    for (bytes, group) in threes.iter_mut().zip(groups) {
        let word =
            group.iter().fold(0u32, |word, b| word << 6 | u32::from(super::SEXTETS[usize::from(*b)] & 63));
        let [_, a, b, c] = word.to_be_bytes();
        *bytes = [a, b, c];
    }
    for (bytes, group) in into[3 * whole..].chunks_mut(3).zip(characters[4 * whole..].chunks(4)) {
        let word = (0..4).fold(0u32, |word, n| {
            word << 6 | group.get(n).map_or(0, |b| u32::from(super::SEXTETS[usize::from(*b)] & 63))
        });
        bytes.copy_from_slice(&word.to_be_bytes()[1..=bytes.len()]);
    }
}

/// Joins lines of base64 (RFC 2045: at most 76 characters each) and searches what they are together.
fn folded(search: &mut Search, level: &Level, classes: &Classes) {
    let mut done = 0;
    for (block, word) in classes.newline.iter().enumerate() {
        let mut ends = *word;
        while ends != 0 {
            let at = block * 64 + ends.trailing_zeros() as usize;
            ends &= ends - 1;
            if at >= done && joins(level.bytes, at) {
                done = join(search, level, at);
            }
        }
    }
}

/// Does base64 that ends at `end` go on in the next line?
pub(crate) fn goes_on(bytes: &[u8], end: usize) -> bool {
    let newline = end + usize::from(bytes.get(end) == Some(&b'\r'));
    bytes.get(newline) == Some(&b'\n') && joins(bytes, newline)
}

/// Does the line end at `at` stand within base64?
fn joins(bytes: &[u8], at: usize) -> bool {
    let word = |b: &u8| sextet(*b).is_some();
    let before = bytes[..at].strip_suffix(b"\r").unwrap_or(&bytes[..at]);
    let long = |side: &mut dyn Iterator<Item = &u8>| side.take(LINE_MIN).take_while(|b| word(b)).count();
    let after = long(&mut bytes[at + 1..].iter());
    // The last line may be short.
    long(&mut before.iter().rev()) == LINE_MIN && after > 0
}

fn join(search: &mut Search, level: &Level, newline: usize) -> usize {
    let bytes = level.bytes;
    let before = bytes[..newline].strip_suffix(b"\r").unwrap_or(&bytes[..newline]).len();
    let start = before - bytes[..before].iter().rev().take_while(|b| sextet(**b).is_some()).count();
    let (mut joined, mut places) = search.take();
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        if sextet(*byte).is_some() {
            joined.push(*byte);
            places.push(at as u32);
            at += 1;
        } else if *byte == b'\r' && bytes.get(at + 1) == Some(&b'\n') && joins(bytes, at + 1) {
            at += 2;
        } else if *byte == b'\n' && joins(bytes, at) {
            at += 1;
        } else {
            break;
        }
    }
    let level = level.decoded(&joined, Map::Bytes(&places), None);
    let mut inner = crate::classes::Classes::default();
    inner.fill(search.cpu, &joined, search.shortest);
    run(search, &level, &inner);
    super::packed::run(search, &level, &inner);
    search.leave(joined, places);
    at
}
