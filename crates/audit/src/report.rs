//! What a run says: findings, what was read, what could not be seen, and whether its controls were found.

use crate::{Finding, Place};
use serde::Serialize;

/// One audit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// What was found, in the order of places; at most [`crate::Limits::findings_max`].
    pub findings: Vec<Finding>,
    /// Findings beyond that bound.
    pub more_findings: u64,
    /// What was read.
    pub scanned: Scanned,
    /// What was not read, or not wholly, and why.
    pub unseen: Vec<Unseen>,
    /// Entries of `unseen` beyond its bound.
    pub more_unseen: u64,
    /// The positive controls.
    pub controls: Controls,
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// Files, objects, tables and captures.
    pub targets: u64,
    /// Bytes read from them.
    pub bytes: u64,
    /// Bytes that came out of containers and decodings beside them.
    pub unpacked_bytes: u64,
}

/// Something that this run can't speak about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// Where.
    pub place: Place,
    /// Why, in words: encrypted, truncated, over a limit, no permission.
    pub why: String,
}

/// Positive controls: canaries planted in every encoding and container, searched in the same run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Controls {
    /// How many were planted.
    pub planted: u64,
    /// The names of those not found: with one missed the run proves nothing and fails.
    pub missed: Vec<String>,
}

/// What no run can see, whatever it reads: a report says it, so that "nothing found" is not taken for more than it is.
pub fn cannot_see() -> &'static [&'static str] {
    &[
        "what is encrypted, or packed by anything but gzip, zlib, zstd, tar and zip",
        "encodings within one another beyond three (base64 of percent-encoded hexadecimal is found), and others than UTF-16, \
         hexadecimal, base64, base64url, percent-encoding and JSON's escapes: no quoted-printable, base32, EBCDIC or HTML entities",
        "digests of other spellings than these: phone numbers as +country code and number, without +, national, national with its trunk \
         digit; mail addresses as given and in lower case; IMEIs with and without check digit; others as given; each with the given salts \
         before or after it. Nothing keyed (HMAC), stretched (bcrypt, scrypt, Argon2) or cut short",
        "digests as raw bytes within other encodings, or whose first 16 bytes are all printable ASCII (1 in 5 million); in base64 other than \
         from the start of a word, or without letters of both cases in their first 22 characters (1 in 90 000)",
        "in base64, forms shorter than 8 bytes where they do not fill two whole groups of three; in UTF-16, forms shorter than 3 characters \
         and mail addresses that are not ASCII",
        "phone numbers given without a country under any other writing than their digits; digits split by more than three separators, by \
         line ends, commas or letters; across separators, numbers that begin more than three digits after a group's start",
        "national numbers of under 6 digits; rows of under 10 digits within longer rows of digits, except after one digit more",
        "free strings in another case, spelling or Unicode normalisation than given; identifiers under 4 or over 256 bytes",
        "packed streams within base64 or hexadecimal beyond the part of their text that lies in one block of 128 KiB",
        "false findings are possible: a lookup that finds what is not there has a probability under 2 in 10^11, and rows of digits marked \
         `within` may be a part of another number",
    ]
}
