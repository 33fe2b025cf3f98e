//! What a request's stations note of it on its way, and who hears of it when it has ended.
//!
//! Where nobody does, the gateway takes no part in a trace: what came with a request is passed on as it is, and none is begun,
//! since whoever begins a trace decides for everybody behind whether it is recorded.

use super::count::{Counts, one};
use crate::body::{self, Body, BoxError};
use crate::listen::Peer;
use crate::trace::{
    Exporter, Ids, Incoming, Route, Sampler, Span, SpanId, State, TRACEPARENT, TRACESTATE, TraceId,
    method_word, version_word,
};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

/// Is told of a request that has ended.
pub type Hears = Box<dyn Fn(&Span) + Send + Sync>;

/// Who hears of requests that have ended. Nobody, unless somebody is named.
#[derive(Default)]
pub struct Watch {
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// Where spans of those go.
    pub exporter: Option<Exporter>,
    /// Hears of every request, and must return at once.
    pub log: Option<Hears>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("sampler", &self.sampler).finish_non_exhaustive()
    }
}

impl Watch {
    fn hears(&self) -> bool {
        self.exporter.is_some() || self.log.is_some()
    }

    fn ended(&self, span: Span) {
        if let Some(log) = &self.log {
            log(&span);
        }
        if let (Some(exporter), true) = (&self.exporter, span.ids.is_sampled) {
            exporter.take(span);
        }
    }
}

/// No region was asked.
const NOWHERE: u16 = u16::MAX;
/// What a request of which the client went away is told of with.
const GONE: &str = "client-gone";

/// What all trips of a gateway share.
pub(super) struct Trips {
    pub watch: Watch,
    pub regions: Vec<String>,
    pub counts: Arc<Counts>,
}

/// One request on its way.
pub(super) struct Trip {
    all: Arc<Trips>,
    began: Instant,
    route: AtomicU8,
    region: AtomicU16,
    waited_us: AtomicU64,
    repeats: AtomicU32,
    /// `None`: nobody hears of it.
    watched: Option<Box<Watched>>,
    is_over: bool,
}

struct Watched {
    ids: Ids,
    state: Option<State>,
    began: SystemTime,
    method: &'static str,
    scheme: &'static str,
    version: &'static str,
}

impl Trip {
    pub fn begin(all: &Arc<Trips>, peer: Peer, parts: &Parts) -> Self {
        let watched =
            all.watch.hears().then(|| ids(&parts.headers, all.watch.sampler)).flatten().map(|ids| {
                Box::new(Watched {
                    ids,
                    state: ids.parent.and_then(|_| State::of(&parts.headers)),
                    began: SystemTime::now(),
                    method: method_word(&parts.method),
                    scheme: peer.scheme(),
                    version: version_word(parts.version),
                })
            });
        Self {
            all: all.clone(),
            began: Instant::now(),
            route: AtomicU8::new(0),
            region: AtomicU16::new(NOWHERE),
            waited_us: AtomicU64::new(0),
            repeats: AtomicU32::new(0),
            watched,
            is_over: false,
        }
    }

    /// It takes this way.
    pub fn takes(&self, route: Route) {
        self.route.store(route as u8, Ordering::Relaxed);
    }

