//! How containers are recognised: by their first bytes.

use crate::Encoding;
use memchr::memmem::Finder;

/// Enough of a run to know what it begins as: a tar's first header, or the first keys of a HAR.
pub(super) const BEGINNING_BYTES: usize = 1 << 10;
/// Enough of gzip, zstd and zip to tell them from other data.
pub(super) const HEADER_BYTES: usize = 30;
/// A magic of four bytes may stand across the end of what is in memory by so much.
pub(super) const OVERLAP_BYTES: usize = 3;

/// What a run begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// A tar archive (POSIX ustar, GNU, pax, or older with a valid checksum).
    Tar,
    /// A zlib stream (RFC 1950).
    Zlib,
    /// A pcap or pcapng capture.
    Capture,
    /// An HTTP archive.
    Har,
    /// Something packed or encrypted that is not opened.
    Foreign(&'static str),
    /// Anything else, also what [`Inside`] finds.
    Other,
}

/// What may begin anywhere in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// A member of a zip archive (PKWARE APPNOTE 4.3.7).
    Zip,
}

/// Magics of what is said to be unseen.
const FOREIGN: [(&[u8], &str); 19] = [
    (b"BZh", "a bzip2 stream"),
    (b"\xfd7zXZ\0", "an xz stream"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"\x04\x22\x4d\x18", "an lz4 stream"),
    (b"LZIP", "an lzip stream"),
    (b"\x1f\x9d", "a stream of compress"),
    (b"\x5d\0\0", "an lzma stream"),
    (b"MSCF", "a cabinet archive"),
    (b"\xff\x06\0\0sNaPpY", "a snappy stream"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF-", "a PDF, whose streams are packed or encrypted"),
    (b"-----BEGIN PGP MESSAGE", "an encrypted PGP message"),
    (b"age-encryption.org/", "a file encrypted by age"),
    (b"Salted__", "a file encrypted by OpenSSL"),
    (b"LUKS\xba\xbe", "an encrypted LUKS volume"),
    (b"\x85\x02", "an encrypted PGP file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE compound file"),
    (b"ORC", "an ORC file"),
];

/// What a run that begins with `head` (up to [`BEGINNING_BYTES`]) is.
pub(super) fn begins(head: &[u8]) -> Begins {
    if is_capture(head) {
        return Begins::Capture;
    }
    if tar(head) {
        return Begins::Tar;
    }
    if let [cmf @ 0x78, flags, ..] = head
        && (u16::from(*cmf) << 8 | u16::from(*flags)) % 31 == 0
        && flags & 0x20 == 0
    {
        return Begins::Zlib;
    }
    if har(head) {
        return Begins::Har;
    }
    foreign(head).map_or(Begins::Other, Begins::Foreign)
}

/// pcap in both byte orders and both resolutions, and pcapng.
fn is_capture(head: &[u8]) -> bool {
    matches!(
        head.get(..4),
        Some(
            b"\xa1\xb2\xc3\xd4"
                | b"\xd4\xc3\xb2\xa1"
                | b"\xa1\xb2\x3c\x4d"
                | b"\x4d\x3c\xb2\xa1"
                | b"\x0a\x0d\x0d\x0a"
        )
    ) && (head[0] != 0x0a || matches!(head.get(8..12), Some(b"\x1a\x2b\x3c\x4d" | b"\x4d\x3c\x2b\x1a")))
}

fn tar(head: &[u8]) -> bool {
    head.get(..512).is_some_and(|header| super::tar::checksum_holds(header))
}

/// A JSON object whose first key is `log`.
fn har(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let Some(object) = text.strip_prefix(b"{") else { return false };
    let Some(value) = object.trim_ascii_start().strip_prefix(b"\"log\"") else { return false };
    let Some(value) = value.trim_ascii_start().strip_prefix(b":") else { return false };
    value.trim_ascii_start().starts_with(b"{")
}

fn foreign(head: &[u8]) -> Option<&'static str> {
    let (magic, what) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic))?;
    let sure = match *magic {
        b"BZh" => head.get(4..10) == Some(b"1AY&SY"),
        b"\x5d\0\0" => matches!(head.get(5..13), Some(size) if size == [0xff; 8] || size[5..] == [0; 3]),
        b"\x85\x02" => matches!(head.get(3), Some(3)),
        b"ORC" => head.get(3).is_some_and(|byte| *byte < 0x20),
        b"\x1f\x9d" => {
            head.get(2).is_some_and(|flags| flags & 0x60 == 0 && (9..=16).contains(&(flags & 0x1f)))
        }
        _ => true,
    };
    sure.then_some(*what)
}

