//! May this answer be given to others too, and for how long? The rules of this house first, then RFC 9111
//! by the library http-cache-semantics, and the stale windows of RFC 5861.
//!
//! The library reads directives in small letters only and adds ages without a bound, so it is handed directives
//! in one spelling and no `Age`: an origin's header must not make a `Private` invisible or the process panic.

use super::ask::Public;
use super::directives::{directives as read, seconds, spelt};
use super::fits::fits;
use super::settings::PublicRoute;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_LENGTH, DATE, ETAG, EXPIRES, LAST_MODIFIED, PRAGMA, SET_COOKIE, VARY,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

/// The longest time anything is fresh, or stale and still given: a year.
pub(super) const LIFETIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Why an answer was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Policy forbids `cache` here for the route's category.
    Policy,
    /// Another method than GET.
    Method,
    /// A part was asked for.
    Range,
    /// The request carried `Authorization`; it was taken off, and the answer is given to the asker alone.
    Authorization,
    /// The answer sets a cookie.
    SetCookie,
    /// The answer is tagged as personal.
    Personal,
    /// `Cache-Control: private`.
    Private,
    /// `Cache-Control: no-store`.
    NoStore,
    /// `Cache-Control` that can't be read.
    Unclear,
    /// A status that is not kept.
    Status,
    /// `Vary: *`, or one that can't be read.
    VaryAny,
    /// A `Content-Type` that does not fit the path's extension.
    Misfit,
    /// Larger than what is stored.
    TooLarge,
    /// Neither fresh nor able to be asked for again by `ETag` or `Last-Modified`.
    NoLifetime,
    /// Too much is on its way into the store.
    Busy,
    /// The origin broke off.
    Broken,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 16] = [
        Reason::Policy,
        Reason::Method,
        Reason::Range,
        Reason::Authorization,
        Reason::SetCookie,
        Reason::Personal,
        Reason::Private,
        Reason::NoStore,
        Reason::Unclear,
        Reason::Status,
        Reason::VaryAny,
        Reason::Misfit,
        Reason::TooLarge,
        Reason::NoLifetime,
        Reason::Busy,
        Reason::Broken,
    ];

    /// The word in counters and in `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Policy => "policy",
            Reason::Method => "method",
            Reason::Range => "range",
            Reason::Authorization => "authorization",
            Reason::SetCookie => "set-cookie",
            Reason::Personal => "personal",
            Reason::Private => "private",
            Reason::NoStore => "no-store",
            Reason::Unclear => "unclear",
            Reason::Status => "status",
            Reason::VaryAny => "vary-any",
            Reason::Misfit => "misfit",
            Reason::TooLarge => "too-large",
            Reason::NoLifetime => "no-lifetime",
            Reason::Busy => "busy",
            Reason::Broken => "broken",
        }
    }

    /// Will the next answer likely be refused, too? Then those who ask need not wait for each other.
    pub(super) fn lasts(self) -> bool {
        !matches!(self, Reason::Status | Reason::Busy | Reason::Broken | Reason::Authorization)
    }
}

/// How long an answer is fresh, and how long it may be given when it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freshness {
    /// Its age when it came.
    age: Duration,
    came: Instant,
    lifetime: Duration,
    while_revalidate: Duration,
    if_error: Duration,
}

impl Freshness {
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.came)
    }

    /// Seconds until it is stale; negative: since when.
    pub(super) fn ttl_s(&self, now: Instant) -> i64 {
        let signed = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        signed(self.lifetime) - signed(self.age(now))
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.age(now) < self.lifetime
    }

    /// May it be given while a fresh one is fetched?
    pub(super) fn while_revalidate(&self, now: Instant) -> bool {
        self.stale_within(self.while_revalidate, now)
    }

    /// May it be given where the origin fails?
    pub(super) fn if_error(&self, now: Instant) -> bool {
        self.stale_within(self.if_error, now)
    }

    fn stale_within(&self, window: Duration, now: Instant) -> bool {
        !window.is_zero() && self.age(now).saturating_sub(self.lifetime) < window
    }
}

/// When an answer was asked for and came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub asked: Instant,
    pub came: Instant,
    /// The wall clock when it came.
    pub wall: SystemTime,
}

