//! HTTP/1.1 over TLS to the relay; without TLS on loopback only.

use super::agree::Agreement;
use super::relay::{Relay, Unreachable};
use crate::wire::limits::WAIT_S_MAX;
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a request may take: the longest wait for a message, and half a minute for the way.
const REQUEST_MAX: Duration = Duration::from_secs(WAIT_S_MAX as u64 + 30);

type Connector = HttpsConnector<HttpConnector>;
type Connections = Client<Connector, Full<Bytes>>;

/// Kept connections to one relay: those to another one are closed before it is asked, so that after a move nothing
/// goes to the old home, not even the end of a connection, at whatever time that would come.
pub struct Http {
    connector: Connector,
    kept: Mutex<Option<(Origin, Connections)>>,
}

/// Scheme and authority (RFC 6454).
type Origin = (Option<Scheme>, Option<Authority>);

impl Http {
    /// Trusts the machine's roots, or those of a PEM file's bytes. Opens no connection yet.
    ///
    /// # Errors
    /// Bytes without a certificate that can be trusted.
    pub fn new(agreement: &Agreement, roots_pem: &[u8]) -> Result<Self, Unreachable> {
        if roots_pem.is_empty() {
            return Self::trusting(agreement, rustls_native_certs::load_native_certs().certs);
        }
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(roots_pem).collect();
        let roots = roots.map_err(|_| Unreachable("the file of roots is not PEM".to_owned()))?;
        if roots.is_empty() {
            return Err(Unreachable("the file of roots has no certificate".to_owned()));
        }
        Self::trusting(agreement, roots)
    }

    fn trusting(_: &Agreement, roots: Vec<CertificateDer<'static>>) -> Result<Self, Unreachable> {
        let mut store = rustls::RootCertStore::empty();
        // The machine's store may hold some that are too old for this library: those are trusted by nobody.
        store.add_parsable_certificates(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Unreachable(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { connector, kept: Mutex::default() })
    }

    /// The connections to who is asked by this URI.
    fn to(&self, uri: &Uri) -> Connections {
        let origin = (uri.scheme().cloned(), uri.authority().cloned());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, connections)) = &*kept
            && *known == origin
        {
            return connections.clone();
        }
        let connections: Connections = Client::builder(TokioExecutor::new()).build(self.connector.clone());
        *kept = Some((origin, connections.clone()));
        connections
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

fn may_be_asked(uri: &Uri) -> bool {
    let loopback = |host: &str| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => uri.host().is_some_and(loopback),
        _ => false,
    }
}

/// The innermost cause, which is the one that somebody can do something about. Without the request: its path may name a
/// mailbox.
fn unreachable(mut error: &(dyn std::error::Error + 'static)) -> Unreachable {
    while let Some(cause) = error.source() {
        error = cause;
    }
    let words = error.to_string();
    Unreachable(words.split(" (os error").next().unwrap_or_default().to_owned())
}

impl Relay for Http {
    async fn ask(&self, request: Request<Bytes>, bytes_max: usize) -> Result<Response<Bytes>, Unreachable> {
        if !may_be_asked(request.uri()) {
            return Err(Unreachable("an endpoint without TLS is asked on loopback only".to_owned()));
        }
        let asked = async {
            let answer = self
                .to(request.uri())
                .request(request.map(Full::new))
                .await
                .map_err(|error| unreachable(&error))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, bytes_max).collect().await;
            let body = body.map_err(|error| unreachable(&*error))?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        let in_time = tokio::time::timeout(REQUEST_MAX, asked).await;
        in_time.unwrap_or_else(|_| Err(Unreachable(format!("no answer in {} s", REQUEST_MAX.as_secs()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_at_home() {
        for (uri, wanted) in [
            ("https://relay.example/v1", true),
            ("http://127.0.0.1:8080/v1", true),
            ("http://[::1]:8080/v1", true),
            ("http://relay.example/v1", false),
            ("http://127.0.0.1.example/v1", false),
            ("/v1", false),
        ] {
            assert_eq!(may_be_asked(&uri.parse().unwrap()), wanted, "{uri}");
        }
    }
}
