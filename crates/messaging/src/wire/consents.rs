//! Consent and tokens.

use crate::consent::{Countersigned, DeviceSigned};
use serde::{Deserialize, Serialize};

/// `POST /v1/messaging/consents`: a purpose agreed to or withdrawn, signed by the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GiveConsent {
    /// The record.
    pub record: DeviceSigned,
}

/// The answer, 201: the same record, signed by the service too, for the device to keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsentTaken {
    /// The record with both signatures.
    pub record: Countersigned,
    /// A token, if any purpose is still agreed to.
    pub token: Option<String>,
}

/// The answer of `POST /v1/messaging/token`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenIssued {
    /// For the header [`CONSENT_HEADER`](super::CONSENT_HEADER).
    pub token: String,
}
