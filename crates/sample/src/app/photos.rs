//! `/photos/{name}`: one large body, kept as one value.

use super::App;
use super::answer::{Failed, Subject, answered_by};
use super::notes::done;
use crate::store::Write;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// `POST /photos/{name}`: kept; one of the same name is replaced.
pub async fn keep(
    State(app): State<App>,
    Subject(person): Subject,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Failed> {
    let (written, region) = app.homes.write(&person, &Write::Photo { name, body }).await?;
    Ok(answered_by(&region, done(written)))
}

/// `GET /photos/{name}`, never to be kept by a shared cache.
pub async fn read(
    State(app): State<App>,
    Subject(person): Subject,
    Path(name): Path<String>,
) -> Result<Response, Failed> {
    let home = app.homes.to_read(&person).await?;
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "private")];
    let answer = match home.store.photo(&person, &name).await? {
        Some(body) => (headers, body).into_response(),
        None => (StatusCode::NOT_FOUND, "no such photo\n").into_response(),
    };
    Ok(answered_by(home.region, answer))
}
