//! Who hears of requests: an exporter of spans where the environment names one, and the log where the configuration asks for it.
//!
//! Lines are written by a thread of their own, through a bounded queue: a stderr that nobody reads costs lines, never a request.

use super::story::Story;
use crate::failure::{Failure, Result};
use crate::log::{self, Level};
use crate::screen::Screen;
use domicile_server::admin::exposition;
use domicile_server::gateway::Watch;
use domicile_server::trace::{Ending, Exporter, Read, Span};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be written.
const QUEUE: usize = 4_096;
/// At the end, what waits is written in this time.
const LAST: Duration = Duration::from_secs(2);

/// (metric, help).
pub const DROPPED: (&str, &str) =
    ("domicile_log_lines_dropped_total", "Lines of requests that were not logged: stderr was too slow.");

/// What must be ended after the last request.
#[derive(Default)]
pub struct Watched {
    /// Lines that were dropped.
    pub dropped: Arc<AtomicU64>,
    exporting: Option<Ending>,
    logging: Option<SyncSender<Option<Span>>>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Watched {
    /// Exports and writes what waits, in a bounded time.
    pub async fn end(self) {
        if let Some(exporting) = self.exporting {
            exporting.end().await;
        }
        let (logging, writer) = (self.logging, self.writer);
        let last = tokio::task::spawn_blocking(move || {
            // Gone already: then nothing waits.
            logging.map(|queue| queue.send(None));
            writer.map(std::thread::JoinHandle::join)
        });
        let _ = tokio::time::timeout(LAST, last).await;
    }
}

/// By the environment and the configuration.
pub fn watch(story: &Story, logs_requests: bool) -> Result<(Watch, Watched)> {
    let (mut watch, mut watched) = (Watch::default(), Watched::default());
    let read = Read::environment();
    read.warnings.iter().for_each(|what| story.ignores(what));
    watch.sampler = read.sampler;
    if let Some(settings) = read.export {
        let (exporter, ending) = Exporter::start(settings).map_err(|error| {
            let what = format!("spans can't be exported: {error}");
            let why = "their receiver is believed by the system's certificates";
            Failure::usage("serve-trace", what, why, "install ca-certificates, or set OTEL_SDK_DISABLED=true")
        })?;
        (watch.exporter, watched.exporting) = (Some(exporter), Some(ending));
    }
    if logs_requests {
        let (queue, lines) = sync_channel::<Option<Span>>(QUEUE);
        let screen = story.screen.clone();
        watched.writer = Some(std::thread::spawn(move || write(&screen, &lines)));
        watched.logging = Some(queue.clone());
        let dropped = watched.dropped.clone();
        watch.log = Some(Box::new(move |span| {
            if queue.try_send(Some(span.clone())).is_err() {
                dropped.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    Ok((watch, watched))
}

/// As Prometheus reads it.
pub fn metrics(dropped: &AtomicU64) -> String {
    exposition("counter", &[(DROPPED.0, "", DROPPED.1, dropped.load(Ordering::Relaxed))])
}

fn write(screen: &Screen, lines: &Receiver<Option<Span>>) {
    while let Ok(Some(span)) = lines.recv() {
        if screen.logs_json() {
            let level = if span.status >= 500 { Level::Warn } else { Level::Info };
            screen.log(&log::line(level, "", "request", told(&span)));
        } else {
            screen.say(&text(&span));
        }
    }
}

fn told(span: &Span) -> Value {
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| drop(all.insert(key.to_owned(), value));
    put("trace_id", json!(span.ids.trace.to_string()));
    put("span_id", json!(span.ids.span.to_string()));
    put("route", json!(span.route.as_str()));
    put("method", json!(span.method));
    put("status", json!((span.status > 0).then_some(span.status)));
    put("region", json!(span.region));
    put("duration_us", json!(us(span.lasted)));
    put("bytes", json!(span.bytes));
    put("whole", json!(span.is_whole));
    if !span.waited.is_zero() {
        put("waited_us", json!(us(span.waited)));
    }
    if span.repeats > 0 {
        put("repeats", json!(span.repeats));
    }
    span.cache.into_iter().for_each(|cache| put("cache", json!(cache)));
    span.problem.into_iter().for_each(|code| put("problem", json!(code)));
    Value::Object(all)
}

fn text(span: &Span) -> String {
    let status = if span.status > 0 { span.status.to_string() } else { "-".into() };
    let (route, region) = (span.route.as_str(), span.region.as_deref().unwrap_or("-"));
    let problem = span.problem.map(|code| format!(" {code}")).unwrap_or_default();
    let ms = span.lasted.as_secs_f64() * 1e3;
    format!("request: {} {route} {status}{problem} {region} {ms:.1} ms {} bytes", span.method, span.bytes)
}
