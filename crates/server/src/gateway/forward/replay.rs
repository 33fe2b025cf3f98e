//! A request's body that can be sent again: what was read of it so far is kept, up to a bound, and the rest is still unread.
//!
//! A body longer than the bound streams on; only then it can't be repeated.

use crate::body::{Body, BoxError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

/// The body of one request, for as many tries as are needed.
pub(crate) struct Replay(Arc<Mutex<Kept>>);

struct Kept {
    read: Vec<Bytes>,
    bytes: usize,
    bound: usize,
    rest: Option<Body>,
    /// More was read than is kept.
    is_over: bool,
    /// The try that may read on.
    newest: u64,
    /// When the last piece was sent on; at first, when the request came.
    moved: Instant,
}

impl Replay {
    pub fn of(body: Body, bound: usize) -> Self {
        let kept = Kept {
            read: Vec::new(),
            bytes: 0,
            bound,
            rest: Some(body),
            is_over: false,
            newest: 0,
            moved: Instant::now(),
        };
        Self(Arc::new(Mutex::new(kept)))
    }

    /// The body from its beginning. Whoever still reads an earlier try of it reads nothing more.
    pub fn again(&self) -> Body {
        let mut kept = lock(&self.0);
        kept.newest += 1;
        crate::body::streamed(Try { kept: self.0.clone(), at: 0, number: kept.newest })
    }

    /// Ends the try under way, whose connection may still be sending it; whether there can be another.
    ///
    /// INVARIANT: asked before a request is sent again, not only whether all is here now: an application that answers early leaves a
    /// connection that reads on, and what it read beyond the bound would be missing in the next try.
    pub fn halt(&self) -> bool {
        let mut kept = lock(&self.0);
        kept.newest += 1;
        !kept.is_over
    }

    /// When its last piece went on its way.
    pub fn moved(&self) -> Instant {
        lock(&self.0).moved
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One try: first what was read before, then on.
struct Try {
    kept: Arc<Mutex<Kept>>,
    at: usize,
    number: u64,
}

impl http_body::Body for Try {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let kept = self.kept.clone();
        let mut kept = lock(&kept);
        if kept.newest != self.number {
            return Poll::Ready(Some(Err("the request is sent again on another connection".into())));
        }
        if let Some(piece) = kept.read.get(self.at).cloned() {
            self.at += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Some(rest) = kept.rest.as_mut() else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(rest).poll_frame(cx));
        kept.moved = Instant::now();
        match &frame {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref().cloned() {
                    self.at += kept.keep(piece);
                }
            }
            Some(Err(_)) => kept.is_over = true,
            None => kept.rest = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let kept = lock(&self.kept);
        self.at == kept.read.len() && kept.rest.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let kept = lock(&self.kept);
        let here: u64 =
            kept.read[self.at.min(kept.read.len())..].iter().map(|piece| piece.len() as u64).sum();
        let Some(rest) = &kept.rest else { return SizeHint::with_exact(here) };
        let mut hint = rest.size_hint();
        // The upper bound first: a lower one above it is refused.
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + here);
        }
        hint.set_lower(hint.lower() + here);
        hint
    }
}

impl Kept {
    /// Returns how many pieces were kept: one or none.
    fn keep(&mut self, piece: Bytes) -> usize {
        if self.is_over || self.bytes + piece.len() > self.bound {
            self.is_over = true;
            self.read.clear();
            return 0;
        }
        self.bytes += piece.len();
        self.read.push(piece);
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::{BodyExt, StreamBody};

    fn pieces(pieces: &[&'static [u8]]) -> Body {
        let frames: Vec<Result<Frame<Bytes>, BoxError>> =
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece)))).collect();
        crate::body::streamed(StreamBody::new(futures::stream::iter(frames)))
    }

    async fn whole(body: Body) -> Vec<u8> {
        body.collect().await.unwrap().to_bytes().to_vec()
    }

    #[tokio::test]
    async fn a_body_is_the_same_each_time() {
        let replay = Replay::of(pieces(&[b"ab", b"cd", b"e"]), 10);
        let mut first = replay.again();
        assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        drop(first);
        assert!(replay.halt());
        assert_eq!(whole(replay.again()).await, b"abcde");
        assert_eq!(whole(replay.again()).await, b"abcde");
    }

    #[tokio::test]
    async fn a_long_body_streams_and_is_not_kept() {
        let replay = Replay::of(pieces(&[b"abc", b"def", b"ghi"]), 5);
        assert_eq!(whole(replay.again()).await, b"abcdefghi");
        assert!(!replay.halt());
    }

    /// A connection that was answered early and still sends takes nothing from the try that comes after it.
    #[tokio::test]
    async fn an_earlier_try_reads_nothing_more() {
        let replay = Replay::of(pieces(&[b"ab", b"cd", b"ef"]), 5);
        let mut early = replay.again();
        assert_eq!(early.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(replay.halt());
        assert!(early.frame().await.unwrap().is_err());
        let mut next = replay.again();
        assert_eq!(next.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(early.frame().await.unwrap().is_err());
        assert_eq!(whole(next).await, b"cdef");
    }

    #[tokio::test]
    async fn its_length_is_known_where_the_clients_was() {
        let replay = Replay::of(crate::body::full("hello"), 10);
        assert_eq!(replay.again().size_hint().exact(), Some(5));
        let mut first = replay.again();
        first.frame().await;
        assert_eq!(replay.again().size_hint().exact(), Some(5));
        let none = Replay::of(crate::body::empty(), 10);
        assert!(none.again().is_end_stream());
    }
}
