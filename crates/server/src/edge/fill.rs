//! An answer on its way into the store: everybody who waits reads it as it comes.

use super::entry::Head;
use crate::body::{Body, BoxError};
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The origin broke off, or was silent for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the origin broke off in the middle of an answer")]
pub(super) struct BrokeOff;

/// A head, and the body that grows.
#[derive(Debug)]
pub(super) struct Filling {
    pub(super) head: Arc<Head>,
    growing: Arc<Growing>,
}

#[derive(Debug)]
struct Growing {
    length: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: Vec<Bytes>,
    bytes: usize,
    end: Option<Result<(), BrokeOff>>,
    /// One a reader: who waits for the next piece.
    wakers: HashMap<u64, Waker>,
    readers: u64,
}

impl Filling {
    /// Of a body whose length is known.
    pub(super) fn new(head: Arc<Head>, length: usize) -> Self {
        Self { head, growing: Arc::new(Growing { length, state: Mutex::default() }) }
    }

    /// The body from its beginning, as far as it is here and then as it comes.
    pub(super) fn body(&self) -> Body {
        let mut state = self.growing.lock();
        state.readers += 1;
        let reader = Reader { growing: Arc::clone(&self.growing), number: state.readers, at: 0, read: 0 };
        drop(state);
        reader.boxed_unsync()
    }

    /// Reads the origin's body to its end, for all who wait, and returns it whole.
    pub(super) async fn fill(&self, body: Body, wait: Duration) -> Result<Bytes, BrokeOff> {
        let read = self.read(body, wait).await;
        let mut state = self.growing.lock();
        state.end = Some(read);
        let whole = read.map(|()| joined(&state.chunks, state.bytes));
        state.wake();
        whole
    }

    async fn read(&self, mut body: Body, wait: Duration) -> Result<(), BrokeOff> {
        while let Some(piece) = piece(&mut body, wait).await? {
            let mut state = self.growing.lock();
            state.bytes += piece.len();
            if state.bytes > self.growing.length {
                return Err(BrokeOff);
            }
            state.chunks.push(piece);
            state.wake();
        }
        if self.growing.lock().bytes == self.growing.length { Ok(()) } else { Err(BrokeOff) }
    }
}

impl Drop for Filling {
    /// A fill that was given up must not leave its readers waiting.
    fn drop(&mut self) {
        let mut state = self.growing.lock();
        state.end.get_or_insert(Err(BrokeOff));
        state.wake();
    }
}

impl Growing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        self.wakers.drain().for_each(|(_, waker)| waker.wake());
    }
}

/// The next piece of data; `None`: the end. Trailers are left out.
pub(super) async fn piece(body: &mut Body, wait: Duration) -> Result<Option<Bytes>, BrokeOff> {
    loop {
        match tokio::time::timeout(wait, body.frame()).await {
            Err(_) | Ok(Some(Err(_))) => return Err(BrokeOff),
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                _ => {}
            },
        }
    }
}

/// One piece that holds nothing but these bytes: what came is slices of larger buffers.
pub(super) fn joined(chunks: &[Bytes], bytes: usize) -> Bytes {
    let mut whole = BytesMut::with_capacity(bytes);
    chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
    whole.freeze()
}

/// One reader of a growing body.
struct Reader {
    growing: Arc<Growing>,
    number: u64,
    at: usize,
    read: usize,
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let growing = Arc::clone(&self.growing);
        let mut state = growing.lock();
        if let Some(chunk) = state.chunks.get(self.at) {
            let chunk = chunk.clone();
            self.at += 1;
            self.read += chunk.len();
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(broke_off)) => Poll::Ready(Some(Err(broke_off.into()))),
            None => {
                state.wakers.insert(self.number, cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.growing.length.saturating_sub(self.read) as u64)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.growing.lock().wakers.remove(&self.number);
    }
}
