//! A connection's line: it must begin to speak in time, and it is let go gently.
//!
//! - Which HTTP a client speaks is read from its first bytes, and nobody else bounds how long that may take.
//! - Whoever takes nothing of its answer holds this connection and the region's behind it, and nobody else bounds that either.
//! - A close with bytes unread makes the kernel reset the connection, and the client may never see the answer that says why
//!   (RFC 9112 section 9.6). So our end is closed first, and what still comes is thrown away for a moment.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// HTTP/2's preface; after as many bytes it is known what is spoken (RFC 9113 section 3.4).
const OPENING_BYTES: usize = 24;
/// What is still read of a client that was answered, and for how long.
const LINGER_BYTES_MAX: usize = 256 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(2);

pub(super) struct Line<S: Stream> {
    /// `None` once it is let go.
    inner: Option<S>,
    is_shut: bool,
    opening: Option<(Pin<Box<Sleep>>, usize)>,
    /// How long it may take nothing.
    stall: Duration,
    /// Since it takes nothing, this runs.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What a connection is read from and written to.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

impl<S: Stream> Line<S> {
    /// The client must have sent its first bytes within `opening`, and take some of what is written within each `stall`.
    pub fn new(inner: S, opening: Duration, stall: Duration) -> Self {
        let opening = Some((Box::pin(sleep_until(Instant::now() + opening)), 0));
        Self { inner: Some(inner), is_shut: false, opening, stall, stalled: None }
    }

    /// What writing came to; an error where it waits for too long.
    fn taken<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let until = Instant::now() + self.stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(until)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn inner(&mut self) -> io::Result<Pin<&mut S>> {
        self.inner.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: Stream> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = this.inner()?.poll_read(cx, buf);
        let Some((timer, bytes)) = &mut this.opening else { return read };
        match read {
            Poll::Ready(done) => {
                *bytes += buf.filled().len() - before;
                if *bytes >= OPENING_BYTES {
                    this.opening = None;
                }
                Poll::Ready(done)
            }
            Poll::Pending => {
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: Stream> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = self.inner()?.poll_write(cx, buf);
        self.taken(cx, wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wrote = self.inner()?.poll_flush(cx);
        self.taken(cx, wrote)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        let wrote = self.inner()?.poll_shutdown(cx);
        self.taken(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = self.inner()?.poll_write_vectored(cx, bufs);
        self.taken(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(S::is_write_vectored)
    }
}

impl<S: Stream> Drop for Line<S> {
    fn drop(&mut self) {
        let (Some(inner), Ok(runtime)) = (self.inner.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        runtime.spawn(tokio::time::timeout(LINGER_MAX, linger(inner, self.is_shut)));
    }
}

/// Closes our end, and reads on until the client closes its own.
async fn linger<S: Stream>(mut inner: S, is_shut: bool) {
    if !is_shut && inner.shutdown().await.is_err() {
        return;
    }
    let (mut piece, mut bytes) = ([0; 4096], 0);
    while bytes < LINGER_BYTES_MAX {
        match inner.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(n) => bytes += n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that reads, however slowly, is written to; one that does not is given up.
    #[tokio::test]
    async fn who_takes_nothing_is_given_up() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut line = Line::new(near, Duration::from_secs(60), Duration::from_millis(200));
        let reading = tokio::spawn(async move {
            let mut all = [0; 640];
            far.read_exact(&mut all).await.map(|_| far)
        });
        line.write_all(&[7; 640]).await.unwrap();
        let _far = reading.await.unwrap().unwrap();
        let gives_up = tokio::time::timeout(Duration::from_secs(60), line.write_all(&[7; 640])).await;
        assert_eq!(gives_up.expect("it waits for ever").unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
