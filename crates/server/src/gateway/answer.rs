//! A request's whole way through the gateway: the only place that branches on what it is.

use super::count::one;
use super::deliver::Sent;
use super::forward::{IdleLimit, Replay, clean_answer, is_upgrade};
use super::named::Named;
use super::running::Gateway;
use super::settings::SignUpRoute;
use super::trip::Trip;
use super::{check, named, subject};
use crate::body::{self, Body};
use crate::edge::{EdgeCache, Public, Scheme};
use crate::listen::Peer;
use crate::problem::Problem;
use crate::trace::Route;
use bytes::Bytes;
use domicile_directory::SubjectHash;
use domicile_policy::Class;
use domicile_stores::records::SubjectId;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;

impl Gateway {
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
        let scheme = self.scheme(peer, &parts);
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

    /// By which scheme the client came: an application behind something that ends TLS would redirect its public pages for ever.
    fn scheme(&self, peer: Peer, parts: &Parts) -> Scheme {
        let mut said =
            parts.headers.get_all("x-forwarded-proto").iter().filter(|_| self.settings.trusts_forwarded);
        match (said.next().map(HeaderValue::as_bytes), said.next()) {
            (Some(b"https"), None) => Scheme::Https,
            (Some(b"http"), None) => Scheme::Http,
            _ if peer.is_tls => Scheme::Https,
            _ => Scheme::Http,
        }
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
                match me.upstreams.send(region, request, None).await {
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
        if self.homes.of(hash).await.map_err(|why| self.untold(why))?.is_some() {
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
}
