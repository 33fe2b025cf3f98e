//! An origin that answers as told and remembers what it was asked, and a cache before it.

use crate::Problem;
use crate::body::{self, Body};
use crate::edge::{EdgeCache, EdgeSettings, PublicRoute, Scheme};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What the origin was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
}

/// A cache, its origin, and what that was asked.
pub struct Site {
    pub cache: EdgeCache,
    asked: Arc<Mutex<Vec<Asked>>>,
    client: Client<HttpConnector, Body>,
    origin: SocketAddr,
}

/// An answer, read to its end.
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Result<Bytes, String>,
}

impl Got {
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().expect("a whole body")).expect("text")
    }

    /// What this cache said of itself.
    pub fn cache_status(&self) -> &str {
        self.headers.get("cache-status").map_or("", |v| v.to_str().expect("text"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("text"))
    }
}

/// `/static/` and `/robots.txt` are public.
pub fn settings() -> EdgeSettings {
    let routes = ["/static/", "/robots.txt"].map(|p| PublicRoute::new(p, "public")).to_vec();
    EdgeSettings { routes, ..EdgeSettings::default() }
}

/// A plain answer with these headers.
pub fn answer(headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let mut answer = Response::new(body::full(body.to_owned()));
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a name");
        answer.headers_mut().append(name, value.parse().expect("a value"));
    }
    answer
}

/// The same with another status.
pub fn with_status(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let mut answer = answer(headers, body);
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer
}

impl Site {
    /// An origin whose answers `tells` makes.
    pub async fn new<F, Fut>(settings: EdgeSettings, tells: F) -> Self
    where
        F: Fn(Asked) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tells, seen) = (tells.clone(), Arc::clone(&seen));
                let service = service_fn(move |request: Request<Incoming>| {
                    let asked = Asked {
                        method: request.method().to_string(),
                        target: request.uri().to_string(),
                        headers: request.headers().clone(),
                    };
                    seen.lock().expect("asked").push(asked.clone());
                    let answer = tells(asked);
                    async move { Ok::<_, std::convert::Infallible>(answer.await) }
                });
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { cache: EdgeCache::new(settings).expect("settings"), asked, client, origin }
    }

    /// One that answers everything alike.
    pub async fn saying(headers: &'static [(&'static str, &'static str)], body: &'static str) -> Self {
        Self::new(settings(), move |_| async move { answer(headers, body) }).await
    }

    /// Asks as a client would; `None`: it is not a public request.
    pub async fn ask(&self, request: Request<()>) -> Option<Got> {
        let (parts, ()) = request.into_parts();
        let public = self.cache.public(&parts, Scheme::Https)?;
        let (client, origin) = (self.client.clone(), self.origin);
        let fetch = move |mut request: Request<Body>| {
            let client = client.clone();
            async move {
                let target: Uri = format!("http://{origin}{}", request.uri()).parse().expect("a target");
                *request.uri_mut() = target;
                match client.request(request).await {
                    Ok(answer) => Ok(answer.map(body::streamed)),
                    Err(_) => Err(Problem::new(StatusCode::BAD_GATEWAY, "origin-away", "no answer")),
                }
            }
        };
        let (parts, body) = self.cache.answer(public, fetch).await.into_parts();
        let body = body.collect().await.map(|b| b.to_bytes()).map_err(|e| e.to_string());
        Some(Got { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// GET of a public path.
    pub async fn get(&self, target: &str) -> Got {
        self.get_with(target, &[]).await
    }

    /// The same with headers.
    pub async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Got {
        self.ask(request("GET", target, headers)).await.expect("a public request")
    }

    /// What the origin was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("asked").clone()
    }

    /// How often.
    pub fn times(&self) -> usize {
        self.asked.lock().expect("asked").len()
    }

    /// A counter.
    pub fn count(&self, name: &str, label: &str) -> u64 {
        let samples = self.cache.samples();
        let found = samples.iter().find(|s| s.name == name && s.label.map_or("", |l| l.1) == label);
        found.unwrap_or_else(|| panic!("no {name} {label}")).value
    }

    /// Answers not stored for that reason.
    pub fn not_stored(&self, reason: &str) -> u64 {
        self.count("domicile_edge_not_stored_total", reason)
    }

    /// Waits until no request to the origin is under way.
    pub async fn landed(&self) {
        while self.cache.flights() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A request to `shop.example`.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::builder().method(method).uri(target).header("host", "shop.example");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a request")
}
