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

pub(super) const NO_JSON: Problem = refused(ProblemCode::NoJson);
pub(super) const TOO_SLOW: Problem = refused(ProblemCode::TooSlow);
pub(super) const NUMBER_BUSY: Problem = refused(ProblemCode::NumberBusy);
pub(super) const DEVICE_KNOWN: Problem = refused(ProblemCode::DeviceKnown);
pub(super) const STORE_AWAY: Problem = refused(ProblemCode::StoreAway);
pub(super) const DIRECTORY_AWAY: Problem = refused(ProblemCode::DirectoryAway);
pub(super) const REGION_AWAY: Problem = refused(ProblemCode::RegionAway);
pub(super) const SMS_AWAY: Problem = refused(ProblemCode::SmsAway);
pub(super) const NO_FILTER_YET: Problem = refused(ProblemCode::NoFilterYet);
pub(super) const BROKEN: Problem = refused(ProblemCode::Broken);
pub(super) const BAD_REQUEST: Problem = refused(ProblemCode::BadRequest);
pub(super) const NO_SUCH_PATH: Problem = refused(ProblemCode::NotFound);
pub(super) const NO_SUCH_METHOD: Problem = refused(ProblemCode::Method);
pub(super) const UNAUTHORIZED_RELAY: Problem = refused(ProblemCode::RelayUnknown);
pub(super) const MESSAGE_TOO_LARGE: Problem =
    titled(ProblemCode::TooBig, "the message is larger than a message may be");
pub(super) const MAILBOX_UNKNOWN: Problem = refused(ProblemCode::MailboxUnknown);
pub(super) const MAILBOX_FULL: Problem = refused(ProblemCode::MailboxFull);
pub(super) const TOO_MANY: Problem = refused(ProblemCode::TooMany);
pub(super) const KEYS_MISSING: Problem = refused(ProblemCode::KeysMissing);
pub(super) const KEYS_OTHER: Problem = refused(ProblemCode::KeysOther);
pub(super) const BUSY: Problem = refused(ProblemCode::Busy);
/// Nothing was done, or the same again does nothing more.
pub(super) const MAILBOX_MOVES: Problem =
    titled(ProblemCode::Busy, "the mailbox is on its way to another region")
        .fix("send the same again, as long as Retry-After says");
pub(super) const MAIL_FORBIDDEN: Problem =
    titled(ProblemCode::NoHome, "policy permits no such row in this region");

/// A problem of the protocol: it passes by itself where its status is 503.
pub(super) const fn refused(code: ProblemCode) -> Problem {
    titled(code, code.title())
}

const fn titled(code: ProblemCode, title: &'static str) -> Problem {
    let mut problem = Problem::new(status(code), code.as_str(), title).typed();
    if !code.fix().is_empty() {
        problem.fix = Some(code.fix());
    }
    if code.status() == 503 {
        problem.retry_after = Some(AGAIN);
    }
    problem
}

/// `StatusCode::from_u16` is no constant.
const fn status(code: ProblemCode) -> StatusCode {
    match code.status() {
        400 => StatusCode::BAD_REQUEST,
        401 => StatusCode::UNAUTHORIZED,
        403 => StatusCode::FORBIDDEN,
        404 => StatusCode::NOT_FOUND,
        405 => StatusCode::METHOD_NOT_ALLOWED,
        408 => StatusCode::REQUEST_TIMEOUT,
        409 => StatusCode::CONFLICT,
        413 => StatusCode::PAYLOAD_TOO_LARGE,
        415 => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        421 => StatusCode::MISDIRECTED_REQUEST,
        422 => StatusCode::UNPROCESSABLE_ENTITY,
        429 => StatusCode::TOO_MANY_REQUESTS,
        503 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
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
        // On its way to another region, or back: the caller has asked who is the home already. Or whose it is has changed since the
        // request was let in: the same again is told.
        Refusal::NotWritableHere { .. } | Refusal::NotHere | Refusal::Changed => refused(ProblemCode::Busy),
        Refusal::Forbidden => refused(ProblemCode::NoHome),
        Refusal::Taken | Refusal::Broken(_) => BROKEN,
    }
}

/// An error of the directory.
pub(super) fn of_directory(error: &domicile_directory::Error) -> Problem {
    if error.is_again() || error.is_unreachable() { DIRECTORY_AWAY } else { BROKEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status() {
        for code in ProblemCode::ALL {
            assert_eq!(status(*code).as_u16(), code.status(), "{}", code.as_str());
        }
    }
}
