//! tar: POSIX ustar, GNU (long names), pax (path, size), and the older kind without a magic.

use super::stretch::Portion;
use super::{Search, Stretch, open};
use crate::{Gap, Step};

const BLOCK_BYTES: usize = 512;
/// A longer name or pax header is not read: the member keeps its short name.
const NAME_BYTES_MAX: usize = 64 << 10;

/// What the headers before a member said of it.
#[derive(Default)]
struct Said {
    name: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

/// Hands on every member of the archive that begins here. Headers and padding are searched as they stand.
pub(super) fn members<S: Search>(stretch: &mut Stretch<'_, '_, S>) {
    let mut said = Said::default();
    loop {
        let header = stretch.peek(BLOCK_BYTES).to_vec();
        if header.len() < BLOCK_BYTES || !checksum_holds(&header) {
            return ended(stretch, &header);
        }
        stretch.advance(BLOCK_BYTES);
        let size = said.size.take().unwrap_or_else(|| number(&header[124..136]));
        let here = match header[156] {
            b'1'..=b'6' => 0, // links, devices and directories: a size here counts no bytes
            _ => size,
        };
        let whole = match header[156] {
            b'L' => long_name(stretch, here, &mut said),
            b'x' => extended(stretch, here, &mut said),
            b'K' | b'g' => stretch.skip(here) == here,
            kind => {
                let said = std::mem::take(&mut said);
                let name = said.name.unwrap_or_else(|| short_name(&header));
                match kind {
                    b'0' | 0 | b'7' if !said.sparse => member(stretch, name, here),
                    b'S' => sparse(stretch, &name, here, header[482] != 0),
                    b'0' | 0 | b'7' => sparse(stretch, &name, here, false),
                    _ => stretch.skip(here) == here,
                }
            }
        };
        if !whole {
            return stretch
                .unseen(Gap::Damaged, format!("the tar archive ends inside a member of {here} bytes"));
        }
        stretch
            .skip(here.div_ceil(BLOCK_BYTES as u64).saturating_mul(BLOCK_BYTES as u64).saturating_sub(here));
    }
}

/// Blocks of zeros end an archive; whatever else is no header is searched as it stands.
fn ended<S: Search>(stretch: &Stretch<'_, '_, S>, block: &[u8]) {
    if stretch.source_failed() {
        return; // said by who reads the source
    }
    if block.is_empty() || block.len() < BLOCK_BYTES {
        stretch.unseen(Gap::Damaged, "the tar archive is truncated between members".into());
    } else if block.iter().any(|byte| *byte != 0) {
        stretch.unseen(
            Gap::Damaged,
            "a tar header is damaged: from here the archive is searched as it stands only".into(),
        );
    }
}

/// One member's bytes as a run of their own; false if the archive ends inside of it.
fn member<S: Search>(stretch: &mut Stretch<'_, '_, S>, name: String, size: u64) -> bool {
    let from = stretch.pos();
    let (opener, depth) = (stretch.opener(), stretch.depth_inside());
    let spot = stretch.spot().at(from).then(Step::Member(name)).into();
    // A portion fails as the stretch does, which says so itself.
    let _ = open(opener, depth, &spot, &mut Portion { stretch, left_bytes: size });
    let read = stretch.pos() - from;
    read == size
}

/// A member with holes: which of its bytes touch is not known here.
fn sparse<S: Search>(stretch: &mut Stretch<'_, '_, S>, name: &str, size: u64, mut more_map: bool) -> bool {
    let place = stretch.spot().at(stretch.pos()).then(Step::Member(name.into()));
    let why = "a sparse member: its pieces were searched as they stand, not put together or opened";
    stretch.opener().unseen(place, Gap::Unopened, why.into());
    while more_map {
        more_map = stretch.peek(BLOCK_BYTES).get(504).is_some_and(|more| *more != 0);
        stretch.skip(BLOCK_BYTES as u64);
    }
    stretch.skip(size) == size
}

/// The body of a header that is about the next member.
fn body<S: Search>(stretch: &mut Stretch<'_, '_, S>, size: u64) -> (Vec<u8>, bool) {
    let wanted = usize::try_from(size).unwrap_or(usize::MAX).min(NAME_BYTES_MAX);
    let body = stretch.peek(wanted).to_vec();
    (body, stretch.skip(size) == size)
}

fn long_name<S: Search>(stretch: &mut Stretch<'_, '_, S>, size: u64, said: &mut Said) -> bool {
    let (name, whole) = body(stretch, size);
    said.name = Some(text(&name));
    whole
}

/// pax: `LENGTH KEY=VALUE\n`, length in decimal and of the whole record.
fn extended<S: Search>(stretch: &mut Stretch<'_, '_, S>, size: u64, said: &mut Said) -> bool {
    let (records, whole) = body(stretch, size);
    let mut left = &records[..];
    while let Some(space) = left.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&left[..space]).ok().and_then(|length| length.parse::<usize>().ok());
        let Some(record) = length.and_then(|length| left.get(space + 1..length)) else { break };
        left = &left[space + 1 + record.len()..];
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        match record.iter().position(|byte| *byte == b'=').map(|at| (&record[..at], &record[at + 1..])) {
            Some((b"path", path)) => said.name = Some(text(path)),
            Some((b"size", size)) => said.size = String::from_utf8_lossy(size).parse().ok(),
            Some((b"GNU.sparse.name", path)) => (said.sparse, said.name) = (true, Some(text(path))),
            Some((key, _)) if key.starts_with(b"GNU.sparse.") => said.sparse = true,
            _ => {}
        }
    }
    whole
}

fn short_name(header: &[u8]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    if header[257..263] == *b"ustar\0" && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// Up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Octal, or big-endian binary when the first bit is set (GNU).
fn number(field: &[u8]) -> u64 {
    if field[0] & 0x80 != 0 {
        return field[field.len() - 8..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    }
    let digits =
        field.iter().skip_while(|byte| **byte == b' ').take_while(|byte| (b'0'..=b'7').contains(byte));
    digits.fold(0, |number: u64, digit| number << 3 | u64::from(digit - b'0'))
}

/// Whether a block is a header: the sum of its bytes, as signed or unsigned, with the sum itself read as spaces. The sum and the
/// size must be written as numbers, else one block of noise in some thousands would be a header.
pub(super) fn checksum_holds(header: &[u8]) -> bool {
    if header[0] == 0
        || !is_number(&header[148..156])
        || !(is_number(&header[124..136]) || header[124] & 0x80 != 0)
    {
        return false;
    }
    let said = number(&header[148..156]);
    let spaced =
        || header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    let unsigned: u64 = spaced().map(u64::from).sum();
    let signed: i64 = spaced().map(|byte| i64::from(byte.cast_signed())).sum();
    said == unsigned || u64::try_from(signed) == Ok(said)
}

/// Spaces, octal digits, then spaces or zeros.
fn is_number(field: &[u8]) -> bool {
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(digits.len());
    end > 0 && digits[end..].iter().all(|byte| matches!(byte, 0 | b' '))
}
