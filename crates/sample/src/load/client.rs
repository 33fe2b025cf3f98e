//! One request, at one address after the other until somebody answers.

use super::Shared;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::{Duration, Instant};

/// An answer has as many bytes at most.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long one answer is waited for: longer than any gateway holds a request.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long a request whose connections break is repeated.
const REPEAT_MAX: Duration = Duration::from_secs(60);
/// Between two repeats, once every address was tried.
const PAUSE: Duration = Duration::from_millis(20);
/// Idle connections are dropped before a server does it under a request.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// What one request asks.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    pub method: Method,
    pub path: String,
    pub person: &'a str,
    pub key: Option<&'a str>,
    /// A sign-up: its body is JSON, and it may have addresses of its own.
    pub sign_up: bool,
    pub body: String,
    /// The address to begin at; it moves on where a connection breaks.
    pub at: usize,
}

/// An answer that came whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The region that answered, by `Sample-Region`.
    pub region: String,
    /// The body.
    pub body: Bytes,
    /// How often the request had to be sent again before.
    pub repeated: u32,
    /// The address that answered, as a number.
    pub at: usize,
}

impl Answer {
    /// 200 to 299.
    pub fn good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Connections to all addresses.
#[derive(Debug)]
pub struct Client(legacy::Client<HttpConnector, Full<Bytes>>);

impl Client {
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(hyper_util::rt::TokioTimer::new());
        Self(builder.pool_idle_timeout(IDLE_MAX).build(connector))
    }

    /// Asks until somebody answers, `None` where nobody does for [`REPEAT_MAX`].
    pub async fn ask(&self, shared: &Shared, question: &Question<'_>) -> Option<Answer> {
        let begun = Instant::now();
        let mut repeated = 0;
        loop {
            let bases = shared.bases.borrow().clone();
            let bases = if question.sign_up { bases.sign_ups } else { bases.all };
            let at = question.at + repeated as usize;
            let sent = self.send(&bases[at % bases.len()], question);
            let cut = match tokio::time::timeout(ANSWER_MAX, sent).await {
                Ok(Ok(answer)) => return Some(Answer { repeated, at, ..answer }),
                Ok(Err(sent)) => sent == Sent::Perhaps,
                Err(_late) => true,
            };
            repeated += 1;
            shared.count(|tally| {
                tally.repeated += 1;
                tally.cut += u64::from(cut);
            });
            if begun.elapsed() > REPEAT_MAX {
                return None;
            }
            if (repeated as usize).is_multiple_of(bases.len()) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn send(&self, base: &str, question: &Question<'_>) -> Result<Answer, Sent> {
        let mut request = Request::builder()
            .method(&question.method)
            .uri(format!("{base}{}", question.path))
            .header("X-Subject", question.person);
        if let Some(key) = question.key {
            request = request.header("Idempotency-Key", key);
        }
        let kind = if question.sign_up { "application/json" } else { "text/plain; charset=utf-8" };
        let request = request.header("Content-Type", kind);
        let request = request.body(Full::new(Bytes::from(question.body.clone()))).map_err(|_| Sent::No)?;
        let sent = self.0.request(request).await;
        let response = sent.map_err(|e| if e.is_connect() { Sent::No } else { Sent::Perhaps })?;
        let status = response.status().as_u16();
        let region = response.headers().get("sample-region").and_then(|v| v.to_str().ok());
        let region = region.unwrap_or_default().to_owned();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| Sent::Perhaps)?.to_bytes();
        Ok(Answer { status, region, body, repeated: 0, at: 0 })
    }
}

/// Whether a request without an answer reached anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Nobody took the connection.
    No,
    /// It was open.
    Perhaps,
}
