//! Sends spans to their receiver, beside the requests and never in their way.
//!
//! A span is handed over through a bounded queue; where it is full the span is dropped and counted. One task empties it: a
//! receiver that is slow or away costs spans, never a request's time and no memory beyond the queue and one batch.

use super::otlp;
use super::settings::ExportSettings;
use super::span::Span;
use crate::body;
use crate::listen::Stop;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// An export that could not be made now is tried again so often.
const TRIES: u32 = 5;
/// After this, doubled each time.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// A receiver that asks for a longer wait than this does not get it: the queue would only overflow.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(10);
/// Of a receiver's answer so much is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// At the end of the process, what waits is sent in this time or not at all.
const LAST: Duration = Duration::from_secs(3);

/// What became of spans since the process began.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Taken by the receiver.
    pub exported: AtomicU64,
    /// Dropped here: the queue was full.
    pub dropped: AtomicU64,
    /// The receiver did not take them, or was not there.
    pub failed: AtomicU64,
}

impl SpanCounts {
    /// (metric, labels, help, value) of each.
    pub fn all(&self) -> Vec<(&'static str, &'static str, &'static str, u64)> {
        let help = "Spans of requests, by what became of them: dropped where the queue was full, failed where the receiver did not take them.";
        let of =
            |labels, count: &AtomicU64| ("domicile_spans_total", labels, help, count.load(Ordering::Relaxed));
        vec![
            of(r#"{result="exported"}"#, &self.exported),
            of(r#"{result="dropped"}"#, &self.dropped),
            of(r#"{result="failed"}"#, &self.failed),
        ]
    }
}

/// The way to the receiver. Clones share it.
#[derive(Debug, Clone)]
pub struct Exporter {
    queue: mpsc::Sender<Span>,
    /// What became of them.
    pub counts: Arc<SpanCounts>,
}

impl Exporter {
    /// Begins to export.
    ///
    /// # Errors
    /// The system's certificates can't be used.
    pub fn start(settings: ExportSettings) -> std::io::Result<(Self, Ending)> {
        let (queue, waiting) = mpsc::channel(settings.queue);
        let counts = Arc::<SpanCounts>::default();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(settings.timeout));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(crate::listen::client_tls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(https);
        let task = Task { client, settings, counts: counts.clone() };
        let stop = Stop::default();
        let ending = Ending { stop: stop.clone(), task: tokio::spawn(task.run(waiting, stop)) };
        Ok((Self { queue, counts }, ending))
    }

    /// Hands a span over; returns at once.
    pub fn take(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The end of an export, for when the last request is answered.
#[derive(Debug)]
pub struct Ending {
    stop: Stop,
    task: tokio::task::JoinHandle<()>,
}

impl Ending {
    /// Sends what waits, in a bounded time, and ends.
    pub async fn end(self) {
        self.stop.stop();
        // Later than that nobody waits for spans.
        let _ = tokio::time::timeout(LAST, self.task).await;
    }
}

struct Task {
    client: Client<HttpsConnector<HttpConnector>, body::Body>,
    settings: ExportSettings,
    counts: Arc<SpanCounts>,
}

/// What became of one try.
enum Tried {
    Taken {
        rejected: u64,
    },
    /// It may go better after a while.
    Again(Option<Duration>),
    Refused,
}

impl Task {
    async fn run(self, mut waiting: mpsc::Receiver<Span>, stop: Stop) {
        let mut batch = Vec::new();
        while !stop.is_stopped() {
            let one = tokio::select! {
                n = waiting.recv_many(&mut batch, 1) => n,
                () = stop.stopped() => 0,
            };
            if one == 0 {
                break;
            }
            tokio::select! {
                () = self.gather(&mut batch, &mut waiting) => {}
                () = stop.stopped() => {}
            }
            self.send(&batch).await;
            batch.clear();
        }
        waiting.close();
        while waiting.recv_many(&mut batch, self.settings.batch).await > 0 {
            self.send(&batch).await;
            batch.clear();
        }
    }

    /// Fills the batch until it is full or its first has waited long enough.
    async fn gather(&self, batch: &mut Vec<Span>, waiting: &mut mpsc::Receiver<Span>) {
        let fill = async {
            while batch.len() < self.settings.batch {
                let room = self.settings.batch - batch.len();
                if waiting.recv_many(batch, room).await == 0 {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(self.settings.delay, fill).await;
    }

    fn lose(&self, spans: usize) {
        self.counts.failed.fetch_add(spans as u64, Ordering::Relaxed);
    }

    async fn send(&self, batch: &[Span]) {
        let text = otlp::encode(&self.settings.resource, batch);
        let mut pause = AGAIN_AFTER;
        for _ in 0..TRIES {
            let asked = match tokio::time::timeout(self.settings.timeout, self.once(text.clone())).await {
                Ok(Tried::Taken { rejected }) => {
                    let rejected = rejected.min(batch.len() as u64);
                    self.counts.exported.fetch_add(batch.len() as u64 - rejected, Ordering::Relaxed);
                    return self.lose(rejected as usize);
                }
                Ok(Tried::Refused) => break,
                Ok(Tried::Again(asked)) => asked,
                Err(_) => None,
            };
            tokio::time::sleep(asked.unwrap_or(pause).min(AGAIN_AFTER_MAX)).await;
            pause *= 2;
        }
        self.lose(batch.len());
    }

    async fn once(&self, text: Vec<u8>) -> Tried {
        let mut request = Request::new(body::full(text));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.endpoint.clone();
        request.headers_mut().extend(self.settings.headers.iter().cloned());
        let agent = concat!("domicile/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(USER_AGENT, http::HeaderValue::from_static(agent));
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let Ok(answer) = self.client.request(request).await else { return Tried::Again(None) };
        let status = answer.status();
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Tried::Again(retry_after(answer.headers())),
            _ if status.is_success() => {
                let read = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
                let rejected = read.map_or(0, |whole| otlp::rejected(&whole.to_bytes()));
                Tried::Taken { rejected }
            }
            _ => Tried::Refused,
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
