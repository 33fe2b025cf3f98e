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

/// What each target begins with: whole inputs, and pieces that are put together.
pub const SEEDS: [&[u8]; 26] = [
    b"",
    b"\x00/users/4711/notes\nhost: a\nx-subject: 4711\ncookie: a=1; uid=\"4711\"",
    b"\x01/users/%7B0b2b8b62-9b1c-4f2e-8d55-1f0f3c1d2e3f%7D\nhost: a\ncookie: uid=0B2B8B629B1C4F2E8D551F0F3C1D2E3F",
    b"\x02/users/..%2f..%2fadmin\nhost: a\nhost: b",
    b"\x02/\nhost: a\nauthorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiI0NzExIiwiZXhwIjo0MTAyNDQ0ODAwfQ.",
    b"\x02/\nhost: a\ncookie: token=eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiI0NzExIn0.c2lnbmF0dXJl",
    b"\x00/\nhost: a\nconnection: close, x-mine, host, x-subject\nx-mine: 1\nx-subject: 7\nx_subject: 8\ndomicile-epoch: 9\nte: trailers",
    b"\x00/\nhost: a\nconnection: upgrade\nupgrade: websocket\nx-forwarded-for: 192.0.2.1\nx_forwarded-proto: http\nforwarded: for=a",
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    br#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"},{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"RS256"}]}"#,
    b"GET /users/1 HTTP/1.1\r\nHost: a\r\nX-Subject: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\nGET / HTTP/1.1\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x13\x88\x01\xbb",
    b"/static/app.css\na=1&b=%2F&c=\xc3\xa9\nShop.Example:443",
    b"/static/..%2faccount;x=1\n?\n[2001:db8::1]:8443",
    br#"{"subject":"4711","country":"IN","citizenship":"DE","flags":["minor"]}"#,
    br#"{"subjects":["1","2","3"]}"#,
    br#"{"kind":"email","value":"Ann.Other+x@B\u00fccher.example","subject":"1","attempt":"a","seconds":60}"#,
    b"wait=30&wait=31",
    b"\"3\", W/\"4\", *",
    b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\ncongo=t61rcWkgMzE,rojo=1",
    b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more\na@b=1,,\t",
];

/// [`SEEDS`], as the fuzz targets write them.
pub fn seeds() -> Vec<Vec<u8>> {
    SEEDS.iter().map(|seed| seed.to_vec()).collect()
}

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

/// A request's headers as they are sent on, and the same as an answer's. The first byte chooses whether the client is a proxy that is
/// trusted.
pub fn headers(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if let Some(parts) = head(rest) {
        gateway_of::headers(parts, first % 2 == 1);
    }
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
