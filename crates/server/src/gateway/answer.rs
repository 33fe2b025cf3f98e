//! A request's whole way through the gateway: the only place that branches on what it is.

use super::count::{Counts, one};
use super::follow::{Follower, Lease};
use super::forward::{
    Broke, EventStream, Hop, IdleLimit, Replay, Tethers, Upstreams, clean_answer, clean_request, is_upgrade,
    join,
};
use super::home::{Asker, Homes, Known, Memory};
use super::measure::Measures;
use super::named::Named;
use super::park::{Bounds, Lanes, Pass, Turned};
use super::settings::{Settings, SignUpRoute};
use super::trip::{Trip, Trips, Watch};
use super::{check, named, subject};
use crate::admin::exposition;
use crate::body::{self, Body};
use crate::edge::{EdgeCache, Public, Sample, Scheme};
use crate::listen::Peer;
use crate::problem::Problem;
use crate::trace::Route;
use bytes::Bytes;
use domicile_directory::{Cursor, Directory, SubjectHash};
use domicile_policy::Class;
use domicile_stores::records::SubjectId;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An application answers 421 with this where a write was refused and rolled back: nothing of it was done.
const RETRY: HeaderName = HeaderName::from_static("domicile-retry");
/// Makes a request one that may be sent twice: the application does it once.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What is worth waiting for before a refused write is sent again, where nothing new is heard.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// A region that can't be connected to is tried again after this, so that one that restarts loses nobody.
const CONNECT_AGAIN: Duration = Duration::from_millis(100);
/// How often.
const CONNECT_TRIES: u32 = 5;
/// Homes read at once.
const PRELOAD_PAGE: u32 = 10_000;
/// When a client should come back where this gateway can't say better.
const COME_BACK: Duration = Duration::from_secs(1);

/// (metric, help) of what it holds, in the order of [`Gateway::gauges`].
pub(crate) const GAUGES: [(&str, &str); 4] = [
    ("domicile_gateway_homes", "Homes in memory."),
    ("domicile_gateway_waiting", "Writes that wait for a park to end."),
    ("domicile_gateway_tethers", "WebSockets and event streams."),
    ("domicile_gateway_lease", "1 while this gateway may route."),
];

/// A running gateway of one service.
pub struct Gateway {
    settings: Settings,
    directory: Arc<Directory>,
    homes: Arc<Homes>,
    lanes: Arc<Lanes>,
    lease: Arc<Lease>,
    upstreams: Upstreams,
    tethers: Arc<Tethers>,
    trips: Arc<Trips>,
    measures: Measures,
    /// What it counts.
    pub counts: Arc<Counts>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Takes the lease and begins to follow the directory.
    ///
    /// # Errors
    /// The directory's; without it nothing can be routed.
    pub async fn start(
        directory: Arc<Directory>,
        settings: Settings,
    ) -> Result<Arc<Self>, domicile_directory::Error> {
        Self::start_watched(directory, settings, Watch::default()).await
    }

