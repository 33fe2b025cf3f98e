//! UTF-16 of ASCII: every second byte is zero. What is not ASCII is looked for as a free string's own form.

use crate::Encoding;
use crate::classes::Classes;
use crate::level::{Level, Map};
use crate::search::Search;

/// Decodes runs of at least four characters.
#[inline(never)]
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    let mut done = [0; 2];
    for block in 0..classes.zero.len() - 1 {
        // The zero of a block's last byte is the first of the next one.
        if classes.zero[block] | classes.zero[block + 1] & 1 == 0 {
            continue;
        }
        let zero = u128::from(classes.zero[block]) | u128::from(classes.zero[block + 1]) << 64;
        let character = !zero & zero >> 1;
        let mut begins = (character & character >> 2 & character >> 4) as u64;
        while begins != 0 {
            let at = block * 64 + begins.trailing_zeros() as usize;
            begins &= begins - 1;
            if at >= done[at % 2] {
                done[at % 2] = one(search, level, at);
            }
        }
    }
}

/// Decodes the run whose first character stands at `start`, or one character of another alphabet before it. The last may
/// have no zero after it: in big endian order its own stands before it.
fn one(search: &mut Search, level: &Level, start: usize) -> usize {
    let bytes = level.bytes;
    let (mut decoded, places) = search.take();
    let mut at = start;
    while bytes.get(at).is_some_and(|b| *b != 0) {
        decoded.push(bytes[at]);
        at += 2;
        if bytes.get(at - 1) != Some(&0) {
            break;
        }
    }
    search.level(&level.decoded(&decoded, Map::Pairs(start), Some(Encoding::Utf16Le)));
    search.leave(decoded, places);
    at
}
