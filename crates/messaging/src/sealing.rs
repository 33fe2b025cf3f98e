//! Numbers at rest: sealed to a public key whose private half the region's database and relay do not have.
//!
//! HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. The relay knows a number while
//! its owner registers or tags it again, and keeps only this. Who takes the database, with the relay's keys, can test
//! guesses against tags, one evaluation a guess, but reads no number off the disk.
//!
//! The associated data is the mailbox's id, so a sealed number cannot be put under another mailbox.

use crate::number::Number;
use crate::wire::{Key, MailboxId};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand_core::OsRng;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// What binds a sealed number to this use of the key.
const INFO: &[u8] = b"domicile sealed number v1";
/// What a private key's file begins with.
const PREFIX: &str = "domicile-sealing-key-v1:";
/// Numbers are padded to one length before they are sealed: `+` and fifteen digits.
const CLEAR_BYTES: usize = 16;
const ENCAPPED_BYTES: usize = 32;
/// A sealed number, bytes.
pub const SEALED_BYTES: usize = ENCAPPED_BYTES + CLEAR_BYTES + 16;

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

/// Why a number is not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Not an X25519 key, or one of small order.
    #[error("not a sealing key")]
    NoKey,
    /// Sealed to another key, for another mailbox, or changed.
    #[error("the sealed number does not open with this key for this mailbox")]
    NotOpened,
}

/// Seals `number` for `mailbox` to `sealing_key`. Two times the same are not alike.
///
/// # Errors
/// [`SealFault::NoKey`].
pub fn seal(
    sealing_key: &Key,
    mailbox: &MailboxId,
    number: &Number,
) -> Result<[u8; SEALED_BYTES], SealFault> {
    let key = PublicKey::from_bytes(&sealing_key.0).map_err(|_| SealFault::NoKey)?;
    let mut clear = Zeroizing::new([0; CLEAR_BYTES]);
    clear[..number.as_str().len()].copy_from_slice(number.as_str().as_bytes());
    let (encapped, sealed) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256, _>(
        &OpModeS::Base,
        &key,
        INFO,
        &*clear,
        &mailbox.0,
        &mut OsRng,
    )
    .map_err(|_| SealFault::NoKey)?;
    let mut bytes = [0; SEALED_BYTES];
    bytes[..ENCAPPED_BYTES].copy_from_slice(&encapped.to_bytes());
    bytes[ENCAPPED_BYTES..].copy_from_slice(&sealed);
    Ok(bytes)
}

/// The private half: kept outside the region's machines, by who answers lawful requests. `Debug` does not show it.
pub struct OpeningKey(PrivateKey);

impl OpeningKey {
    /// A new one, with the public key for the region's configuration.
    pub fn generate() -> (Self, Key) {
        let seed = Zeroizing::new(crate::random::bytes::<32>());
        let (private, public) = X25519HkdfSha256::derive_keypair(&*seed);
        (Self(private), Key(public.to_bytes().into()))
    }

    /// As its file has it: one line.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(&self.0.to_bytes());
        Zeroizing::new(format!("{PREFIX}{}\n", Key(*bytes)))
    }

    /// Opens one number for a lawful request about one known mailbox: a court's order, or the owner's own request for
    /// access. Nothing that serves users calls this; the relay could not, it has no such key.
    ///
    /// # Errors
    /// [`SealFault::NotOpened`].
    pub fn open_for_lawful_request(&self, mailbox: &MailboxId, sealed: &[u8]) -> Result<Number, SealFault> {
        let (encapped, sealed) = sealed.split_at_checked(ENCAPPED_BYTES).ok_or(SealFault::NotOpened)?;
        let encapped = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapped);
        let encapped = encapped.map_err(|_| SealFault::NotOpened)?;
        let clear = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.0,
            &encapped,
            INFO,
            sealed,
            &mailbox.0,
        );
        let clear = Zeroizing::new(clear.map_err(|_| SealFault::NotOpened)?);
        let text = std::str::from_utf8(&clear).map_err(|_| SealFault::NotOpened)?;
        text.trim_end_matches('\0').parse().map_err(|_| SealFault::NotOpened)
    }
}

impl FromStr for OpeningKey {
    type Err = SealFault;

    fn from_str(text: &str) -> Result<Self, SealFault> {
        let text = text.trim_end_matches(['\r', '\n']).strip_prefix(PREFIX).ok_or(SealFault::NoKey)?;
        let key: Key = text.parse().map_err(|_| SealFault::NoKey)?;
        PrivateKey::from_bytes(&key.0).map(Self).map_err(|_| SealFault::NoKey)
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpeningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_private_half_opens_and_only_for_its_mailbox() {
        let (key, public) = OpeningKey::generate();
        let (mailbox, number) = (MailboxId::random(), "+15035550123".parse::<Number>().unwrap());
        let sealed = seal(&public, &mailbox, &number).unwrap();
        assert_ne!(sealed, seal(&public, &mailbox, &number).unwrap());
        let key: OpeningKey = key.to_text().parse().unwrap();
        assert!(key.open_for_lawful_request(&mailbox, &sealed) == Ok(number));
        let other = key.open_for_lawful_request(&MailboxId::random(), &sealed);
        assert_eq!(other.err(), Some(SealFault::NotOpened));
        let (stranger, _) = OpeningKey::generate();
        assert!(stranger.open_for_lawful_request(&mailbox, &sealed).is_err());
        for at in 0..SEALED_BYTES {
            let mut changed = sealed;
            changed[at] ^= 1;
            assert!(key.open_for_lawful_request(&mailbox, &changed).is_err(), "{at}");
            assert!(key.open_for_lawful_request(&mailbox, &sealed[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a_key_of_small_order_seals_nothing() {
        let number = "+15035550123".parse().unwrap();
        let sealed = seal(&Key([0; 32]), &MailboxId([1; 16]), &number);
        assert_eq!(sealed, Err(SealFault::NoKey));
    }
}
