//! Consent: one record per purpose, signed by the device and countersigned by the service.
//!
//! A record has the fields of ISO/IEC TS 27560:2023 (consent record information structure): header, processing, party and
//! event. Nothing is agreed to at first. Each purpose has a sequence of records; the one with the highest sequence holds,
//! so a withdrawal supersedes what was given before it, and giving again supersedes the withdrawal.
//!
//! # What is signed
//! The record's canonical bytes ([`Record::to_bytes`]): `domicile-consent-v1\n` and the JSON of its fields in the order of
//! their declaration, without white space; all fields are always there (`null` where there is none), numbers are integers,
//! bytes base64url, times RFC 3339 in UTC. Unknown fields are refused, so what parses prints to the same bytes. The
//! service signs `domicile-consent-countersigned-v1\n` and the JSON of everything before its own signature. Both are
//! verified offline with the two public keys alone.

mod record;
mod signed;

pub use record::{
    Event, EventState, EventType, Header, LawfulBasis, NoPurpose, PiiCategory, PrivacyRight, Processing,
    Purpose, Purposes, Record, SCHEMA_VERSION,
};
pub use signed::{ConsentFault, Countersigned, DeviceSigned, device_of};
