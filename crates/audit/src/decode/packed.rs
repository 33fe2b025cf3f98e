//! Packed streams written in base64 or hexadecimal: known by how they begin, decoded, handed on to who opens them.

use super::{base64, nibble};
use crate::Encoding;
use crate::classes::Classes;
use crate::level::Level;
use crate::search::Search;

/// Characters of the shortest stream that is worth opening.
const LENGTH_MIN: usize = 22;
/// How packed streams begin in base64: gzip (RFC 1952), zlib (RFC 1950) by its four usual second bytes, Zstandard (RFC 8878).
const IN_BASE64: [&[u8]; 6] = [b"H4sI", b"eAE", b"eF4", b"eJw", b"eNo", b"KLUv/"];
/// The same in hexadecimal, lower case.
const IN_HEX: [&[u8]; 6] = [b"1f8b08", b"7801", b"785e", b"789c", b"78da", b"28b52ffd"];

/// Hands on every stream that begins at the start of a word.
#[inline(never)]
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    for long in classes.words.iter().filter(|word| word.len() >= LENGTH_MIN) {
        word(search, level, long.start, long.len());
    }
}

fn word(search: &mut Search, level: &Level, start: usize, end: usize) {
    let text = &level.bytes[start..];
    if !text.first().is_some_and(|first| b"HeK172".contains(first)) {
        return;
    }
    let (mut decoded, places) = search.take();
    if IN_BASE64.iter().any(|magic| begins(text, magic, false)) && !base64::goes_on(level.bytes, start + end)
    {
        decoded.resize(end * 6 / 8, 0);
        base64::sextets(&text[..end], &mut decoded);
        search.packed(level, start..start + end, Encoding::Base64, &decoded);
    } else if IN_HEX.iter().any(|magic| begins(text, magic, true)) {
        let end = text.iter().take_while(|b| nibble(**b).is_some()).count();
        let pair = |pair: &[u8]| nibble(pair[0]).unwrap_or(0) << 4 | nibble(pair[1]).unwrap_or(0);
        decoded.extend(text[..end].chunks_exact(2).map(pair));
        search.packed(level, start..start + end, Encoding::Hex, &decoded);
    }
    search.leave(decoded, places);
}

fn begins(text: &[u8], magic: &[u8], any_case: bool) -> bool {
    let Some(start) = text.get(..magic.len()) else { return false };
    if any_case { start.eq_ignore_ascii_case(magic) } else { start == magic }
}
