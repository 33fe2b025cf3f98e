//! The gateway's stations that read what strangers sent, for [`crate::fuzzed`].

use super::settings::SubjectRule;
use super::subject::jwt::{JwtRule, Keys};
use super::{check, subject};
use crate::body;
use crate::directory::Spelling;
use crate::listen::ConnectionLimits;
use domicile_stores::records::SubjectId;
use http::request::Parts;
use http::{HeaderName, Request, Response};
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
