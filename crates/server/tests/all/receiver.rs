//! A receiver of spans, as an OpenTelemetry collector is one: OTLP over HTTP, in JSON.

use domicile_server::body;
use domicile_server::listen::{ConnectionLimits, Listener, Stop, serve};
use domicile_server::trace::{Ending, Exporter, Read};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What came, and what is answered.
#[derive(Clone, Default)]
pub struct Receiver {
    /// Path, headers and text of each export.
    pub came: Arc<Mutex<Vec<(String, HeaderMap, String)>>>,
    /// The next answers; then 200.
    pub answers: Arc<Mutex<VecDeque<StatusCode>>>,
    /// Answers wait for this.
    pub hold: Arc<tokio::sync::RwLock<()>>,
}

impl Receiver {
    /// Listens, and an exporter that the environment made so sends to it.
    pub async fn start(more: &[(&str, &str)]) -> (Self, Exporter, Ending) {
        let me = Self::default();
        let listener =
            Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None, false, ConnectionLimits::default())
                .unwrap();
        let endpoint = format!("http://{}", listener.address().unwrap());
        let answering = me.clone();
        tokio::spawn(serve(listener, Stop::default(), move |_, request| {
            let me = answering.clone();
            async move {
                let (parts, incoming) = request.into_parts();
                let text = incoming.collect().await.unwrap().to_bytes();
                drop(me.hold.read().await);
                let status = me.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
                if status == StatusCode::OK {
                    let text = String::from_utf8(text.to_vec()).unwrap();
                    me.came.lock().unwrap().push((parts.uri.path().to_owned(), parts.headers, text));
                }
                Response::builder().status(status).body(body::full("{}")).unwrap()
            }
        }));
        let mut environment = BTreeMap::from([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
            ("OTEL_SERVICE_NAME", "shop-gateway"),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ]);
        environment.extend(more.iter().copied());
        let read = Read::of(|name| environment.get(name).map(|v| (*v).to_owned()));
        assert_eq!(read.warnings, Vec::<String>::new());
        let (exporter, ending) = Exporter::start(read.export.unwrap()).unwrap();
        (me, exporter, ending)
    }

    /// All spans that came.
    pub fn spans(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for (_, _, text) in self.came.lock().unwrap().iter() {
            let whole: Value = serde_json::from_str(text).unwrap();
            all.extend(
                whole["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().iter().cloned(),
            );
        }
        all
    }
}

/// An attribute's value; `null` where it is not there.
pub fn attribute(span: &Value, key: &str) -> Value {
    let all = span["attributes"].as_array().unwrap();
    let value = all.iter().find(|a| a["key"] == key).map(|a| &a["value"]);
    let value = value.and_then(|v| v.as_object()?.values().next());
    value.cloned().unwrap_or_default()
}
