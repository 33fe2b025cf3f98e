//! Claims: whose a name is, and the three steps by which it becomes somebody's.

use super::limits::CLAIM_BYTES_MAX;
use super::refusals::{INVALID_BODY, INVALID_CLAIM, NOT_RESERVED, TAKEN, UNKNOWN_CLAIM};
use super::request;
use super::routes::{Of, Shared, json};
use super::service::Told;
use crate::Problem;
use axum::extract::{Request, State};
use axum::response::Response;
use domicile_directory::{Claim, ClaimKind, Committed, RESERVATION_MAX, Reserved};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a name is kept where the caller does not say.
const RESERVATION: Duration = Duration::from_secs(600);

fn claim(kind: ClaimKind, value: &Zeroizing<String>) -> Result<Claim, Problem> {
    if value.len() > CLAIM_BYTES_MAX {
        return Err(INVALID_CLAIM.because("it is too long"));
    }
    Claim::new(kind, value).map_err(|wrong| INVALID_CLAIM.because(wrong.why))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolve {
    kind: ClaimKind,
    value: Zeroizing<String>,
}

#[derive(Serialize)]
struct Resolved {
    subject_hash: String,
    #[serde(flatten)]
    home: Told,
}

/// `POST .../claims/resolve`: where whoever has this name lives, for a login.
pub(super) async fn resolve(
    State(shared): State<Arc<Shared>>,
    path: Of,
    sent: Request,
) -> Result<Response, Problem> {
    let call = shared.call::<Resolve>(path, sent).await?;
    let (service, asked) = (&call.service.served, &call.asked);
    let claims = [claim(asked.kind, &asked.value)?];
    let found = shared.ask(shared.directory.resolve(&service.name, &claims)).await?.pop().flatten();
    let found = found.ok_or(UNKNOWN_CLAIM)?;
    let home = call.service.told_of(&found.home);
    Ok(json(StatusCode::OK, &Resolved { subject_hash: found.subject.to_string(), home }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reserve {
    kind: ClaimKind,
    value: Zeroizing<String>,
    subject: String,
    attempt: String,
    seconds: Option<u64>,
}

/// `POST .../claims/reserve`: keeps a name for a subject that signs up.
pub(super) async fn reserve(
    State(shared): State<Arc<Shared>>,
    path: Of,
    sent: Request,
) -> Result<Response, Problem> {
    let call = shared.call::<Reserve>(path, sent).await?;
    let (service, asked) = (&call.service.served, &call.asked);
    let subject = request::subject(&asked.subject, service.spelling)?;
    let claims = [claim(asked.kind, &asked.value)?];
    let time = asked.seconds.map_or(RESERVATION, Duration::from_secs);
    if time.is_zero() || time > RESERVATION_MAX {
        return Err(INVALID_BODY.because(format!("seconds: 1 to {}", RESERVATION_MAX.as_secs())));
    }
    let reserved = shared.directory.reserve(&service.name, &subject, &claims, &asked.attempt, time);
    match shared.ask(reserved).await?.pop() {
        Some(Reserved::Yes) => Ok(json(StatusCode::OK, &json!({ "outcome": "reserved" }))),
        Some(Reserved::Own) => Ok(json(StatusCode::OK, &json!({ "outcome": "own" }))),
        Some(Reserved::Taken) | None => Err(TAKEN),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Commit {
    kind: ClaimKind,
    value: Zeroizing<String>,
    subject: String,
    attempt: String,
}

/// `POST .../claims/commit`: the name is the subject's for good.
pub(super) async fn commit(
    State(shared): State<Arc<Shared>>,
    path: Of,
    sent: Request,
) -> Result<Response, Problem> {
    let call = shared.call::<Commit>(path, sent).await?;
    let (service, asked) = (&call.service.served, &call.asked);
    let subject = request::subject(&asked.subject, service.spelling)?;
    let claims = [claim(asked.kind, &asked.value)?];
    let committed = shared.directory.commit(&service.name, &subject, &claims, &asked.attempt);
    match shared.ask(committed).await?.pop() {
        Some(Committed::Yes) => Ok(json(StatusCode::OK, &json!({ "outcome": "committed" }))),
        Some(Committed::Lost) | None => Err(NOT_RESERVED),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    kind: ClaimKind,
    value: Zeroizing<String>,
    subject: String,
    attempt: Option<String>,
}

/// `POST .../claims/release`: gives a name back.
pub(super) async fn release(
    State(shared): State<Arc<Shared>>,
    path: Of,
    sent: Request,
) -> Result<Response, Problem> {
    let call = shared.call::<Release>(path, sent).await?;
    let (service, asked) = (&call.service.served, &call.asked);
    let subject = request::subject(&asked.subject, service.spelling)?;
    let claims = [claim(asked.kind, &asked.value)?];
    let released = shared.directory.release(&service.name, &subject, &claims, asked.attempt.as_deref());
    let released = shared.ask(released).await?;
    Ok(json(StatusCode::OK, &json!({ "released": released > 0 })))
}

/// Reads bytes as the body of each call, for the fuzz targets.
pub(super) fn read_any(bytes: &[u8]) {
    if let Ok(asked) = serde_json::from_slice::<Resolve>(bytes) {
        // Whatever a claim's text is, its normal form is one or none.
        let _ = Claim::new(asked.kind, &asked.value);
    }
    let _ = serde_json::from_slice::<Reserve>(bytes);
    let _ = serde_json::from_slice::<Commit>(bytes);
    let _ = serde_json::from_slice::<Release>(bytes);
}
