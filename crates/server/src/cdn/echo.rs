//! An origin that says what reached it: with it behind the network, a check sees what was forwarded, and two equal
//! answers are one answer that was kept.
//!
//! It lets itself be cached wherever it is asked, so that whatever keeps it from that is the network's own doing.
//! A request's query may ask for an answer that must not be stored: `probe=set-cookie`, `personal`, `private`,
//! `no-store`, `misfit`.

use crate::body::{self, Body};
use crate::edge::media_types;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;

/// The header by which the echo is known.
pub(super) const ECHO: HeaderName = HeaderName::from_static("domicile-echo");

/// What reached the origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    /// Another one in each answer.
    pub number: u64,
    /// The request's target as it came.
    pub target: String,
    pub cookie: bool,
    pub authorization: bool,
    /// Names of all headers that came.
    pub headers: Vec<String>,
}

/// A running echo; it ends with the value.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Echo {
    /// Listens on `address`; `personal` is the header that tags an answer.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub async fn listen(address: SocketAddr, personal: HeaderName) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        // Numbers of two runs differ: what a run before this one left in the network is not taken for its own.
        let number = Arc::new(AtomicU64::new(jiff::Timestamp::now().as_microsecond().unsigned_abs()));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (number, personal) = (Arc::clone(&number), personal.clone());
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let answer = answer(&request, number.fetch_add(1, Ordering::Relaxed), &personal);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer<B>(request: &Request<B>, number: u64, personal: &HeaderName) -> Response<Body> {
    let reached = Reached {
        number,
        target: request.uri().to_string(),
        cookie: request.headers().contains_key(COOKIE),
        authorization: request.headers().contains_key(AUTHORIZATION),
        headers: request.headers().keys().map(|n| n.as_str().to_owned()).collect(),
    };
    let mut answer = Response::new(body::full(serde_json::to_vec(&reached).unwrap_or_default()));
    let headers = answer.headers_mut();
    headers.insert(ECHO, HeaderValue::from_static("1"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind(request.uri().path())));
    let query = request.uri().query().unwrap_or_default();
    match query.split('&').find_map(|pair| pair.strip_prefix("probe=")) {
        Some("set-cookie") => drop(headers.insert(SET_COOKIE, HeaderValue::from_static("probe=1"))),
        Some("personal") => drop(headers.insert(personal.clone(), HeaderValue::from_static("1"))),
        Some("private") => {
            drop(headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=600")))
        }
        Some("no-store") => drop(headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"))),
        Some("misfit") => drop(headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"))),
        _ => {}
    }
    answer
}

/// The type that fits the path.
fn kind(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
    let fits = media_types().iter().find(|(names, _)| names.contains(&extension.as_str()));
    fits.and_then(|(_, types)| types.iter().find(|t| !t.ends_with('*'))).unwrap_or(&"text/css")
}
