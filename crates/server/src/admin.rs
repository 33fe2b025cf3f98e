//! How a serving process is, for whoever runs it: alive, ready, and what it counts. On an address of this machine.
//!
//! `/healthz` and `/readyz` are asked by process managers and load balancers, which have no token, and say one word.

use crate::body::{self, Body};
use crate::problem::Problem;
use crate::token::Tokens;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use std::sync::Arc;

/// What an admin address shows.
#[derive(Clone)]
pub struct Admin {
    tokens: Tokens,
    is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// `metrics` gives the text that Prometheus reads.
    pub fn new(
        tokens: Tokens,
        is_ready: impl Fn() -> bool + Send + Sync + 'static,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self { tokens, is_ready: Arc::new(is_ready), metrics: Arc::new(metrics) }
    }

    /// Answers one request.
    pub fn answer(&self, parts: &Parts) -> Response<Body> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "GET or HEAD").answer();
        }
        match parts.uri.path() {
            "/healthz" => text(StatusCode::OK, "ok\n".into()),
            "/readyz" if (self.is_ready)() => text(StatusCode::OK, "ready\n".into()),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".into()),
            "/metrics" if self.tokens.admit(&parts.headers) => text(StatusCode::OK, (self.metrics)()),
            "/metrics" => {
                let mut answer =
                    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "a token is asked for").answer();
                answer
                    .headers_mut()
                    .insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                answer
            }
            _ => {
                Problem::new(StatusCode::NOT_FOUND, "no-such-path", "/metrics, /healthz or /readyz").answer()
            }
        }
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(body::full(text));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

/// Metrics as Prometheus reads them: (name, labels, help, value), those of one name together.
pub fn exposition(kind: &str, samples: &[(&str, &str, &str, u64)]) -> String {
    let mut out = String::new();
    let mut last = "";
    for (name, labels, help, value) in samples {
        if *name != last {
            out.push_str(&format!("# HELP {name} {}\n# TYPE {name} {kind}\n", help.trim()));
            last = name;
        }
        out.push_str(&format!("{name}{labels} {value}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn metrics_want_a_token_and_probes_do_not() {
        let tokens = Tokens::read("0123456789abcdef").unwrap();
        let admin = Admin::new(tokens, || false, || exposition("counter", &[("a_total", "", "A.", 1)]));
        let ask = |path: &str, token: Option<&str>| {
            let mut request = Request::builder().uri(path);
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            admin.answer(&request.body(()).unwrap().into_parts().0).status().as_u16()
        };
        assert_eq!([ask("/healthz", None), ask("/readyz", None), ask("/x", None)], [200, 503, 404]);
        assert_eq!(ask("/metrics", None), 401);
        assert_eq!(ask("/metrics", Some("0123456789abcdeX")), 401);
        assert_eq!(ask("/metrics", Some("0123456789abcdef")), 200);
    }

    #[test]
    fn a_name_is_explained_once() {
        let text =
            exposition("counter", &[("a_total", "{b=\"1\"}", " A.", 1), ("a_total", "{b=\"2\"}", " B.", 2)]);
        assert_eq!(
            text,
            "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"1\"} 1\na_total{b=\"2\"} 2\n"
        );
    }
}
