//! A client that asks exactly what it is told: no path is put right, no redirect followed, no cookie kept.

use crate::body::{self, Body};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// How long one answer may take, whole.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Asks over HTTP/1.1, with TLS by the system's certificates.
#[derive(Debug, Clone)]
pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, Body>);

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Client {
    /// A new one.
    ///
    /// # Errors
    /// In words, where TLS can't be set up.
    pub fn new() -> Result<Self, String> {
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Ok(Self(legacy::Client::builder(TokioExecutor::new()).build(connector.build())))
    }

    /// Asks; a body of more than `bytes_max` is an error.
    ///
    /// # Errors
    /// In words: nobody answers, not in time, or too much.
    pub async fn ask(
        &self,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        bytes_max: usize,
    ) -> Result<Fetched, String> {
        let mut request = Request::new(body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let whole = async {
            let answer = self.0.request(request).await.map_err(|e| why(&e))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, bytes_max).collect().await.map_err(|e| e.to_string())?.to_bytes();
            Ok(Fetched { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        match tokio::time::timeout(ANSWER_MAX, whole).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("no answer within {} s", ANSWER_MAX.as_secs())),
        }
    }
}

/// The innermost words: "connection refused" and not "client error".
fn why(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let text = inner.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
