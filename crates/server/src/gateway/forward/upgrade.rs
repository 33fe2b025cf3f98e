//! WebSockets and event streams: connections that outlive a request, tied to their subject's home.
//!
//! When the subject moves they end, so that clients come back through the gateway and are brought to the new home.

use crate::body::{Body, BoxError};
use bytes::Bytes;
use domicile_directory::SubjectHash;
use http_body::{Frame, SizeHint};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::watch;

/// Long connections by subject.
#[derive(Default)]
pub(crate) struct Tethers(Mutex<HashMap<SubjectHash, Tied>>);

struct Tied {
    cut: watch::Sender<bool>,
    count: usize,
}

/// One long connection's tie; ends it when dropped.
pub(crate) struct Tether {
    all: Arc<Tethers>,
    subject: SubjectHash,
    cut: watch::Receiver<bool>,
}

impl Tethers {
    pub fn tie(self: &Arc<Self>, subject: SubjectHash) -> Tether {
        let mut tied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = tied.entry(subject).or_insert_with(|| Tied { cut: watch::Sender::new(false), count: 0 });
        entry.count += 1;
        Tether { all: self.clone(), subject, cut: entry.cut.subscribe() }
    }

    /// The subject has moved: its long connections end.
    pub fn cut(&self, subject: &SubjectHash) {
        let tied = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
        if let Some(tied) = tied {
            tied.cut.send_replace(true);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(|tied| tied.count).sum()
    }
}

impl Tether {
    /// Resolves when the connection must end.
    pub async fn cut(&mut self) {
        let _ = self.cut.wait_for(|cut| *cut).await;
    }
}

impl Drop for Tether {
    fn drop(&mut self) {
        let mut tied = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was cut is not in the table any more; a later one of the same subject may be.
        if *self.cut.borrow() {
            return;
        }
        if let Some(entry) = tied.get_mut(&self.subject) {
            entry.count -= 1;
            if entry.count == 0 {
                tied.remove(&self.subject);
            }
        }
    }
}

/// Joins client and application once both have switched, until either ends or the subject moves.
pub(crate) fn join(client: OnUpgrade, application: OnUpgrade, mut tether: Tether) {
    tokio::spawn(async move {
        let (Ok(client), Ok(application)) = (client.await, application.await) else { return };
        let (mut client, mut application) = (TokioIo::new(client), TokioIo::new(application));
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut application) => {}
            () = tether.cut() => {}
        }
    });
}

/// An event stream's body, which ends when its subject moves.
pub(crate) struct EventStream {
    inner: Body,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_cut: bool,
}

impl EventStream {
    pub fn new(inner: Body, mut tether: Tether) -> Self {
        let cut = Box::pin(async move { tether.cut().await });
        Self { inner, cut, is_cut: false }
    }
}

impl http_body::Body for EventStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_cut || self.cut.as_mut().poll(cx).is_ready() {
            self.is_cut = true;
            return Poll::Ready(None);
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
