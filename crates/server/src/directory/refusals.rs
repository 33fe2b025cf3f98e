//! All the ways to say no, and the directory's errors among them.

use crate::Problem;
use domicile_directory::Error;
use http::StatusCode;
use std::time::Duration;

/// When it is worth asking again after something that passes.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

const fn bad(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, title)
}

/// Well written, and no such thing: the schema can't say what a country is.
const fn wrong(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, title)
}

pub(super) const UNAUTHORIZED: Problem = Problem::new(
    StatusCode::UNAUTHORIZED,
    "unauthorized",
    "a request shows a token: Authorization: Bearer TOKEN",
);
pub(super) const NO_SUCH_PATH: Problem =
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", "there is nothing at this path; see /openapi.json");
pub(super) const NO_SUCH_METHOD: Problem = Problem::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "no-such-method",
    "this path does not take that method; see /openapi.json",
);
pub(super) const UNKNOWN_SERVICE: Problem =
    Problem::new(StatusCode::NOT_FOUND, "unknown-service", "there is no service of that name");
pub(super) const UNKNOWN_HOME: Problem =
    Problem::new(StatusCode::NOT_FOUND, "unknown-home", "the subject has no home");
pub(super) const UNKNOWN_CLAIM: Problem =
    Problem::new(StatusCode::NOT_FOUND, "unknown-claim", "nobody has that claim");
pub(super) const INVALID_PATH: Problem = bad("invalid-path", "the path is no text in UTF-8");
pub(super) const INVALID_QUERY: Problem = bad("invalid-query", "the query can't be understood");
pub(super) const INVALID_BODY: Problem = bad("invalid-body", "the body is not what /openapi.json describes");
pub(super) const INVALID_SUBJECT: Problem = wrong(
    "invalid-subject",
    "that is no key of a subject: 1 to 512 bytes of the type of the root table's key, no control character",
);
pub(super) const INVALID_COUNTRY: Problem =
    wrong("invalid-country", "that is no country: its ISO 3166-1 code or its name");
pub(super) const UNKNOWN_REGION: Problem = wrong("unknown-region", "the service has no region of that name");
pub(super) const OUT_OF_BOUNDS: Problem =
    wrong("out-of-bounds", "the request asks for more than there may be");
pub(super) const INVALID_CLAIM: Problem = wrong("invalid-claim", "that is no claim of its kind");
pub(super) const TOO_LARGE: Problem =
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is larger than any request needs");
pub(super) const NO_JSON: Problem =
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no-json", "the body's type is application/json");
pub(super) const TOO_SLOW: Problem =
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body did not come in time");
pub(super) const REFUSED: Problem =
    Problem::new(StatusCode::FORBIDDEN, "refused", "policy permits no region for this subject");
pub(super) const ELSEWHERE: Problem =
    Problem::new(StatusCode::CONFLICT, "elsewhere", "the subject's home is another region");
pub(super) const TAKEN: Problem =
    Problem::new(StatusCode::CONFLICT, "taken", "somebody else has that claim, or is signing up with it");
pub(super) const NOT_RESERVED: Problem =
    Problem::new(StatusCode::CONFLICT, "not-reserved", "this attempt has no such reservation any more");
pub(super) const HOMELESS: Problem =
    Problem::new(StatusCode::CONFLICT, "homeless", "the subject has no home yet: it gets one first");
pub(super) const BUSY: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "busy",
    "more requests are being answered than this process may",
);
pub(super) const TOO_MANY_WAITERS: Problem = Problem::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "too-many-waiters",
    "more requests wait than this process may hold",
);
pub(super) const AWAY: Problem =
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "control-store-away", "the control store does not answer");
pub(super) const BROKEN: Problem = Problem::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    "broken",
    "the directory can't answer; its operator can see why: domicile check",
);

/// An error of the directory. Its words are the operator's: they name stores.
pub(super) fn of_directory(error: &Error) -> Problem {
    match error {
        Error::Homeless { .. } => HOMELESS,
        // Ours, and without anything that was sent.
        Error::Argument(why) => OUT_OF_BOUNDS.because(why.clone()),
        error if error.is_again() || error.is_unreachable() => AWAY.retry_after(AGAIN),
        _ => BROKEN,
    }
}
