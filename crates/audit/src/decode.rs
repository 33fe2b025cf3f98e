//! What bytes may be decoded to, found by what the decoded bytes would look like.

mod backslash;
pub(crate) mod base32;
pub(crate) mod base64;
mod entities;
pub(crate) mod escapes;
pub(crate) mod hex;
pub(crate) mod marks;
pub(crate) mod packed;
mod quoted;
pub(crate) mod utf16;

use crate::search::Search;
use std::ops::Range;

/// Calls `each` for every run of `decoded` that consists of what forms and their encodings consist of, if one fits into it: most of
/// what decodes to anything decodes to noise.
fn texts(search: &mut Search, decoded: &[u8], mut each: impl FnMut(&mut Search, Range<usize>)) {
    let bounds = &search.wanted.bounds;
    let mut start = 0;
    while start + bounds.shortest <= decoded.len() {
        // Backwards from where the shortest would end: what stands before the last strange byte needs no look.
        let strange = (start..start + bounds.shortest).rev().find(|at| !bounds.spells(decoded[*at]));
        if let Some(at) = strange {
            start = at + 1;
            continue;
        }
        let more = decoded[start + bounds.shortest..].iter().take_while(|b| bounds.spells(**b)).count();
        let end = start + bounds.shortest + more;
        each(search, start..end);
        start = end;
    }
}

/// Values of characters, 255 for none.
const fn table(base64: bool) -> [u8; 256] {
    let mut table = [255; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        table[at] = match byte {
            b'0'..=b'9' => byte - b'0' + if base64 { 52 } else { 0 },
            b'A'..=b'Z' if base64 => byte - b'A',
            b'a'..=b'z' if base64 => byte - b'a' + 26,
            b'+' | b'-' if base64 => 62,
            b'/' | b'_' if base64 => 63,
            b'A'..=b'F' => byte - b'A' + 10,
            b'a'..=b'f' => byte - b'a' + 10,
            _ => 255,
        };
        at += 1;
    }
    table
}

const SEXTETS: [u8; 256] = table(true);
const NIBBLES: [u8; 256] = table(false);

/// The value of a character of base64 or base64url (RFC 4648).
#[inline]
pub(crate) fn sextet(byte: u8) -> Option<u8> {
    let value = SEXTETS[usize::from(byte)];
    (value != 255).then_some(value)
}

/// The value of a hexadecimal digit.
#[inline]
pub(crate) fn nibble(byte: u8) -> Option<u8> {
    let value = NIBBLES[usize::from(byte)];
    (value != 255).then_some(value)
}