/// May this whole answer be stored, for how long?
pub(super) fn judge(
    ask: &Public,
    personal: &HeaderName,
    answer: &Parts,
    times: Times,
) -> Result<Freshness, Reason> {
    let headers = &answer.headers;
    refused_by_house(&ask.route, &ask.path, personal, answer)?;
    let mut directives = read(headers, &CACHE_CONTROL)?;
    let targeted = read(headers, &CDN_CACHE_CONTROL)?;
    for all in [&directives, &targeted] {
        if all.contains_key("no-store") {
            return Err(Reason::NoStore);
        }
        if all.contains_key("private") {
            return Err(Reason::Private);
        }
    }
    if targeted.contains_key("no-cache") {
        directives.insert("no-cache".to_owned(), None);
    }
    let freshness = freshness(ask, answer, &directives, times)?;
    let validates = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    let lives = freshness.is_fresh(times.came)
        || freshness.while_revalidate(times.came)
        || freshness.if_error(times.came);
    if validates || lives { Ok(freshness) } else { Err(Reason::NoLifetime) }
}

/// Is the answer tagged as one person's? An empty tag counts; `0` does not.
pub(super) fn is_personal(headers: &HeaderMap, personal: &HeaderName) -> bool {
    headers.get_all(personal).iter().any(|v| v.as_bytes() != b"0")
}

/// What is never stored, whatever its `Cache-Control` says.
fn refused_by_house(
    route: &PublicRoute,
    path: &str,
    personal: &HeaderName,
    answer: &Parts,
) -> Result<(), Reason> {
    let headers = &answer.headers;
    if is_personal(headers, personal) {
        return Err(Reason::Personal);
    }
    if headers.contains_key(SET_COOKIE) {
        return Err(Reason::SetCookie);
    }
    if !matches!(answer.status.as_u16(), 200 | 301 | 308 | 404 | 410) {
        return Err(Reason::Status);
    }
    // Also what can't be read: it might be the header that tells one answer from another.
    let is_named = |name: &[u8]| name.is_empty() || (name != b"*" && HeaderName::from_bytes(name).is_ok());
    let any = |v: &HeaderValue| !v.as_bytes().split(|b| *b == b',').all(|name| is_named(name.trim_ascii()));
    if headers.get_all(VARY).iter().any(any) {
        return Err(Reason::VaryAny);
    }
    if route.fits && answer.status == StatusCode::OK && !fits(path, headers) {
        return Err(Reason::Misfit);
    }
    Ok(())
}

/// Asks the library.
fn freshness(
    ask: &Public,
    answer: &Parts,
    directives: &BTreeMap<String, Option<String>>,
    times: Times,
) -> Result<Freshness, Reason> {
    let mut request = Request::new(());
    *request.headers_mut() = ask.headers.clone();
    let mut response = Response::new(());
    *response.status_mut() = answer.status;
    for name in [DATE, EXPIRES, LAST_MODIFIED, PRAGMA] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    if !directives.is_empty() {
        let value = HeaderValue::from_str(&spelt(directives)).map_err(|_| Reason::Unclear)?;
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    // No heuristics: what is public and for how long is said, by the answer or by the route.
    let options = CacheOptions { shared: true, cache_heuristic: 0.0, ..CacheOptions::default() };
    let policy = CachePolicy::new_options(&request, &response, times.wall, options);
    if !policy.is_storable() {
        return Err(Reason::Status);
    }
    let speaks = ["max-age", "s-maxage", "no-cache"].iter().any(|d| directives.contains_key(*d))
        || answer.headers.contains_key(EXPIRES);
    let lifetime = match ask.route.fresh {
        Some(fresh) if !speaks => fresh,
        _ => policy.time_to_live(times.wall),
    };
    // RFC 5861 is heeded beside s-maxage: the answer itself allows it.
    let strict =
        ["must-revalidate", "proxy-revalidate", "no-cache"].iter().any(|d| directives.contains_key(*d));
    let window = |name: &str| if strict { Duration::ZERO } else { seconds(directives, name) };
    Ok(Freshness {
        age: age(&answer.headers, times),
        came: times.came,
        lifetime: lifetime.min(LIFETIME_MAX),
        while_revalidate: window("stale-while-revalidate"),
        if_error: window("stale-if-error"),
    })
}

/// RFC 9111, 4.2.3: by its `Date` or its `Age` and the time it travelled, whichever is more.
fn age(headers: &HeaderMap, times: Times) -> Duration {
    let text = |name: &HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    // RFC 9111, 1.2.2: a number that can't be held is a large one.
    let digits = |t: &&str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let said = text(&AGE).map(str::trim).filter(digits).map_or(0, |t| t.parse::<u64>().unwrap_or(u64::MAX));
    let dated = text(&DATE).and_then(|d| httpdate::parse_http_date(d).ok());
    let apparent = dated.and_then(|d| times.wall.duration_since(d).ok()).unwrap_or_default();
    let travelled = times.came.saturating_duration_since(times.asked);
    (Duration::from_secs(said).min(LIFETIME_MAX) + travelled).max(apparent.min(LIFETIME_MAX))
}

/// The announced length of the body.
pub(super) fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
