//! A body that ends with an error when nothing of it comes for too long: a client that sends a byte an hour holds no connection.

use crate::body::{Body, BoxError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Wraps a body.
pub(crate) struct IdleLimit {
    inner: Body,
    limit: Duration,
    /// Made when the body is waited for the first time: most bodies are here at once.
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleLimit {
    pub fn new(inner: Body, limit: Duration) -> Self {
        Self { inner, limit, timer: None }
    }
}

impl http_body::Body for IdleLimit {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.timer = None;
            return Poll::Ready(frame);
        }
        let until = Instant::now() + this.limit;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        std::task::ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err("nothing of the body came for too long".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};

    #[tokio::test]
    async fn a_body_that_stalls_ends() {
        let frames = futures::stream::unfold(0_u32, |n| async move {
            if n == 3 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x"))), n + 1))
        });
        let body = crate::body::streamed(StreamBody::new(Box::pin(frames)));
        let mut body = IdleLimit::new(body, Duration::from_millis(500));
        for _ in 0..3 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(body.frame().await.unwrap().is_err());
    }
}
