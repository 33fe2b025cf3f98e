//! Relays among themselves: `/v1/relay/...`, with `Authorization: Bearer` and a token out of a file.
//!
//! The asking relay has checked device, token, proof and consent of its own user; the answering one knows nothing of
//! devices of other regions. A mailbox that has moved is answered with 421 `moved` here too.
//!
//! | endpoint | request | answer |
//! |---|---|---|
//! | `POST /v1/relay/messages` | [`RelaySend`] | 202 or 200 [`Sent`](super::Sent) |
//! | `POST /v1/relay/keys/claim` | [`ClaimKeys`](super::ClaimKeys) | [`ClaimedKeys`](super::ClaimedKeys) |
//! | `POST /v1/relay/presence` | [`RelayPresence`] | [`PresenceOf`](super::PresenceOf) |
//! | `POST /v1/relay/evaluate` | [`RelayEvaluate`] | [`RegionEvaluated`](super::RegionEvaluated) |
//! | `POST /v1/relay/lookup` | [`Lookup`](super::Lookup) | [`Found`](super::Found) |
//! | `GET /v1/relay/filters` | | [`Filters`](super::Filters) of that region only |
//! | `GET /v1/relay/filters/{generation}` | | bytes |

use super::limits::EVALUATE_MAX;
use super::{Blinded, List, MailboxId, Send};
use serde::{Deserialize, Serialize};

/// A message from another region's user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelaySend {
    /// Who sends, as proven to the asking relay: only for the question whether it may see the receiver's presence. Never
    /// stored.
    pub from: MailboxId,
    /// What.
    pub message: Send,
}

/// May `viewer` see `mailbox`, and what?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayPresence {
    /// Who asks.
    pub viewer: MailboxId,
    /// After whom.
    pub mailbox: MailboxId,
}

/// Blinded numbers under the answering region's current key. Already charged to the account at home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayEvaluate {
    /// Padded as from the device.
    pub blinded: List<Blinded, EVALUATE_MAX>,
}
