//! Containers written as text: base64 and hexadecimal, as bodies in JSON, values in dumps and URLs have them. What plain
//! text they hold the scan finds; what is packed in them is opened here, of any length.

use super::{Search, Stretch, magic, open};
use crate::Step;
use std::io::{self, Read};

/// Opens what is written as text at the position.
pub(super) fn written<S: Search>(stretch: &mut Stretch<'_, '_, S>, how: &'static str) {
    let spot = stretch.spot_inside(Step::Unpacked(how));
    let (opener, depth) = (stretch.opener(), stretch.depth_inside());
    let mut bytes = Decoding { stretch, bits: Bits::new(how) };
    // It fails as the stretch does, which says so itself.
    let _ = open(opener, depth, &spot, &mut bytes);
}

/// The sort of container that a text stands for, if it is one.
pub(super) fn inside(text: &[u8], how: &'static str) -> Option<magic::Inside> {
    let (mut head, mut bits) = (Vec::new(), Bits::new(how));
    let mut left = text;
    while let Some((used, byte)) = bits.next(left) {
        left = &left[used..];
        head.extend(byte);
    }
    let inside = magic::binary(&head)?;
    magic::plausible(inside, &head).then_some(inside)
}

struct Decoding<'b, 'a, 's, S: Search> {
    stretch: &'b mut Stretch<'a, 's, S>,
    bits: Bits,
}

impl<S: Search> Read for Decoding<'_, '_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < buffer.len() {
            if self.stretch.ahead().len() < UNIT_BYTES_MAX {
                self.stretch.peek(UNIT_BYTES_MAX);
            }
            let (mut used, from) = (0, written);
            let ahead = self.stretch.ahead();
            let whole = ahead.len() < UNIT_BYTES_MAX;
            let mut ended = false;
            while written < buffer.len() && (whole || ahead.len() - used >= UNIT_BYTES_MAX) {
                let Some((length, byte)) = self.bits.next(&ahead[used..]) else {
                    ended = true;
                    break;
                };
                used += length;
                if let Some(byte) = byte {
                    buffer[written] = byte;
                    written += 1;
                }
            }
            self.stretch.advance(used);
            if ended || used == 0 && written == from {
                break;
            }
        }
        Ok(written)
    }
}

/// The longest writing of one character: `%2B`.
const UNIT_BYTES_MAX: usize = 3;

/// Characters on their way to bytes.
struct Bits {
    /// Of each character.
    width: u32,
    held: u32,
    count: u32,
}

impl Bits {
    fn new(how: &str) -> Self {
        Self { width: if how == "hex" { 4 } else { 6 }, held: 0, count: 0 }
    }

    /// How long the next character is written, and the byte that it completes; None where the text ends.
    fn next(&mut self, text: &[u8]) -> Option<(usize, Option<u8>)> {
        let (used, value) = if self.width == 4 { (1, nibble(*text.first()?)) } else { sextet(text)? };
        let Some(value) = value else { return (self.width == 6).then_some((used, None)) };
        self.held = self.held << self.width | u32::from(value);
        self.count += self.width;
        if self.count < 8 {
            return Some((used, None));
        }
        self.count -= 8;
        let byte = (self.held >> self.count) as u8;
        self.held &= (1 << self.count) - 1;
        Some((used, Some(byte)))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// How long a character of base64 or base64url is written, as it is, percent-encoded or escaped as in JSON; no value for line
/// ends; None where the text ends.
fn sextet(text: &[u8]) -> Option<(usize, Option<u8>)> {
    Some(match text {
        [byte @ b'A'..=b'Z', ..] => (1, Some(byte - b'A')),
        [byte @ b'a'..=b'z', ..] => (1, Some(byte - b'a' + 26)),
        [byte @ b'0'..=b'9', ..] => (1, Some(byte - b'0' + 52)),
        [b'+' | b'-', ..] => (1, Some(62)),
        [b'/' | b'_', ..] => (1, Some(63)),
        [b'%', b'2', b'B' | b'b', ..] => (3, Some(62)),
        [b'%', b'2', b'F' | b'f', ..] => (3, Some(63)),
        [b'\\', b'/', ..] => (2, Some(63)),
        [b'\\', b'n' | b'r', ..] => (2, None),
        [b'\r' | b'\n', ..] => (1, None),
        _ => return None,
    })
}
