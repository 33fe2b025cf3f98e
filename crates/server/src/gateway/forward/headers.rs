//! Headers at the border: what is one connection's own stays there (RFC 9110 section 7.6.1), what only this gateway may say is
//! said by it alone.

use crate::listen::Peer;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderName, Method, Version};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const EPOCH: HeaderName = HeaderName::from_static("domicile-epoch");
const REGION: HeaderName = HeaderName::from_static("domicile-region");

/// Names in one `Connection` line that are looked at.
const NAMED_MAX: usize = 20;

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'h> {
    pub region: &'h str,
    pub epoch: u32,
}

/// Asks the request for another protocol on its connection? Only HTTP/1.1 has that. One with a body, or of another method than a
/// WebSocket's (RFC 6455 section 4.1), is a request like all others: whoever is asked may leave `Upgrade` unheeded (RFC 9110
/// section 7.8), and a write that came this way would pass its lane.
pub(crate) fn is_upgrade(parts: &Parts) -> bool {
    parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && parts.headers.contains_key(UPGRADE)
        && names(&parts.headers, "upgrade")
        && !parts.headers.contains_key(TRANSFER_ENCODING)
        && parts.headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0")
}

fn names(headers: &HeaderMap, name: &str) -> bool {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(name))
}

/// Makes the client's request ours.
pub(crate) fn clean_request(parts: &mut Parts, peer: Peer, trusts_forwarded: bool, hop: Hop<'_>) {
    let keeps_upgrade = is_upgrade(parts);
    let upgrade = parts.headers.get(UPGRADE).cloned();
    let headers = &mut parts.headers;
    without_hop_by_hop(headers);
    if let (true, Some(upgrade)) = (keeps_upgrade, upgrade) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
    if let Some(authority) = parts.uri.authority()
        && !headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    forwarded(headers, peer, trusts_forwarded);
    headers.insert(EPOCH, HeaderValue::from(hop.epoch));
    if let Ok(region) = HeaderValue::from_str(hop.region) {
        headers.insert(REGION, region);
    }
}

fn forwarded(headers: &mut HeaderMap, peer: Peer, trusts: bool) {
    if !trusts {
        // Whoever is not trusted could name any address.
        headers.remove(FORWARDED);
        headers.remove(FORWARDED_HOST);
    }
    let address = peer.address.ip().to_canonical().to_string();
    let before = headers.get_all(FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok());
    let before = before.collect::<Vec<_>>().join(", ");
    let chain = if trusts && !before.is_empty() { format!("{before}, {address}") } else { address };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    if !trusts || !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(peer.scheme()));
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
}

/// Makes the application's answer ours.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    without_hop_by_hop(headers);
}

fn without_hop_by_hop(headers: &mut HeaderMap) {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let named: Vec<HeaderName> = lines
        .flat_map(|line| line.split(','))
        .take(NAMED_MAX)
        .filter_map(|word| word.trim().parse().ok())
        // Whoever names these to have them taken off wants the application to see another request than we did.
        .filter(|name| {
            *name != HOST && *name != http::header::CONTENT_LENGTH && *name != http::header::AUTHORIZATION
        })
        .filter(|name| *name != http::header::COOKIE)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, UPGRADE, TE, TRAILER, TRANSFER_ENCODING, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION]
    {
        headers.remove(name);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, EPOCH, REGION] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn cleaned(request: http::request::Builder, trusts: bool) -> HeaderMap {
        let mut parts = request.body(()).unwrap().into_parts().0;
        let peer = Peer { address: "[::ffff:192.0.2.7]:5000".parse().unwrap(), is_tls: true };
        clean_request(&mut parts, peer, trusts, Hop { region: "mumbai", epoch: 3 });
        parts.headers
    }

    #[test]
    fn what_is_one_connections_own_stays_there() {
        let request = Request::builder()
            .uri("/")
            .header("host", "a.example")
            .header("connection", "keep-alive, x-mine, host, authorization")
            .header("x-mine", "1")
            .header("authorization", "Bearer x")
            .header("keep-alive", "timeout=5")
            .header("te", "trailers")
            .header("domicile-epoch", "99")
            .header("domicile-region", "beijing");
        let headers = cleaned(request, false);
        for gone in ["connection", "x-mine", "keep-alive", "te"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers["host"], "a.example");
        assert_eq!(headers["authorization"], "Bearer x");
        assert_eq!(
            (&headers["domicile-epoch"], &headers["domicile-region"]),
            (&HeaderValue::from(3), &HeaderValue::from_static("mumbai"))
        );
    }

    #[test]
    fn only_the_trusted_say_whom_they_forward_for() {
        let request = || {
            Request::builder()
                .uri("/")
                .header("host", "a.example")
                .header("x-forwarded-for", "203.0.113.9")
                .header("x-forwarded-proto", "http")
                .header("forwarded", "for=203.0.113.9")
        };
        let plain = cleaned(request(), false);
        assert_eq!(
            (&plain["x-forwarded-for"], &plain["x-forwarded-proto"]),
            (&HeaderValue::from_static("192.0.2.7"), &HeaderValue::from_static("https"))
        );
        assert!(!plain.contains_key("forwarded"));
        assert_eq!(plain["x-forwarded-host"], "a.example");
        let trusted = cleaned(request(), true);
        assert_eq!(trusted["x-forwarded-for"], "203.0.113.9, 192.0.2.7");
        assert_eq!(trusted["x-forwarded-proto"], "http");
    }

    #[test]
    fn an_upgrade_is_passed_on() {
        let request =
            Request::builder().uri("/").header("connection", "Upgrade").header("upgrade", "websocket");
        let headers = cleaned(request, false);
        assert_eq!(
            (&headers["connection"], &headers["upgrade"]),
            (&HeaderValue::from_static("upgrade"), &HeaderValue::from_static("websocket"))
        );
        let headers = cleaned(Request::builder().uri("/").header("upgrade", "websocket"), false);
        assert!(!headers.contains_key("upgrade"));
    }
}
