//! Ed25519 keys and signatures in the text forms of C2SP signed-note, as Go's `sumdb/note` prints
//! them, so that the log to come and tools of others can use the same keys.
//!
//! Verifying key `NAME+HASH+BASE64`, signing key `PRIVATE+KEY+NAME+HASH+BASE64`, signature
//! `— NAME BASE64`. HASH is the first four bytes of SHA-256(name || `\n` || 0x01 || public key), hex.

use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Signature type of signed-note: Ed25519.
const ED25519: u8 = 1;
/// The longest key name, bytes.
const NAME_BYTES_MAX: usize = 255;
const PRIVATE: &str = "PRIVATE+KEY+";
/// The longest text of a key looked at, bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// A region's signing key. Wiped from memory when dropped; `Debug` shows its name and hash only.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// A new key from the operating system's random bytes. `name` is the region's id, or ends with
    /// `/` and the region's id (`shop.example/oregon`); no white space, no `+`.
    pub fn generate(name: &str) -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(Error::Entropy)?;
        Self::from_seed(name, &seed)
    }

    pub(crate) fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::new(name, key.verifying_key())
            .map_err(|what| Error::Key { kind: "signing key", what })?;
        Ok(Self { key, public })
    }

    /// Reads what [`SigningKey::to_text`] wrote; white space around the line is left aside.
    /// Errors never show the text.
    pub fn from_text(text: &str) -> Result<Self> {
        let bad = |what| Error::Key { kind: "signing key", what };
        let text = text.trim();
        if text.len() > TEXT_BYTES_MAX {
            return Err(bad("it is too long"));
        }
        let rest = text.strip_prefix(PRIVATE).ok_or(bad("it does not begin with PRIVATE+KEY+"))?;
        let (name, hash, key) = parts(rest).ok_or(bad("it is not PRIVATE+KEY+NAME+HASH+BASE64"))?;
        let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| bad("its base64 is broken"))?);
        let seed = match bytes.split_first() {
            Some((&ED25519, seed)) => seed.try_into().map_err(|_| bad("it has not 32 bytes"))?,
            _ => return Err(bad("it is not an Ed25519 key")),
        };
        let seed = Zeroizing::<[u8; 32]>::new(seed);
        let key = Self::from_seed(name, &seed)?;
        if hash != key.public.hash_text() {
            return Err(bad("name, hash and key do not belong together"));
        }
        Ok(key)
    }

    /// The key as one line with its `\n`, for a file of mode 0600. Wiped when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([ED25519; 33]);
        bytes[1..].copy_from_slice(self.key.as_bytes());
        let key = Zeroizing::new(STANDARD.encode(*bytes));
        Zeroizing::new(format!("{PRIVATE}{}+{}+{}\n", self.public.name, self.public.hash_text(), *key))
    }

    /// The key that others verify with.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// The signature line over `message`, without `\n`.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        use ed25519_dalek::Signer as _;
        let mut bytes = self.public.hash().to_vec();
        bytes.extend(self.key.sign(message).to_bytes());
        format!("— {} {}", self.public.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}+{}, secret not shown)", self.public.name, self.public.hash_text())
    }
}

