//! Headers at the border: what is one connection's own stays there (RFC 9110 section 7.6.1), what only this gateway may say is
//! said by it alone.

use super::super::settings::SubjectRule;
use crate::listen::Peer;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
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

/// What `Connection` can't take off: with a length, a request would be another one, without the others somebody else's, or one that
/// is done twice.
const KEPT: [HeaderName; 5] =
    [HOST, CONTENT_LENGTH, AUTHORIZATION, COOKIE, HeaderName::from_static("idempotency-key")];
/// Names in one `Connection` line that are looked at.
const NAMED_MAX: usize = 20;

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'h> {
    pub region: &'h str,
    pub epoch: u32,
    /// Where it said whose it is: the application must see the same.
    pub subject: &'h [SubjectRule],
}

impl Hop<'_> {
    fn is_subject(&self, name: &str) -> bool {
        self.subject.iter().any(|rule| matches!(rule, SubjectRule::Header(header) if header == name))
    }
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
    // Whoever names these to have them taken off wants the application to see another request than we did.
    without_hop_by_hop(headers, |name| KEPT.contains(name) || hop.is_subject(name.as_str()));
    without_spoofed(headers, trusts_forwarded, hop);
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

/// Takes off what only this gateway may say, and whoever is trusted in front of it. Many applications read `_` as `-` (CGI, WSGI,
/// Rack): there `Domicile_Epoch` stands beside ours, or instead of it.
fn without_spoofed(headers: &mut HeaderMap, trusts: bool, hop: Hop<'_>) {
    let is_forwarded = |name: &str| name == FORWARDED.as_str() || name.starts_with("x-forwarded-");
    let is_ours = |name: &str| name == EPOCH.as_str() || name == REGION.as_str();
    let is_spoofed = |name: &str| match name.contains('_') {
        // Whoever is trusted says it in its one spelling.
        true => {
            let read = name.replace('_', "-");
            (is_forwarded(&read) || is_ours(&read) || hop.is_subject(&read)) && !hop.is_subject(name)
        }
        false => is_ours(name) || (!trusts && is_forwarded(name)),
    };
    let spoofed: Vec<HeaderName> = headers.keys().filter(|n| is_spoofed(n.as_str())).cloned().collect();
    for name in spoofed {
        headers.remove(name);
    }
}

fn forwarded(headers: &mut HeaderMap, peer: Peer, trusts: bool) {
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
    without_hop_by_hop(headers, |name| KEPT.contains(name));
    headers.remove(EPOCH);
    headers.remove(REGION);
}

fn without_hop_by_hop(headers: &mut HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let named: Vec<HeaderName> = lines
        .flat_map(|line| line.split(','))
        .take(NAMED_MAX)
        .filter_map(|word| word.trim().parse().ok())
        .filter(|name| !is_kept(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, UPGRADE, TE, TRAILER, TRANSFER_ENCODING, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION]
    {
        headers.remove(name);
    }
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn cleaned(request: http::request::Builder, trusts: bool) -> HeaderMap {
        let mut parts = request.body(()).unwrap().into_parts().0;
        let peer = Peer { address: "[::ffff:192.0.2.7]:5000".parse().unwrap(), is_tls: true };
        let subject = [SubjectRule::Header(HeaderName::from_static("x-subject"))];
        let hop = Hop { region: "mumbai", epoch: 3, subject: &subject };
        clean_request(&mut parts, peer, trusts, hop);
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

    /// The gateway went by these, so the application goes by them, too: a write that is sent again for its key has it both times.
    #[test]
    fn what_the_gateway_went_by_is_not_taken_off() {
        let request = Request::post("/")
            .header("connection", "x-subject, idempotency-key, cookie, content-length")
            .header("x-subject", "7")
            .header("idempotency-key", "k")
            .header("cookie", "uid=7");
        let headers = cleaned(request, false);
        for kept in ["x-subject", "idempotency-key", "cookie"] {
            assert!(headers.contains_key(kept), "{kept}");
        }
    }

    #[test]
    fn nobody_says_in_another_spelling_what_the_gateway_says() {
        let request = || {
            Request::builder()
                .uri("/")
                .header("x-subject", "7")
                .header("x_subject", "8")
                .header("domicile_epoch", "99")
                .header("Domicile_Region", "beijing")
                .header("x_forwarded_for", "203.0.113.9")
                .header("x-forwarded_proto", "http")
                .header("x-forwarded-port", "1")
                .header("x-forwarded-prefix", "/evil")
                .header("x_mine", "1")
        };
        for trusts in [false, true] {
            let headers = cleaned(request(), trusts);
            let spoofed = headers.keys().filter(|name| name.as_str().contains('_') && *name != "x_mine");
            assert_eq!(spoofed.count(), 0, "{headers:?}");
            assert_eq!(
                (headers["x-subject"].as_bytes(), headers["x_mine"].as_bytes()),
                (&b"7"[..], &b"1"[..])
            );
            assert_eq!(headers.contains_key("x-forwarded-port"), trusts);
            assert_eq!(headers.contains_key("x-forwarded-prefix"), trusts);
        }
    }

    /// With a body, or as a write, it is a request like all others.
    #[test]
    fn only_a_bare_get_asks_for_another_protocol() {
        let of = |method: &str, header: &str, value: &str| {
            let request = Request::builder().method(method).uri("/").header("connection", "Upgrade");
            let request = request.header("upgrade", "websocket").header(header, value);
            is_upgrade(&request.body(()).unwrap().into_parts().0)
        };
        assert!(of("GET", "content-length", "0") && of("GET", "x-a", "1"));
        assert!(!of("GET", "content-length", "40") && !of("GET", "transfer-encoding", "chunked"));
        assert!(!of("POST", "content-length", "0"));
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
