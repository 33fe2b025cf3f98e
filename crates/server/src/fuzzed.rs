//! What strangers' bytes meet first, as functions of bytes that panic where a promise is broken: for `fuzz/` (cargo-fuzz), and
//! for a bounded run of the same on stable (tests/all/fuzzed.rs).

use crate::directory::Spelling;
use crate::directory::fuzzed as directory_of;
use crate::edge::{Scheme, host, query, straight};
use crate::gateway::fuzzed as gateway_of;
use crate::listen::fuzzed as listen_of;
use crate::trace::{Ids, Incoming, SpanId, State};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request};

/// A request's head out of bytes: a line with the target, then `name: value` lines. `None`: HTTP itself would refuse it.
fn head(data: &[u8]) -> Option<Parts> {
    let mut lines = data.split(|b| *b == b'\n');
    let target = std::str::from_utf8(lines.next()?).ok()?;
    let mut request = Request::builder().method("POST").uri(target);
    for line in lines {
        let at = line.iter().position(|b| *b == b':')?;
        request = request.header(&line[..at], HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// Whose request is it: cookie, path, header, token. The first byte chooses how keys are spelt.
/// Returns how many of the rules named somebody.
pub fn subject(data: &[u8]) -> usize {
    let Some((first, rest)) = data.split_first() else { return 0 };
    let spelling = [Spelling::Integer, Spelling::Uuid, Spelling::Text][usize::from(first % 3)];
    head(rest).map_or(0, |parts| gateway_of::subject(&parts, spelling))
}

/// A file of keys, and a token that claims to be signed by one of them.
pub fn token(data: &[u8]) {
    gateway_of::token(data);
}

/// A request as it comes over the line, HTTP/1.1 or HTTP/2, through the gateway's first stations.
pub fn request(data: &[u8]) {
    gateway_of::request(data);
}

/// A header of the PROXY protocol and what follows it.
pub fn proxy_header(data: &[u8]) {
    listen_of::proxy_header(data);
}

/// The directory's API: a subject in a path, a query, tags, and the bodies of all calls.
pub fn directory(data: &[u8]) {
    directory_of::asked(data);
}

/// A cached answer's key: target, then host.
///
/// # Panics
/// A key that has two readings, or two spellings.
pub fn cache_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (path, raw, name) = (lines.next(), lines.next(), lines.next());
    if let Some(path) = path
        && straight(path).is_ok()
    {
        assert!(path.starts_with('/') && path.len() <= crate::edge::PATH_BYTES_MAX);
        let lower = path.to_ascii_lowercase();
        for crooked in
            ["//", "/../", "/./", ";", "?", "#", "\\", "\0", "%2f", "%5c", "%25", "%00", "%2e", " "]
        {
            assert!(!lower.contains(crooked), "{path:?} has another reading: {crooked:?}");
        }
    }
    if let Ok(Some(once)) = query(raw) {
        assert_eq!(query(Some(&once)), Ok(Some(once.clone())), "a query has one spelling");
        assert!(!once.contains('#'));
    }
    for scheme in [Scheme::Http, Scheme::Https] {
        if let Some(Ok(once)) = name.map(|name| host(name, scheme)) {
            assert!(!once.contains(['/', '?', '#', '@']) && once == once.to_ascii_lowercase());
            assert_eq!(host(&once, scheme), Ok(once), "a host has one spelling");
        }
    }
}

/// `traceparent`, then `tracestate`, a line each.
///
/// # Panics
/// Something malformed is passed on.
pub fn trace(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for (n, line) in data.split(|b| *b == b'\n').enumerate() {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(if n == 0 { "traceparent" } else { "tracestate" }, value);
    }
    let (incoming, state) = (Incoming::of(&headers), State::of(&headers));
    let Some(incoming) = incoming else { return };
    let ids = Ids {
        trace: incoming.trace,
        span: SpanId([1; 8]),
        parent: Some(incoming.parent),
        is_sampled: incoming.is_sampled,
    };
    ids.write(state.as_ref(), &mut headers);
    let again = Incoming::of(&headers).expect("what we write is well formed");
    assert_eq!((again.trace, again.is_sampled), (incoming.trace, incoming.is_sampled));
    assert_eq!(State::of(&headers), state, "a state is passed on as it is, or not");
}
