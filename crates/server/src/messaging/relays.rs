//! Relay to relay: what concerns a mailbox of another region is asked of its home relay, and never sent on from there.
//!
//! Both show a bearer token. INVARIANT: there are no loops: what a relay asks another is done there or answered with 421 and the home
//! as that one knows it; only the asking relay looks again and asks anew, for a bounded time.

use super::mail::{Mail, Place};
use super::outgoing::{Outgoing, Unheard};
use super::refusals::{
    AGAIN, BAD_REQUEST, BUSY, KEYS_MISSING, KEYS_OTHER, MAIL_FORBIDDEN, MAILBOX_FULL, MAILBOX_UNKNOWN,
    MESSAGE_TOO_LARGE, NO_SUCH_PATH, REGION_AWAY, UNAUTHORIZED_RELAY,
};
use crate::gateway::home::Known;
use crate::{Body, Problem, body};
use bytes::Bytes;
use domicile_messaging::wire::limits::REQUEST_BYTES_MAX;
use domicile_messaging::wire::relay::{RelayPresence, RelaySend};
use domicile_messaging::wire::{ClaimKeys, parse};
use domicile_stores::mailboxes::Refusal;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// How long another relay may take for one answer: less than an asker's patience, so that it is asked again.
const ANSWER: Duration = Duration::from_secs(20);
/// Between two tries of a relay that does not answer, or does not know yet that it is the home.
const PAUSE: Duration = Duration::from_millis(50);
/// An answer of ours: keys are the longest.
const ANSWER_BYTES: usize = 64 * 1024;
/// What a relay asks another about mail.
pub(super) const MESSAGES: &str = "/v1/relay/messages";
pub(super) const CLAIM: &str = "/v1/relay/keys/claim";
pub(super) const PRESENCE: &str = "/v1/relay/presence";

/// Other relays, as this one asks them.
pub(super) struct Peers {
    outgoing: Outgoing,
    bearer: SecretString,
}

/// What another relay said.
enum Said {
    /// Done; its status and answer.
    Done(StatusCode, Bytes),
    /// It is not the home, or can't say.
    Again(Problem),
    /// No.
    No(Problem),
}

impl Peers {
    pub fn new(token: SecretString) -> Result<Self, Unheard> {
        let bearer = SecretString::from(format!("Bearer {}", token.expose_secret()));
        Ok(Self { outgoing: Outgoing::new()?, bearer })
    }

    async fn ask(&self, endpoint: &str, path: &str, question: Bytes) -> Said {
        let request = Request::post(format!("{endpoint}{path}")).header(CONTENT_TYPE, "application/json");
        let Some(request) = self.shown(request.body(question)) else { return Said::Again(REGION_AWAY) };
        match self.outgoing.ask(request, ANSWER_BYTES, ANSWER).await {
            Err(_) => Said::Again(REGION_AWAY),
            Ok(heard) => said(heard.status, &heard.headers, heard.body),
        }
    }

    fn shown(&self, request: http::Result<Request<Bytes>>) -> Option<Request<Bytes>> {
        let mut request = request.ok()?;
        let mut bearer = HeaderValue::from_str(self.bearer.expose_secret()).ok()?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        Some(request)
    }
}

/// An answer by what may come: another relay's words are not passed on, its codes are.
fn said(status: u16, headers: &HeaderMap, body: Bytes) -> Said {
    #[derive(serde::Deserialize)]
    struct Coded {
        code: String,
    }
    let code = || serde_json::from_slice::<Coded>(&body).map(|coded| coded.code).unwrap_or_default();
    let wait = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    let wait = Duration::from_secs(wait.unwrap_or(1).clamp(1, 3600));
    match status {
        200 | 202 => Said::Done(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body),
        421 => Said::Again(REGION_AWAY),
        500..=599 | 401 => Said::Again(REGION_AWAY),
        _ => {
            let code = code();
            let known =
                [MAILBOX_UNKNOWN, MESSAGE_TOO_LARGE, KEYS_MISSING, KEYS_OTHER, MAIL_FORBIDDEN, BAD_REQUEST];
            let full = [MAILBOX_FULL].into_iter().map(|problem| problem.retry_after(wait));
            let said = known.into_iter().chain(full).find(|problem| problem.code == code);
            Said::No(said.unwrap_or_else(|| REGION_AWAY.retry_after(AGAIN)))
        }
    }
}

