//! Quoted-printable, as bodies of mails are written (RFC 2045, 6.7): `=40`, and `=` at the end of a line that goes on. Lower case
//! and blanks that a transport put before the line's end are read, too, as the RFC advises.

use super::marks::Read;
use super::nibble;
use crate::level::Level;

/// Blanks at the end of a line that are read over.
const BLANKS_MAX: usize = 8;

pub(super) fn read(bytes: &[u8]) -> Option<Read> {
    let [b'=', rest @ ..] = bytes else { return None };
    if let [high, low, ..] = rest
        && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
    {
        return Some(Read::byte(3, high << 4 | low));
    }
    let blanks = rest.iter().take(BLANKS_MAX).take_while(|b| matches!(b, b' ' | b'\t')).count();
    match rest[blanks..] {
        [b'\n', ..] => Some(Read::nothing(blanks + 2)),
        [b'\r', b'\n', ..] => Some(Read::nothing(blanks + 3)),
        _ => None,
    }
}

/// Values of queries look like marks (`?id=2024`), so one for a letter, a digit or a blank, which nobody needs to write as a mark,
/// counts beside another one only; a blank also before a line's end, where it must be one. Base64 ends with `==`.
pub(super) fn counts(level: &Level, at: usize, read: &Read, stands: bool) -> bool {
    if !stands {
        return false;
    }
    let after = level.bytes.get(at + read.length..).unwrap_or_default();
    let before = &level.bytes[..at];
    match read.bytes() {
        [] => before.last().is_some_and(|b| !matches!(b, b'=' | b'\n')),
        [byte] if byte.is_ascii_alphanumeric() || *byte == b' ' => {
            after.first().is_none_or(|b| *b == b'=')
                || *byte == b' ' && matches!(after, [b'\r' | b'\n', ..])
                || before.last_chunk::<3>().is_some_and(|mark| self::read(mark).is_some())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::whole;
    use super::read;

    #[test]
    fn marks_are_read() {
        let text = "J=c3=A4ger =2B49 151=\r\n234=\n5= \t\r\n6=3D=7 =";
        assert_eq!(whole(read, text), "Jäger +49 15123456==7 =");
    }
}
