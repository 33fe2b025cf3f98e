//! Keys to which others encrypt (Olm).

use super::limits::ONE_TIME_KEYS_MAX;
use super::{Key, List, MailboxId, OneTimeKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The long-lived public keys of a mailbox's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityKeys {
    /// X25519, for sessions.
    pub curve25519: Key,
    /// Ed25519, signs both and each one-time key. Not the device's key to the relay.
    pub ed25519: Key,
}

impl IdentityKeys {
    /// Both, bytes: as they are kept in `mailbox.identity`.
    pub const BYTES: usize = 64;

    /// X25519 key, then Ed25519 key.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.curve25519.0);
        bytes[32..].copy_from_slice(&self.ed25519.0);
        bytes
    }

    /// What two people compare, in person or by voice: 30 digits in groups of five, of the SHA-256 of both keys. Who wants to be
    /// taken for another one needs 2^98 tries.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest([b"domicile-identity-v1\n".as_slice(), &self.to_bytes()].concat());
        let group = |bytes: &[u8]| {
            let number = bytes.iter().fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
            format!("{:05}", number % 100_000)
        };
        digest[..30].chunks(5).map(group).collect::<Vec<_>>().join(" ")
    }

    /// The reverse of [`IdentityKeys::to_bytes`]. `None`: another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (curve25519, ed25519) = bytes.split_at_checked(32)?;
        Some(Self { curve25519: Key(curve25519.try_into().ok()?), ed25519: Key(ed25519.try_into().ok()?) })
    }
}

/// `PUT /v1/messaging/keys`: replaces identity and fallback, adds one-time keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishKeys {
    /// As registered.
    pub identity: IdentityKeys,
    /// Given when there is no one-time key left.
    pub fallback: OneTimeKey,
    /// Each given to one sender.
    pub one_time: List<OneTimeKey, ONE_TIME_KEYS_MAX>,
}

/// `POST /v1/messaging/keys/claim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimKeys {
    /// To whom one wants to write.
    pub mailbox: MailboxId,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedKeys {
    /// Whose keys; must be those of the contact's entry.
    pub identity: IdentityKeys,
    /// A one-time key, or the fallback key.
    pub one_time: OneTimeKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_both_keys() {
        let keys = IdentityKeys { curve25519: Key([1; 32]), ed25519: Key([2; 32]) };
        let shown = keys.fingerprint();
        assert_eq!(shown.len(), 35);
        assert!(shown.split(' ').all(|group| group.len() == 5 && group.bytes().all(|b| b.is_ascii_digit())));
        assert_ne!(IdentityKeys { curve25519: Key([3; 32]), ..keys }.fingerprint(), shown);
        assert_ne!(IdentityKeys { ed25519: Key([3; 32]), ..keys }.fingerprint(), shown);
    }
}
