//! What a relay counts. Operations and statuses, never a path: a path may hold a mailbox.

use crate::gateway::{Histogram, explained};
use http::{Method, StatusCode, Uri};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What may be asked.
const OPERATIONS: [&str; 19] = [
    "region",
    "consents",
    "token",
    "register-start",
    "register-finish",
    "tag",
    "filters",
    "filter",
    "evaluate",
    "lookup",
    "keys",
    "keys-claim",
    "send",
    "receive",
    "ack",
    "presence-show",
    "presence",
    "relay",
    "other",
];
const OTHER: usize = OPERATIONS.len() - 1;
/// 2xx to 5xx.
const CLASSES: usize = 4;

/// (name, kind, help).
pub(crate) const MEASURED: [(&str, &str, &str); 2] = [
    (
        "domicile_relay_requests_total",
        "counter",
        "Requests of a messaging relay, by region, operation and class of status.",
    ),
    (
        "domicile_relay_request_seconds",
        "histogram",
        "From a request's head to its answer's head, by region and operation; receive waits for messages.",
    ),
];

/// Counts since the process began.
#[derive(Debug, Default)]
pub(super) struct Measures {
    answers: [[AtomicU64; CLASSES]; OPERATIONS.len()],
    took: [Histogram; OPERATIONS.len()],
}

impl Measures {
    /// One more.
    pub fn note(&self, operation: usize, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(2).min(CLASSES - 1);
        self.answers[operation][class].fetch_add(1, Ordering::Relaxed);
        self.took[operation].note(took);
    }
}

/// Of several relays, as Prometheus reads them.
pub(super) fn text(relays: &[(&str, &Measures)]) -> String {
    let mut text = String::new();
    if relays.is_empty() {
        return text;
    }
    let [requests, seconds] = MEASURED;
    explained(requests.0, requests.1, requests.2, &mut text);
    for (region, measures) in relays {
        for (operation, classes) in OPERATIONS.iter().zip(&measures.answers) {
            for (class, count) in classes.iter().enumerate() {
                let (class, count) = (class + 2, count.load(Ordering::Relaxed));
                let labels = format!("region=\"{region}\",operation=\"{operation}\",status=\"{class}xx\"");
                // Writing to a String never fails.
                let _ = writeln!(text, "{}{{{labels}}} {count}", requests.0);
            }
        }
    }
    explained(seconds.0, seconds.1, seconds.2, &mut text);
    for (region, measures) in relays {
        for (operation, took) in OPERATIONS.iter().zip(&measures.took) {
            let labels = format!("region=\"{region}\",operation=\"{operation}\"");
            took.lines(seconds.0, &labels, &mut text);
        }
    }
    text
}

/// Which operation a request asks for.
pub(super) fn operation(method: &Method, uri: &Uri) -> usize {
    let segments: Vec<&str> = uri.path().split('/').skip(1).take(6).collect();
    let word = match (method, segments.as_slice()) {
        (_, ["v1", "relay", ..]) => "relay",
        (&Method::GET, ["v1", "messaging", "filters", _, _]) => "filter",
        (&Method::GET, ["v1", "messaging", word @ ("region" | "filters")]) => word,
        (&Method::POST, ["v1", "messaging", word @ ("consents" | "token" | "tag")]) => word,
        (&Method::POST, ["v1", "messaging", "register", "start"]) => "register-start",
        (&Method::POST, ["v1", "messaging", "register", "finish"]) => "register-finish",
        (&Method::POST, ["v1", "messaging", "discovery", word @ ("evaluate" | "lookup")]) => word,
        (&Method::PUT, ["v1", "messaging", "keys"]) => "keys",
        (&Method::POST, ["v1", "messaging", "keys", "claim"]) => "keys-claim",
        (&Method::POST, ["v1", "messaging", "messages"]) => "send",
        (&Method::GET, ["v1", "messaging", "messages"]) => "receive",
        (&Method::POST, ["v1", "messaging", "messages", "ack"]) => "ack",
        (&Method::PUT, ["v1", "messaging", "presence"]) => "presence-show",
        (&Method::GET, ["v1", "messaging", "presence", _]) => "presence",
        _ => "other",
    };
    OPERATIONS.iter().position(|known| *known == word).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_one_that_is_known() {
        let of = |method: Method, path: &str| OPERATIONS[operation(&method, &path.parse().unwrap())];
        assert_eq!(of(Method::GET, "/v1/messaging/messages?wait_s=30"), "receive");
        assert_eq!(of(Method::GET, "/v1/messaging/presence/MDEyMzQ1Njc4OWFiY2RlZg"), "presence");
        assert_eq!(of(Method::POST, "/v1/relay/messages"), "relay");
        for other in ["/", "/v1/messaging/+8613912345678", "/v1/messaging/register/a/b/c/d"] {
            assert_eq!(of(Method::POST, other), "other");
        }
        let measures = Measures::default();
        measures.note(0, StatusCode::OK, Duration::from_millis(3));
        let text = text(&[("beijing", &measures)]);
        let line = "domicile_relay_requests_total{region=\"beijing\",operation=\"region\",status=\"2xx\"} 1";
        assert!(text.lines().any(|l| l == line), "{text}");
    }
}
