//! How a device reaches its relay.

use bytes::Bytes;
use http::{Request, Response};
use std::future::Future;

/// No answer came: the request may or may not have been done. Every request of the protocol can be repeated.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// Brings a request to the relay that its absolute URI names, and the answer back. Follows no redirection, keeps no
/// cookies, resolves no other name.
pub trait Relay: Send + Sync {
    /// At most `bytes_max` of the answer's body are read; a longer one is as none.
    fn ask(
        &self,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, Unreachable>> + Send;
}

impl<R: Relay> Relay for std::sync::Arc<R> {
    fn ask(
        &self,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, Unreachable>> + Send {
        (**self).ask(request, bytes_max)
    }
}