    /// The same, and `watch` hears of every request that has ended.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn start_watched(
        directory: Arc<Directory>,
        settings: Settings,
        watch: Watch,
    ) -> Result<Arc<Self>, domicile_directory::Error> {
        let (limits, counts) = (settings.limits, Arc::<Counts>::default());
        let regions: Vec<String> = settings.upstreams.keys().cloned().collect();
        let tethers = Arc::<Tethers>::default();
        let asker = Asker::start(directory.clone(), settings.service.clone());
        let memory = Memory::new(limits.homes, regions.clone());
        let homes = Arc::new(Homes::new(memory, asker, tethers.clone(), counts.clone()));
        let lanes = Lanes::new(Bounds {
            wait: limits.park,
            per_subject: limits.parked_per_subject,
            in_all: limits.parked,
            released: limits.released,
        });
        let lease = Arc::new(Lease::new());
        let upstreams = Upstreams::new(settings.upstreams.values(), &limits)
            .map_err(|e| domicile_directory::Error::Argument(format!("the system's certificates: {e}")))?;
        let follower = Follower {
            directory: directory.clone(),
            service: settings.service.clone(),
            gateway: settings.name.clone(),
            ttl: limits.lease,
            homes: homes.clone(),
            lanes: lanes.clone(),
            lease: lease.clone(),
            counts: counts.clone(),
        };
        let cursor = follower.begin().await?;
        follower.start(cursor);
        let measures = Measures::new(&regions);
        let trips = Arc::new(Trips { watch, regions, counts: counts.clone() });
        let (s, d) = (settings, directory);
        Ok(Arc::new(Self {
            settings: s,
            directory: d,
            homes,
            lanes,
            lease,
            upstreams,
            tethers,
            trips,
            measures,
            counts,
        }))
    }

    /// Reads homes into memory until it is full or all are there, so that the first request of each finds its own; how many.
    ///
    /// # Errors
    /// The directory's; what was read until then stays.
    pub async fn preload(&self) -> Result<usize, domicile_directory::Error> {
        let mut cursor = Cursor::default();
        while self.homes.len() < self.settings.limits.homes {
            let before = self.homes.taken();
            let page = self.directory.changes_since(&self.settings.service, cursor, PRELOAD_PAGE).await?;
            if page.changes.is_empty() {
                break;
            }
            if self.homes.preload(before, &page.changes) {
                cursor = page.next;
            }
        }
        Ok(self.homes.len())
    }

    /// May it route? Not without a lease.
    pub fn is_ready(&self) -> bool {
        self.lease.holds()
    }

    /// Routes nothing any more, and says so, so that no fence waits for this gateway's lease to run out.
    pub async fn end(&self) {
        self.lease.end();
        // Lost: the lease runs out.
        let _ = self.directory.end_gateway(&self.settings.service, &self.settings.name).await;
    }

    /// What it holds now: (metric, help, value).
    pub fn gauges(&self) -> [(&'static str, &'static str, u64); 4] {
        let now = [
            self.homes.len() as u64,
            self.lanes.waiting() as u64,
            self.tethers.len() as u64,
            u64::from(self.is_ready()),
        ];
        std::array::from_fn(|n| (GAUGES[n].0, GAUGES[n].1, now[n]))
    }

    /// All that it counts, holds and measures, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        let mut counts = self.counts.all();
        counts.extend(self.trips.watch.exporter.iter().flat_map(|exporter| exporter.counts.all()));
        let gauges = self.gauges().map(|(name, help, value)| (name, "", help, value));
        exposition("counter", &counts)
            + &exposition("gauge", &gauges)
            + &self.measures.text()
            + &self.edge_text()
    }

    /// What its edge cache counts; nothing where nothing is public.
    pub fn edge_samples(&self) -> Vec<Sample> {
        self.settings.edge.as_ref().map(EdgeCache::samples).unwrap_or_default()
    }

    /// The same as Prometheus reads it; nothing where nothing is public.
    fn edge_text(&self) -> String {
        let samples = self.edge_samples();
        let label =
            |s: &Sample| s.label.map_or(String::new(), |(name, value)| format!("{{{name}=\"{value}\"}}"));
        let labels: Vec<String> = samples.iter().map(label).collect();
        let of = |counter: bool| {
            let all = samples.iter().zip(&labels).filter(|(s, _)| s.counter == counter);
            all.map(|(s, label)| (s.name, label.as_str(), s.help, s.value)).collect::<Vec<_>>()
        };
        exposition("counter", &of(true)) + &exposition("gauge", &of(false))
    }

    /// Answers one request.
    pub async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        one(&self.counts.requests);
        let (parts, incoming) = request.into_parts();
        let trip = Trip::begin(&self.trips, peer, &parts);
        let (answer, problem) = match self.clone().way(&trip, peer, parts, incoming).await {
            Ok(answer) => (answer, None),
            Err(problem) => (problem.answer(), Some(problem.code)),
        };
        self.measures.answers[trip.route() as usize].note(trip.elapsed());
        trip.end(answer, problem)
    }

    async fn way(
        self: Arc<Self>,
        trip: &Trip,
        peer: Peer,
        parts: Parts,
        incoming: Incoming,
    ) -> Result<Response<Body>, Problem> {
        check::head(&parts).inspect_err(|_| one(&self.counts.malformed))?;
        if let Some(answer) = self.settings.well_known.as_ref().and_then(|known| known.answer(&parts)) {
            trip.takes(Route::WellKnown);
            return Ok(answer);
        }
        let scheme = if peer.is_tls { Scheme::Https } else { Scheme::Http };
        if let Some((edge, public)) =
            self.settings.edge.as_ref().and_then(|e| Some((e.clone(), e.public(&parts, scheme)?)))
        {
            trip.takes(Route::Public);
            return Ok(self.clone().public(trip, edge, public).await);
        }
        if is_upgrade(&parts) {
            trip.takes(Route::Upgrade);
            let subject = self.subject(&parts)?;
            return self.switch(trip, peer, parts, incoming, subject).await;
        }
        let body = body::streamed(IdleLimit::new(body::streamed(incoming), self.settings.limits.idle));
        if let Some(route) = self.named(&parts) {
            trip.takes(match &route {
                Named::Login(_) => Route::Login,
                Named::SignUp(_) => Route::SignUp,
            });
            let (subject, whole) = self.subject_of(route, body).await?;
            let replay = Replay::of(named::again(whole), usize::MAX);
            return self.deliver(Sent { trip, peer, parts, replay, subject, is_write: true }).await;
        }
        trip.takes(Route::Subject);
        let subject = self.subject(&parts)?;
        let is_write = !check::is_read(&parts.method);
        let replay = Replay::of(body, self.settings.limits.repeat_bytes);
        self.deliver(Sent { trip, peer, parts, replay, subject, is_write }).await
    }

    /// The answer to a request for what is the same for everybody.
    async fn public(self: Arc<Self>, trip: &Trip, edge: EdgeCache, public: Public) -> Response<Body> {
        let region = public.route().origin.as_ref().or(self.settings.stands_in.as_ref());
        let region = region.and_then(|id| self.trips.regions.iter().position(|r| r == id)).unwrap_or(0);
        let region = u16::try_from(region).unwrap_or_default();
        let me = self;
        let fetch = move |request: Request<Body>| {
            let me = me.clone();
            async move {
                match me.upstreams.send(region, request).await {
                    Ok(answer) => {
                        let (mut head, incoming) = answer.into_parts();
                        clean_answer(&mut head.headers);
                        Ok(Response::from_parts(head, body::streamed(incoming)))
                    }
                    Err(broke) => Err(me.broke(region, broke)),
                }
            }
        };
        let answer = edge.answer(public, fetch).await;
        trip.fetched(region, &answer);
        answer
    }

    /// The route of a request that says in its body whose it is.
    fn named(&self, parts: &Parts) -> Option<Named<'_>> {
        if parts.method != Method::POST {
            return None;
        }
        let path = parts.uri.path();
        let login = self.settings.logins.iter().find(|login| login.path == path).map(Named::Login);
        login.or_else(|| self.settings.sign_up.as_ref().filter(|s| s.path == path).map(Named::SignUp))
    }

    /// Whose such a request is, and its body to forward.
    async fn subject_of(&self, route: Named<'_>, body: Body) -> Result<(SubjectHash, Bytes), Problem> {
        let (said, whole) = named::read(body).await.inspect_err(|_| one(&self.counts.malformed))?;
        match route {
            Named::Login(route) => {
                let claim = named::claim(route, &said).inspect_err(|_| one(&self.counts.no_subject))?;
                let found = self.directory.resolve(&self.settings.service, &[claim]).await;
                let found = found.map_err(|_| self.directory_away())?.pop().flatten();
                Ok((found.ok_or_else(|| self.unknown_home())?.subject, whole))
            }
            Named::SignUp(route) => Ok((self.sign_up(route, &said).await?, whole)),
        }
    }

    /// Gives a new subject its home, by policy and latency, before its first row is written anywhere. One that has a home
    /// keeps it.
    async fn sign_up(&self, route: &SignUpRoute, said: &serde_json::Value) -> Result<SubjectHash, Problem> {
        let new = named::new_subject(route, said).inspect_err(|_| one(&self.counts.no_subject))?;
        let subject = self.settings.spelling.canonical(&new.subject).map(SubjectId);
        let subject = subject.ok_or_else(|| subject::Nobody::Absent.problem())?;
        let service = &self.settings.service;
        let hash = self.directory.hash(service, &subject);
        if self.homes.of(hash).await.map_err(|_| self.directory_away())?.is_some() {
            return Ok(hash);
        }
        let placed = route.placing.place(&Class::resident(new.country));
        let Some(region) = &placed.home else {
            one(&self.counts.policy);
            let problem =
                Problem::new(StatusCode::FORBIDDEN, "refused", "no region may have this subject's data");
            return Err(problem.because(placed.why.clone()));
        };
        // CRASH: registered or not; the sign-up that is sent again finds its home.
        let registered = self.directory.register(service, region, &[subject]).await;
        registered.map_err(|_| self.directory_away())?;
        one(&self.counts.signed_up);
        Ok(hash)
    }

    fn subject(&self, parts: &Parts) -> Result<SubjectHash, Problem> {
        let found = subject::of(parts, &self.settings.subject, self.settings.spelling);
        found.map(|subject| self.directory.hash(&self.settings.service, &subject)).map_err(|nobody| {
            one(match nobody {
                subject::Nobody::Absent => &self.counts.no_subject,
                subject::Nobody::Token(_) => &self.counts.bad_token,
            });
            nobody.problem()
        })
    }

    /// Sends a request to its subject's home until it is answered by it.
    async fn deliver(&self, sent: Sent<'_>) -> Result<Response<Body>, Problem> {
        let until = Instant::now() + self.settings.limits.park;
        let (mut again, mut unconnected) = (false, 0);
        let mut refused_by: Option<Known> = None;
        loop {
            // Held until the answer's head is here: then what the write did is done.
            let pass = if sent.is_write { Some(self.enter(&sent, again).await?) } else { None };
            self.check_lease().await?;
            let home = self.home(sent.subject, refused_by).await?;
            one(&self.counts.forwarded);
            sent.trip.to(home.region);
            let news = self.lease.news.subscribe();
            let outcome = self.upstreams.send(home.region, self.request(&sent, home)).await;
            drop(pass);
            match outcome {
                Ok(answer) if is_refused(&answer) => {
                    // INVARIANT: only what the application says was rolled back is sent again, and only whole.
                    if !sent.replay.is_whole() {
                        return Err(too_long_to_repeat());
                    }
                    let refused = Instant::now();
                    self.wait_for_news(news, until).await?;
                    sent.trip.waited(refused.elapsed());
                    sent.trip.repeated();
                    one(&self.counts.repeated);
                    (again, refused_by) = (true, Some(home));
                }
                Ok(answer) => return Ok(self.bring(answer, sent.subject)),
                Err(Broke::NotConnected) if unconnected < CONNECT_TRIES => {
                    self.again(&sent, home, Broke::NotConnected);
                    unconnected += 1;
                    tokio::time::sleep(CONNECT_AGAIN * unconnected).await;
                }
                Err(Broke::Unknown) if sent.may_be_done_twice() && unconnected < CONNECT_TRIES => {
                    self.again(&sent, home, Broke::Unknown);
                    unconnected += 1;
                    tokio::time::sleep(CONNECT_AGAIN).await;
                }
                Err(broke) => return Err(self.broke(home.region, broke)),
            }
        }
    }

    /// It will be sent again: nothing was sent, or what it does may be done twice.
    fn again(&self, sent: &Sent<'_>, home: Known, broke: Broke) {
        self.measures.broke(home.region, broke);
        sent.trip.repeated();
    }

    async fn enter(&self, sent: &Sent<'_>, again: bool) -> Result<Pass, Problem> {
        let began = Instant::now();
        match self.lanes.enter(sent.subject, again).await {
            Ok(pass) => {
                if pass.has_waited {
                    one(&self.counts.parked);
                    self.measures.parked.note(began.elapsed());
                    sent.trip.waited(began.elapsed());
                }
                Ok(pass)
            }
            Err(turned) => {
                sent.trip.waited(began.elapsed());
                let (count, title) = match turned {
                    Turned::Full => {
                        (&self.counts.park_full, "too many writes wait while their subjects move")
                    }
                    Turned::TooLong => {
                        (&self.counts.park_too_long, "the write waited as long as a write may")
                    }
                };
                one(count);
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "parked", title);
                Err(problem.because("nothing of it was done").retry_after(COME_BACK))
            }
        }
    }

    async fn check_lease(&self) -> Result<(), Problem> {
        if self.lease.holds_within(self.settings.limits.lease_wait).await {
            return Ok(());
        }
        one(&self.counts.no_lease);
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-lease", "this gateway may not route now");
        Err(problem
            .because("it can't reach the directory, so it may not know of a move")
            .retry_after(COME_BACK))
    }

    /// The subject's home. Asked of the directory where the home in memory has just refused a write.
    async fn home(&self, subject: SubjectHash, refused_by: Option<Known>) -> Result<Known, Problem> {
        let known = self.homes.of(subject).await.map_err(|_| self.directory_away())?;
        let home = match (known, refused_by) {
            (Some(home), Some(refused)) if home == refused => {
                self.homes.ask(subject).await.map_err(|_| self.directory_away())?
            }
            (known, _) => known,
        };
        home.ok_or_else(|| self.unknown_home())
    }

    fn unknown_home(&self) -> Problem {
        one(&self.counts.unknown_home);
        let problem = Problem::new(StatusCode::NOT_FOUND, "unknown-home", "the subject has no home here");
        problem.because("it is not signed up with this service, or was removed; nothing was forwarded")
    }

    fn directory_away(&self) -> Problem {
        one(&self.counts.directory_away);
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "directory", "the directory can't be asked");
        problem.because("this subject's home is not in memory; nothing was forwarded").retry_after(COME_BACK)
    }

    fn request(&self, sent: &Sent<'_>, home: Known) -> Request<Body> {
        let mut parts = sent.parts.clone();
        let hop = Hop { region: &self.trips.regions[usize::from(home.region)], epoch: home.epoch };
        clean_request(&mut parts, sent.peer, self.settings.trusts_forwarded, hop);
        // Afterwards: what the client's Connection names does not take it off.
        sent.trip.mark(&mut parts.headers);
        Request::from_parts(parts, sent.replay.again())
    }

    /// Until the directory says something new, or a moment has passed.
    async fn wait_for_news(
        &self,
        mut news: tokio::sync::watch::Receiver<u64>,
        until: Instant,
    ) -> Result<(), Problem> {
        if Instant::now() > until {
            one(&self.counts.park_too_long);
            let title = "the write was refused for as long as a write may wait";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "parked", title);
            return Err(problem.because("nothing of it was done").retry_after(COME_BACK));
        }
        let _ = tokio::time::timeout(AGAIN_AFTER, news.changed()).await;
        Ok(())
    }

    /// The application's answer, as it streams.
    fn bring(&self, answer: Response<Incoming>, subject: SubjectHash) -> Response<Body> {
        let (mut head, incoming) = answer.into_parts();
        clean_answer(&mut head.headers);
        let body = body::streamed(incoming);
        let is_events =
            head.headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
        // Of an event stream nothing may come for long: it ends when its subject moves.
        let body = match is_events {
            true => body::streamed(EventStream::new(body, self.tethers.tie(subject))),
            false => body::streamed(IdleLimit::new(body, self.settings.limits.idle)),
        };
        Response::from_parts(head, body)
    }

    fn broke(&self, region: u16, broke: Broke) -> Problem {
        self.measures.broke(region, broke);
        one(match broke {
            Broke::Slow => &self.counts.upstream_slow,
            Broke::NotConnected | Broke::Unknown => &self.counts.upstream_broke,
        });
        let unknown = "whether it was done is unknown: send it again with the same Idempotency-Key";
        match broke {
            Broke::NotConnected => {
                let problem = Problem::new(
                    StatusCode::BAD_GATEWAY,
                    "upstream",
                    "the region's application is not there",
                );
                problem.because("nothing was sent to it").retry_after(COME_BACK)
            }
            Broke::Unknown => {
                let problem =
                    Problem::new(StatusCode::BAD_GATEWAY, "upstream", "the region's application broke off");
                problem.because(unknown)
            }
            Broke::Slow => {
                let problem = Problem::new(
                    StatusCode::GATEWAY_TIMEOUT,
                    "upstream-slow",
                    "the region's application took too long",
                );
                problem.because(unknown)
            }
        }
    }

    /// A request for another protocol: it is forwarded once, and then both ends are joined.
    async fn switch(
        &self,
        trip: &Trip,
        peer: Peer,
        parts: Parts,
        incoming: Incoming,
        subject: SubjectHash,
    ) -> Result<Response<Body>, Problem> {
        self.check_lease().await?;
        let home = self.home(subject, None).await?;
        // Tied before it is sent: a move in between cuts it.
        let tether = self.tethers.tie(subject);
        let mut client = Request::from_parts(parts.clone(), incoming);
        let on_client = hyper::upgrade::on(&mut client);
        let replay = Replay::of(body::empty(), 0);
        let sent = Sent { trip, peer, parts, replay, subject, is_write: false };
        trip.to(home.region);
        one(&self.counts.forwarded);
        let answer = self.upstreams.send(home.region, self.request(&sent, home)).await;
        let mut answer = answer.map_err(|broke| self.broke(home.region, broke))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(self.bring(answer, subject));
        }
        join(on_client, hyper::upgrade::on(&mut answer), tether);
        let (head, _) = answer.into_parts();
        Ok(Response::from_parts(head, body::empty()))
    }
}

/// A request on its way.
struct Sent<'t> {
    trip: &'t Trip,
    peer: Peer,
    parts: Parts,
    replay: Replay,
    subject: SubjectHash,
    is_write: bool,
}

impl Sent<'_> {
    /// What it does is the same done twice (RFC 9110 section 9.2.2), or the application sees to it.
    fn may_be_done_twice(&self) -> bool {
        let is_safe = matches!(self.parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        (is_safe || self.parts.headers.contains_key(&IDEMPOTENCY_KEY)) && self.replay.is_whole()
    }
}

fn is_refused(answer: &Response<Incoming>) -> bool {
    answer.status() == StatusCode::MISDIRECTED_REQUEST && answer.headers().contains_key(&RETRY)
}

fn too_long_to_repeat() -> Problem {
    let title = "the write was refused while its subject moves";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-long-to-repeat", title);
    problem
        .because("nothing of it was done, and its body is too long to be kept and sent again")
        .retry_after(COME_BACK)
}
