//! Who may ask: whoever shows one of the tokens.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// A token shorter than this can be guessed, bytes.
const TOKEN_BYTES_MIN: usize = 16;
/// Tokens at once: an old and a new one, and room.
const TOKENS_MAX: usize = 16;

/// The tokens that let somebody in. Only their digests are kept.
#[derive(Clone)]
pub struct Tokens(Vec<[u8; 32]>);

/// Tokens that protect nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file of tokens holds 1 to {TOKENS_MAX}, one a line, each of {TOKEN_BYTES_MIN} characters or more")]
pub struct WeakToken;

impl Tokens {
    /// Reads tokens, one a line: with two of them the one can be replaced while the other is still in use.
    ///
    /// # Errors
    /// `WeakToken`: none, too many, or one that is too short.
    pub fn read(lines: &str) -> Result<Self, WeakToken> {
        let tokens: Vec<&str> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let weak = tokens.iter().any(|token| token.len() < TOKEN_BYTES_MIN);
        if weak || tokens.is_empty() || tokens.len() > TOKENS_MAX {
            return Err(WeakToken);
        }
        Ok(Self(tokens.iter().map(|token| Sha256::digest(token).into()).collect()))
    }

    /// Does the request show one? Digests are compared, all of them and in constant time: how long it takes says nothing
    /// of how much of a token was right.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (shown.next(), shown.next()) else { return false };
        let Some(token) = bearer(value.as_bytes()) else { return false };
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.0.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&digest)).into()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (AUTHORIZATION, v.parse().unwrap())).collect()
    }

    #[test]
    fn whoever_shows_a_token_is_let_in() {
        let tokens = Tokens::read("old-token-of-the-year\r\n\n  new-token-of-the-year\n").unwrap();
        for good in ["Bearer old-token-of-the-year", "bearer new-token-of-the-year"] {
            assert!(tokens.admit(&headers(&[good])));
        }
        let twice = ["Bearer old-token-of-the-year", "Bearer old-token-of-the-year"];
        for bad in [
            &["Bearer old-token-of-the-yea"][..],
            &["Basic old-token-of-the-year"],
            &["Bearer "],
            &[],
            &twice,
        ] {
            assert!(!tokens.admit(&headers(bad)), "{bad:?}");
        }
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
    }

    #[test]
    fn a_token_that_can_be_guessed_is_none() {
        for weak in ["", "\n\n", "short", &"0123456789abcdef\n".repeat(17)] {
            assert_eq!(Tokens::read(weak).unwrap_err(), WeakToken);
        }
    }
}
