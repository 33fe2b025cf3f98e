//! Records with their signatures, and how they are verified offline.

use super::record::{Processing, Record, SCHEMA_VERSION};
use crate::wire::{DeviceId, Key, RegionName, Signature};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the service signs begins so.
const COUNTERSIGNED: &[u8] = b"domicile-consent-countersigned-v1\n";

/// The largest sequence: beyond it not all who read JSON see the same integer (RFC 8259, section 6).
const SEQUENCE_MAX: u64 = (1 << 53) - 1;

/// A device's id: the first half of the SHA-256 of its public key.
pub fn device_of(key: &Key) -> DeviceId {
    let digest = Sha256::digest(key.0);
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    DeviceId(id)
}

/// Why a record does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConsentFault {
    /// Not signed by the device that it names.
    #[error("the record is not signed by the device that it names")]
    Forged,
    /// Not countersigned by the service's key.
    #[error("the record is not countersigned by this service")]
    NotCountersigned,
    /// Other terms than those offered.
    #[error("the record has other terms than the region publishes")]
    OtherTerms,
    /// Another schema, or a sequence that is none.
    #[error("the record has another form")]
    OtherForm,
}

/// A record that a device has signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSigned {
    /// What.
    pub record: Record,
    /// The device's Ed25519 key.
    pub device_key: Key,
    /// Over [`Record::to_bytes`].
    pub device_signature: Signature,
}

impl DeviceSigned {
    /// Signs as the device that the record names.
    pub fn sign(record: Record, key: &SigningKey) -> Self {
        let device_signature = Signature(key.sign(&record.to_bytes()).to_bytes());
        Self { record, device_key: Key(key.verifying_key().to_bytes()), device_signature }
    }

    /// Whether the device has signed: offline, without asking what the region offers.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), ConsentFault> {
        let id = device_of(&self.device_key);
        if self.record.header.pii_principal_id != id || self.record.event.entity_id != id {
            return Err(ConsentFault::Forged);
        }
        verify(&self.device_key, &self.record.to_bytes(), &self.device_signature)
            .ok_or(ConsentFault::Forged)?;
        let form = self.record.header.schema_version.as_str() == SCHEMA_VERSION
            && (1..=SEQUENCE_MAX).contains(&self.record.event.sequence);
        form.then_some(()).ok_or(ConsentFault::OtherForm)
    }

    /// The same, and that its terms are those that `offered` has. A withdrawal is taken on any terms: who agreed to older
    /// ones must be able to withdraw.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_offered(&self, offered: &Processing) -> Result<(), ConsentFault> {
        self.check()?;
        let withdrawn = self.record.event.event_state == super::EventState::Withdrawn;
        (withdrawn || self.record.processing == *offered).then_some(()).ok_or(ConsentFault::OtherTerms)
    }
}

fn verify(key: &Key, bytes: &[u8], signature: &Signature) -> Option<()> {
    let key = VerifyingKey::from_bytes(&key.0).ok()?;
    key.verify_strict(bytes, &ed25519_dalek::Signature::from_bytes(&signature.0)).ok()
}

/// A record that the service has signed too: each side can show that the other one knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countersigned {
    /// As the device sent it.
    pub signed: DeviceSigned,
    /// The region that took it.
    pub region: RegionName,
    /// When, by its clock.
    pub at: Timestamp,
    /// Over everything above.
    pub service_signature: Signature,
}

impl Countersigned {
    /// Countersigns. The caller has checked the record ([`DeviceSigned::check_offered`]).
    pub fn sign(signed: DeviceSigned, region: RegionName, at: Timestamp, key: &SigningKey) -> Self {
        let mut record = Self { signed, region, at, service_signature: Signature([0; 64]) };
        record.service_signature = Signature(key.sign(&record.to_bytes()).to_bytes());
        record
    }

    fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(&(&self.signed, &self.region, &self.at))
            .expect("it has only texts, integers and lists");
        [COUNTERSIGNED, &json].concat()
    }

    /// Both signatures, offline.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, service_key: &Key) -> Result<(), ConsentFault> {
        self.signed.check()?;
        verify(service_key, &self.to_bytes(), &self.service_signature).ok_or(ConsentFault::NotCountersigned)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EventState, Purpose};
    use super::*;
    use crate::region::tests::terms;

    fn record(key: &SigningKey, state: EventState, sequence: u64) -> Record {
        let device = device_of(&Key(key.verifying_key().to_bytes()));
        let processing = Processing::offered(Purpose::Presence, &"beijing".parse().unwrap(), &terms());
        Record::new(device, processing, state, sequence, "2026-11-27T16:00:00.25Z".parse().unwrap())
    }

    #[test]
    fn both_signatures_are_checked_offline() {
        let (device, service) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let signed = DeviceSigned::sign(record(&device, EventState::Given, 1), &device);
        let at = "2026-11-27T16:00:01Z".parse().unwrap();
        let whole = Countersigned::sign(signed, "beijing".parse().unwrap(), at, &service);
        let text = serde_json::to_string(&whole).unwrap();
        assert!(text.len() < crate::wire::limits::RECORD_BYTES_MAX);
        let read: Countersigned = serde_json::from_str(&text).unwrap();
        let service_key = Key(service.verifying_key().to_bytes());
        assert_eq!(read.check(&service_key), Ok(()));

        let mut changed = read.clone();
        changed.at = "2026-11-27T16:00:02Z".parse().unwrap();
        assert_eq!(changed.check(&service_key), Err(ConsentFault::NotCountersigned));
        let mut changed = read.clone();
        changed.signed.record.event.event_state = EventState::Withdrawn;
        assert_eq!(changed.check(&service_key), Err(ConsentFault::Forged));
        assert_eq!(read.check(&read.signed.device_key), Err(ConsentFault::NotCountersigned));
    }

    #[test]
    fn nobody_consents_for_another_device() {
        let (device, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let forged = DeviceSigned::sign(record(&device, EventState::Given, 1), &other);
        assert_eq!(forged.check(), Err(ConsentFault::Forged));
        let mut named = DeviceSigned::sign(record(&other, EventState::Given, 1), &other);
        named.record.event.entity_id = device_of(&Key(device.verifying_key().to_bytes()));
        assert_eq!(named.check(), Err(ConsentFault::Forged));
    }

    #[test]
    fn terms_must_be_the_offered_ones_except_to_withdraw() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (region, mut newer) = ("beijing".parse().unwrap(), terms());
        newer.notice.sha256 = Key([9; 32]);
        let offered = Processing::offered(Purpose::Presence, &region, &newer);
        let given = DeviceSigned::sign(record(&key, EventState::Given, 1), &key);
        assert_eq!(given.check_offered(&offered), Err(ConsentFault::OtherTerms));
        let same = Processing::offered(Purpose::Presence, &region, &terms());
        assert_eq!(given.check_offered(&same), Ok(()));
        let withdrawn = DeviceSigned::sign(record(&key, EventState::Withdrawn, 2), &key);
        assert_eq!(withdrawn.check_offered(&offered), Ok(()));
        assert!(withdrawn.record.supersedes(1) && !given.record.supersedes(2) && !given.record.supersedes(1));
    }

    #[test]
    fn a_record_agrees_until_it_is_withdrawn_or_over() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let mut given = record(&key, EventState::Given, 1);
        assert!(given.agrees(now));
        given.event.validity = Some(now);
        assert!(!given.agrees(now));
        assert!(!record(&key, EventState::Withdrawn, 2).agrees(now));
    }

    #[test]
    fn the_form_is_checked() {
        let key = SigningKey::from_bytes(&[1; 32]);
        for (sequence, wanted) in [
            (0, Err(ConsentFault::OtherForm)),
            (SEQUENCE_MAX, Ok(())),
            (SEQUENCE_MAX + 1, Err(ConsentFault::OtherForm)),
            (u64::MAX, Err(ConsentFault::OtherForm)),
        ] {
            let signed = DeviceSigned::sign(record(&key, EventState::Given, sequence), &key);
            assert_eq!(signed.check(), wanted, "{sequence}");
        }
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let signed = DeviceSigned::sign(record(&key, EventState::Given, 1), &key);
        let text = serde_json::to_string(&signed).unwrap();
        assert!(serde_json::from_str::<DeviceSigned>(&text).is_ok());
        for (field, again) in
            [("\"event_state\":\"given\"", "withdrawn"), ("\"purpose\":\"presence\"", "cloud_messaging")]
        {
            let name = field.split_once(':').unwrap().0;
            let twice = text.replacen(field, &format!("{field},{name}:\"{again}\""), 1);
            assert_ne!(twice, text);
            assert!(serde_json::from_str::<DeviceSigned>(&twice).is_err(), "{twice}");
        }
    }
}
