//! The leader of a flight: asks the origin, judges what comes, stores it, and tells all who wait.

use super::answer::Inner;
use super::ask::Public;
use super::entry::{Entry, Head};
use super::fill::{self, Filling};
use super::flight::{Landed, Landing};
use super::judge::{Freshness, Reason, Times, judge, length};
use super::store::Found;
use super::unshared;
use crate::Problem;
use crate::body::{self, Body};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// What the leader of a flight gets for itself.
pub(super) type Own = oneshot::Sender<Response<Body>>;

/// A flight and who leads it.
pub(super) struct Flight {
    pub(super) inner: Arc<Inner>,
    pub(super) ask: Public,
    pub(super) landing: Landing,
    /// Why the origin is asked, in the words of RFC 9211.
    pub(super) why: &'static str,
}

/// What the leader found out.
enum Came {
    /// An answer that may be stored.
    Storable(Response<Body>, Box<Head>),
    /// The stored one still holds.
    Unchanged(Entry),
    /// Not to be stored; here it is.
    Refused(Response<Body>, Reason),
    /// No answer.
    Failed(Problem),
}

impl Flight {
    /// Asks the origin and lands. `own` gets the answer only where it is for the one who asked alone.
    pub(super) async fn lead<F, Fut>(self, stored: Option<Arc<Entry>>, fetch: F, own: Own)
    where
        F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        // Somebody may have landed between our look into the store and this flight.
        let now = Instant::now();
        if let Found::Entry(entry) = self.inner.store.get(&self.ask, now)
            && entry.head.freshness.is_fresh(now)
        {
            return self.landing.tell(Landed::Stored { entry, asked: None, failed: false });
        }
        let came = self.ask_origin(stored.as_deref(), &fetch).await;
        if let Some((entry, status)) = self.stale_for(&came, stored) {
            return self.landing.tell(Landed::Stored { entry, asked: status, failed: true });
        }
        match came {
            Came::Failed(problem) => self.landing.tell(Landed::Failed(problem)),
            Came::Unchanged(entry) => {
                let entry = Arc::new(entry);
                self.put(Arc::clone(&entry));
                self.landing.tell(Landed::Stored { entry, asked: Some(304), failed: false });
            }
            Came::Refused(answer, reason) => self.refuse(answer, reason, own),
            Came::Storable(answer, head) => self.take_in(answer, *head, own).await,
        }
    }

    /// The stored answer, where the origin failed and it may be given all the same.
    fn stale_for(&self, came: &Came, stored: Option<Arc<Entry>>) -> Option<(Arc<Entry>, Option<u16>)> {
        let status = match came {
            Came::Failed(_) => None,
            Came::Refused(answer, Reason::Status) => Some(answer.status().as_u16()),
            _ => return None,
        };
        let is_error = status.is_none_or(|s| matches!(s, 500 | 502 | 503 | 504));
        let stored = stored.filter(|s| is_error && s.head.freshness.if_error(Instant::now()))?;
        Some((stored, status))
    }

    async fn ask_origin<F, Fut>(&self, stored: Option<&Entry>, fetch: &F) -> Came
    where
        F: Fn(Request<Body>) -> Fut,
        Fut: Future<Output = Result<Response<Body>, Problem>>,
    {
        let mut request = self.ask.whole();
        let conditional = stored.filter(|s| s.head.condition(&mut request));
        let asked = Instant::now();
        let answer = match self.fetched(fetch, request).await {
            Err(problem) => return Came::Failed(problem),
            Ok(answer) => answer,
        };
        let times = Times { asked, came: Instant::now(), wall: SystemTime::now() };
        let Some(stored) = conditional.filter(|_| answer.status() == StatusCode::NOT_MODIFIED) else {
            return self.judged(answer, times);
        };
        match self.unchanged(stored, &answer, times) {
            Some(entry) => Came::Unchanged(entry),
            // What the origin says of it now does not fit what is stored: it is asked anew.
            None => match self.fetched(fetch, self.ask.whole()).await {
                Err(problem) => Came::Failed(problem),
                Ok(answer) => self.judged(answer, times),
            },
        }
    }

    /// The answer's head, in bounded time: everybody who asks for the key waits for it.
    async fn fetched<F, Fut>(&self, fetch: &F, request: Request<Body>) -> Result<Response<Body>, Problem>
    where
        F: Fn(Request<Body>) -> Fut,
        Fut: Future<Output = Result<Response<Body>, Problem>>,
    {
        let within = tokio::time::timeout(self.inner.settings.head_wait, fetch(request));
        within.await.unwrap_or(Err(SLOW))
    }

    fn judged(&self, answer: Response<Body>, times: Times) -> Came {
        let (parts, body) = answer.into_parts();
        match judge(&self.ask, &self.inner.settings.personal_header, &parts, times) {
            Err(reason) => Came::Refused(Response::from_parts(parts, body), reason),
            Ok(freshness) => {
                let head = self.head(&parts, freshness, times);
                Came::Storable(Response::from_parts(parts, body), Box::new(head))
            }
        }
    }

    fn head(&self, parts: &http::response::Parts, freshness: Freshness, times: Times) -> Head {
        Head::of(&self.ask, parts.status, &parts.headers, freshness, times.wall)
    }

    /// The stored answer with what a 304 says; `None` where it must not be stored any more, or is not meant.
    fn unchanged(&self, stored: &Entry, news: &Response<Body>, times: Times) -> Option<Entry> {
        if !stored.head.is_meant_by(news.headers()) {
            return None;
        }
        let mut parts = Response::new(()).into_parts().0;
        parts.status = stored.head.status();
        parts.headers = stored.head.headers_after(news.headers());
        let freshness = judge(&self.ask, &self.inner.settings.personal_header, &parts, times).ok()?;
        Some(Entry { head: Arc::new(self.head(&parts, freshness, times)), body: stored.body.clone() })
    }

    /// Not stored: the asker alone gets it. What was stored for such a request is not true any more, unless only
    /// the status says no: the origin may be ill, or this one request odd.
    fn refuse(&self, answer: Response<Body>, reason: Reason, own: Own) {
        self.inner.counts.not_stored(reason);
        if reason.lasts() {
            let gone = self.inner.store.pass(&self.ask, Instant::now());
            self.inner.counts.evicted(gone);
        }
        let status = self.inner.status(&format!("fwd={}; detail={}", self.why, reason.as_str()));
        self.landing.tell(Landed::Alone);
        // Whoever asked may be gone, or nobody did: a stale answer was being refreshed.
        if !own.is_closed() {
            let personal = &self.inner.settings.personal_header;
            let _ = own.send(unshared::passed(answer, personal, &self.inner.counts, &status));
        }
    }

    async fn take_in(self, answer: Response<Body>, head: Head, own: Own) {
        let most = self.inner.settings.object_bytes_max;
        match length(answer.headers()) {
            Some(length) if length > most => self.refuse(answer, Reason::TooLarge, own),
            Some(length) => match self.room(length) {
                None => self.refuse(answer, Reason::Busy, own),
                Some(_room) => {
                    // Whoever asked reads with the others, from the first byte on.
                    drop(own);
                    self.stream(answer, head, length).await;
                }
            },
            None => match self.room(most) {
                None => self.refuse(answer, Reason::Busy, own),
                Some(_room) => self.collect(answer, head, most, own).await,
            },
        }
    }

    fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).ok()?;
        Arc::clone(&self.inner.filling).try_acquire_many_owned(kib).ok()
    }

    /// Of a known length: all read it as it comes.
    async fn stream(&self, answer: Response<Body>, head: Head, length: usize) {
        let head = Arc::new(head);
        let filling = Arc::new(Filling::new(Arc::clone(&head), length));
        self.landing.tell(Landed::Filling(Arc::clone(&filling)));
        match filling.fill(answer.into_body(), self.inner.settings.body_wait).await {
            Ok(body) => self.put(Arc::new(Entry { head, body })),
            Err(_) => self.inner.counts.not_stored(Reason::Broken),
        }
    }

    /// Of a length that nobody said: it is here whole before anybody gets it, or turns out too large.
    async fn collect(&self, answer: Response<Body>, mut head: Head, most: usize, own: Own) {
        let (parts, mut body) = answer.into_parts();
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        loop {
            match fill::piece(&mut body, self.inner.settings.body_wait).await {
                Ok(None) => break,
                Ok(Some(piece)) => {
                    bytes += piece.len();
                    chunks.push(piece);
                    if bytes > most {
                        let whole = rejoined(chunks, body);
                        return self.refuse(Response::from_parts(parts, whole), Reason::TooLarge, own);
                    }
                }
                Err(_) => {
                    self.inner.counts.not_stored(Reason::Broken);
                    return self.landing.tell(Landed::Failed(BROKE_OFF));
                }
            }
        }
        head.set(CONTENT_LENGTH, HeaderValue::from(bytes));
        let entry = Arc::new(Entry { head: Arc::new(head), body: fill::joined(&chunks, bytes) });
        self.put(Arc::clone(&entry));
        self.landing.tell(Landed::Stored { entry, asked: None, failed: false });
    }

    fn put(&self, entry: Arc<Entry>) {
        let gone = self.inner.store.put(&self.ask, entry);
        self.inner.counts.evicted(gone);
    }
}

const SLOW: Problem =
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "origin-slow", "the origin did not answer in time");
const BROKE_OFF: Problem = Problem::new(
    StatusCode::BAD_GATEWAY,
    "origin-broke-off",
    "the origin broke off in the middle of an answer",
);

/// A body whose beginning was read already.
fn rejoined(chunks: Vec<Bytes>, rest: Body) -> Body {
    let begun = stream::iter(chunks.into_iter().map(|chunk| Ok(Frame::data(chunk))));
    let rest = stream::unfold(rest, |mut body| async { body.frame().await.map(|frame| (frame, body)) });
    body::streamed(StreamBody::new(begun.chain(rest)))
}
