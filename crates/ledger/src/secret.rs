//! Commitments: how a subject stands on a receipt without being named.
//!
//! commitment = SHA-256(salt || subject id), salt = HMAC-SHA256(receipt secret, wave || 0x00 || subject id).
//! Who has the salt can check; who has not can't even guess, however few ids there are, since the
//! salt of each wave and subject is as good as random. Digests of rows are blinded with the same salt
//! (HMAC-SHA256): the plain digest of a row such as `(42, "IN")` would give the id away to anybody
//! who tries all numbers.

use crate::{Digest, Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

const PREFIX: &str = "DOMICILE+RECEIPT+SECRET+";

/// The secret from which all salts of an installation are made. Lost: no receipt can be extracted
/// any more. Leaked: subjects of all its waves can be guessed. Wiped when dropped.
pub struct ReceiptSecret(Zeroizing<[u8; 32]>);

impl ReceiptSecret {
    /// A new secret from the operating system's random bytes.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(Error::Entropy)?;
        Ok(Self(bytes))
    }

    /// A secret from 32 bytes kept elsewhere.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// One line with its `\n`, for a file of mode 0600. Wiped when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(STANDARD.encode(*self.0));
        Zeroizing::new(format!("{PREFIX}{}\n", *key))
    }

    /// Reads what [`ReceiptSecret::to_text`] wrote. Errors never show the text.
    pub fn from_text(text: &str) -> Result<Self> {
        let bad = |what| Error::Key { kind: "receipt secret", what };
        let key =
            text.trim().strip_prefix(PREFIX).ok_or(bad("it does not begin with DOMICILE+RECEIPT+SECRET+"))?;
        let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| bad("its base64 is broken"))?);
        let bytes =
            Zeroizing::<[u8; 32]>::new(bytes.as_slice().try_into().map_err(|_| bad("it has not 32 bytes"))?);
        Ok(Self(bytes))
    }

    /// The salt of a subject in a wave. `wave` must not hold a NUL, which would blur where it ends:
    /// [`crate::ReceiptWriter`] refuses such a name.
    pub fn salt(&self, wave: &str, subject: &str) -> Salt {
        Salt(hmac(&self.0, &[wave.as_bytes(), &[0], subject.as_bytes()]))
    }
}

impl fmt::Debug for ReceiptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceiptSecret(not shown)")
    }
}

/// The salt of one subject in one wave: opens its commitment and its digests. Hex in a single receipt.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Salt(Digest);

impl Salt {
    /// The commitment to the subject's id.
    pub fn commit(&self, subject: &str) -> Digest {
        Digest(Sha256::new().chain_update(self.0.0).chain_update(subject.as_bytes()).finalize().into())
    }

    /// The blinded form of a digest, as it stands on a receipt: HMAC-SHA256(salt, what || 0x00 || digest).
    /// `what` is the table's name as it stands in the line, or [`OBJECTS`]. Whoever holds a single receipt
    /// computes the plain digest of his rows and compares.
    pub fn blind(&self, what: &str, plain: &Digest) -> Digest {
        hmac(&self.0.0, &[what.as_bytes(), &[0], &plain.0])
    }
}

/// Stands for a table's name when the digest of objects is blinded; no table is called so.
pub const OBJECTS: &str = "\u{1}objects";

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(not shown)")
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Digest {
    // The array form of the key has the block's length and can't fail.
    let mut block = Zeroizing::new([0u8; 64]);
    block[..32].copy_from_slice(key);
    let mut mac =
        <Hmac<Sha256> as hmac::digest::KeyInit>::new(hmac::digest::Key::<Hmac<Sha256>>::from_slice(&*block));
    parts.iter().for_each(|p| mac.update(p));
    Digest(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_the_published_one() {
        // RFC 4231, test case 1, its key of 20 bytes 0x0b filled up with zeros, which HMAC does itself.
        let mut key = [0u8; 32];
        key[..20].fill(0x0b);
        assert_eq!(
            hmac(&key, &[b"Hi ", b"There"]).to_string(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn salts_differ_by_secret_wave_and_subject() {
        let a = ReceiptSecret::from_bytes(&[1; 32]);
        let b = ReceiptSecret::from_bytes(&[2; 32]);
        let all = [
            a.salt("w1", "42"),
            a.salt("w2", "42"),
            a.salt("w1", "43"),
            b.salt("w1", "42"),
            a.salt("w", "142"),
        ];
        for (i, x) in all.iter().enumerate() {
            assert_eq!(all.iter().filter(|y| *y == x).count(), 1, "{i}");
        }
        let plain = Digest([7; 32]);
        assert_ne!(all[0].blind("a", &plain), all[0].blind("b", &plain));
        assert_ne!(all[0].blind("a", &plain), all[1].blind("a", &plain));
    }

    #[test]
    fn the_secret_survives_its_text_form_and_is_never_shown() {
        let secret = ReceiptSecret::generate().unwrap();
        let text = secret.to_text();
        assert_eq!(ReceiptSecret::from_text(&text).unwrap().0, secret.0);
        assert_eq!(
            format!("{secret:?} {:?}", secret.salt("w", "1")),
            "ReceiptSecret(not shown) Salt(not shown)"
        );
        let cut = ReceiptSecret::from_text(&text[..text.len() - 4]).unwrap_err();
        assert!(!format!("{cut:?}").contains(&text[PREFIX.len()..PREFIX.len() + 12]));
    }
}
