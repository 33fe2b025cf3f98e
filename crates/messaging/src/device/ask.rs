//! One request to the home relay: signed, with a token, by a corrected clock, at the home that is now.

use super::state::Token;
use super::{Agreed, Device, DeviceFault, HomeOf, Relay, Unreachable};
use crate::consent::Purpose;
use crate::proof::{Proof, Request};
use crate::region::{RegionFault, SignedRegion, fingerprint};
use crate::wire::limits::{ANSWER_BYTES_MAX, TOKEN_S};
use crate::wire::{CONSENT_HEADER, Home, PROOF_HEADER, Problem, ProblemCode, TokenIssued};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE};
use http::{Method, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How often one request is repeated after an answer that says how to do better: clock, token, and a few moves.
const TRIES_MAX: usize = 8;
/// A token is renewed so long before its end, seconds.
const RENEW_BEFORE_S: i64 = 60;
/// Where statements are.
const REGION_PATH: &str = "/v1/messaging/region";

/// A request before it is signed.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    method: &'a Method,
    path: &'a str,
    body: &'a [u8],
    token: bool,
    bytes_max: usize,
}

fn parsed<A: DeserializeOwned>(body: &[u8]) -> Result<A, DeviceFault> {
    serde_json::from_slice(body).map_err(|_| DeviceFault::Answer)
}

