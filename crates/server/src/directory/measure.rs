//! What the directory service counts. Operations and statuses, never a path: a path holds a subject.

use crate::gateway::{Histogram, explained};
use http::{Method, StatusCode, Uri};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What may be asked. A long poll is one of its own: it takes as long as nothing happens.
const OPERATIONS: [&str; 11] = [
    "home",
    "home-wait",
    "remove",
    "sign-up",
    "lookup",
    "resolve",
    "reserve",
    "commit",
    "release",
    "openapi",
    "other",
];
const OTHER: usize = OPERATIONS.len() - 1;
/// 2xx to 5xx.
const CLASSES: usize = 4;

/// (name, kind, help).
pub(crate) const MEASURED: [(&str, &str, &str); 3] = [
    (
        "domicile_directory_requests_total",
        "counter",
        "Requests of the directory service, by operation and class of status.",
    ),
    (
        "domicile_directory_request_seconds",
        "histogram",
        "From a request's head to its answer's head, by operation; long polls are home-wait.",
    ),
    ("domicile_directory_waiting", "gauge", "Long polls that wait now."),
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

    /// As Prometheus reads them.
    pub fn text(&self, waiting: usize) -> String {
        let mut text = String::new();
        let [requests, seconds, waits] = MEASURED;
        explained(requests.0, requests.1, requests.2, &mut text);
        for (operation, classes) in OPERATIONS.iter().zip(&self.answers) {
            for (class, count) in classes.iter().enumerate() {
                let (class, count) = (class + 2, count.load(Ordering::Relaxed));
                // Writing to a String never fails.
                let _ = writeln!(
                    text,
                    "{}{{operation=\"{operation}\",status=\"{class}xx\"}} {count}",
                    requests.0
                );
            }
        }
        explained(seconds.0, seconds.1, seconds.2, &mut text);
        for (operation, took) in OPERATIONS.iter().zip(&self.took) {
            took.lines(seconds.0, &format!("operation=\"{operation}\""), &mut text);
        }
        explained(waits.0, waits.1, waits.2, &mut text);
        let _ = writeln!(text, "{} {waiting}", waits.0);
        text
    }
}

/// Which operation a request asks for.
pub(super) fn operation(method: &Method, uri: &Uri) -> usize {
    let segments: Vec<&str> = uri.path().split('/').skip(1).take(6).collect();
    let word = match (method, segments.as_slice()) {
        (&Method::GET, ["openapi.json"]) => "openapi",
        (&Method::POST, ["v1", "services", _, "homes"]) => "sign-up",
        (&Method::POST, ["v1", "services", _, "homes", "lookup"]) => "lookup",
        (&Method::GET, ["v1", "services", _, "homes", _]) if uri.query().is_some() => "home-wait",
        (&Method::GET, ["v1", "services", _, "homes", _]) => "home",
        (&Method::DELETE, ["v1", "services", _, "homes", _]) => "remove",
        (&Method::POST, ["v1", "services", _, "claims", verb]) => verb,
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
        assert_eq!(of(Method::GET, "/v1/services/shop/homes/ann"), "home");
        assert_eq!(of(Method::GET, "/v1/services/shop/homes/ann?wait=5"), "home-wait");
        assert_eq!(of(Method::POST, "/v1/services/shop/claims/commit"), "commit");
        for other in ["/", "/v1/services/shop/claims/ann@example.com", "/v1/services/shop/homes/a/b/c/d/e"] {
            assert_eq!(of(Method::POST, other), "other");
        }
        let measures = Measures::default();
        measures.note(0, StatusCode::NOT_MODIFIED, Duration::from_millis(3));
        let text = measures.text(2);
        for line in [
            "domicile_directory_requests_total{operation=\"home\",status=\"3xx\"} 1",
            "domicile_directory_request_seconds_bucket{operation=\"home\",le=\"0.005\"} 1",
            "domicile_directory_waiting 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
