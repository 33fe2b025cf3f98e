//! An answer that is given to the one who asked and to nobody else.

use super::count::{Counts, Outcome, Stripped};
use super::entry::{say, take_hop_by_hop};
use super::judge::{Reason, is_personal};
use crate::Problem;
use crate::body::Body;
use http::header::SET_COOKIE;
use http::{HeaderName, Response, StatusCode};

/// The origin gave somebody's data where everybody may ask.
const PERSONAL: Problem = Problem::new(
    StatusCode::BAD_GATEWAY,
    "personal-on-public-route",
    "the application tagged its answer as personal, on a route that is declared public",
);

/// The origin's answer, passed on. A cookie is taken off: the request carried none, so this one belongs to
/// nobody, and a path that everybody shares must not hand out sessions. An answer that is tagged as personal
/// is refused: the request named nobody, so it is somebody else's, or the route is not public.
pub(super) fn passed(
    mut answer: Response<Body>,
    personal: &HeaderName,
    counts: &Counts,
    status: &str,
) -> Response<Body> {
    if is_personal(answer.headers(), personal) {
        counts.answered(Outcome::Failed);
        let mut refused = PERSONAL.answer();
        say(refused.headers_mut(), status);
        return refused;
    }
    counts.answered(Outcome::Passed);
    if answer.headers_mut().remove(SET_COOKIE).is_some() {
        counts.stripped(Stripped::SetCookie);
    }
    take_hop_by_hop(answer.headers_mut());
    say(answer.headers_mut(), status);
    answer
}

/// Why an answer that was asked for alone will not be stored, if it is one of these.
pub(super) fn tells(answer: &Response<Body>, personal: &HeaderName) -> Option<Reason> {
    if is_personal(answer.headers(), personal) {
        return Some(Reason::Personal);
    }
    answer.headers().contains_key(SET_COOKIE).then_some(Reason::SetCookie)
}
