//! Percent-encoding (RFC 3986) and JSON's escapes (RFC 8259): what stands around an escape is decoded with it.

use super::nibble;
use crate::Encoding;
use crate::classes::Classes;
use crate::level::{Level, Map};
use crate::search::Search;

/// Decodes the surroundings of all escapes.
#[inline(never)]
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    around(search, level, &classes.percent, Encoding::Percent, percent);
    around(search, level, &classes.backslash, Encoding::Json, json);
    if search.wanted.free.spaced() && level.bytes.contains(&b'+') {
        let plus: Vec<u64> = level.bytes.chunks(64).map(|block| bits(block, b'+')).collect();
        around(search, level, &plus, Encoding::Percent, form);
    }
}

fn bits(block: &[u8], wanted: u8) -> u64 {
    block.iter().rev().fold(0, |bits, b| bits << 1 | u64::from(*b == wanted))
}

/// Reads one escape at the start of `bytes`: how long it is and what it decodes to.
type Escape = fn(&[u8], &mut Vec<u8>) -> usize;

/// Decodes what lies within reach of an escape; surroundings that touch are decoded together.
fn around(search: &mut Search, level: &Level, escapes: &[u64], how: Encoding, read: Escape) {
    let reach = 2 * search.wanted.bounds.longest + 16;
    let mut open: Option<std::ops::Range<usize>> = None;
    for (block, word) in escapes.iter().enumerate() {
        let mut bits = *word;
        while bits != 0 {
            let at = block * 64 + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            let length = read(&level.bytes[at..], &mut Vec::new());
            if length == 0 || level.had(how, at..at + length) {
                continue;
            }
            let here = at.saturating_sub(reach)..(at + reach).min(level.bytes.len());
            match &mut open {
                Some(range) if here.start <= range.end => range.end = here.end,
                _ => {
                    if let Some(range) = open.replace(here) {
                        decode(search, level, range, how, read);
                    }
                }
            }
        }
    }
    if let Some(range) = open {
        decode(search, level, range, how, read);
    }
}

fn decode(search: &mut Search, level: &Level, range: std::ops::Range<usize>, how: Encoding, read: Escape) {
    let (mut decoded, mut places) = search.take();
    let bytes = &level.bytes[..range.end];
    let mut at = range.start;
    while at < bytes.len() {
        let before = decoded.len();
        let length =
            if matches!(bytes[at], b'%' | b'\\' | b'+') { read(&bytes[at..], &mut decoded) } else { 0 };
        if length == 0 {
            decoded.push(bytes[at]);
        }
        places.resize(places.len() + decoded.len() - before, at as u32);
        at += length.max(1);
    }
    places.push(at as u32);
    search.level(&level.decoded(&decoded, Map::Places(&places), Some(how)));
    search.leave(decoded, places);
}

/// `%40`.
fn percent(bytes: &[u8], into: &mut Vec<u8>) -> usize {
    let Some([b'%', high, low]) = bytes.first_chunk() else { return 0 };
    let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) else { return 0 };
    into.push(high << 4 | low);
    3
}

/// As in a form: a `+` is a space.
fn form(bytes: &[u8], into: &mut Vec<u8>) -> usize {
    if bytes.first() == Some(&b'+') {
        into.push(b' ');
        return 1;
    }
    percent(bytes, into)
}

/// `\u0040`, `\/` and the like; a surrogate pair is one character.
fn json(bytes: &[u8], into: &mut Vec<u8>) -> usize {
    let Some([b'\\', letter]) = bytes.first_chunk() else { return 0 };
    let simple = match letter {
        b'"' | b'\\' | b'/' => *letter,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode(bytes, into),
        _ => return 0,
    };
    into.push(simple);
    2
}

fn unicode(bytes: &[u8], into: &mut Vec<u8>) -> usize {
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0u32, |value, b| Some(value << 4 | u32::from(nibble(*b)?)))
    };
    let Some(first) = unit(0) else { return 0 };
    let pair =
        unit(6).filter(|second| (0xD800..0xDC00).contains(&first) && (0xDC00..0xE000).contains(second));
    let (value, length) = match pair {
        Some(second) => (0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00), 12),
        None => (first, 6),
    };
    let Some(character) = char::from_u32(value) else { return 0 };
    into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    length
}
