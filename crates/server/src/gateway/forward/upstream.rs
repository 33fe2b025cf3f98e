//! Connections to the regions' applications: kept, shared, and repeated on where nothing can have been done twice.

use super::super::settings::{Limits, Upstream};
use super::replay::Replay;
use crate::body::Body;
use http::header::{CONTENT_LENGTH, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::{Duration, Instant};

/// A connection to a region is made in this time, or it is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// Kept connections that nobody used for so long are closed: before most servers close theirs, whose end would
/// otherwise meet a request on its way.
const KEPT: Duration = Duration::from_secs(20);

/// Why an application gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broke {
    /// No connection: nothing was sent.
    NotConnected,
    /// The connection ended before the answer's head: what was done is unknown.
    Unknown,
    /// The same, because it took too long.
    Slow,
}

/// The applications, by the gateway's order of regions.
pub(crate) struct Upstreams {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    addresses: Vec<(Scheme, Authority)>,
    answer: Duration,
}

impl Upstreams {
    /// # Errors
    /// The system's certificates can't be read.
    pub fn new<'u>(all: impl Iterator<Item = &'u Upstream>, limits: &Limits) -> std::io::Result<Self> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        http.set_keepalive(Some(Duration::from_secs(30)));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(crate::listen::client_tls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(limits.pool)
            .retry_canceled_requests(true)
            .set_host(false)
            .build(https);
        let scheme = |uri: &Uri| uri.scheme().cloned().unwrap_or(Scheme::HTTP);
        let addresses =
            all.filter_map(|u| Some((scheme(&u.address), u.address.authority()?.clone()))).collect();
        Ok(Self { client, addresses, answer: limits.answer })
    }

    /// Sends the request to region number `region`. Its answer's head has its time from the last piece of `body` that was sent on: an
    /// upload over a slow line takes as long as it takes.
    ///
    /// # Errors
    /// No head of an answer came.
    pub async fn send(
        &self,
        region: u16,
        mut request: Request<Body>,
        body: Option<&Replay>,
    ) -> Result<Response<Incoming>, Broke> {
        let (scheme, authority) = &self.addresses[usize::from(region)];
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query(path);
        *request.uri_mut() = uri.build().map_err(|_| Broke::NotConnected)?;
        *request.version_mut() = Version::HTTP_11;
        with_its_own_length(&mut request);
        let asks_to_switch = request.headers().contains_key(UPGRADE);
        tokio::select! {
            answer = self.client.request(request) => match answer {
                // Nobody asked for another protocol: what follows is no HTTP, and no answer.
                Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS && !asks_to_switch => Err(Broke::Unknown),
                Ok(answer) => Ok(answer),
                Err(error) if error.is_connect() => Err(Broke::NotConnected),
                Err(_) => Err(Broke::Unknown),
            },
            () = self.too_slow(body) => Err(Broke::Slow),
        }
    }

    /// Resolves when the answer has had its time.
    async fn too_slow(&self, body: Option<&Replay>) {
        let sent = Instant::now();
        loop {
            let until = body.map_or(sent, Replay::moved).max(sent) + self.answer;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

/// INVARIANT: a request whose body is known says that body's length and no other: hyper sends on the header that it finds, and on a
/// kept connection whoever comes next would be read as the rest of this body.
fn with_its_own_length(request: &mut Request<Body>) {
    let Some(length) = request.body().size_hint().exact() else { return };
    let said = request.headers().get(CONTENT_LENGTH);
    if said.is_some_and(|said| said.to_str().ok().and_then(|said| said.parse().ok()) != Some(length)) {
        request.headers_mut().remove(CONTENT_LENGTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_is_not_the_bodys_is_not_said() {
        let said = |length: &str, body: Body| {
            let mut request = Request::post("/").header("content-length", length).body(body).unwrap();
            with_its_own_length(&mut request);
            request.headers().get(CONTENT_LENGTH).map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(said("40", crate::body::empty()), None);
        assert_eq!(said("0", crate::body::empty()).as_deref(), Some("0"));
        assert_eq!(said("5", crate::body::full("hello")).as_deref(), Some("5"));
        assert_eq!(said("4", crate::body::full("hello")), None);
    }
}