    /// The way it took.
    pub fn route(&self) -> Route {
        Route::ALL.get(usize::from(self.route.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// It is sent to this region.
    pub fn to(&self, region: u16) {
        self.region.store(region, Ordering::Relaxed);
    }

    /// It waited for its subject's move.
    pub fn waited(&self, time: Duration) {
        self.waited_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// It is sent again.
    pub fn repeated(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    /// Since it is here.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Tells the application of its trace: our span is the parent of what it does, where somebody hears of our span.
    pub fn mark(&self, headers: &mut HeaderMap) {
        if let Some(watched) = &self.watched {
            return watched.ids.write(watched.state.as_ref(), headers);
        }
        let has_parent = headers.contains_key(TRACEPARENT);
        if has_parent && Incoming::of(headers).is_none() {
            headers.remove(TRACEPARENT);
        }
        if headers.contains_key(TRACESTATE)
            && (!headers.contains_key(TRACEPARENT) || State::of(headers).is_none())
        {
            headers.remove(TRACESTATE);
        }
    }

    /// Its answer goes out; once its body has ended, whoever wants to hears of it.
    pub fn end(mut self, answer: Response<Body>, problem: Option<&'static str>) -> Response<Body> {
        self.is_over = true;
        let Some(watched) = self.watched.take() else { return answer };
        let cache = matches!(self.route(), Route::Public).then(|| cache_word(answer.headers())).flatten();
        let span = Span {
            status: answer.status().as_u16(),
            cache,
            problem,
            // Of HEAD and of a connection that switched there is no body to wait for.
            is_whole: watched.method == Method::HEAD.as_str() || answer.status().is_informational(),
            ..self.span(&watched)
        };
        let told = Told { trips: self.all.clone(), began: self.began, span: Some(span) };
        answer.map(|inner| body::streamed(Watching { inner, told }))
    }

    fn span(&self, watched: &Watched) -> Span {
        let region = self.region.load(Ordering::Relaxed);
        Span {
            ids: watched.ids,
            began: watched.began,
            lasted: self.elapsed(),
            method: watched.method,
            scheme: watched.scheme,
            version: watched.version,
            route: self.route(),
            status: 0,
            region: self.all.regions.get(usize::from(region)).cloned(),
            waited: Duration::from_micros(self.waited_us.load(Ordering::Relaxed)),
            repeats: self.repeats.load(Ordering::Relaxed),
            cache: None,
            problem: Some(GONE),
            bytes: 0,
            is_whole: false,
        }
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Whoever waits for an answer no more: the connection's end drops what would have made it.
        one(&self.all.counts.client_gone);
        if let Some(watched) = self.watched.take() {
            self.all.watch.ended(self.span(&watched));
        }
    }
}

/// The trace that came with the request, or one that begins here; `None`: the system gives no random numbers.
fn ids(headers: &HeaderMap, sampler: Sampler) -> Option<Ids> {
    let incoming = Incoming::of(headers);
    let span = SpanId(random()?);
    let trace = match &incoming {
        Some(incoming) => incoming.trace,
        None => TraceId(random()?),
    };
    let is_sampled = sampler.samples(trace, incoming.as_ref());
    Some(Ids { trace, span, parent: incoming.map(|i| i.parent), is_sampled })
}

/// Not all zero: that would be nobody's id.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    bytes[N - 1] |= u8::from(bytes == [0; N]);
    Some(bytes)
}

/// What our cache, the last to say so, did (RFC 9211), as a word of a closed set.
fn cache_word(headers: &HeaderMap) -> Option<&'static str> {
    const FORWARDED: [&str; 8] =
        ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"];
    let said = headers.get_all("cache-status").iter().next_back()?.to_str().ok()?;
    let word = said.split(';').skip(1).map(str::trim).find(|w| *w == "hit" || w.starts_with("fwd="))?;
    match word.strip_prefix("fwd=") {
        Some(why) => FORWARDED.into_iter().find(|known| *known == why),
        None => Some("hit"),
    }
}

/// The end of a span: when its answer's body is at its end, or is given up.
struct Told {
    trips: Arc<Trips>,
    began: Instant,
    span: Option<Span>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.lasted = self.began.elapsed();
            self.trips.watch.ended(span);
        }
    }
}

/// An answer's body, counted as it goes out.
struct Watching {
    inner: Body,
    told: Told,
}

impl http_body::Body for Watching {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(span) = &mut this.told.span {
            match &frame {
                Some(Ok(frame)) => span.bytes += frame.data_ref().map_or(0, |piece| piece.len() as u64),
                Some(Err(_)) => {}
                None => span.is_whole = true,
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Of a body whose length is known nobody asks for more than its bytes.
        if let Some(span) = &mut self.told.span {
            span.is_whole |= self.inner.is_end_stream();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("cache-status", value.parse().unwrap());
        }
        cache_word(&headers)
    }

    #[test]
    fn a_caches_word_is_one_that_is_known() {
        assert_eq!(of(&["domicile; hit; ttl=3"]), Some("hit"));
        assert_eq!(of(&["origin; hit", "domicile; fwd=uri-miss; stored; ttl=60"]), Some("uri-miss"));
        assert_eq!(of(&["domicile; fwd=ann-example; hit"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn where_nobody_hears_what_came_passes_and_what_is_malformed_does_not() {
        let trips = Trips { watch: Watch::default(), regions: Vec::new(), counts: Arc::default() };
        let trips = Arc::new(trips);
        let marked = |parent: &str, state: &str| {
            let request =
                http::Request::builder().uri("/").header("traceparent", parent).header("tracestate", state);
            let mut parts = request.body(()).unwrap().into_parts().0;
            let peer = Peer { address: ([127, 0, 0, 1], 1).into(), is_tls: false };
            let trip = Trip::begin(&trips, peer, &parts);
            trip.mark(&mut parts.headers);
            let text = |name: &str| parts.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
            (text("traceparent"), text("tracestate"))
        };
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(marked(parent, "a=1"), (Some(parent.into()), Some("a=1".into())));
        assert_eq!(marked(parent, "A"), (Some(parent.into()), None));
        assert_eq!(marked("00-nonsense", "a=1"), (None, None));
    }
}
