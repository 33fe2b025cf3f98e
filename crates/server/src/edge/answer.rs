//! A public request's way to its answer: the store, a flight that is under way, or the origin.

use super::ask::{NotPublic, Public};
use super::count::{Counts, Outcome, Sample, Stripped};
use super::entry::{Entry, Head};
use super::fill::{self, Filling};
use super::flight::{Flights, Joined, Landed, Landing, landed};
use super::judge::{Freshness, Reason, Times, judge, length};
use super::key::Scheme;
use super::routes::{Routes, WrongRoute};
use super::settings::{Cached, EdgeSettings, PublicRoute};
use super::store::{Found, Store};
use super::unshared;
use crate::Problem;
use crate::body::{self, Body};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How often one who waits looks again, where the answer was for another variant; then it asks alone.
const TRIES: usize = 3;
/// Most requests to origins that go on without whoever asked.
const FLIGHTS_MAX: usize = 1_024;

const NOT_CACHED: Problem = Problem::new(
    StatusCode::GATEWAY_TIMEOUT,
    "not-cached",
    "the answer is not stored, and only a stored one was asked for",
);

/// The edge cache of one gateway; cheap to clone.
#[derive(Debug, Clone)]
pub struct EdgeCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: EdgeSettings,
    routes: Routes,
    store: Store,
    flights: Arc<Flights>,
    /// KiB that may be on their way into the store.
    filling: Arc<Semaphore>,
    counts: Counts,
}

/// What the leader of a flight gets for itself.
type Own = oneshot::Sender<Response<Body>>;

impl EdgeCache {
    /// An empty cache.
    ///
    /// # Errors
    /// Where a route or a bound can't be.
    pub fn new(settings: EdgeSettings) -> Result<Self, WrongRoute> {
        let kib = settings.fill_bytes_max.div_ceil(1024).min(Semaphore::MAX_PERMITS);
        Ok(Self(Arc::new(Inner {
            routes: Routes::of(&settings)?,
            store: Store::new(settings.memory_bytes_max, settings.object_bytes_max),
            flights: Flights::new(FLIGHTS_MAX),
            filling: Arc::new(Semaphore::new(kib)),
            counts: Counts::default(),
            settings,
        })))
    }

    /// The request as a public one, `None` where it is not and goes the way of all others. `scheme`: how the
    /// client reached the gateway.
    pub fn public(&self, parts: &Parts, scheme: Scheme) -> Option<Public> {
        match Public::of(parts, scheme, &self.0.routes) {
            Ok(public) => Some(public),
            Err(NotPublic::NoRoute) => None,
            Err(NotPublic::Method) => {
                self.0.counts.other_method();
                None
            }
            Err(NotPublic::Crooked(why)) => {
                self.0.counts.crooked(why);
                None
            }
        }
    }

    /// Answers a public request. `fetch` brings a request to the origin: its target is path and query, its
    /// headers are all that may travel. It is called once for many who ask at once, and may go on after the one
    /// who asked is gone, so it must end by itself (a time limit until the head; bodies are limited here).
    pub async fn answer<F, Fut>(&self, ask: Public, fetch: F) -> Response<Body>
    where
        F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        self.0.strips(&ask);
        match self.0.bypass(&ask) {
            Some(reason) => self.0.pass(&ask, &fetch, "bypass", reason).await,
            None => self.0.clone().look(ask, fetch).await,
        }
    }

    /// The public routes.
    pub fn routes(&self) -> impl Iterator<Item = &PublicRoute> {
        self.0.routes.all().iter().map(|r| &**r)
    }

    /// Counters and sizes, for the metrics' text: no path, host or key is among them.
    pub fn samples(&self) -> Vec<Sample> {
        self.0.counts.samples(&self.0.store)
    }

    #[cfg(test)]
    pub(super) fn flights(&self) -> usize {
        self.0.flights.len()
    }
}

impl Inner {
    fn strips(&self, ask: &Public) {
        if ask.had_cookie {
            self.counts.stripped(Stripped::Cookie);
        }
        if ask.had_authorization {
            self.counts.stripped(Stripped::Authorization);
        }
    }

    /// Why the store is not even looked into.
    fn bypass(&self, ask: &Public) -> Option<Reason> {
        if matches!(ask.route.cached, Cached::Forbidden { .. }) {
            return Some(Reason::Policy);
        }
        (!ask.range.is_empty()).then_some(Reason::Range)
    }

