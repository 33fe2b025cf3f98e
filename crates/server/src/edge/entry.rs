//! A stored answer, and what is made of it for one who asks.

use super::ask::Public;
use super::judge::Freshness;
use crate::body::{self, Body};
use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE,
    CONTENT_TYPE, DATE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, PROXY_AUTHENTICATE,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What an entry costs besides its texts and body: the tables it stands in, allocations, reference counts. Bytes.
const ENTRY_BYTES: usize = 512;
/// The same for each header.
const HEADER_BYTES: usize = 96;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Headers between two neighbours, which are not part of an answer.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Everything of an answer but its body.
#[derive(Debug)]
pub(super) struct Head {
    status: StatusCode,
    headers: HeaderMap,
    pub(super) freshness: Freshness,
    /// The request's headers that the answer depends on, with the values it was made for.
    vary: Vec<(HeaderName, Vec<HeaderValue>)>,
}

impl Head {
    /// Of an answer that was judged. Everything is copied: a header is a slice of the buffer it was read into, and
    /// would keep all of that in memory.
    pub(super) fn of(
        ask: &Public,
        status: StatusCode,
        headers: &HeaderMap,
        freshness: Freshness,
        wall: SystemTime,
    ) -> Self {
        let mut own = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers {
            own.append(name.clone(), copied(value));
        }
        take_hop_by_hop(&mut own);
        own.remove(AGE);
        if !own.contains_key(DATE) {
            // RFC 9110, 6.6.1: whoever stores it dates it.
            if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(wall)) {
                own.insert(DATE, date);
            }
        }
        Self { status, vary: vary(ask, &own), headers: own, freshness }
    }

    /// The stored one, brought up to date by a 304 (RFC 9111, 3.2): the body's own headers stay.
    pub(super) fn headers_after(&self, news: &HeaderMap) -> HeaderMap {
        let mut merged = self.headers.clone();
        let of_body = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING];
        for name in news.keys().filter(|n| !of_body.contains(n)) {
            merged.remove(name);
            for value in news.get_all(name) {
                merged.append(name.clone(), value.clone());
            }
        }
        merged
    }

    /// Was it made for a request like this one?
    pub(super) fn is_for(&self, ask: &Public) -> bool {
        self.vary.iter().all(|(name, values)| ask.headers.get_all(name).iter().eq(values))
    }

    /// What it depends on.
    pub(super) fn vary_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.vary.iter().map(|(name, _)| name)
    }

    /// Sets a header of it.
    pub(super) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Lets the request ask whether it changed, where that can be asked.
    pub(super) fn condition(&self, request: &mut Request<Body>) -> bool {
        let pairs = [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
        let mut asks = false;
        for (mine, question) in pairs {
            if let Some(value) = self.headers.get(&mine) {
                request.headers_mut().insert(question, value.clone());
                asks = true;
            }
        }
        asks
    }

    /// Is a 304 with these headers about this answer? One that names another tag is not.
    pub(super) fn is_meant_by(&self, news: &HeaderMap) -> bool {
        match (self.headers.get(ETAG), news.get(ETAG)) {
            (Some(mine), Some(theirs)) => weak(mine) == weak(theirs),
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }

    /// The answer's head for one who asks; `true`: it has no body, since the client has it or asked for none.
    fn answer(&self, ask: &Public, now: Instant, status: &str) -> (Response<()>, bool) {
        let mut answer = Response::new(());
        *answer.status_mut() = self.status;
        let unchanged = self.is_known(ask);
        if unchanged {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            // RFC 9110, 15.4.5.
            for name in [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY, LAST_MODIFIED] {
                for value in self.headers.get_all(&name) {
                    answer.headers_mut().append(name.clone(), value.clone());
                }
            }
        } else {
            *answer.headers_mut() = self.headers.clone();
        }
        answer.headers_mut().insert(AGE, HeaderValue::from(self.freshness.age(now).as_secs()));
        say(answer.headers_mut(), status);
        (answer, unchanged || ask.method == Method::HEAD)
    }

    /// Has the client this very answer (RFC 9110, 13.1)?
    fn is_known(&self, ask: &Public) -> bool {
        if self.status != StatusCode::OK {
            return false;
        }
        let mut tags = ask.known.get_all(IF_NONE_MATCH).iter().peekable();
        if tags.peek().is_some() {
            let mine = self.headers.get(ETAG).map(weak);
            let has = |value: &HeaderValue| {
                let listed = value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
                listed.map(unweakened).any(|tag| tag == b"*" || mine.is_some_and(|m| m == tag))
            };
            return tags.any(has);
        }
        let date = |value: Option<&HeaderValue>| {
            value.and_then(|v| v.to_str().ok()).and_then(|v| httpdate::parse_http_date(v).ok())
        };
        let pair = (date(self.headers.get(LAST_MODIFIED)), date(ask.known.get(IF_MODIFIED_SINCE)));
        matches!(pair, (Some(changed), Some(since)) if changed <= since)
    }

    fn bytes(&self) -> usize {
        let mine = self.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + HEADER_BYTES);
        let vary = self.vary.iter().map(|(n, v)| {
            n.as_str().len() + HEADER_BYTES + v.iter().map(|v| v.len() + HEADER_BYTES).sum::<usize>()
        });
        mine.chain(vary).sum()
    }
}

/// A whole stored answer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) head: Arc<Head>,
    pub(super) body: Bytes,
}

impl Entry {
    /// What it takes in memory, about, without its key. Bytes.
    pub(super) fn bytes(&self) -> usize {
        ENTRY_BYTES + self.head.bytes() + self.body.len()
    }

    pub(super) fn answer(&self, ask: &Public, now: Instant, status: &str) -> Response<Body> {
        let body = || body::full(self.body.clone());
        self.head.with_body(ask, now, status, body)
    }
}

impl Head {
    /// The answer, with the body where there is one.
    pub(super) fn with_body(
        &self,
        ask: &Public,
        now: Instant,
        status: &str,
        body: impl FnOnce() -> Body,
    ) -> Response<Body> {
        let (answer, bare) = self.answer(ask, now, status);
        let body = if bare { body::empty() } else { body() };
        answer.map(|()| body)
    }
}

/// Appends what this cache did (RFC 9211).
pub(super) fn say(headers: &mut HeaderMap, status: &str) {
    if let Ok(value) = HeaderValue::from_str(status) {
        headers.append(CACHE_STATUS, value);
    }
}

/// Takes off what is between two neighbours only, and what `Connection` names.
pub(super) fn take_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn vary(ask: &Public, headers: &HeaderMap) -> Vec<(HeaderName, Vec<HeaderValue>)> {
    let names = headers.get_all(VARY).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    let mut names: Vec<HeaderName> = names.filter_map(|n| n.trim().parse().ok()).collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    let values = |name: &HeaderName| ask.headers.get_all(name).iter().map(copied).collect();
    names.into_iter().map(|name| (name.clone(), values(&name))).collect()
}

fn copied(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

fn weak(value: &HeaderValue) -> &[u8] {
    unweakened(value.as_bytes())
}

fn unweakened(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}
