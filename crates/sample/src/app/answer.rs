//! What a refusal is in HTTP, and who asks.

use crate::store::Refusal;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// A gateway may repeat the request at the person's home: nothing of it was done.
const RETRY: HeaderName = HeaderName::from_static("domicile-retry");
/// The region whose database answered.
const ANSWERED_BY: HeaderName = HeaderName::from_static("sample-region");
/// Bytes of a subject's id and of an idempotency key at most.
const KEY_BYTES_MAX: usize = 200;

/// An answer that is no success.
#[derive(Debug)]
pub enum Failed {
    /// The request itself is wrong.
    Request(StatusCode, &'static str),
    /// The database refused.
    Refused(Refusal),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self {
            Self::Request(status, why) => (status, format!("{why}\n")).into_response(),
            Self::Refused(refusal) => refused(&refusal),
        }
    }
}

fn refused(refusal: &Refusal) -> Response {
    let why = format!("{refusal}\n");
    match refusal {
        Refusal::NotWritable | Refusal::NotHere => {
            (StatusCode::MISDIRECTED_REQUEST, [(RETRY, "1")], why).into_response()
        }
        Refusal::Forbidden(_) => (StatusCode::FORBIDDEN, why).into_response(),
        Refusal::Taken => (StatusCode::CONFLICT, why).into_response(),
        Refusal::Broken(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, [(axum::http::header::RETRY_AFTER, "1")], why).into_response()
        }
    }
}

/// Names the region whose database gave this answer.
pub fn answered_by(region: &str, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    if let Ok(value) = HeaderValue::from_str(region) {
        response.headers_mut().insert(ANSWERED_BY, value);
    }
    response
}

/// Who asks, by `X-Subject`. Whoever stands in front of a real application has proved it.
#[derive(Debug)]
pub struct Subject(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Subject {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        let missing = Failed::Request(StatusCode::UNAUTHORIZED, "who asks? X-Subject is missing or too long");
        short(&parts.headers, "x-subject").map(|s| Self(s.to_owned())).ok_or(missing)
    }
}

/// A header's value, unless it is absent, empty, no text or too long.
pub fn short<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty() && value.len() <= KEY_BYTES_MAX).then_some(value)
}
