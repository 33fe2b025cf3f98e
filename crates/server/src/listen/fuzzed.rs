//! The listener's readers of strangers' bytes, for [`crate::fuzzed`].

use super::accept::builder;
use super::limits::ConnectionLimits;
use super::proxy_protocol;
use crate::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;

/// The longest header of version 2, and of version 1 less.
const HEADER_BYTES_MAX: usize = 16 + 4096;

/// # Panics
/// More is read than a header may have, or it would wait for more than there is.
pub(crate) fn proxy_header(data: &[u8]) {
    let mut rest = data;
    // From memory nothing is ever waited for.
    let read = futures::FutureExt::now_or_never(proxy_protocol::read(&mut rest));
    let found = read.expect("a header in memory is read at once");
    let taken = data.len() - rest.len();
    assert!(taken <= HEADER_BYTES_MAX, "{taken} bytes were read");
    if found.is_ok() {
        assert!(data[..taken].starts_with(b"PROXY ") || data[..taken].starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    }
}

/// One connection, as [`super::serve`] serves it.
pub(crate) async fn serve<A, F>(stream: tokio::io::DuplexStream, limits: ConnectionLimits, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let service = service_fn(answer);
    let _ = builder(&limits).serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}