/// A named public key; prints and reads as the line `NAME+HASH+BASE64`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Result<Self, &'static str> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err("its name must have 1 to 255 bytes");
        }
        if name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
            return Err("its name must be free of white space and `+`");
        }
        // A key of small order would verify signatures that nobody made.
        if key.is_weak() {
            return Err("its point has a small order");
        }
        Ok(Self { name: name.to_owned(), key })
    }

    /// The name: the region's id, perhaps after a `/`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands after the last `/` of the name: the id of the region it signs for.
    pub fn region(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The 32 bytes of the public key.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    fn hash(&self) -> [u8; 4] {
        let all = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        [all[0], all[1], all[2], all[3]]
    }

    fn hash_text(&self) -> String {
        hex::encode(self.hash())
    }

    /// Is `line` (without `\n`) this key's signature over `message`, in its one canonical spelling?
    pub(crate) fn signed(&self, line: &str, message: &[u8]) -> bool {
        let Some(text) = line.strip_prefix("— ").and_then(|l| l.strip_prefix(self.name.as_str())) else {
            return false;
        };
        // This decoder refuses missing padding and padding bits that are not zero.
        let Some(bytes) = text.strip_prefix(' ').and_then(|t| STANDARD.decode(t).ok()) else { return false };
        let Some((hash, signature)) = bytes.split_first_chunk::<4>() else { return false };
        let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return false };
        // Strict: S below the group's order and R compared byte by byte, so no second signature
        // can be made from a first.
        *hash == self.hash() && self.key.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.hash_text(), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifyingKey {
    type Err = Error;

    /// Reads `NAME+HASH+BASE64`; white space around it is left aside.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |what| Error::Key { kind: "verifying key", what };
        let text = text.trim();
        if text.len() > TEXT_BYTES_MAX {
            return Err(bad("it is too long"));
        }
        if text.starts_with(PRIVATE) {
            return Err(bad("it is a signing key, which must stay secret"));
        }
        let (name, hash, key) = parts(text).ok_or(bad("it is not NAME+HASH+BASE64"))?;
        let bytes = STANDARD.decode(key).map_err(|_| bad("its base64 is broken"))?;
        let point: [u8; 32] = match bytes.split_first() {
            Some((&ED25519, point)) => point.try_into().map_err(|_| bad("it has not 32 bytes"))?,
            _ => return Err(bad("it is not an Ed25519 key")),
        };
        let key = ed25519_dalek::VerifyingKey::from_bytes(&point)
            .map_err(|_| bad("it is not a point of the curve"))?;
        let key = Self::new(name, key).map_err(bad)?;
        if hash != key.hash_text() {
            return Err(bad("name, hash and key do not belong together"));
        }
        Ok(key)
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `NAME+HASH+BASE64`; base64 may hold `+`, a name may not.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('+')?;
    let (hash, key) = rest.split_once('+')?;
    Some((name, hash, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the documentation of Go's golang.org/x/mod/sumdb/note.
    const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &[u8] =
        b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const SIGNATURE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

    #[test]
    fn agrees_with_the_reference_implementation_of_signed_note() {
        let key = SigningKey::from_text(SKEY).unwrap();
        assert_eq!(key.verifying_key().to_string(), VKEY);
        assert_eq!(key.sign(TEXT), SIGNATURE);
        assert!(VKEY.parse::<VerifyingKey>().unwrap().signed(SIGNATURE, TEXT));
        assert_eq!(key.to_text().trim_end(), SKEY);
    }

    #[test]
    fn a_new_key_survives_its_text_form() {
        let key = SigningKey::generate("shop.example/oregon").unwrap();
        let again = SigningKey::from_text(&key.to_text()).unwrap();
        assert_eq!(again.verifying_key(), key.verifying_key());
        assert_eq!(key.verifying_key().region(), "oregon");
        assert!(key.verifying_key().signed(&again.sign(b"x"), b"x"));
        assert!(!key.verifying_key().signed(&again.sign(b"x"), b"y"));
        assert_ne!(
            SigningKey::generate("a").unwrap().to_text(),
            SigningKey::generate("a").unwrap().to_text()
        );
    }

    #[test]
    fn neither_debug_nor_errors_show_the_secret() {
        let secret = "AYEKFALVFGyNhPJEMzD1QIDr";
        assert!(!format!("{:?}", SigningKey::from_text(SKEY).unwrap()).contains(secret));
        for broken in
            [SKEY.replace("c74f20a3", "c74f20a4"), SKEY.replace("KDFz", "KDF"), SKEY.replace("AYE", "AoE")]
        {
            let e = SigningKey::from_text(&broken).unwrap_err();
            assert!(!format!("{e} {e:?}").contains("KFALVFGyN"), "{e}");
        }
        assert!(SKEY.parse::<VerifyingKey>().unwrap_err().to_string().contains("must stay secret"));
    }

    #[test]
    fn names_that_would_confuse_the_text_forms_are_refused() {
        for name in ["", "a b", "a+b", "a\nb", "a\u{2003}b", &"x".repeat(256)] {
            assert!(SigningKey::generate(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut point = [0u8; 32];
        point[0] = 1;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&point).unwrap();
        assert!(VerifyingKey::new("a", key).is_err());
    }

    #[test]
    fn every_other_spelling_of_a_signature_is_refused() {
        let key: VerifyingKey = VKEY.parse().unwrap();
        let bytes = SIGNATURE.as_bytes();
        for at in 0..bytes.len() {
            for flip in [1u8, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut changed = bytes.to_vec();
                changed[at] ^= flip;
                if let Ok(line) = std::str::from_utf8(&changed) {
                    assert!(!key.signed(line, TEXT), "byte {at} ^ {flip}");
                }
            }
        }
        for line in [
            format!("{SIGNATURE} "),
            format!(" {SIGNATURE}"),
            SIGNATURE.replace('=', ""),
            format!("{SIGNATURE}\r"),
        ] {
            assert!(!key.signed(&line, TEXT));
        }
    }
}
