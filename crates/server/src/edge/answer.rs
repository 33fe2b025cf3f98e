//! A public request's way to its answer: the store, a flight that is under way, or the origin.

use super::ask::{NotPublic, Public};
use super::count::{Counts, Outcome, Sample, Stripped};
use super::entry::{Entry, say};
use super::flight::{Flights, Joined, Landed, landed};
use super::judge::Reason;
use super::key::Scheme;
use super::lead::Flight;
use super::routes::{Routes, WrongRoute};
use super::settings::{Cached, EdgeSettings, PublicRoute};
use super::store::{Found, Store};
use super::unshared;
use crate::Problem;
use crate::body::Body;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};

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
pub(super) struct Inner {
    pub(super) settings: EdgeSettings,
    routes: Routes,
    pub(super) store: Store,
    flights: Arc<Flights>,
    /// KiB that may be on their way into the store.
    pub(super) filling: Arc<Semaphore>,
    pub(super) counts: Counts,
}

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
                say(answer.headers_mut(), &self.status(&format!("fwd={why}{collapsed}")));
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
        self.alone(ask, fetch, "fwd=uri-miss; detail=not-shared").await
    }

    /// Asks the origin for this one request, for that reason.
    async fn pass<F, Fut>(&self, ask: &Public, fetch: &F, why: &str, reason: Reason) -> Response<Body>
    where
        F: Fn(Request<Body>) -> Fut,
        Fut: Future<Output = Result<Response<Body>, Problem>>,
    {
        self.counts.not_stored(reason);
        self.alone(ask, fetch, &format!("fwd={why}; detail={}", reason.as_str())).await
    }

    async fn alone<F, Fut>(&self, ask: &Public, fetch: &F, how: &str) -> Response<Body>
    where
        F: Fn(Request<Body>) -> Fut,
        Fut: Future<Output = Result<Response<Body>, Problem>>,
    {
        let (status, personal) = (self.status(how), &self.settings.personal_header);
        match fetch(ask.as_asked()).await {
            Err(problem) => self.failed(&problem, &status),
            Ok(answer) => {
                if let Some(reason) = unshared::tells(&answer, personal) {
                    self.counts.not_stored(reason);
                }
                unshared::passed(answer, personal, &self.counts, &status)
            }
        }
    }

    fn failed(&self, problem: &Problem, status: &str) -> Response<Body> {
        self.counts.answered(Outcome::Failed);
        let mut answer = problem.answer();
        say(answer.headers_mut(), status);
        answer
    }

    pub(super) fn status(&self, how: &str) -> String {
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
