//! The one type of body that all stations of a request pass on: streamed, never gathered by default.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// What ends a body early: the peer's or the limits' words.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's or an answer's body.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is here whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Any other body, as it streams.
pub fn streamed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}
