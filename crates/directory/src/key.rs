//! The key under which subjects appear.

use crate::claims::{Claim, ClaimHash};
use crate::{Error, Result};
use domicile_stores::records::SubjectId;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Length of the key in bytes.
const KEY_BYTES: usize = 32;

/// The secret that turns subjects into [`SubjectHash`]es: 32 bytes, wiped when dropped. All that share
/// a control store share it; with another key every subject would look unknown, which is refused.
#[derive(Clone)]
pub struct DirectoryKey(Zeroizing<[u8; KEY_BYTES]>);

impl DirectoryKey {
    /// A new key from the operating system's random numbers.
    ///
    /// # Errors
    /// [`Error::Key`] where the operating system has none.
    pub fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|e| Error::Key(format!("no random numbers: {e}")))?;
        Ok(Self(bytes))
    }

    /// Reads a key file's bytes: 64 hexadecimal digits, white space around them ignored.
    ///
    /// # Errors
    /// [`Error::Key`], without the bytes.
    pub fn from_file(contents: &[u8]) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let read = hex::decode_to_slice(contents.trim_ascii(), &mut *bytes);
        read.map_err(|_| Error::Key(format!("a key file holds {} hexadecimal digits", 2 * KEY_BYTES)))?;
        Ok(Self(bytes))
    }

    /// What to write into a key file (mode 0600).
    pub fn to_file(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(hex::encode(*self.0));
        text.push('\n');
        text
    }

    /// HMAC-SHA256(key, service || 0 || subject), its first 16 bytes: 2^64 subjects before two are
    /// likely to collide (RFC 2104 section 5 on truncation).
    pub fn hash(&self, service: &str, subject: &SubjectId) -> SubjectHash {
        SubjectHash(self.mac(&[service.as_bytes(), &[0], subject.0.as_bytes()]))
    }

    /// HMAC-SHA256(key, 0 || "claim" || 0 || service || 0 || kind || 0 || form), its first 16 bytes. No service is
    /// called the empty string, so it is no subject's hash.
    pub(crate) fn claim(&self, service: &str, claim: &Claim) -> ClaimHash {
        let kind = claim.kind().name().as_bytes();
        let form = claim.form().as_bytes();
        ClaimHash(self.mac(&[b"\0claim\0", service.as_bytes(), &[0], kind, &[0], form]))
    }

    /// The same of an attempt's name.
    pub(crate) fn attempt(&self, service: &str, attempt: &str) -> [u8; 16] {
        self.mac(&[b"\0attempt\0", service.as_bytes(), &[0], attempt.as_bytes()])
    }

    /// Tells this key from another without telling what it is.
    pub(crate) fn check(&self) -> [u8; 16] {
        // No service is called the empty string, so no subject can have this hash.
        self.mac(&[&[0], b"domicile directory key"])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes a key of any length");
        parts.iter().for_each(|part| mac.update(part));
        let mut hash = [0; 16];
        hash.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        hash
    }
}

impl fmt::Debug for DirectoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectoryKey(..)")
    }
}

/// A subject of a service as the control store knows it. May be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectHash(pub [u8; 16]);

impl fmt::Display for SubjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let key = DirectoryKey::generate().unwrap();
        let read = DirectoryKey::from_file(format!(" {}\r\n", *key.to_file()).as_bytes()).unwrap();
        let ann = SubjectId("ann".into());
        assert_eq!(key.hash("shop", &ann), read.hash("shop", &ann));
        assert_ne!(key.hash("shop", &ann), DirectoryKey::generate().unwrap().hash("shop", &ann));
        assert_eq!(format!("{key:?}"), "DirectoryKey(..)");
    }

    #[test]
    fn the_hash_is_the_one_written_down() {
        // printf 'shop\0ann' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0101..01 | head -c 32
        let key = DirectoryKey(Zeroizing::new([1; 32]));
        assert_eq!(key.hash("shop", &SubjectId("ann".into())).to_string(), KNOWN);
        assert_ne!(key.hash("sho", &SubjectId("pann".into())), key.hash("shop", &SubjectId("ann".into())));
    }

    #[test]
    fn a_bad_key_file_is_refused_without_its_bytes() {
        for bad in [&b""[..], b"abc", b"zz", &[b'0'; 63], &[b'0'; 65], &[0xff; 32]] {
            let error = DirectoryKey::from_file(bad).unwrap_err().to_string();
            assert_eq!(error, "directory key: a key file holds 64 hexadecimal digits");
        }
    }

    const KNOWN: &str = "658ec885685f7b5788083a092dd6e93b";
}
