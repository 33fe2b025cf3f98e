//! Homes: one, many, a new one, and none any more.

use super::limits::{LOOKUP_MAX, WAIT_MAX_S, WORD_CHARS_MAX, WORDS_MAX};
use super::refusals::{
    AGAIN, AWAY, ELSEWHERE, INVALID_BODY, INVALID_COUNTRY, INVALID_PATH, INVALID_QUERY, REFUSED,
    TOO_MANY_WAITERS, UNKNOWN_HOME, UNKNOWN_REGION,
};
use super::request::{self, Known};
use super::routes::{Call, Of, Shared, json};
use super::service::{Following, Told};
use crate::Problem;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use domicile_policy::{Class, Country};
use domicile_stores::records::SubjectId;
use http::header::{CACHE_CONTROL, ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// One subject's path, or what is wrong with it.
type OfSubject = Result<Path<(String, String)>, PathRejection>;

/// `GET .../homes/{subject}`: the home, at once, or as soon as it is another than the caller knows.
pub(super) async fn home(
    State(shared): State<Arc<Shared>>,
    path: OfSubject,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((service, subject)) = path.map_err(|_| INVALID_PATH)?;
    let service = shared.service(&service)?;
    let subject = request::subject(&subject, service.served.spelling)?;
    let [wait] = request::query(query.as_deref(), ["wait"])?;
    let wait_s = match wait {
        None => 0,
        Some(text) => text.parse().ok().filter(|s| *s <= WAIT_MAX_S).ok_or(INVALID_QUERY)?,
    };
    let known = request::known(&headers);
    if wait_s > 0 && known != Known::default() {
        return changed(&shared, service, &subject, &known, Duration::from_secs(wait_s)).await;
    }
    let _place = shared.place()?;
    let home =
        shared.ask(shared.directory.home(&service.served.name, &subject)).await?.ok_or(UNKNOWN_HOME)?;
    Ok(told(&service.told_of(&home), &known))
}

/// The home once its epoch is none that the caller knows; after `wait`, that it is still the same.
async fn changed(
    shared: &Shared,
    service: &Following,
    subject: &SubjectId,
    known: &Known,
    wait: Duration,
) -> Result<Response, Problem> {
    let waiter = shared.waiters.clone().try_acquire_owned();
    let _waiter = waiter.map_err(|_| TOO_MANY_WAITERS.retry_after(AGAIN))?;
    let name = &service.served.name;
    let place = shared.place()?;
    let begun = service.follower.wait_for(shared.directory.hash(name, subject));
    let begun = tokio::time::timeout(shared.limits.answer, begun).await;
    let mut waiting = begun.map_err(|_| AWAY.retry_after(AGAIN))??;
    let home = shared.ask(shared.directory.home(name, subject)).await?.ok_or(UNKNOWN_HOME)?;
    drop(place);
    if !known.has(home.epoch) {
        return Ok(told(&service.told_of(&home), known));
    }
    let news = tokio::select! {
        news = waiting.after(home.epoch, wait) => news,
        // Who waits finds this process gone, and must not be what keeps it.
        () = shared.stop.stopped() => None,
    };
    match news {
        None => Ok(told(&service.told_of(&home), known)),
        Some(news) => match &news.region {
            Some(region) => Ok(told(&service.told(region, news.epoch), known)),
            None => Err(UNKNOWN_HOME),
        },
    }
}

/// The home with its epoch as the tag; 304 where the caller knows it.
fn told(home: &Told, known: &Known) -> Response {
    let mut answer = match known.has(home.epoch) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => json(StatusCode::OK, home),
    };
    tag(&mut answer, home.epoch);
    answer
}

