//! All the ways in which a relay says no. A device that is refused learns why, and what to do.

use crate::{Elsewhere, Problem};
use http::StatusCode;
use std::time::Duration;

/// When it is worth asking again after something that passes.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

const fn bad(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, title)
}

/// Well written, and no such thing.
const fn wrong(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, title)
}

const fn unknown(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, title)
}

const fn forbidden(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, title)
}

const fn away(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, title)
}

pub(super) const NO_SUCH_PATH: Problem =
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", "there is nothing at this path");
pub(super) const NO_SUCH_METHOD: Problem =
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "this path does not take that method");
pub(super) const INVALID_BODY: Problem = bad("invalid-body", "the body can't be understood");
pub(super) const TOO_LARGE: Problem =
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is larger than any request needs");
pub(super) const NO_JSON: Problem =
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no-json", "the body's type is application/json");
pub(super) const TOO_SLOW: Problem =
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body did not come in time");

pub(super) const CONSENT_MISSING: Problem = unknown("consent-missing", "no consent token is shown")
    .fix("POST /v1/messaging/consents first; then Domicile-Consent: TOKEN");
pub(super) const CONSENT_EXPIRED: Problem =
    unknown("consent-expired", "the consent token is too old").fix("POST /v1/messaging/token");
pub(super) const CONSENT_FORGED: Problem =
    unknown("consent-forged", "the signature is not the one that it should be")
        .fix("POST /v1/messaging/token at this region");
pub(super) const CONSENT_WITHDRAWN: Problem =
    forbidden("consent-withdrawn", "there is no consent to this purpose")
        .fix("nothing is done without it; the owner may give it: POST /v1/messaging/consents");
pub(super) const CONSENT_INVALID: Problem =
    wrong("consent-invalid", "the record of consent is not one that can be kept");
pub(super) const CONSENT_STALE: Problem =
    Problem::new(StatusCode::CONFLICT, "consent-stale", "a newer record of this purpose is there already");
pub(super) const NOTICE_CHANGED: Problem =
    Problem::new(StatusCode::CONFLICT, "notice-changed", "what was agreed to is another notice than today's")
        .fix("GET /v1/messaging/region, show the notice, ask again");
pub(super) const PROOF_MISSING: Problem =
    unknown("proof-missing", "no proof is shown that the device's key is there")
        .fix("Domicile-Proof: UNIXSECONDS.NONCE.SIG");
pub(super) const PROOF_STALE: Problem = unknown("proof-stale", "the proof was made at another time than now")
    .fix("correct the clock by this answer's Date and sign again");
pub(super) const PROOF_REPLAYED: Problem =
    unknown("proof-replayed", "the proof was used before").fix("sign again with a new nonce");
pub(super) const PROOF_FORGED: Problem =
    unknown("proof-forged", "the proof does not fit the request and the device's key");
pub(super) const DEVICE_REPLACED: Problem =
    forbidden("device-replaced", "another device has registered the number since")
        .fix("register again on this one, if it is to be the one");
pub(super) const DEVICE_KNOWN: Problem =
    Problem::new(StatusCode::CONFLICT, "device-known", "the device has a mailbox already");
pub(super) const NOT_REGISTERED: Problem =
    forbidden("not-registered", "the device has no mailbox yet").fix("POST /v1/messaging/register/start");

pub(super) const INVALID_NUMBER: Problem =
    wrong("invalid-number", "that is no telephone number in international form (E.164)");
pub(super) const TOO_MANY_CODES: Problem =
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-codes", "too many codes were asked for");
pub(super) const SMS_AWAY: Problem =
    away("sms-away", "the code could not be sent: the text message service does not answer");
pub(super) const CODE_WRONG: Problem = forbidden("code-wrong", "the code is not the one that was sent");
pub(super) const CODE_OVER: Problem = Problem::new(
    StatusCode::GONE,
    "code-over",
    "there is no such attempt any more: too old, too many wrong codes, or used",
)
.fix("POST /v1/messaging/register/start");
pub(super) const NUMBER_BUSY: Problem =
    Problem::new(StatusCode::CONFLICT, "number-busy", "somebody is registering this number at this moment");
pub(super) const NOT_PERMITTED: Problem =
    forbidden("refused", "policy permits no region for this country's numbers");
pub(super) const PROOF_OF_NUMBER: Problem =
    forbidden("number-proof-forged", "that is no proof that this mailbox has this number")
        .fix("register the number again");

pub(super) const BATCH_SIZE: Problem =
    wrong("batch-size", "a batch has one of the sizes that there are").fix("pad it with random ones");
pub(super) const MALFORMED_POINT: Problem =
    wrong("malformed-point", "an element is no point of ristretto255, or is the neutral one");
pub(super) const UNKNOWN_REGION: Problem = wrong("unknown-region", "there is no region of that name");
pub(super) const UNKNOWN_GENERATION: Problem = Problem::new(
    StatusCode::NOT_FOUND,
    "unknown-generation",
    "the region has no such generation of keys, or has it no more",
)
.fix("GET /v1/messaging/region for those that there are");
pub(super) const BUDGET_SPENT: Problem = Problem::new(
    StatusCode::TOO_MANY_REQUESTS,
    "budget-spent",
    "more new contacts were asked for than an account may",
);
pub(super) const NO_FILTER_YET: Problem =
    away("no-filter-yet", "the filter is being built, or its region does not answer");
pub(super) const REGION_AWAY: Problem = away("region-away", "the relay of another region does not answer");

pub(super) const UNAUTHORIZED_RELAY: Problem =
    unknown("unauthorized", "a relay shows the relays' token: Authorization: Bearer TOKEN");
pub(super) const BUSY: Problem = away("busy", "more requests are being answered than this process may");
pub(super) const STORE_AWAY: Problem = away("store-away", "the region's database does not answer");
pub(super) const DIRECTORY_AWAY: Problem = away("control-store-away", "the control store does not answer");
pub(super) const BROKEN: Problem = Problem::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    "broken",
    "the relay can't answer; its operator can see why: domicile check",
);

/// Another region is the home.
pub(super) fn moved(home: Elsewhere) -> Problem {
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "moved", "another region is the home").at(home)
}

pub(super) const BAD_REQUEST: Problem = bad("bad-request", "the request is not what this endpoint takes");
pub(super) const MESSAGE_TOO_LARGE: Problem = Problem::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    "message-too-large",
    "the message is larger than a message may be",
)
.fix("GET /v1/messaging/region for the limits");
pub(super) const MAILBOX_UNKNOWN: Problem =
    Problem::new(StatusCode::NOT_FOUND, "mailbox-unknown", "no such mailbox");
pub(super) const MAILBOX_FULL: Problem =
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "mailbox-full", "too much is waiting for this receiver")
        .fix("wait as long as Retry-After says");
pub(super) const TOO_MANY: Problem =
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many requests")
        .fix("wait as long as Retry-After says");
pub(super) const KEYS_MISSING: Problem =
    Problem::new(StatusCode::CONFLICT, "keys-missing", "this mailbox has published no keys yet");
/// Nothing was done, or the same again does nothing more.
pub(super) const MAILBOX_MOVES: Problem = away("busy", "the mailbox is on its way to another region")
    .fix("send the same again, as long as Retry-After says");
pub(super) const MAIL_FORBIDDEN: Problem = forbidden("refused", "policy permits no such row in this region");
