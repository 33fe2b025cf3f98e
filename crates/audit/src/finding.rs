//! What was found, and how it was written there.

use crate::{Kind, Place};
use serde::Serialize;
use std::fmt;
use std::ops::Range;

/// How an identifier was written where it was found; several at once, outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As it was given or in its normal form.
    Plain,
    /// With separators between its digits.
    Separators,
    /// Without its country code, or in the national writing.
    National,
    /// Within a longer row of digits: a byte beside it may only look like a digit, or the row is another number.
    Within,
    /// UTF-16, little endian.
    Utf16Le,
    /// UTF-16, big endian.
    Utf16Be,
    /// Hexadecimal, of either case.
    Hex,
    /// Base64 or base64url, at whatever alignment (RFC 4648).
    Base64,
    /// Percent-encoded (RFC 3986).
    Percent,
    /// Escaped as in JSON (RFC 8259).
    Json,
    /// Quoted-printable (RFC 2045).
    QuotedPrintable,
    /// With character references of HTML.
    Html,
    /// With escapes of C and its kin, in hexadecimal or octal.
    Backslash,
    /// Base32 of either case, at whatever alignment (RFC 4648).
    Base32,
    /// MD5 of a normal form (RFC 1321).
    Md5,
    /// SHA-1 (FIPS 180-4).
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// BLAKE3.
    Blake3,
    /// HMAC-SHA-256 with a given key (RFC 2104).
    HmacSha256,
    /// gzip (RFC 1952).
    Gzip,
    /// zlib (RFC 1950).
    Zlib,
    /// Zstandard (RFC 8878).
    Zstd,
    /// A digest as raw bytes, not in a text form of it.
    Raw,
}

/// One place in a run of bytes where an identifier stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which identifier: its number in the list that [`crate::Wanted`] was made of.
    pub identifier: u32,
    /// Where, in bytes from the start of the run (of what was read, before any decoding).
    pub at: Range<u64>,
    /// How it was written, outermost first.
    pub how: Vec<Encoding>,
}

/// A keyed fingerprint that stands for an identifier in a report: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An identifier that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which identifier, without saying it.
    pub identifier: Fingerprint,
    /// Its sort.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// Bytes from the start of the innermost place.
    pub offset_bytes: u64,
    /// Length there, in bytes.
    pub length_bytes: u64,
    /// How it was written, outermost first.
    pub how: Vec<Encoding>,
}
