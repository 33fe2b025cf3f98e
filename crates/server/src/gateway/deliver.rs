//! From a request whose subject is known to the answer of that subject's home: through its lane, and again where nothing was done.

use super::count::one;
use super::forward::{Broke, EventStream, Hop, IdleLimit, Replay, clean_answer, clean_request, join};
use super::home::{Known, Untold};
use super::park::{Pass, Turned};
use super::running::Gateway;
use super::trip::Trip;
use crate::body::{self, Body};
use crate::listen::Peer;
use crate::problem::Problem;
use domicile_directory::SubjectHash;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
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
/// When a client should come back where this gateway can't say better.
const COME_BACK: Duration = Duration::from_secs(1);

impl Gateway {
    /// Sends a request to its subject's home until it is answered by it.
    pub(super) async fn deliver(&self, sent: Sent<'_>) -> Result<Response<Body>, Problem> {
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
            let outcome =
                self.upstreams.send(home.region, self.request(&sent, home), Some(&sent.replay)).await;
            drop(pass);
            match outcome {
                Ok(answer) if is_refused(&answer) => {
                    // INVARIANT: only what the application says was rolled back is sent again, and only whole.
                    if !sent.replay.halt() {
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
        let known = self.homes.of(subject).await.map_err(|why| self.untold(why))?;
        let home = match (known, refused_by) {
            (Some(home), Some(refused)) if home == refused => {
                self.homes.ask(subject).await.map_err(|why| self.untold(why))?
            }
            (known, _) => known,
        };
        home.ok_or_else(|| self.unknown_home())
    }

    pub(super) fn unknown_home(&self) -> Problem {
        one(&self.counts.unknown_home);
        let problem = Problem::new(StatusCode::NOT_FOUND, "unknown-home", "the subject has no home here");
        problem.because("it is not signed up with this service, or was removed; nothing was forwarded")
    }

    pub(super) fn untold(&self, why: Untold) -> Problem {
        if why == Untold::Directory {
            return self.directory_away();
        }
        one(&self.counts.unknown_region);
        let title = "the subject's home is a region that this gateway does not know";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unknown-region", title);
        problem
            .because(
                "it was added after this gateway began: once restarted it knows it; nothing was forwarded",
            )
            .retry_after(COME_BACK)
    }

    pub(super) fn directory_away(&self) -> Problem {
        one(&self.counts.directory_away);
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "directory", "the directory can't be asked");
        problem.because("this subject's home is not in memory; nothing was forwarded").retry_after(COME_BACK)
    }

    fn request(&self, sent: &Sent<'_>, home: Known) -> Request<Body> {
        let mut parts = sent.parts.clone();
        let region = &self.trips.regions[usize::from(home.region)];
        let hop = Hop { region, epoch: home.epoch, subject: &self.settings.subject };
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

    pub(super) fn broke(&self, region: u16, broke: Broke) -> Problem {
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
    pub(super) async fn switch(
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
        let answer = self.upstreams.send(home.region, self.request(&sent, home), None).await;
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
pub(super) struct Sent<'t> {
    pub trip: &'t Trip,
    pub peer: Peer,
    pub parts: Parts,
    pub replay: Replay,
    pub subject: SubjectHash,
    pub is_write: bool,
}

impl Sent<'_> {
    /// What it does is the same done twice (RFC 9110 section 9.2.2), or the application sees to it.
    fn may_be_done_twice(&self) -> bool {
        let is_safe = matches!(self.parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        (is_safe || self.parts.headers.contains_key(&IDEMPOTENCY_KEY)) && self.replay.halt()
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
