//! What a consent record holds.

use crate::region::{Controller, Notice, Terms};
use crate::wire::limits::RECORD_LIST_MAX;
use crate::wire::{DeviceId, List, RecordId, RegionName, Text};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The schema that every record names.
pub const SCHEMA_VERSION: &str = "ISO/IEC TS 27560:2023";
/// What is signed begins so.
const DOMAIN: &[u8] = b"domicile-consent-v1\n";

/// A purpose that is agreed to by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Messages over IP: a mailbox, a proven number, messages kept until delivered.
    CloudMessaging,
    /// Being found by, and finding, those who know one's number.
    ContactDiscovery,
    /// Letting chosen contacts see whether the device is connected.
    Presence,
    /// Moving the mailbox to another region.
    RegionMove,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::CloudMessaging, Self::ContactDiscovery, Self::Presence, Self::RegionMove];

    /// As it is written in records and tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CloudMessaging => "cloud_messaging",
            Self::ContactDiscovery => "contact_discovery",
            Self::Presence => "presence",
            Self::RegionMove => "region_move",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No purpose of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the purposes are cloud_messaging, contact_discovery, presence and region_move")]
pub struct NoPurpose;

impl FromStr for Purpose {
    type Err = NoPurpose;

    fn from_str(text: &str) -> Result<Self, NoPurpose> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text).ok_or(NoPurpose)
    }
}

/// A set of purposes: each once, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purposes(u8);

impl Purposes {
    /// Whether `purpose` is in it.
    pub fn has(self, purpose: Purpose) -> bool {
        self.0 & (1 << purpose as u8) != 0
    }

    /// None of them.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In their order.
    pub fn iter(self) -> impl Iterator<Item = Purpose> {
        Purpose::ALL.into_iter().filter(move |purpose| self.has(*purpose))
    }
}

impl FromIterator<Purpose> for Purposes {
    fn from_iter<I: IntoIterator<Item = Purpose>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |set, purpose| set | 1 << purpose as u8))
    }
}

impl Serialize for Purposes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Purposes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(List::<Purpose, 4>::deserialize(from)?.into_iter().collect())
    }
}

/// A record, not yet signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Which record, of whom.
    pub header: Header,
    /// What is agreed to.
    pub processing: Processing,
    /// What happened.
    pub event: Event,
}

/// Header section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`SCHEMA_VERSION`].
    pub schema_version: Text,
    /// Random.
    pub record_id: RecordId,
    /// The device: all that there is of its owner before a number is registered, and all that is needed after.
    pub pii_principal_id: DeviceId,
}

/// Processing section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processing {
    /// What the owner was shown: where, which bytes, in which language.
    pub privacy_notice: Notice,
    /// What for.
    pub purpose: Purpose,
    /// Why it is lawful.
    pub lawful_basis: LawfulBasis,
    /// Which data.
    pub pii_categories: List<PiiCategory, RECORD_LIST_MAX>,
    /// Who is responsible.
    pub pii_controllers: List<Controller, RECORD_LIST_MAX>,
    /// Countries where it is kept, ISO 3166-1 alpha-2.
    pub storage_locations: List<Text, RECORD_LIST_MAX>,
    /// How long it is kept.
    pub retention: Text,
    /// Who else gets it.
    pub recipients: List<Text, RECORD_LIST_MAX>,
    /// The country whose law applies, ISO 3166-1 alpha-2.
    pub jurisdiction: Text,
    /// How it is withdrawn: as easily as it is given.
    pub withdrawal_method: Text,
    /// What the owner may ask for.
    pub privacy_rights: List<PrivacyRight, RECORD_LIST_MAX>,
    /// The region that the consent is given to.
    pub region: RegionName,
}

/// Why processing is lawful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LawfulBasis {
    /// The owner agreed: GDPR article 6(1)(a), PIPL article 13(1).
    Consent,
}

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PiiCategory {
    /// The owner's own telephone number.
    OwnPhoneNumber,
    /// Contacts' numbers, blinded on the device: the service cannot read them.
    BlindedContactNumbers,
    /// Encrypted messages, with the time they came and their padded size.
    EncryptedMessages,
    /// Public keys.
    PublicKeys,
    /// Whether the device is connected.
    Presence,
    /// All that lies in the mailbox.
    Mailbox,
}

/// A right of the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrivacyRight {
    /// To see what is kept.
    Access,
    /// To have it erased.
    Erasure,
    /// To take it along.
    Portability,
    /// To withdraw at any time.
    Withdrawal,
    /// To complain to an authority.
    Complaint,
}