fn tag(answer: &mut Response, epoch: u64) {
    let tag = HeaderValue::try_from(format!("\"{epoch}\"")).expect("digits in quotes");
    answer.headers_mut().insert(ETAG, tag);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignUp {
    subject: String,
    country: String,
    citizenship: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    consents: Vec<String>,
}

/// `POST .../homes`: a new subject's home, by policy and latency, before its first row is written anywhere.
pub(super) async fn sign_up(
    State(shared): State<Arc<Shared>>,
    path: Of,
    sent: Request,
) -> Result<Response, Problem> {
    let Call { service, asked, place: _place } = shared.call::<SignUp>(path, sent).await?;
    let name = &service.served.name;
    let subject = request::subject(&asked.subject, service.served.spelling)?;
    let class = class(asked)?;
    if let Some(home) = shared.ask(shared.directory.home(name, &subject)).await? {
        return Ok(homed(name, &subject, StatusCode::OK, &service.told_of(&home)));
    }
    let placed = service.served.placing.place(&class);
    let Some(region) = &placed.home else { return Err(REFUSED.because(placed.why.clone())) };
    // CRASH: registered or not; asked again, the home is there already.
    let subjects = std::slice::from_ref(&subject);
    let registered = shared.ask(shared.directory.register(name, region, subjects)).await?;
    let (status, home) = match registered.new.first() {
        Some((_, home)) => (StatusCode::CREATED, home),
        // Somebody signed it up meanwhile.
        None => match registered.already.iter().chain(&registered.elsewhere).next() {
            Some((_, home)) => (StatusCode::OK, home),
            None => return Err(UNKNOWN_HOME),
        },
    };
    Ok(homed(name, &subject, status, &service.told_of(home)))
}

fn class(asked: SignUp) -> Result<Class, Problem> {
    let country = |text: &str| text.parse::<Country>().map_err(|_| INVALID_COUNTRY);
    Ok(Class {
        citizenship: asked.citizenship.as_deref().map(country).transpose()?,
        flags: words("flags", asked.flags)?,
        consents: words("consents", asked.consents)?,
        ..Class::resident(country(&asked.country)?)
    })
}

/// Few and short words, each once, as policies name them.
fn words(what: &str, sent: Vec<String>) -> Result<BTreeSet<String>, Problem> {
    let fits = |word: &String| !word.is_empty() && word.chars().count() <= WORD_CHARS_MAX;
    if sent.len() > WORDS_MAX || !sent.iter().all(fits) {
        let why = format!("at most {WORDS_MAX} {what} of 1 to {WORD_CHARS_MAX} characters");
        return Err(INVALID_BODY.because(why));
    }
    Ok(sent.into_iter().collect())
}

fn homed(service: &str, subject: &SubjectId, status: StatusCode, home: &Told) -> Response {
    let mut answer = json(status, home);
    tag(&mut answer, home.epoch);
    let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let path = format!("/v1/services/{}/homes/{}", part(service), part(&subject.0));
    answer.headers_mut().insert(LOCATION, HeaderValue::try_from(path).expect("percent-encoded text"));
    answer
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookUp {
    subjects: Vec<String>,
}

#[derive(Serialize)]
struct LookedUp {
    homes: Vec<Option<OneOf>>,
}

#[derive(Serialize)]
struct OneOf {
    subject: String,
    #[serde(flatten)]
    home: Told,
}

/// `POST .../homes/lookup`: the homes of many, in their order.
pub(super) async fn look_up(
    State(shared): State<Arc<Shared>>,
    path: Of,
    sent: Request,
) -> Result<Response, Problem> {
    let Call { service, asked, place: _place } = shared.call::<LookUp>(path, sent).await?;
    let name = &service.served.name;
    if asked.subjects.len() > LOOKUP_MAX {
        return Err(INVALID_BODY.because(format!("at most {LOOKUP_MAX} subjects")));
    }
    let subjects = asked.subjects.iter().map(|s| request::subject(s, service.served.spelling));
    let subjects = subjects.collect::<Result<Vec<_>, _>>()?;
    let homes = shared.ask(shared.directory.homes(name, &subjects)).await?;
    let one = |(subject, home): (String, Option<domicile_directory::Home>)| {
        home.map(|home| OneOf { subject, home: service.told_of(&home) })
    };
    let homes = asked.subjects.into_iter().zip(homes).map(one).collect();
    Ok(json(StatusCode::OK, &LookedUp { homes }))
}

/// `DELETE .../homes/{subject}?region=ID`: the subject was deleted there. Its claims are free again.
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    path: OfSubject,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let Path((name, subject)) = path.map_err(|_| INVALID_PATH)?;
    let service = shared.service(&name)?;
    let subject = request::subject(&subject, service.served.spelling)?;
    let [region] = request::query(query.as_deref(), ["region"])?;
    let region = region.ok_or(INVALID_QUERY)?;
    let region = Some(region).filter(|r| service.served.endpoints.contains_key(r)).ok_or(UNKNOWN_REGION)?;
    let _place = shared.place()?;
    // CRASH: removed or not; asked again, nobody is there any more.
    shared.ask(shared.directory.remove(&name, &region, std::slice::from_ref(&subject))).await?;
    match shared.ask(shared.directory.home(&name, &subject)).await? {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(_) => Err(ELSEWHERE),
    }
}

/// Reads bytes as the body of each call, for the fuzz targets.
pub(super) fn read_any(bytes: &[u8]) {
    let _ = serde_json::from_slice::<SignUp>(bytes);
    let _ = serde_json::from_slice::<LookUp>(bytes);
}
