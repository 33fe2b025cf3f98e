//! The gateway's stations that read what strangers sent, for [`crate::fuzzed`].

use super::forward::{self, Hop};
use super::settings::SubjectRule;
use super::subject::jwt::{JwtRule, Keys};
use super::{check, subject};
use crate::body;
use crate::directory::Spelling;
use crate::listen::{ConnectionLimits, Peer};
use domicile_stores::records::SubjectId;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Incoming;
use std::sync::LazyLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A public key of which nobody here has the private half.
const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static RULES: LazyLock<Vec<SubjectRule>> = LazyLock::new(|| {
    let keys = Keys::of_bytes(KEYS.as_bytes()).expect("a set of keys");
    let jwt = JwtRule::new(keys, "sub".into(), 16).or_in_cookie(Some("token".into()));
    vec![
        SubjectRule::Header(HeaderName::from_static("x-subject")),
        SubjectRule::Cookie("uid".into()),
        SubjectRule::Path("/users/".into()),
        SubjectRule::Jwt(Box::new(jwt)),
    ]
});

/// Returns how many of the rules named somebody.
///
/// # Panics
/// A subject that is none, or that has a second spelling.
pub(crate) fn subject(parts: &Parts, spelling: Spelling) -> usize {
    if check::head(parts).is_err() {
        return 0;
    }
    let mut named = 0;
    for rule in RULES.iter() {
        let found = subject::of(parts, std::slice::from_ref(rule), spelling);
        let Ok(SubjectId(id)) = found else { continue };
        named += 1;
        assert!(!matches!(rule, SubjectRule::Jwt(_)), "a token that nobody signed names {id:?}");
        assert!(!id.is_empty() && id.len() <= 512, "{id:?}");
        assert_eq!(spelling.canonical(&id).as_deref(), Some(id.as_str()), "a subject has one spelling");
        if matches!(rule, SubjectRule::Path(_)) {
            assert!(!id.contains(['/', '\\']) && id != "..", "{id:?}");
        }
    }
    named
}

/// # Panics
/// What is one connection's own goes on, the application sees another request than the gateway did, or hears from somebody else what
/// only the gateway may say.
pub(crate) fn headers(mut parts: Parts, trusts: bool) {
    if check::head(&parts).is_err() {
        return;
    }
    let before = parts.headers.clone();
    let peer = Peer { address: ([192, 0, 2, 7], 5000).into(), is_tls: true };
    forward::clean_request(&mut parts, peer, trusts, Hop { region: "mumbai", epoch: 3, subject: &RULES });
    let headers = &parts.headers;
    let all = |headers: &HeaderMap, name: &str| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
    assert_eq!(all(headers, "domicile-epoch"), ["3"]);
    assert_eq!(all(headers, "domicile-region"), ["mumbai"]);
    for same in ["x-subject", "cookie", "authorization", "content-length", "idempotency-key"] {
        assert_eq!(all(headers, same), all(&before, same), "{same}");
    }
    assert!(!before.contains_key("host") || all(headers, "host") == all(&before, "host"));
    for gone in
        ["te", "trailer", "transfer-encoding", "proxy-authorization", "keep-alive", "proxy-connection"]
    {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    let asks = all(headers, "connection");
    assert!(asks.is_empty() != headers.contains_key("upgrade") && asks.iter().all(|v| v == "upgrade"));
    let chain = all(headers, "x-forwarded-for");
    assert!(chain.len() == 1 && chain[0].as_bytes().ends_with(b"192.0.2.7"), "{chain:?}");
    assert!(trusts || (chain[0] == "192.0.2.7" && !headers.contains_key("forwarded")));
    for name in headers.keys().map(HeaderName::as_str).filter(|name| name.contains('_')) {
        let read = name.replace('_', "-");
        let is_ours = ["domicile-epoch", "domicile-region", "x-subject"].contains(&read.as_str());
        assert!(!is_ours && !read.starts_with("x-forwarded-"), "{name}");
    }
    let mut answer = before;
    forward::clean_answer(&mut answer);
    for gone in ["connection", "transfer-encoding", "upgrade", "domicile-epoch", "domicile-region"] {
        assert!(!answer.contains_key(gone), "{gone}");
    }
}

/// # Panics
/// A token that nobody signed is believed.
pub(crate) fn token(data: &[u8]) {
    let _ = Keys::of_bytes(data);
    let Ok(value) = http::HeaderValue::from_bytes(&[b"Bearer ", data].concat()) else { return };
    let request = Request::builder().uri("/").header("host", "a").header("authorization", value);
    if let Ok(request) = request.body(()) {
        subject(&request.into_parts().0, Spelling::Text);
    }
}

/// # Panics
/// The connection does not end although its client's end is closed.
pub(crate) fn request(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let answer = |request: Request<Incoming>| async move {
            let (parts, _) = request.into_parts();
            subject(&parts, Spelling::Text);
            Ok::<_, std::convert::Infallible>(Response::new(body::empty()))
        };
        let served = crate::listen::fuzzed::serve(server, ConnectionLimits::default(), answer);
        let asked = async {
            let _ = client.write_all(data).await;
            let _ = client.shutdown().await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        };
        let both = async { tokio::join!(served, asked) };
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), both).await;
        assert!(ended.is_ok(), "the connection does not end");
    });
}
