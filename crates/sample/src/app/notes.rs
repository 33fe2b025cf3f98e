//! `/notes`: what people write, read, change and remove.

use super::App;
use super::answer::{Failed, Subject, answered_by, short};
use crate::store::{Note, Write, Written};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// `POST /notes`: 201 with the new note's id; 200 with the first one's where the key was used before.
pub async fn add(
    State(app): State<App>,
    Subject(person): Subject,
    headers: HeaderMap,
    text: String,
) -> Result<Response, Failed> {
    let key = short(&headers, "idempotency-key").ok_or(Failed::Request(
        StatusCode::BAD_REQUEST,
        "Idempotency-Key is missing or too long: without it a repeated request would be a second note",
    ))?;
    let write = Write::Add { key: key.to_owned(), text };
    let (written, region) = app.homes.write(&person, &write).await?;
    Ok(answered_by(&region, done(written)))
}

/// `PUT /notes/{id}`: another text.
pub async fn change(
    State(app): State<App>,
    Subject(person): Subject,
    Path(id): Path<String>,
    text: String,
) -> Result<Response, Failed> {
    let (written, region) = app.homes.write(&person, &Write::Change { id, text }).await?;
    Ok(answered_by(&region, done(written)))
}

/// `DELETE /notes/{id}`.
pub async fn remove(
    State(app): State<App>,
    Subject(person): Subject,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let (written, region) = app.homes.write(&person, &Write::Remove { id }).await?;
    Ok(answered_by(&region, done(written)))
}

/// `GET /notes`: all of them.
pub async fn list(State(app): State<App>, Subject(person): Subject) -> Result<Response, Failed> {
    let home = app.homes.to_read(&person).await?;
    let notes: Vec<Note> = home.store.notes(&person).await?;
    Ok(answered_by(home.region, Json(notes)))
}

/// `GET /notes/{id}`.
pub async fn read(
    State(app): State<App>,
    Subject(person): Subject,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let home = app.homes.to_read(&person).await?;
    let note = home.store.note(&person, &id).await?;
    let answer = note.map_or_else(no_such_note, |note| Json(note).into_response());
    Ok(answered_by(home.region, answer))
}

/// What a write did, in HTTP.
pub fn done(written: Written) -> Response {
    match written {
        Written::New(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Written::Before(id) => Json(json!({ "id": id })).into_response(),
        Written::Done => StatusCode::NO_CONTENT.into_response(),
        Written::NoSuchNote => no_such_note(),
    }
}

fn no_such_note() -> Response {
    (StatusCode::NOT_FOUND, "no such note\n").into_response()
}