/// Whether a magic that was found in the middle of other data is followed by a sound header: of three or four
/// bytes alone there would be one in every 16 MB of noise.
pub(super) fn plausible(inside: Inside, head: &[u8]) -> bool {
    match inside {
        Inside::Gzip => {
            matches!(head, [_, _, 8, flags, _, _, _, _, extra, system, ..]
                if flags & 0xe0 == 0 && matches!(extra, 0 | 2 | 4) && matches!(system, 0..=13 | 255))
        }
        Inside::Zstd => match head {
            [_, _, _, _, descriptor, ..] => descriptor & 0x08 == 0,
            _ => false,
        },
        Inside::Zip => super::zip::plausible(head),
    }
}

/// The words that decodings have in a place.
const NAMES: [(Encoding, &str); 9] = [
    (Encoding::Base64, "base64"),
    (Encoding::Hex, "hex"),
    (Encoding::Percent, "percent"),
    (Encoding::Json, "json"),
    (Encoding::Utf16Le, "utf-16le"),
    (Encoding::Utf16Be, "utf-16be"),
    (Encoding::Gzip, "gzip"),
    (Encoding::Zlib, "zlib"),
    (Encoding::Zstd, "zstd"),
];

/// The word for a decoding in a place.
pub(super) fn name(how: Encoding) -> &'static str {
    NAMES.iter().find(|(encoding, _)| *encoding == how).map_or("decoded", |(_, name)| name)
}

/// The decoding that a word in a place stands for.
pub(crate) fn encoding(name: &str) -> Option<Encoding> {
    NAMES.iter().find(|(_, word)| *word == name).map(|(encoding, _)| *encoding)
}

/// Finds the next container of any sort; each sort is looked for once in each byte.
#[derive(Debug)]
pub(super) struct Finders([Next; 3]);

#[derive(Debug)]
struct Next {
    inside: Inside,
    finder: Finder<'static>,
    found: Option<u64>,
    /// Nothing begins before this.
    clear_to: u64,
}

impl Finders {
    pub(super) fn new() -> Self {
        let next = |inside, magic: &'static [u8]| Next {
            inside,
            finder: Finder::new(magic),
            found: None,
            clear_to: 0,
        };
        Self([
            next(Inside::Gzip, b"\x1f\x8b\x08"),
            next(Inside::Zstd, b"\x28\xb5\x2f\xfd"),
            next(Inside::Zip, b"PK\x03\x04"),
        ])
    }

    /// The nearest in `ahead`, which begins `pos` bytes into the run: how far, and what. `pos` never falls.
    pub(super) fn find(&mut self, pos: u64, ahead: &[u8]) -> Option<(usize, Inside)> {
        let found = self.0.iter_mut().filter_map(|next| Some((next.find(pos, ahead)?, next.inside)));
        found.min_by_key(|(at, _)| *at).map(|(at, inside)| ((at - pos) as usize, inside))
    }
}

impl Next {
    fn find(&mut self, pos: u64, ahead: &[u8]) -> Option<u64> {
        if self.found.is_some_and(|found| found >= pos) {
            return self.found;
        }
        let from = self.clear_to.max(pos);
        let unknown = ahead.get((from - pos) as usize..).unwrap_or_default();
        self.found = self.finder.find(unknown).map(|at| from + at as u64);
        if self.found.is_none() {
            self.clear_to = from.max((pos + ahead.len() as u64).saturating_sub(OVERLAP_BYTES as u64));
        }
        self.found
    }
}
