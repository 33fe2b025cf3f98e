//! zip, by its local headers one after the other: the directory at its end is searched as it stands, so a member that
//! it leaves out is seen all the same.

use super::stretch::Portion;
use super::{Search, Spot, Stretch, open, packed};
use crate::{Gap, Step};

/// A local file header without name and extra field (APPNOTE 4.3.7).
const HEADER_BYTES: usize = 30;

/// A local file header.
struct Header {
    encrypted: bool,
    /// The sizes follow the member.
    sizes_after: bool,
    method: u16,
    packed_bytes: u64,
    name: String,
    /// Of header, name and extra field.
    length: usize,
}

/// Whether a local header follows its magic: a version up to 6.3, a method that exists, a name.
pub(super) fn plausible(head: &[u8]) -> bool {
    head.len() >= HEADER_BYTES
        && head[4] <= 63
        && matches!(short(head, 8), 0..=20 | 93..=99)
        && (1..=4096).contains(&short(head, 26))
}

/// Hands on the member that begins here; None if it was whole, else how much came out.
pub(super) fn member<S: Search>(stretch: &mut Stretch<'_, '_, S>) -> Option<u64> {
    let at = stretch.pos();
    let archive = stretch.zip.filter(|(_, next)| *next == at).map_or(at, |(archive, _)| archive);
    let Some(header) = header(stretch) else {
        stretch.unseen(Gap::Damaged, "a zip member's header is truncated".into());
        return Some(0);
    };
    let spot = stretch.spot().inside(archive, Step::Member(header.name.clone()));
    stretch.advance(header.length);
    let broken = hand_on(stretch, &spot, &header);
    after(stretch, &header);
    stretch.zip = Some((archive, stretch.pos()));
    // Where an archive begins the run, another member or its directory must follow.
    let behind = stretch.peek(HEADER_BYTES);
    let cut = behind.len() < 4 || behind.starts_with(b"PK\x03\x04") && behind.len() < HEADER_BYTES;
    if cut && broken.is_none() && archive == 0 && !stretch.source_failed() {
        let why = "the zip archive ends without its directory: members behind this one may be missing";
        stretch.unseen(Gap::Damaged, why.into());
    }
    broken
}

fn hand_on<S: Search>(stretch: &mut Stretch<'_, '_, S>, spot: &Spot, header: &Header) -> Option<u64> {
    let unseen =
        |stretch: &Stretch<'_, '_, S>, gap, why: String| stretch.opener().unseen(spot.place(), gap, why);
    if header.encrypted {
        unseen(stretch, Gap::Encrypted, "an encrypted zip member".into());
        stretch.skip(header.packed_bytes);
        return None;
    }
    let unpacked = match header.method {
        0 => return stored(stretch, spot, header),
        8 => packed::deflate(stretch, spot),
        93 => packed::zstd(stretch, spot),
        method => {
            let name = method_name(method);
            unseen(stretch, Gap::Unopened, format!("a zip member packed by {name}, which is not opened"));
            stretch.skip(header.packed_bytes);
            return None;
        }
    };
    let broken = unpacked.err()?;
    let why = format!(
        "zip member: {}; searched as far as it could be unpacked: {} bytes",
        broken.why, broken.after_bytes
    );
    unseen(stretch, broken.gap, why);
    Some(broken.after_bytes)
}

/// A stored member whose size only follows it has no known end: it is searched as part of the archive.
fn stored<S: Search>(stretch: &mut Stretch<'_, '_, S>, spot: &Spot, header: &Header) -> Option<u64> {
    if header.sizes_after && header.packed_bytes == 0 {
        return None;
    }
    let (from, opener, depth) = (stretch.pos(), stretch.opener(), stretch.depth_inside());
    let portion = &mut Portion { stretch: &mut *stretch, left_bytes: header.packed_bytes };
    // A portion fails as the stretch does, which says so itself.
    let _ = open(opener, depth, spot, portion);
    let read = stretch.pos() - from;
    if read == header.packed_bytes || stretch.source_failed() {
        return None;
    }
    opener.unseen(
        spot.place(),
        Gap::Damaged,
        format!("a zip member of {} bytes is truncated", header.packed_bytes),
    );
    Some(read)
}

/// The sizes that follow a member, with or without their magic, so that the next member is known to be of this archive.
fn after<S: Search>(stretch: &mut Stretch<'_, '_, S>, header: &Header) {
    if !header.sizes_after {
        return;
    }
    let tail = stretch.peek(28);
    let next = |at: usize| matches!(tail.get(at..at + 4), Some(b"PK\x03\x04" | b"PK\x01\x02"));
    if let Some(length) = [16, 24, 12, 20].into_iter().find(|length| next(*length)) {
        stretch.advance(length);
    }
}

fn header<S: Search>(stretch: &mut Stretch<'_, '_, S>) -> Option<Header> {
    let fixed = stretch.peek(HEADER_BYTES).to_vec();
    if fixed.len() < HEADER_BYTES {
        return None;
    }
    let (name_bytes, extra_bytes) = (usize::from(short(&fixed, 26)), usize::from(short(&fixed, 28)));
    let length = HEADER_BYTES + name_bytes + extra_bytes;
    let all = stretch.peek(length);
    if all.len() < length {
        return None;
    }
    let (name, extra) = all[HEADER_BYTES..].split_at(name_bytes);
    let packed_bytes = match u32::from_le_bytes([fixed[18], fixed[19], fixed[20], fixed[21]]) {
        u32::MAX => packed_bytes_64(extra).unwrap_or(0),
        bytes => u64::from(bytes),
    };
    let flags = short(&fixed, 6);
    let name = String::from_utf8_lossy(name).into_owned();
    let (encrypted, sizes_after) = (flags & 1 != 0, flags & 8 != 0);
    Some(Header { encrypted, sizes_after, method: short(&fixed, 8), packed_bytes, name, length })
}

/// zip64: the extra field 1 holds the unpacked and the packed size.
fn packed_bytes_64(mut extra: &[u8]) -> Option<u64> {
    while extra.len() >= 4 {
        let (id, size) = (short(extra, 0), usize::from(short(extra, 2)));
        let field = extra.get(4..4 + size)?;
        if id == 1 {
            return Some(u64::from_le_bytes(field.get(8..16)?.try_into().ok()?));
        }
        extra = &extra[4 + size..];
    }
    None
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn method_name(method: u16) -> String {
    match method {
        9 => "deflate64".into(),
        12 => "bzip2".into(),
        14 => "lzma".into(),
        95 => "xz".into(),
        98 => "PPMd".into(),
        99 => "AES encryption".into(),
        other => format!("method {other}"),
    }
}
