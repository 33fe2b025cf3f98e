//! How containers are recognised: by their first bytes.

use crate::{Encoding, Gap};
use aho_corasick::{AhoCorasick, MatchKind};
use std::sync::LazyLock;

/// Enough of a run to know what it begins as: a tar's first header, or the first keys of a HAR.
pub(super) const BEGINNING_BYTES: usize = 1 << 10;
/// Enough of gzip, zstd and zip to tell them from other data, also in hexadecimal.
pub(super) const HEADER_BYTES: usize = 60;
/// A magic of eight bytes may stand across the end of what is in memory by so much.
pub(super) const OVERLAP_BYTES: usize = 7;

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
    Foreign(Gap, &'static str),
    /// A SQLite database.
    Sqlite,
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
    /// One of them in base64 (RFC 4648).
    Base64,
    /// One of them in hexadecimal, as PostgreSQL writes `bytea`.
    Hex,
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

/// The first bytes of every SQLite database (its file format, section 1.3).
const SQLITE: &[u8] = b"SQLite format 3\0";
/// What can't be seen of one that is searched as bytes.
pub(super) const SQLITE_WHY: &str = "a SQLite database, searched as bytes, with its free pages: numbers are stored in binary, and a value that is spread \
     over pages stands in pieces; give it as sqlite:PATH, too, for its rows";

/// What a run that begins with `head` (up to [`BEGINNING_BYTES`]) is.
pub(super) fn begins(head: &[u8]) -> Begins {
    if binary(head).is_some_and(|inside| plausible(inside, head)) {
        return Begins::Other;
    }
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
    if head.starts_with(SQLITE) {
        return Begins::Sqlite;
    }
    foreign(head).map_or(Begins::Other, |what| Begins::Foreign(sort(what), what))
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
    head.get(..512).is_some_and(super::tar::checksum_holds)
}

/// A JSON object whose first key is `log`.
fn har(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let Some(object) = text.strip_prefix(b"{") else { return false };
    let Some(value) = object.trim_ascii_start().strip_prefix(b"\"log\"") else { return false };
    let Some(value) = value.trim_ascii_start().strip_prefix(b":") else { return false };
    value.trim_ascii_start().starts_with(b"{")
}

/// What is encrypted is told apart from what is packed.
fn sort(what: &str) -> Gap {
    let encrypted = what.starts_with("an encrypted") || what.contains("encrypted by");
    if encrypted { Gap::Encrypted } else { Gap::Unopened }
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
        Inside::Base64 => super::text::inside(head, "base64").is_some(),
        Inside::Hex => super::text::inside(head, "hex").is_some(),
    }
}

/// What bytes begin as, of those that may begin anywhere.
pub(super) fn binary(head: &[u8]) -> Option<Inside> {
    MAGICS[..3].iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, inside)| *inside)
}

/// The words that decodings have in a place.
const NAMES: [(Encoding, &str); 13] = [
    (Encoding::Base64, "base64"),
    (Encoding::Hex, "hex"),
    (Encoding::Percent, "percent"),
    (Encoding::Json, "json"),
    (Encoding::QuotedPrintable, "quoted-printable"),
    (Encoding::Html, "html"),
    (Encoding::Backslash, "backslash"),
    (Encoding::Base32, "base32"),
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

/// What a container begins with: bytes, the first characters of these in base64 and base64url, or in hexadecimal.
const MAGICS: [(&[u8], Inside); 11] = [
    (b"\x1f\x8b\x08", Inside::Gzip),
    (b"\x28\xb5\x2f\xfd", Inside::Zstd),
    (b"PK\x03\x04", Inside::Zip),
    (b"H4sI", Inside::Base64),
    (b"KLUv/", Inside::Base64),
    (b"KLUv_", Inside::Base64),
    (b"KLUv\\/", Inside::Base64),
    (b"UEsDB", Inside::Base64),
    (b"1f8b08", Inside::Hex),
    (b"28b52ffd", Inside::Hex),
    (b"504b0304", Inside::Hex),
];

/// All magics in one pass.
static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let magics = MAGICS.iter().map(|(magic, _)| magic);
    let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(magics);
    finder.expect("eleven short magics make a small automaton")
});

/// The nearest container in `bytes`: how far, and what.
pub(super) fn find(bytes: &[u8]) -> Option<(usize, Inside)> {
    FINDER.find(bytes).map(|found| (found.start(), MAGICS[found.pattern().as_usize()].1))
}