    async fn look<F, Fut>(self: Arc<Self>, ask: Public, fetch: F) -> Response<Body>
    where
        F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        for _ in 0..TRIES {
            let now = Instant::now();
            let found = self.store.get(&ask, now);
            if let Found::Entry(entry) = &found {
                if entry.head.freshness.is_fresh(now) {
                    return self.give(&ask, entry, now, Outcome::Hit, "");
                }
                if entry.head.freshness.while_revalidate(now) {
                    self.refresh(&ask, Arc::clone(entry), &fetch);
                    return self.give(&ask, entry, now, Outcome::StaleWhileRevalidate, "");
                }
            }
            if ask.only_if_cached {
                self.counts.answered(Outcome::NotCached);
                return NOT_CACHED.answer();
            }
            let (stored, why, key) = match found {
                Found::Passes => return self.pass_known(&ask, &fetch).await,
                Found::Entry(entry) => {
                    let key = variant(&ask, entry.head.vary_names());
                    (Some(entry), "stale", key)
                }
                Found::Others(names) => (None, "vary-miss", variant(&ask, names.iter())),
                Found::Nothing => (None, "uri-miss", variant(&ask, std::iter::empty())),
            };
            if let Some(reason) = unshareable(&ask) {
                return self.pass(&ask, &fetch, why, reason).await;
            }
            if let Some(answer) = self.fly(&ask, stored, why, &key, &fetch).await {
                return answer;
            }
        }
        self.pass(&ask, &fetch, "vary-miss", Reason::Busy).await
    }

    /// Leads a flight, or waits for the one that is under way. `None`: look again.
    async fn fly<F, Fut>(
        self: &Arc<Self>,
        ask: &Public,
        stored: Option<Arc<Entry>>,
        why: &'static str,
        key: &str,
        fetch: &F,
    ) -> Option<Response<Body>>
    where
        F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        match self.flights.join(key) {
            Joined::Full => Some(self.pass(ask, fetch, why, Reason::Busy).await),
            Joined::Wait(waiting) => match landed(waiting).await {
                None | Some(Landed::Alone) => Some(self.pass_known(ask, fetch).await),
                Some(how) => self.landed(ask, how, why, true),
            },
            Joined::Lead(landing) => {
                let waiting = landing.waiting();
                let (own, mine) = oneshot::channel();
                let flight = Flight { inner: Arc::clone(self), ask: ask.clone(), landing, why };
                tokio::spawn(flight.lead(stored, fetch.clone(), own));
                if let Ok(answer) = mine.await {
                    return Some(answer);
                }
                match landed(waiting).await {
                    None | Some(Landed::Alone) => Some(self.pass_known(ask, fetch).await),
                    Some(how) => self.landed(ask, how, why, false),
                }
            }
        }
    }

    /// The answer of a flight that is for everybody; `None`: it is for other requests than this.
    fn landed(&self, ask: &Public, how: Landed, why: &str, waited: bool) -> Option<Response<Body>> {
        let now = Instant::now();
        let collapsed = if waited { "; collapsed" } else { "" };
        match how {
            Landed::Filling(filling) if filling.head.is_for(ask) => {
                let ttl = filling.head.freshness.ttl_s(now);
                let status = self.status(&format!("fwd={why}; stored{collapsed}; ttl={ttl}"));
                self.counts.answered(if waited { Outcome::Collapsed } else { Outcome::Miss });
                Some(filling.head.with_body(ask, now, &status, || filling.body()))
            }
            Landed::Stored { entry, asked, failed } if entry.head.is_for(ask) => {
                let origin = asked.map(|s| format!("; fwd-status={s}")).unwrap_or_default();
                let (outcome, stale) = match (failed, asked, waited) {
                    (true, ..) => (Outcome::StaleIfError, "; detail=stale-if-error"),
                    (_, _, true) => (Outcome::Collapsed, ""),
                    (_, Some(_), false) => (Outcome::Revalidated, ""),
                    (_, None, false) => (Outcome::Miss, ""),
                };
                Some(self.give(ask, &entry, now, outcome, &format!("fwd={why}{origin}{collapsed}{stale}")))
            }
            Landed::Failed(problem) => {
                self.counts.answered(Outcome::Failed);
                let mut answer = problem.answer();
                super::entry::say(answer.headers_mut(), &self.status(&format!("fwd={why}{collapsed}")));
                Some(answer)
            }
            Landed::Filling(_) | Landed::Stored { .. } | Landed::Alone => None,
        }
    }

    /// A stored answer. `forwarded`: how the origin was asked for it before, empty where it was not.
    fn give(
        &self,
        ask: &Public,
        entry: &Entry,
        now: Instant,
        outcome: Outcome,
        forwarded: &str,
    ) -> Response<Body> {
        self.counts.answered(outcome);
        let ttl = entry.head.freshness.ttl_s(now);
        let how = match (outcome, forwarded) {
            (Outcome::StaleWhileRevalidate, _) => format!("hit; ttl={ttl}; detail=stale-while-revalidate"),
            (_, "") => format!("hit; ttl={ttl}"),
            (_, forwarded) => format!("{forwarded}; ttl={ttl}"),
        };
        entry.answer(ask, now, &self.status(&how))
    }

    /// Fetches a fresh one for those to come, unless somebody does already.
    fn refresh<F, Fut>(self: &Arc<Self>, ask: &Public, stored: Arc<Entry>, fetch: &F)
    where
        F: Fn(Request<Body>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        let whole = Public { method: Method::GET, ..ask.clone() };
        if let Joined::Lead(landing) = self.flights.join(&variant(ask, stored.head.vary_names())) {
            let (own, _) = oneshot::channel();
            let flight = Flight { inner: Arc::clone(self), ask: whole, landing, why: "stale" };
            tokio::spawn(flight.lead(Some(stored), fetch.clone(), own));
        }
    }

    /// Asks the origin for this one request, where it is known that its answer is not stored.
    async fn pass_known<F, Fut>(&self, ask: &Public, fetch: &F) -> Response<Body>
    where
        F: Fn(Request<Body>) -> Fut,
        Fut: Future<Output = Result<Response<Body>, Problem>>,
    {
        let status = self.status("fwd=uri-miss; detail=not-shared");
        match fetch(ask.as_asked()).await {
            Err(problem) => self.failed(&problem, &status),
            Ok(answer) => {
                if let Some(reason) = unshared::tells(&answer, &self.settings.personal_header) {
                    self.counts.not_stored(reason);
                }
                unshared::passed(answer, &self.settings.personal_header, &self.counts, &status)
            }
        }
    }

    /// Asks the origin for this one request.
    async fn pass<F, Fut>(&self, ask: &Public, fetch: &F, why: &str, reason: Reason) -> Response<Body>
    where
        F: Fn(Request<Body>) -> Fut,
        Fut: Future<Output = Result<Response<Body>, Problem>>,
    {
        let status = self.status(&format!("fwd={why}; detail={}", reason.as_str()));
        self.counts.not_stored(reason);
        match fetch(ask.as_asked()).await {
            Err(problem) => self.failed(&problem, &status),
            Ok(answer) => {
                if let Some(reason) = unshared::tells(&answer, &self.settings.personal_header) {
                    self.counts.not_stored(reason);
                }
                unshared::passed(answer, &self.settings.personal_header, &self.counts, &status)
            }
        }
    }

    fn failed(&self, problem: &Problem, status: &str) -> Response<Body> {
        self.counts.answered(Outcome::Failed);
        let mut answer = problem.answer();
        super::entry::say(answer.headers_mut(), status);
        answer
    }

    fn status(&self, how: &str) -> String {
        format!("{}; {how}", self.settings.name)
    }
}

