//! Requests that say whose they are in their body: a login names its subject by a claim, a sign-up makes a new one.
//!
//! Only these bodies are read, whole and small. The country of a new subject is what its account says, never where its
//! connection comes from.

use super::settings::{LoginRoute, SignUpRoute};
use crate::body::{self, Body, BoxError};
use crate::problem::Problem;
use bytes::{Bytes, BytesMut};
use domicile_directory::Claim;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::Value;
use std::time::Duration;

/// A login's or a sign-up's body is no longer than this.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// And here in this time.
const BODY_MAX: Duration = Duration::from_secs(10);

/// What a body must be.
const BODY: Problem = Problem::new(StatusCode::BAD_REQUEST, "body", "the request says not whose it is");

/// A request of one of these routes.
pub(super) enum Named<'r> {
    Login(&'r LoginRoute),
    SignUp(&'r SignUpRoute),
}

/// A new subject, as its sign-up says.
pub(super) struct NewSubject {
    pub subject: String,
    pub country: domicile_policy::Country,
}

/// Reads the body whole: (what it says, the bytes to forward).
///
/// # Errors
/// Too long, too slow, no JSON.
pub(super) async fn read(body: Body) -> Result<(Value, Bytes), Problem> {
    let read = tokio::time::timeout(BODY_MAX, whole(body)).await;
    let whole = match read {
        Ok(Ok(Some(whole))) => whole,
        Ok(Ok(None)) => {
            let problem =
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body", "the body is too long for this route");
            return Err(problem.because(format!("at most {BODY_BYTES_MAX} bytes")));
        }
        Ok(Err(_)) => return Err(BODY.because("its body did not come whole")),
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body", "the body took too long")),
    };
    let value = serde_json::from_slice(&whole).map_err(|_| BODY.because("its body is not JSON"))?;
    Ok((value, whole))
}

/// The whole body; `None`: it is too long.
async fn whole(mut body: Body) -> Result<Option<Bytes>, BoxError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return Ok(None);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole.freeze()))
}

/// The claim by which a login names its subject.
///
/// # Errors
/// It is not there, or can't be one.
pub(super) fn claim(route: &LoginRoute, said: &Value) -> Result<Claim, Problem> {
    let text = said.get(&route.field).and_then(Value::as_str);
    let text =
        text.ok_or_else(|| BODY.because("its body lacks the field by which this route finds the subject"))?;
    Claim::new(route.kind, text).map_err(|_| BODY.because("the claim in its body can't be one of its kind"))
}

/// Who signs up, and where that person lives.
///
/// # Errors
/// A field that is not there, or no country.
pub(super) fn new_subject(route: &SignUpRoute, said: &Value) -> Result<NewSubject, Problem> {
    let subject = match said.get(&route.subject) {
        Some(Value::String(text)) if !text.is_empty() && text.len() <= 512 => text.clone(),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return Err(BODY.because("its body lacks the new subject's key")),
    };
    let country = said.get(&route.country).and_then(Value::as_str);
    let country = country.and_then(|text| text.parse().ok());
    let country =
        country.ok_or_else(|| BODY.because("its body lacks a country that is known (ISO 3166-1)"))?;
    Ok(NewSubject { subject, country })
}

/// The same body again, to be forwarded.
pub(super) fn again(bytes: Bytes) -> Body {
    body::full(bytes)
}
