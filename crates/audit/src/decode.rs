//! What bytes may be decoded to, found by what the decoded bytes would look like.

pub(crate) mod base64;
pub(crate) mod escapes;
pub(crate) mod hex;
pub(crate) mod utf16;

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
