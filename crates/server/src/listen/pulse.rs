//! What the requests of one connection are at, so that a connection at which nothing happens is ended.
//!
//! HTTP/1.1 needs none of it: hyper bounds how long a kept connection may be idle, and a client that does not read is seen at
//! its line. Over HTTP/2 a client may read the line and open no window (RFC 9113 section 5.2): pings are answered, and each of
//! its streams holds a piece of an answer here and a connection to a region. So an answer is handed out in small pieces, and
//! it is noted since when its client has taken none.

use crate::body::{Body, BoxError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::time::{Duration, Instant};

/// The most that is handed to HTTP/2 at once: a frame's default size. What it holds of an answer whose client reads nothing is no
/// more than that and the window.
const PIECE_BYTES: usize = 16 * 1024;

/// The requests of one connection.
#[derive(Clone)]
pub(super) struct Pulse(Arc<Mutex<State>>);

struct State {
    /// hyper bounds it.
    is_http1: bool,
    next: u64,
    /// Requests whose answer has not ended.
    active: usize,
    /// Since when there is none; counts where there is none.
    quiet_since: Instant,
    /// Answers whose last piece was not taken yet, and since when it is there to be taken.
    handed: BTreeMap<u64, Instant>,
}

/// What is due at a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this.
    At(Instant),
    /// No new requests, and an end in time for those under way: it was idle, or some of them do not go on.
    Wind,
    /// The end at once: no request goes on.
    Cut,
}

impl Pulse {
    pub(super) fn new() -> Self {
        let (quiet_since, handed) = (Instant::now(), BTreeMap::new());
        Self(Arc::new(Mutex::new(State { is_http1: false, next: 0, active: 0, quiet_since, handed })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come.
    pub(super) fn begin(&self, version: http::Version) -> Request {
        let mut state = self.state();
        if version < http::Version::HTTP_2 {
            state.is_http1 = true;
            return Request { of: None, id: 0 };
        }
        state.next += 1;
        state.active += 1;
        Request { of: Some(self.clone()), id: state.next }
    }

    /// What is due now, of a connection that may be idle for `idle` and whose client may take nothing of an answer for `stall`.
    pub(super) fn due(&self, now: Instant, idle: Duration, stall: Duration) -> Due {
        let state = self.state();
        if state.is_http1 {
            return Due::At(now + idle.max(stall));
        }
        if state.active == 0 {
            let end = state.quiet_since + idle;
            return if end <= now { Due::Wind } else { Due::At(end) };
        }
        let stalled = state.handed.values().filter(|since| **since + stall <= now).count();
        match stalled {
            // Whoever begins to wait now is due later than this.
            0 => Due::At(state.handed.values().min().map_or(now + idle.min(stall), |first| *first + stall)),
            all if all == state.active => Due::Cut,
            _ => Due::Wind,
        }
    }
}

/// A request until its answer has ended.
pub(super) struct Request {
    /// `None`: nothing is to be noted.
    of: Option<Pulse>,
    id: u64,
}

impl Request {
    /// The answer's body, of which is noted how it goes.
    pub(super) fn answered(self, body: Body) -> Answered {
        Answered { body, rest: Bytes::new(), request: self }
    }

    fn handed(&self) {
        if let Some(of) = &self.of {
            of.state().handed.insert(self.id, Instant::now());
        }
    }

    fn taken(&self) {
        if let Some(of) = &self.of {
            of.state().handed.remove(&self.id);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let Some(of) = &self.of else { return };
        let mut state = of.state();
        state.handed.remove(&self.id);
        state.active -= 1;
        if state.active == 0 {
            state.quiet_since = Instant::now();
        }
    }
}

/// An answer's body.
pub(super) struct Answered {
    body: Body,
    /// What of its last piece was not handed on yet.
    rest: Bytes,
    request: Request,
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        this.request.taken();
        if this.rest.is_empty() {
            let next = Pin::new(&mut this.body).poll_frame(cx);
            match next {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() && this.request.of.is_some() => {
                    this.rest = frame.into_data().unwrap_or_default();
                }
                other => return other,
            }
        }
        this.request.handed();
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use http_body_util::BodyExt;

    const IDLE: Duration = Duration::from_secs(30);
    const STALL: Duration = Duration::from_secs(60);

    /// Takes one piece, and leaves the next one lying.
    async fn piece(body: &mut Answered) -> usize {
        body.frame().await.unwrap().unwrap().into_data().unwrap().len()
    }

    #[tokio::test]
    async fn what_is_not_taken_is_due() {
        let pulse = Pulse::new();
        let begun = Instant::now();
        assert_eq!(pulse.due(begun + 2 * IDLE, IDLE, STALL), Due::Wind, "idle from its beginning");
        let mut first = pulse.begin(http::Version::HTTP_2).answered(crate::body::full(vec![7; 40_000]));
        assert!(matches!(pulse.due(begun + 9 * STALL, IDLE, STALL), Due::At(_)), "its answer is being made");
        assert_eq!(
            (piece(&mut first).await, first.size_hint().exact()),
            (PIECE_BYTES, Some(40_000 - 16_384))
        );
        let later = Instant::now() + STALL;
        assert_eq!(pulse.due(later, IDLE, STALL), Due::Cut);
        let second = pulse.begin(http::Version::HTTP_2);
        assert_eq!(pulse.due(later, IDLE, STALL), Due::Wind, "the second one may go on");
        drop(second);
        assert_eq!(
            (piece(&mut first).await, piece(&mut first).await),
            (PIECE_BYTES, 40_000 - 2 * PIECE_BYTES)
        );
        assert!(first.is_end_stream());
        drop(first);
        assert_eq!(pulse.due(Instant::now() + IDLE, IDLE, STALL), Due::Wind);
        assert!(matches!(pulse.due(Instant::now(), IDLE, STALL), Due::At(_)));
    }

    #[tokio::test]
    async fn http_1_is_left_to_hyper_and_its_pieces_stay_whole() {
        let pulse = Pulse::new();
        let mut body = pulse.begin(http::Version::HTTP_11).answered(crate::body::full(vec![7; 40_000]));
        assert_eq!(piece(&mut body).await, 40_000);
        assert!(matches!(pulse.due(Instant::now() + 9 * STALL, IDLE, STALL), Due::At(_)));
    }
}
