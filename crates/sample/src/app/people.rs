//! `/people`, `/login`, `/whoami`: who they are.

use super::App;
use super::answer::{Failed, answered_by, short};
use crate::store::Person;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

/// `POST /people`: 201, or 200 where this person is here already.
///
/// A gateway that placed the newcomer says so by `Domicile-Epoch`: the claim is then repeated in the transaction
/// of the first row.
pub async fn sign_up(
    State(app): State<App>,
    headers: HeaderMap,
    Json(person): Json<Person>,
) -> Result<Response, Failed> {
    if person.id.is_empty() || person.id.len() > 200 || person.email.is_empty() {
        return Err(Failed::Request(StatusCode::BAD_REQUEST, "a person has an id and an e-mail address"));
    }
    let epoch = short(&headers, "domicile-epoch").and_then(|e| e.parse().ok());
    let (new, region) = app.homes.sign_up(&person, epoch).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let answer = (status, Json(json!({ "id": person.id, "region": region })));
    Ok(answered_by(&region, answer))
}

/// What a login says.
#[derive(Debug, Deserialize)]
pub struct Login {
    email: String,
}

/// `POST /login`: whose e-mail address it is. A real one would ask for more.
pub async fn log_in(State(app): State<App>, Json(login): Json<Login>) -> Result<Response, Failed> {
    match app.homes.by_email(&login.email).await? {
        Some((id, region)) => Ok(answered_by(&region, Json(json!({ "id": id, "region": region })))),
        None => Err(Failed::Request(StatusCode::NOT_FOUND, "nobody has this e-mail address here")),
    }
}

/// `GET /whoami`: this instance's region, and what a gateway added to the request.
pub async fn who_am_i(State(app): State<App>, headers: HeaderMap) -> Response {
    let region = app.homes.region();
    let answer = json!({
        "region": region,
        "subject": short(&headers, "x-subject"),
        "epoch": short(&headers, "domicile-epoch"),
        "routed_to": short(&headers, "domicile-region"),
    });
    answered_by(region, Json(answer)).into_response()
}
