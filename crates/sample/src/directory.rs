//! A client of Domicile's directory service, by its documents: who is at home where.

use crate::store::Refusal;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// An answer of the directory has as many bytes at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long one question may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Tries of a question that got no answer. Each of them may be asked twice without harm.
const TRIES_MAX: u32 = 5;
/// The first wait between two tries; the n-th is n times as long.
const WAIT: Duration = Duration::from_millis(50);

/// Somebody's home. An epoch only grows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Home {
    /// The region's id.
    pub region: String,
    /// How often it was given, from 1.
    pub epoch: i64,
}

/// The directory service of one service.
#[derive(Debug)]
pub struct Directory {
    client: Client<HttpConnector, Full<Bytes>>,
    homes: String,
    token: String,
}

impl Directory {
    /// `url` is the service's root, `http://127.0.0.1:8080`.
    pub fn new(url: &str, service: &str, token: &str) -> Self {
        let homes = format!("{}/v1/services/{service}/homes", url.trim_end_matches('/'));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, homes, token: format!("Bearer {token}") }
    }

    /// Where a person is at home. `known` is what was said before: the answer is short where it is still so.
    ///
    /// # Errors
    /// [`Refusal::NotHere`] where the directory does not know this person; [`Refusal::Broken`] where it fails.
    pub async fn home(&self, person: &str, known: Option<Home>) -> Result<Home, Refusal> {
        let uri = format!("{}/{}", self.homes, escaped(person));
        let tag = known.as_ref().map(|home| format!("\"{}\"", home.epoch));
        let (status, body) = self.ask(Method::GET, &uri, tag.as_deref(), Bytes::new()).await?;
        match (status, known) {
            (StatusCode::NOT_MODIFIED, Some(home)) => Ok(home),
            (StatusCode::OK, _) => read(&body),
            (StatusCode::NOT_FOUND, _) => Err(Refusal::NotHere),
            (other, _) => Err(Refusal::Broken(format!("the directory answered {}", other.as_u16()))),
        }
    }

    /// Gives a newcomer a home, or says the one that is there.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] with policy's reason; [`Refusal::Broken`] where the directory fails.
    pub async fn sign_up(&self, person: &str, country: &str) -> Result<Home, Refusal> {
        let body = json!({ "subject": person, "country": country }).to_string();
        let (status, body) = self.ask(Method::POST, &self.homes, None, body.into()).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => read(&body),
            StatusCode::FORBIDDEN => {
                let problem: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let why = problem["detail"].as_str().unwrap_or("policy forbids it");
                Err(Refusal::Forbidden(why.to_owned()))
            }
            other => Err(Refusal::Broken(format!("the directory answered {}", other.as_u16()))),
        }
    }

    async fn ask(
        &self,
        method: Method,
        uri: &str,
        tag: Option<&str>,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Refusal> {
        let mut tries = 1;
        loop {
            let mut request = Request::builder().method(method.clone()).uri(uri);
            request = request.header(header::AUTHORIZATION, &self.token);
            request = request.header(header::CONTENT_TYPE, "application/json");
            if let Some(tag) = tag {
                request = request.header(header::IF_NONE_MATCH, tag);
            }
            let request = request.body(Full::new(body.clone()));
            let request = request.map_err(|_| Refusal::Broken("the directory's URL is none".to_owned()))?;
            match tokio::time::timeout(ANSWER_MAX, self.answer(request)).await {
                Ok(Some(answer)) => return Ok(answer),
                _ if tries == TRIES_MAX => {
                    return Err(Refusal::Broken("the directory does not answer".to_owned()));
                }
                _ => {}
            }
            tokio::time::sleep(WAIT * tries).await;
            tries += 1;
        }
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
        let response = self.client.request(request).await.ok()?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.ok()?;
        Some((status, body.to_bytes()))
    }
}

fn read(body: &[u8]) -> Result<Home, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::Broken("the directory's answer is no home".to_owned()))
}

/// A subject's id as one segment of a path.
fn escaped(person: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    person.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_id_is_one_segment() {
        assert_eq!(super::escaped("a/b?c ü"), "a%2Fb%3Fc%20%C3%BC");
    }
}
