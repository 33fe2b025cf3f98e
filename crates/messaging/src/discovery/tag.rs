//! What a number is found by.

use crate::wire::{Entry, IdentityKeys, Locator, MailboxId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha512;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const NONCE_BYTES: usize = 12;

/// The output of the PRF for one number under one region's key of one generation: a secret of those who know the number
/// and may ask, and of the region. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Tag(pub(super) [u8; 64]);

/// Whom an entry leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// To which one encrypts.
    pub identity: IdentityKeys,
}

impl Tag {
    /// Expands the tag, HKDF-SHA512 (RFC 5869) without salt: a tag is uniformly random already.
    fn derive<const N: usize>(&self, label: &str) -> Zeroizing<[u8; N]> {
        let mut bytes = Zeroizing::new([0; N]);
        let expanded = Hkdf::<Sha512>::new(None, &self.0).expand(label.as_bytes(), &mut *bytes);
        expanded.expect("64 bytes and fewer can be expanded");
        bytes
    }

    /// Where the entry lies.
    pub fn locator(&self) -> Locator {
        Locator(*self.derive("domicile locator v1"))
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.derive::<32>("domicile entry v1")).into())
    }

    /// The entry at this locator: ChaCha20-Poly1305 (RFC 8439) with a random nonce before it, because a mailbox that is
    /// made anew for the same number is sealed with the same key.
    pub fn seal(&self, resident: &Resident) -> Entry {
        let nonce: [u8; NONCE_BYTES] = crate::random::bytes();
        let clear = [&resident.mailbox.0[..], &resident.identity.to_bytes()].concat();
        let locator = self.locator();
        let payload = Payload { msg: &clear, aad: &locator.0 };
        let sealed =
            self.cipher().encrypt(Nonce::from_slice(&nonce), payload).expect("80 bytes can be sealed");
        let mut entry = Entry([0; Entry::BYTES]);
        entry.0[..NONCE_BYTES].copy_from_slice(&nonce);
        entry.0[NONCE_BYTES..].copy_from_slice(&sealed);
        entry
    }

    /// Whom the entry at this locator leads to. `None`: it was sealed for another number, key or generation, or changed.
    pub fn open(&self, entry: &Entry) -> Option<Resident> {
        let (nonce, sealed) = entry.0.split_at(NONCE_BYTES);
        let locator = self.locator();
        let payload = Payload { msg: sealed, aad: &locator.0 };
        let clear = self.cipher().decrypt(Nonce::from_slice(nonce), payload).ok()?;
        let (mailbox, identity) = clear.split_at_checked(MailboxId::BYTES)?;
        Some(Resident {
            mailbox: MailboxId(mailbox.try_into().ok()?),
            identity: IdentityKeys::from_bytes(identity)?,
        })
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

// Only into the device's own file: see `Tags`.
impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0)))
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        crate::wire::from_text(from, "64 bytes as base64url", |text| {
            let bytes = (text.len() <= 86).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()?;
            Some(Self(bytes.try_into().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::DiscoveryKey;
    use super::*;
    use crate::wire::Key;

    fn resident() -> Resident {
        let identity = IdentityKeys { curve25519: Key([1; 32]), ed25519: Key([2; 32]) };
        Resident { mailbox: MailboxId([3; 16]), identity }
    }

    #[test]
    fn an_entry_opens_with_its_own_tag_only() {
        let (key, next) = (DiscoveryKey::generate(), DiscoveryKey::generate());
        let number = "+8613912345678".parse().unwrap();
        let tag = key.tag(&number);
        let entry = tag.seal(&resident());
        assert_eq!(tag.open(&entry), Some(resident()));
        assert_ne!(tag.seal(&resident()), entry, "a new nonce each time");
        assert_eq!(next.tag(&number).open(&entry), None, "another generation");
        assert_eq!(key.tag(&"+8613912345679".parse().unwrap()).open(&entry), None, "another number");
        for at in 0..Entry::BYTES {
            let mut changed = entry;
            changed.0[at] ^= 1;
            assert_eq!(tag.open(&changed), None, "{at}");
        }
        assert_ne!(next.tag(&number).locator(), tag.locator());
    }

    #[test]
    fn a_tag_reads_its_own_text() {
        let tag = DiscoveryKey::generate().tag(&"+8613912345678".parse().unwrap());
        let text = serde_json::to_string(&tag).unwrap();
        assert!(serde_json::from_str::<Tag>(&text).unwrap() == tag);
        assert!(serde_json::from_str::<Tag>("\"AAAA\"").is_err());
    }

    #[test]
    fn derivations_stay_as_they_are() {
        // Computed by Python as well. What is stored is found by this: changing it loses every user.
        let tag = Tag([7; 64]);
        assert_eq!(tag.locator().to_string(), "PM-p_623p602UZkCB3MZKg");
    }
}
