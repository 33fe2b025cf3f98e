//! What is sent: requests and answers of every endpoint, as JSON over HTTP.
//!
//! Bytes are base64url without padding, times RFC 3339 in UTC. Requests with unknown fields are refused; answers may
//! grow. Every list and every byte string has its limit ([`limits`]), kept while it is parsed, before it is stored.
//!
//! | endpoint | request | answer |
//! |---|---|---|
//! | `GET /v1/messaging/region` | | [`SignedRegion`](crate::region::SignedRegion) |
//! | `POST /v1/messaging/consents` | [`GiveConsent`] | 201 [`ConsentTaken`] |
//! | `POST /v1/messaging/token` | | [`TokenIssued`] |
//! | `POST /v1/messaging/register/start` | [`StartRegistration`] | 202 [`RegistrationStarted`] |
//! | `POST /v1/messaging/register/finish` | [`FinishRegistration`] | 201 [`Registered`] |
//! | `POST /v1/messaging/tag` | [`Retag`] | [`Tagged`] |
//! | `GET /v1/messaging/filters` | | [`Filters`] |
//! | `GET /v1/messaging/filters/{region}/{generation}` | | bytes, see [`Filter`](crate::discovery::Filter) |
//! | `POST /v1/messaging/discovery/evaluate` | [`Evaluate`] | [`Evaluated`] |
//! | `POST /v1/messaging/discovery/lookup` | [`Lookup`] | [`Found`] |
//! | `PUT /v1/messaging/keys` | [`PublishKeys`] | 204 |
//! | `POST /v1/messaging/keys/claim` | [`ClaimKeys`] | [`ClaimedKeys`] |
//! | `POST /v1/messaging/messages` | [`Send`] | 202 or 200 [`Sent`] |
//! | `GET /v1/messaging/messages?wait_s=30` | | [`Messages`] |
//! | `POST /v1/messaging/messages/ack` | [`Acknowledge`] | 204 |
//! | `PUT /v1/messaging/presence` | [`ShowPresence`] | 204 |
//! | `GET /v1/messaging/presence/{mailbox}` | | [`PresenceOf`] |
//!
//! `/v1/relay/...` is for relays among themselves: [`relay`].

mod bytes;
mod consents;
mod discovery;
mod keys;
pub mod limits;
mod list;
mod messages;
mod problem;
mod register;
pub mod relay;
mod text;

pub(crate) use bytes::from_text;
pub use bytes::{
    Attempt, Blinded, BytesFault, DeviceId, Entry, Evaluation, Key, Locator, MailboxId, MessageBody,
    MessageId, OneTimeKey, Proof, RecordId, Signature,
};
pub use consents::{ConsentTaken, GiveConsent, TokenIssued};
pub use discovery::{Evaluate, Evaluated, FilterListed, Filters, Found, Lookup, RegionEvaluated};
pub use keys::{ClaimKeys, ClaimedKeys, IdentityKeys, PublishKeys};
pub use list::List;
pub use messages::{
    Acknowledge, IfOffline, Message, Messages, Presence, PresenceOf, Send, Sent, SentState, ShowPresence,
};
pub use problem::{Home, Problem, ProblemCode};
pub use register::{
    Code, FinishRegistration, NoCode, Registered, RegistrationStarted, Retag, StartRegistration, Tagged,
};
pub use text::{RegionName, Text, TextFault};

/// The header that carries the consent token.
pub const CONSENT_HEADER: &str = "domicile-consent";
/// The header that carries the proof that the sender holds the device's key.
pub const PROOF_HEADER: &str = "domicile-proof";

/// A request's body, parsed: unknown fields, long lists and wrong bytes are refused.
///
/// # Errors
/// What does not parse, in words that hold nothing of the body.
pub fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    if body.len() > limits::REQUEST_BYTES_MAX {
        return Err(Unreadable::TooBig);
    }
    serde_json::from_slice(body).map_err(|error| Unreadable::at(&error))
}

/// Why a body is not what its endpoint takes. Holds nothing that was sent: serde's own words would quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than [`limits::REQUEST_BYTES_MAX`].
    #[error("the body has more than {} bytes", limits::REQUEST_BYTES_MAX)]
    TooBig,
    /// Not JSON.
    #[error("the body is not JSON: line {line}, column {column}")]
    NotJson {
        /// Where reading stopped.
        line: usize,
        /// Where in it.
        column: usize,
    },
    /// JSON of another form: a field that is unknown, missing, too long, or not of its type.
    #[error(
        "the body has not the fields that this endpoint takes, within their limits: line {line}, column {column}"
    )]
    OtherForm {
        /// Where reading stopped.
        line: usize,
        /// Where in it.
        column: usize,
    },
}

impl Unreadable {
    fn at(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => Self::OtherForm { line, column },
            _ => Self::NotJson { line, column },
        }
    }
}