impl Processing {
    /// The one processing that a region offers for a purpose: the device signs it, the relay accepts no other.
    pub fn offered(purpose: Purpose, region: &RegionName, terms: &Terms) -> Self {
        let text = |words: &str| words.parse::<Text>().expect("a text of ours fits");
        let texts = |all: &[&str]| all.iter().map(|words| text(words)).collect();
        Self {
            privacy_notice: terms.notice.clone(),
            purpose,
            lawful_basis: LawfulBasis::Consent,
            pii_categories: list(categories(purpose).to_vec()),
            pii_controllers: list(vec![terms.controller.clone()]),
            storage_locations: list(vec![terms.storage_country.clone()]),
            retention: text(retention(purpose)),
            recipients: list(texts(recipients(purpose))),
            jurisdiction: terms.jurisdiction.clone(),
            withdrawal_method: text("on the device, as it was given: consent withdraw PURPOSE"),
            privacy_rights: list(vec![
                PrivacyRight::Access,
                PrivacyRight::Erasure,
                PrivacyRight::Portability,
                PrivacyRight::Withdrawal,
                PrivacyRight::Complaint,
            ]),
            region: region.clone(),
        }
    }
}

fn list<T>(values: Vec<T>) -> List<T, RECORD_LIST_MAX> {
    List::new(values).expect("a list of ours fits")
}

fn categories(purpose: Purpose) -> &'static [PiiCategory] {
    match purpose {
        Purpose::CloudMessaging => {
            &[PiiCategory::OwnPhoneNumber, PiiCategory::PublicKeys, PiiCategory::EncryptedMessages]
        }
        Purpose::ContactDiscovery => &[PiiCategory::OwnPhoneNumber, PiiCategory::BlindedContactNumbers],
        Purpose::Presence => &[PiiCategory::Presence],
        Purpose::RegionMove => &[PiiCategory::Mailbox],
    }
}

fn retention(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::CloudMessaging => {
            "messages until delivered, at most 30 days; number and keys until withdrawn"
        }
        Purpose::ContactDiscovery => "own tag until withdrawn; blinded numbers are not kept",
        Purpose::Presence => "in memory only, while connected",
        Purpose::RegionMove => "in the old region until the move is done",
    }
}

fn recipients(purpose: Purpose) -> &'static [&'static str] {
    match purpose {
        Purpose::CloudMessaging => &["the SMS provider, once, for the code", "receivers of messages"],
        Purpose::ContactDiscovery => &["relays of this service's other regions", "who knows the number"],
        Purpose::Presence => &["the contacts chosen"],
        Purpose::RegionMove => &["the new region"],
    }
}

/// Event section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When, by the device's clock.
    pub event_time: Timestamp,
    /// How it was expressed.
    pub event_type: EventType,
    /// Given or withdrawn.
    pub event_state: EventState,
    /// Until when it holds; `null`: until withdrawn.
    pub validity: Option<Timestamp>,
    /// Who acted: the device again.
    pub entity_id: DeviceId,
    /// Counts the records of this purpose and device, from 1: the highest holds.
    pub sequence: u64,
}

/// How consent was expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// By an act of its own, not by silence or a box ticked beforehand.
    Explicit,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// Agreed.
    Given,
    /// No longer.
    Withdrawn,
}

impl EventState {
    /// As it is written in records and in `mailbox_consent.state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Record {
    /// A new record of `device`, to be signed.
    pub fn new(
        device: DeviceId,
        processing: Processing,
        state: EventState,
        sequence: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            header: Header {
                schema_version: SCHEMA_VERSION.parse().expect("a text of ours fits"),
                record_id: RecordId::random(),
                pii_principal_id: device,
            },
            processing,
            event: Event {
                event_time: now,
                event_type: EventType::Explicit,
                event_state: state,
                validity: None,
                entity_id: device,
                sequence,
            },
        }
    }

    /// The canonical bytes: see [`crate::consent`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("it has only texts, integers and lists");
        [DOMAIN, &json].concat()
    }

    /// Whether this record takes the place of one with `kept` as sequence.
    pub fn supersedes(&self, kept: u64) -> bool {
        self.event.sequence > kept
    }

    /// Whether it agrees to its purpose at `now`.
    pub fn agrees(&self, now: Timestamp) -> bool {
        self.event.event_state == EventState::Given && self.event.validity.is_none_or(|until| now < until)
    }
}