/// Why an answer to this request is given to nobody else, where nothing is stored yet.
fn unshareable(ask: &Public) -> Option<Reason> {
    if ask.method == Method::HEAD {
        return Some(Reason::Method);
    }
    ask.had_authorization.then_some(Reason::Authorization)
}

/// The key of a flight: of those who want the same variant, where it is known what answers vary by.
fn variant<'n>(ask: &Public, names: impl Iterator<Item = &'n http::HeaderName>) -> String {
    let mut key = ask.key.as_str().to_owned();
    for name in names {
        for value in ask.headers.get_all(name) {
            key.push('\n');
            key.push_str(name.as_str());
            key.push('=');
            key.push_str(&hex::encode(value.as_bytes()));
        }
    }
    key
}

/// A flight and who leads it.
struct Flight {
    inner: Arc<Inner>,
    ask: Public,
    landing: Landing,
    why: &'static str,
}

/// What the leader found out.
enum Came {
    /// An answer that may be stored.
    Storable(Response<Body>, Head),
    /// The stored one still holds.
    Unchanged(Entry),
    /// Not to be stored; here it is.
    Refused(Response<Body>, Reason),
    /// No answer.
    Failed(Problem),
}

impl Flight {
    /// Asks the origin and lands. `own` gets the answer only where it is for the one who asked alone.
    async fn lead<F, Fut>(self, stored: Option<Arc<Entry>>, fetch: F, own: Own)
    where
        F: Fn(Request<Body>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        // Somebody may have landed between our look into the store and this flight.
        let now = Instant::now();
        if let Found::Entry(entry) = self.inner.store.get(&self.ask, now) {
            if entry.head.freshness.is_fresh(now) {
                return self.landing.tell(Landed::Stored { entry, asked: None, failed: false });
            }
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
            Came::Storable(answer, head) => self.take_in(answer, head, own).await,
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
        let answer = match fetch(request).await {
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
            None => match fetch(self.ask.whole()).await {
                Err(problem) => Came::Failed(problem),
                Ok(answer) => self.judged(answer, times),
            },
        }
    }

    fn judged(&self, answer: Response<Body>, times: Times) -> Came {
        let (parts, body) = answer.into_parts();
        match judge(&self.ask, &self.inner.settings.personal_header, &parts, times) {
            Err(reason) => Came::Refused(Response::from_parts(parts, body), reason),
            Ok(freshness) => {
                let head = self.head(&parts, freshness, times);
                Came::Storable(Response::from_parts(parts, body), head)
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

    /// Not stored: the asker alone gets it. What was stored before is not true any more, unless the origin is
    /// only ill.
    fn refuse(&self, answer: Response<Body>, reason: Reason, own: Own) {
        self.inner.counts.not_stored(reason);
        if reason.lasts() {
            let gone = self.inner.store.pass(&self.ask.key, Instant::now());
            self.inner.counts.evicted(gone);
        } else if reason == Reason::Status && !answer.status().is_server_error() {
            self.inner.store.forget(&self.ask.key);
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
                Some(_room) => self.stream(answer, head, length).await,
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
