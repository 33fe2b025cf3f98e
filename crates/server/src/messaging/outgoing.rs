//! What a relay asks others: other regions' relays, and who sends text messages. HTTP/1.1 or 2, TLS by the system's certificates.
//!
//! Errors say that something failed and how, never what was sent.

use crate::body::{self, Body};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a kept one may be idle.
const IDLE: Duration = Duration::from_secs(60);
/// Kept ones for each peer.
const IDLE_MAX: usize = 32;

/// A client whose connections are kept.
#[derive(Debug, Clone)]
pub(super) struct Outgoing(legacy::Client<HttpsConnector<HttpConnector>, Body>);

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Heard {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is no answer; names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unheard {
    /// Nobody listens there, or the connection broke.
    #[error("it can't be reached")]
    Unreachable,
    /// Too late.
    #[error("it did not answer in time")]
    Late,
    /// More than was asked for.
    #[error("its answer is larger than it may be")]
    TooLarge,
    /// The system's certificates or TLS can't be used.
    #[error("TLS can't be set up")]
    NoTls,
}

impl Outgoing {
    /// A new one.
    ///
    /// # Errors
    /// `NoTls`.
    pub fn new() -> Result<Self, Unheard> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| Unheard::NoTls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut sockets = HttpConnector::new();
        sockets.enforce_http(false);
        sockets.set_nodelay(true);
        sockets.set_connect_timeout(Some(CONNECT));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(sockets);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(IDLE_MAX);
        Ok(Self(builder.build(https)))
    }

    /// Asks, and reads an answer of at most `bytes_max`, all within `limit`.
    ///
    /// # Errors
    /// As [`Unheard`].
    pub async fn ask(
        &self,
        request: Request<Bytes>,
        bytes_max: usize,
        limit: Duration,
    ) -> Result<Heard, Unheard> {
        let whole = async {
            let answer = self.0.request(request.map(body::full)).await.map_err(|_| Unheard::Unreachable)?;
            let (parts, body) = answer.into_parts();
            let read = Limited::new(body, bytes_max).collect().await;
            let body = read.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                true => Unheard::TooLarge,
                false => Unheard::Unreachable,
            })?;
            Ok(Heard { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes() })
        };
        tokio::time::timeout(limit, whole).await.unwrap_or(Err(Unheard::Late))
    }
}
