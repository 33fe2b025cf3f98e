//! What callers may take.

use std::time::Duration;

/// Most subjects of one look-up.
pub(super) const LOOKUP_MAX: usize = 1_000;
/// Longest key of a subject, bytes.
pub(super) const SUBJECT_BYTES_MAX: usize = 512;
/// Longest text of a claim, bytes.
pub(super) const CLAIM_BYTES_MAX: usize = 1_024;
/// Most flags of a sign-up, and most consents.
pub(super) const WORDS_MAX: usize = 32;
/// Longest of them, characters.
pub(super) const WORD_CHARS_MAX: usize = 64;
/// Longest long poll, seconds.
pub(super) const WAIT_MAX_S: u64 = 60;

/// Bounds of the directory service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Requests that are answered at once, long polls apart; beyond: 503 with `Retry-After`.
    pub requests: usize,
    /// Long polls that are held at once; beyond: 503 with `Retry-After`.
    pub waiters: usize,
    /// Bytes of a request's body: a look-up of the most subjects with the longest keys fits.
    pub body_bytes: usize,
    /// From a body's first byte that is waited for to its last.
    pub body: Duration,
    /// From a whole request to its answer, long polls apart.
    pub answer: Duration,
}

impl Default for DirectoryLimits {
    fn default() -> Self {
        Self {
            requests: 512,
            waiters: 10_000,
            body_bytes: 1024 * 1024,
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
        }
    }
}