impl Mail {
    /// Does something at the mailbox's home: here by `here`, elsewhere by asking that relay `question` at `path`. Looks again, and
    /// repeats, where the mailbox moves meanwhile or the relay does not answer, for [`MailLimits::patience`](super::MailLimits).
    ///
    /// Both may be repeated: `here` after a refusal only, the question also where an answer was lost.
    pub(super) async fn wherever<T, W: Future<Output = Result<T, Refusal>>>(
        &self,
        mailbox: &str,
        here: impl Fn() -> W,
        path: &str,
        question: &impl Serialize,
        read: impl Fn(StatusCode, &[u8]) -> Option<T>,
    ) -> Result<T, Problem> {
        let until = Instant::now() + self.limits.patience;
        let question = Bytes::from(serde_json::to_vec(question).map_err(|_| BAD_REQUEST)?);
        let mut place = self.at_home(mailbox, &here).await?;
        loop {
            let home = match place {
                Place::Done(done) => return Ok(done),
                Place::Elsewhere(home) => home,
            };
            let refused = match self.elsewhere(home, path, question.clone()).await {
                Said::Done(status, answer) => {
                    return read(status, &answer).ok_or_else(|| REGION_AWAY.retry_after(AGAIN));
                }
                Said::No(problem) => return Err(problem),
                Said::Again(problem) => problem,
            };
            if Instant::now() + PAUSE > until {
                return Err(refused.retry_after(AGAIN));
            }
            tokio::time::sleep(PAUSE).await;
            let now = self.moving.asked(mailbox).await?.ok_or(MAILBOX_UNKNOWN)?;
            place = match self.moving.is_here(now) {
                true => self.at_home(mailbox, &here).await?,
                false => Place::Elsewhere(now),
            };
        }
    }

    async fn elsewhere(&self, home: Known, path: &str, question: Bytes) -> Said {
        match self.moving.endpoint(home) {
            Some(endpoint) => self.peers.ask(endpoint, path, question).await,
            None => Said::Again(REGION_AWAY),
        }
    }

    /// Answers another relay: `path` is one of `/v1/relay/messages`, `/v1/relay/keys/claim`, `/v1/relay/presence`, `body` what was
    /// read of it, at most 256 KiB. Nothing is sent on from here.
    pub async fn answer_relay(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        let answer = match self.tokens.admit(headers) {
            false => Err(UNAUTHORIZED_RELAY),
            true => match self.relay_requests.try_acquire() {
                Err(_) => Err(BUSY.retry_after(AGAIN)),
                Ok(_place) => self.asked_by_a_relay(path, body).await,
            },
        };
        answer.unwrap_or_else(|problem| problem.answer())
    }

    async fn asked_by_a_relay(&self, path: &str, body: &[u8]) -> Result<Response<Body>, Problem> {
        match path {
            MESSAGES => {
                let asked: RelaySend = read(body)?;
                let sent = self.sent_here(&asked).await?;
                self.here(sent).map(|sent| super::messages::sent(&sent))
            }
            CLAIM => {
                let asked: ClaimKeys = read(body)?;
                let claimed = self.claimed_here(asked.mailbox).await?;
                self.here(claimed)?.map(|keys| json(StatusCode::OK, &keys))
            }
            PRESENCE => {
                let asked: RelayPresence = read(body)?;
                let seen = self.seen_here(&asked).await?;
                self.here(seen).map(|seen| json(StatusCode::OK, &seen))
            }
            _ => Err(NO_SUCH_PATH),
        }
    }

    fn here<T>(&self, place: Place<T>) -> Result<T, Problem> {
        match place {
            Place::Done(done) => Ok(done),
            Place::Elsewhere(home) => Err(self.moving.moved(home)),
        }
    }
}

/// A request's body as it must be.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.len() > REQUEST_BYTES_MAX {
        return Err(MESSAGE_TOO_LARGE);
    }
    parse(body).map_err(|e| BAD_REQUEST.because(e.to_string()))
}

/// An answer that nobody keeps.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut answer = Response::new(body::full(serde_json::to_vec(value).unwrap_or_default()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Done, and nothing to say.
pub(super) fn done() -> Response<Body> {
    let mut answer = Response::new(body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
