//! All the ways in which a relay says no. A device that is refused learns why, and what to do.
//!
//! The codes are the protocol's ([`ProblemCode`]), so that a device knows each of them.

use crate::{Elsewhere, Problem};
use domicile_messaging::consent::ConsentFault;
use domicile_messaging::proof::ProofFault;
use domicile_messaging::token::TokenFault;
use domicile_messaging::wire::{ProblemCode, Unreadable};
use domicile_stores::mailboxes::Refusal;
use http::StatusCode;
use std::time::Duration;

/// When it is worth asking again after something that passes.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

const fn away(code: &'static str, title: &'static str) -> Problem {
    let fix = "wait as long as Retry-After says";
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, title).fix(fix).typed();
    problem.retry_after = Some(AGAIN);
    problem
}

pub(super) const NO_JSON: Problem =
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no-json", "the body's type is application/json")
        .typed();
pub(super) const TOO_SLOW: Problem =
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body did not come in time").typed();
pub(super) const NUMBER_BUSY: Problem =
    Problem::new(StatusCode::CONFLICT, "number-busy", "somebody is registering this number at this moment")
        .typed();
pub(super) const DEVICE_KNOWN: Problem = Problem::new(
    StatusCode::CONFLICT,
    "device-known",
    "this device has a mailbox already, with another number",
)
.fix("withdraw cloud_messaging for that one first, or register with a new device key")
.typed();
pub(super) const STORE_AWAY: Problem = away("store-away", "the region's database does not answer");
pub(super) const DIRECTORY_AWAY: Problem = away("control-store-away", "the control store does not answer");
pub(super) const REGION_AWAY: Problem = away("region-away", "the relay of another region does not answer");
pub(super) const SMS_AWAY: Problem =
    away("sms-away", "the code could not be sent: the text message service does not take it");
pub(super) const NO_FILTER_YET: Problem = away("no-filter-yet", "the filter is not there yet");
pub(super) const BROKEN: Problem = Problem::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    "broken",
    "the relay can't answer; its operator can see why: domicile check",
)
.typed();

pub(super) const BAD_REQUEST: Problem =
    protocol(StatusCode::BAD_REQUEST, "bad-request", "the request is not what this endpoint takes");
pub(super) const NO_SUCH_PATH: Problem =
    protocol(StatusCode::NOT_FOUND, "not-found", "there is no such endpoint");
pub(super) const NO_SUCH_METHOD: Problem =
    protocol(StatusCode::METHOD_NOT_ALLOWED, "method", "this endpoint does not take this method");
pub(super) const UNAUTHORIZED_RELAY: Problem =
    protocol(StatusCode::UNAUTHORIZED, "relay-unknown", "only relays of this service may ask this");
pub(super) const MESSAGE_TOO_LARGE: Problem =
    protocol(StatusCode::PAYLOAD_TOO_LARGE, "too-big", "the message is larger than a message may be")
        .fix("see `limits` in GET /v1/messaging/region");
pub(super) const MAILBOX_UNKNOWN: Problem =
    protocol(StatusCode::NOT_FOUND, "mailbox-unknown", "no such mailbox");
pub(super) const MAILBOX_FULL: Problem =
    protocol(StatusCode::TOO_MANY_REQUESTS, "mailbox-full", "too much is waiting for this receiver")
        .fix("wait as long as Retry-After says");
pub(super) const TOO_MANY: Problem = protocol(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many requests")
    .fix("wait as long as Retry-After says");
pub(super) const KEYS_MISSING: Problem =
    protocol(StatusCode::CONFLICT, "keys-missing", "this mailbox has published no keys yet");
pub(super) const KEYS_OTHER: Problem = protocol(
    StatusCode::CONFLICT,
    "keys-other",
    "the receiver has other keys than those that this is encrypted to",
)
.fix("look the receiver up again, then encrypt anew");
pub(super) const BUSY: Problem = away("busy", "this cannot be answered at the moment");
/// Nothing was done, or the same again does nothing more.
pub(super) const MAILBOX_MOVES: Problem = away("busy", "the mailbox is on its way to another region")
    .fix("send the same again, as long as Retry-After says");
pub(super) const MAIL_FORBIDDEN: Problem =
    protocol(StatusCode::FORBIDDEN, "no-home", "policy permits no such row in this region");

const fn protocol(status: StatusCode, code: &'static str, title: &'static str) -> Problem {
    Problem::new(status, code, title).typed()
}

/// A problem of the protocol.
pub(super) fn refused(code: ProblemCode) -> Problem {
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let problem = Problem::new(status, code.as_str(), code.title()).typed();
    let problem = if code.fix().is_empty() { problem } else { problem.fix(code.fix()) };
    if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(AGAIN) } else { problem }
}

/// Another region is the home.
pub(super) fn moved(home: Elsewhere) -> Problem {
    refused(ProblemCode::Moved).at(home)
}

/// What is wrong with a body.
pub(super) fn unreadable(why: Unreadable) -> Problem {
    match why {
        Unreadable::TooBig => refused(ProblemCode::TooBig),
        why => refused(ProblemCode::BadRequest).because(why.to_string()),
    }
}

/// What is wrong with a token.
pub(super) fn of_token(fault: TokenFault) -> Problem {
    refused(match fault {
        TokenFault::Forged => ProblemCode::ConsentForged,
        TokenFault::Expired => ProblemCode::ConsentExpired,
    })
}

/// What is wrong with a proof.
pub(super) fn of_proof(fault: ProofFault) -> Problem {
    refused(match fault {
        ProofFault::NoProof => ProblemCode::ProofMissing,
        ProofFault::Stale => ProblemCode::ProofStale,
        ProofFault::Forged => ProblemCode::ProofForged,
        ProofFault::Replayed => ProblemCode::ProofReplayed,
        ProofFault::Busy => ProblemCode::Busy,
    })
}

/// What is wrong with a record of consent.
pub(super) fn of_record(fault: ConsentFault) -> Problem {
    match fault {
        ConsentFault::OtherTerms => refused(ProblemCode::RecordTerms),
        ConsentFault::OtherForm => refused(ProblemCode::BadRequest).because(fault.to_string()),
        ConsentFault::Forged | ConsentFault::NotCountersigned => refused(ProblemCode::RecordForged),
    }
}

/// An error of the region's database. Its words are the operator's.
pub(super) fn of_store(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::Again(_) | Refusal::Unknown(_) => STORE_AWAY,
        // On its way to another region, or back: the caller has asked who is the home already.
        Refusal::NotWritableHere { .. } | Refusal::NotHere => refused(ProblemCode::Busy),
        Refusal::Forbidden => refused(ProblemCode::NoHome),
        Refusal::Taken | Refusal::Broken(_) => BROKEN,
    }
}

/// An error of the directory.
pub(super) fn of_directory(error: &domicile_directory::Error) -> Problem {
    if error.is_again() || error.is_unreachable() { DIRECTORY_AWAY } else { BROKEN }
}