fn is_stale(answer: &Response<Bytes>) -> bool {
    parsed::<Problem>(answer.body()).is_ok_and(|problem| problem.code == ProblemCode::ProofStale)
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, DeviceFault> {
    serde_json::to_vec(value).map_err(|_| DeviceFault::Answer)
}

impl<R: Relay> Device<Agreed<R>> {
    pub(super) async fn get<A: DeserializeOwned>(&mut self, path: &str) -> Result<A, DeviceFault> {
        parsed(&self.get_bytes(path, ANSWER_BYTES_MAX).await?)
    }

    pub(super) async fn get_bytes(&mut self, path: &str, bytes_max: usize) -> Result<Bytes, DeviceFault> {
        self.exchange(Ask { method: &Method::GET, path, body: b"", token: true, bytes_max }).await
    }

    pub(super) async fn post<T: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        value: &T,
    ) -> Result<A, DeviceFault> {
        parsed(&self.send(&Method::POST, path, value, true).await?)
    }

    /// Without a token: where there is none yet.
    pub(super) async fn post_plain<T: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        value: &T,
    ) -> Result<A, DeviceFault> {
        parsed(&self.send(&Method::POST, path, value, false).await?)
    }

    /// Where the answer has nothing to read.
    pub(super) async fn tell<T: Serialize>(
        &mut self,
        method: &Method,
        path: &str,
        value: &T,
    ) -> Result<(), DeviceFault> {
        self.send(method, path, value, true).await.map(drop)
    }

    async fn send<T: Serialize>(
        &mut self,
        method: &Method,
        path: &str,
        value: &T,
        token: bool,
    ) -> Result<Bytes, DeviceFault> {
        let body = json(value)?;
        self.exchange(Ask { method, path, body: &body, token, bytes_max: ANSWER_BYTES_MAX }).await
    }

    async fn exchange(&mut self, ask: Ask<'_>) -> Result<Bytes, DeviceFault> {
        let mut was_stale = false;
        for _ in 0..TRIES_MAX {
            self.may_send()?;
            self.learn_region().await?;
            if ask.token {
                self.renew_token().await?;
            }
            let answer = self.once(ask).await?;
            if answer.status().is_success() {
                return Ok(answer.into_body());
            }
            // A relay that has just been started takes no proof of before: one made now is another.
            if is_stale(&answer) && !was_stale {
                was_stale = true;
                self.learn_clock(&answer);
                self.save()?;
                continue;
            }
            self.do_better(&answer, ask.token).await?;
        }
        Err(DeviceFault::Endless("the relay asks for ever other things"))
    }

    /// Withdrawn here is withdrawn: only records of consent still go out then.
    fn may_send(&self) -> Result<(), DeviceFault> {
        if self.state.has_to_tell() { Ok(()) } else { self.needs(Purpose::CloudMessaging) }
    }

    async fn once(&mut self, ask: Ask<'_>) -> Result<Response<Bytes>, DeviceFault> {
        let Ask { method, path, body, bytes_max, .. } = ask;
        let now = self.state.clock().relays(Timestamp::now().as_second());
        let region = self.state.home.region.as_str();
        let request = Request { region, method: method.as_str(), path_and_query: path, body };
        let proof = Proof::make(&self.key(), request, now).to_string();
        let uri = format!("{}{path}", self.state.home.endpoint.as_str().trim_end_matches('/'));
        let mut request = http::Request::builder().method(method).uri(uri).header(PROOF_HEADER, proof);
        if let Some(token) = self.state.token.as_ref() {
            request = request.header(CONSENT_HEADER, &token.text);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Bytes::copy_from_slice(body)).map_err(|_| DeviceFault::Answer)?;
        let answer = self.link.relay.ask(request, bytes_max).await;
        Ok(answer.map_err(|why| Unreachable(format!("{}: {why}", self.state.home.endpoint)))?)
    }

    /// Takes from a refusal what makes the next try better. Nothing to take: the refusal itself.
    async fn do_better(&mut self, answer: &Response<Bytes>, token: bool) -> Result<(), DeviceFault> {
        let problem: Problem = parsed(answer.body())?;
        match (problem.code, &problem.home) {
            (ProblemCode::ProofStale, _) if self.learn_clock(answer) => self.save(),
            (ProblemCode::ConsentExpired | ProblemCode::ConsentForged, _) if token => {
                self.renew_soon();
                Ok(())
            }
            (ProblemCode::Moved, Some(home)) => self.follow(home).await,
            (ProblemCode::DeviceReplaced | ProblemCode::DeviceUnknown, _) => {
                self.is_nobodys(problem.code)?;
                Err(DeviceFault::Refused(Box::new(problem)))
            }
            _ => Err(DeviceFault::Refused(Box::new(problem))),
        }
    }

    fn learn_clock(&mut self, answer: &Response<Bytes>) -> bool {
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok()).unwrap_or_default();
        let mut clock = self.state.clock();
        let learnt = clock.learn(date, Timestamp::now().as_second());
        self.state.set_clock(clock);
        learnt
    }

    /// The mailbox, or the number that is being registered, lives elsewhere. Only a region that the present home's signed
    /// statement lists is followed, at the endpoint and with the key that are listed there.
    // CRASH: the new home is durable before this returns, and only then anything more is sent: to the new home.
    pub(super) async fn follow(&mut self, home: &Home) -> Result<(), DeviceFault> {
        let listed = self.region().listed(&home.region).ok_or(DeviceFault::MovedNowhere)?;
        let newer = home.epoch > self.state.home.epoch || self.state.mailbox.is_none();
        if home.region == self.state.home.region || listed.endpoint != home.endpoint || !newer {
            return Err(DeviceFault::MovedNowhere);
        }
        let new = HomeOf {
            region: listed.region.clone(),
            endpoint: listed.endpoint.clone(),
            service_key: fingerprint(&listed.service_key),
            epoch: home.epoch,
        };
        // Without a mailbox nothing has moved: other terms apply there, and the owner has not seen them. So they come with
        // the new home, in one write; the request for them names nobody.
        let terms = match self.state.mailbox {
            Some(_) => None,
            None => Some(self.statement_of(&new).await?),
        };
        self.state.home = new;
        (self.state.tagged, self.state.attempt) = (None, None);
        self.renew_soon();
        let is_elsewhere = terms.is_some();
        if let Some(statement) = terms {
            self.state.statement = statement;
        }
        self.save()?;
        if is_elsewhere { Err(DeviceFault::HomeElsewhere(home.region.clone())) } else { Ok(()) }
    }

    /// After a move: the new home's own statement, under the key that the old one vouched for.
    async fn learn_region(&mut self) -> Result<(), DeviceFault> {
        if self.region().region == self.state.home.region { Ok(()) } else { self.refresh_region().await }
    }

    /// Reads the home's statement again.
    ///
    /// # Errors
    /// No answer, or not believed.
    pub async fn refresh_region(&mut self) -> Result<(), DeviceFault> {
        self.may_send()?;
        self.state.statement = self.statement_of(&self.state.home).await?;
        self.save()
    }

    /// What a region says of itself, if the key that is expected has signed it. The request names nobody.
    async fn statement_of(&self, home: &HomeOf) -> Result<SignedRegion, DeviceFault> {
        let uri = format!("{}{REGION_PATH}", home.endpoint.as_str().trim_end_matches('/'));
        let request = http::Request::get(uri).body(Bytes::new()).map_err(|_| DeviceFault::Answer)?;
        let answer = self.link.relay.ask(request, ANSWER_BYTES_MAX).await?;
        let signed: SignedRegion = parsed(answer.body())?;
        let believed = signed.clone().believe(&home.service_key)?;
        if believed.region != home.region {
            return Err(DeviceFault::MovedNowhere);
        }
        if !believed.agrees_with(self.region()) {
            return Err(RegionFault::OtherRegionsKey.into());
        }
        Ok(signed)
    }

    async fn renew_token(&mut self) -> Result<(), DeviceFault> {
        let now = self.state.clock().relays(Timestamp::now().as_second());
        if self.state.token.as_ref().is_some_and(|token| now < token.renew_at) {
            return Ok(());
        }
        let ask = Ask {
            method: &Method::POST,
            path: "/v1/messaging/token",
            body: b"",
            // The old one, expired or of the old home: it says which device asks.
            token: false,
            bytes_max: ANSWER_BYTES_MAX,
        };
        // Boxed: it is the same function, once, without a token.
        let issued: TokenIssued = parsed(&Box::pin(self.exchange(ask)).await?)?;
        self.take_token(Some(issued.token));
        Ok(())
    }

    pub(super) fn take_token(&mut self, token: Option<String>) {
        let renew_at = self.state.clock().relays(Timestamp::now().as_second()) + TOKEN_S - RENEW_BEFORE_S;
        self.state.token = token.map(|text| Token { text, renew_at });
    }
}
