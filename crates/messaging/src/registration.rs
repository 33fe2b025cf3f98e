//! That a number was proven: a statement of the region that sent the code, kept by the device.

use crate::number::Number;
use crate::wire::{DeviceId, Key, MailboxId, RegionName, Signature};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What is signed begins so.
const DOMAIN: &[u8] = b"domicile-number-v1\n";

/// Shows a relay of any region of the service that this mailbox's owner has proven a number, without naming it: the
/// commitment is a keyed hash, and its key, `salt`, is only here, at the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Commitment {
    salt: Key,
    digest: Key,
}

/// See [`crate::registration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberProof {
    /// The form: 1.
    pub v: u8,
    /// Whose number.
    pub mailbox: MailboxId,
    /// Who typed the code.
    pub device: DeviceId,
    number_commitment: Commitment,
    /// When.
    pub at: Timestamp,
    /// Which region sent the code. Its service key has signed.
    pub region: RegionName,
    signature: Signature,
}

/// Why a proof of a number does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberProofFault {
    /// Not signed by that region, or changed.
    #[error("the proof of the number is not signed by the region that it names")]
    Forged,
    /// For another number.
    #[error("the proof is for another number")]
    OtherNumber,
    /// For another mailbox or device.
    #[error("the proof is for another mailbox or device")]
    OtherOwner,
}

fn commit(salt: &Key, number: &Number) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&salt.0).expect("HMAC takes keys of any length");
    mac.update(number.as_str().as_bytes());
    mac
}

impl NumberProof {
    /// Made by the region that has just checked the code.
    pub fn issue(
        key: &SigningKey,
        region: RegionName,
        (mailbox, device): (MailboxId, DeviceId),
        number: &Number,
        at: Timestamp,
    ) -> Self {
        let salt = Key::random();
        let digest = Key(commit(&salt, number).finalize().into_bytes().into());
        let number_commitment = Commitment { salt, digest };
        let mut proof =
            Self { v: 1, mailbox, device, number_commitment, at, region, signature: Signature([0; 64]) };
        proof.signature = Signature(key.sign(&proof.to_bytes()).to_bytes());
        proof
    }

    /// What is signed: the JSON of the fields with 64 zeros as signature.
    fn to_bytes(&self) -> Vec<u8> {
        let blank = Self { signature: Signature([0; 64]), ..self.clone() };
        let json = serde_json::to_vec(&blank).expect("it has only texts and integers");
        [DOMAIN, &json].concat()
    }

    /// Holds if `key`, the service key of the region that the proof names, has signed it for this owner and number.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(
        &self,
        key: &VerifyingKey,
        (mailbox, device): (&MailboxId, &DeviceId),
        number: &Number,
    ) -> Result<(), NumberProofFault> {
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature.0);
        let signed = key.verify_strict(&self.to_bytes(), &signature);
        if self.v != 1 || signed.is_err() {
            return Err(NumberProofFault::Forged);
        }
        if self.mailbox != *mailbox || self.device != *device {
            return Err(NumberProofFault::OtherOwner);
        }
        let commitment = commit(&self.number_commitment.salt, number);
        commitment.verify_slice(&self.number_commitment.digest.0).map_err(|_| NumberProofFault::OtherNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_owner_and_number_only() {
        let key = SigningKey::from_bytes(&[5; 32]);
        let (mailbox, device) = (MailboxId::random(), DeviceId::random());
        let number: Number = "+8613912345678".parse().unwrap();
        let at = "2026-11-27T16:00:00Z".parse().unwrap();
        let proof = NumberProof::issue(&key, "beijing".parse().unwrap(), (mailbox, device), &number, at);
        let text = serde_json::to_string(&proof).unwrap();
        assert!(!text.contains("139"), "the number is not in it");
        let proof: NumberProof = serde_json::from_str(&text).unwrap();
        let public = key.verifying_key();

        assert_eq!(proof.check(&public, (&mailbox, &device), &number), Ok(()));
        let other = "+8613912345679".parse().unwrap();
        assert_eq!(proof.check(&public, (&mailbox, &device), &other), Err(NumberProofFault::OtherNumber));
        let stranger = MailboxId::random();
        assert_eq!(proof.check(&public, (&stranger, &device), &number), Err(NumberProofFault::OtherOwner));
        let forger = SigningKey::from_bytes(&[6; 32]).verifying_key();
        assert_eq!(proof.check(&forger, (&mailbox, &device), &number), Err(NumberProofFault::Forged));
        let mut changed = proof.clone();
        changed.mailbox = stranger;
        assert_eq!(changed.check(&public, (&stranger, &device), &number), Err(NumberProofFault::Forged));
    }
}
