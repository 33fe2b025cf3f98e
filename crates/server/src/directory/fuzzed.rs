//! The directory's readers of strangers' bytes, for [`crate::fuzzed`].

use super::request::{known, query, subject};
use super::spelling::Spelling;
use super::{claims, homes};
use http::{HeaderMap, HeaderValue};

/// A byte that chooses, then what is read: as a subject, a query, tags, and every call's body.
///
/// # Panics
/// A subject with a second spelling, or a value that stands for two.
pub(crate) fn asked(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        for spelling in [Spelling::Integer, Spelling::Uuid, Spelling::Text] {
            if let Ok(id) = subject(&decoded, spelling) {
                assert_eq!(subject(&id.0, spelling).ok(), Some(id), "a subject has one spelling");
            }
        }
        if let Ok([wait]) = query(Some(text), ["wait"]) {
            assert!(wait.is_some() || text.chars().all(|c| c == '&'), "{text:?}");
        }
    }
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let mut headers = HeaderMap::new();
        headers.append(http::header::IF_NONE_MATCH, value);
        let _ = known(&headers).has(3);
    }
    homes::read_any(data);
    claims::read_any(data);
}
