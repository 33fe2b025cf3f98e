//! The escapes of C, of the languages after it, and of PostgreSQL's `bytea` (ISO/IEC 9899, 6.4.4.4): `\x2b`, `\053`, `\u{2b}`,
//! `\U0000002b`, with those of JSON among them.

use super::marks::{Read, character};
use super::nibble;
use crate::level::Level;

pub(super) fn read(bytes: &[u8]) -> Option<Read> {
    let (b'\\', [letter, rest @ ..]) = bytes.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    Some(match (letter, rest) {
        (b'x' | b'X', [high, low, ..]) => Read::byte(4, nibble(*high)? << 4 | nibble(*low)?),
        (b'0'..=b'3', [b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
            Read::byte(4, (letter - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
        }
        (b'u', [b'{', rest @ ..]) => {
            let digits = rest.iter().take(7).position(|b| *b == b'}').filter(|digits| *digits > 0)?;
            Read::character(digits + 4, character(&rest[..digits], 16)?)
        }
        (b'u', digits) => Read::character(6, character(digits.get(..4)?, 16)?),
        (b'U', digits) => Read::character(10, character(digits.get(..8)?, 16)?),
        (b'"' | b'\'' | b'\\' | b'/' | b'?', _) => Read::byte(2, *letter),
        (b't', _) => Read::byte(2, b'\t'),
        (b'n', _) => Read::byte(2, b'\n'),
        (b'r', _) => Read::byte(2, b'\r'),
        _ => return None,
    })
}

/// What JSON has too is decoded there.
pub(super) fn counts(level: &Level, at: usize, _: &Read, stands: bool) -> bool {
    match &level.bytes[at + 1..] {
        [b'u', b'{', ..] => stands,
        [letter, ..] => stands && matches!(letter, b'x' | b'X' | b'U' | b'0'..=b'3'),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::whole;
    use super::read;

    #[test]
    fn marks_are_read() {
        let text = r"\x2b49\040151\u{2d}2\U00000033\u0034\t\\ \xg \400 \u{} \u{110000} \Uffffffff \q \";
        let expected = "+49 151-234\t\\ \\xg \\400 \\u{} \\u{110000} \\Uffffffff \\q \\";
        assert_eq!(whole(read, text), expected);
    }
}
