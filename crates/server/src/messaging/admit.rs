//! Whose a request is: the token's signature, the proof of the device's key, and what the database says now.

use super::refusals::{NO_JSON, TOO_SLOW, of_proof, of_store, of_token, refused, unreadable};
use super::shared::{Shared, now_ms};
use super::waiting;
use crate::Problem;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use domicile_messaging::VerifyingKey;
use domicile_messaging::consent::{Countersigned, Purpose, Purposes, device_of};
use domicile_messaging::proof::{self, Proof};
use domicile_messaging::token::Claims;
use domicile_messaging::wire::limits::REQUEST_BYTES_MAX;
use domicile_messaging::wire::{CONSENT_HEADER, DeviceId, Key, MailboxId, PROOF_HEADER, ProblemCode, parse};
use domicile_stores::mailboxes::{GIVEN, Holder};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// After news of a mailbox a long poll that is not over by then looks whether it may go on.
const NEWS: Duration = Duration::from_millis(50);

/// Who asks, proven, with what was sent.
pub(super) struct Caller {
    pub device: DeviceId,
    pub key: Key,
    /// Its mailbox, which lives here. `None`: it has not registered yet.
    pub mailbox: Option<MailboxId>,
    /// Has the mailbox its number?
    pub has_number: bool,
    /// What its owner agrees to now.
    pub purposes: Purposes,
    /// What one agreed to that has no mailbox.
    pub waiting: Waited,
    pub parts: Parts,
    pub body: Bytes,
    /// A place among the requests that are answered at once, as long as this one is.
    _place: Option<OwnedSemaphorePermit>,
}

impl Caller {
    /// The body's JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        is_json(&self.parts)?;
        parse(&self.body).map_err(unreadable)
    }

    /// Its mailbox, whose number is proven.
    pub fn mailbox(&self) -> Result<MailboxId, Problem> {
        self.mailbox.filter(|_| self.has_number).ok_or_else(|| refused(ProblemCode::NotRegistered))
    }
}

/// What a device without a mailbox agreed to.
#[derive(Default)]
pub(super) struct Waited {
    pub records: Vec<Countersigned>,
    /// The same as it was read.
    pub row: Vec<u8>,
}

/// A device as it is known here.
struct Known {
    key: Key,
    mailbox: Option<MailboxId>,
    has_number: bool,
    purposes: Purposes,
    waiting: Waited,
}

impl Shared {
    /// Lets a request in whose device may do what is for this purpose.
    pub async fn admit(&self, request: Request, purpose: Purpose) -> Result<Caller, Problem> {
        self.admitted(request, purpose, false).await
    }

    /// The same of a request that waits, as long as its device wants: it takes nobody's place.
    pub async fn admit_to_wait(&self, request: Request, purpose: Purpose) -> Result<Caller, Problem> {
        self.admitted(request, purpose, true).await
    }

    async fn admitted(&self, request: Request, purpose: Purpose, waits: bool) -> Result<Caller, Problem> {
        let token =
            header(request.headers(), CONSENT_HEADER).ok_or_else(|| refused(ProblemCode::ConsentMissing))?;
        let service = self.settings.service_key.verifying_key();
        let claims = self.verified.check(token, &service, self.region(), now_s()).map_err(of_token)?;
        let caller = self.prove(request, &claims, waits).await?;
        if !caller.purposes.has(purpose) {
            return Err(refused(ProblemCode::ConsentWithdrawn).because(purpose.as_str()));
        }
        Ok(caller)
    }

    /// Lets a request in that asks for a new token: with an old one, also one of the region where the mailbox was before.
    pub async fn admit_late(&self, request: Request) -> Result<Caller, Problem> {
        let token = header(request.headers(), CONSENT_HEADER);
        let token = token.ok_or_else(|| refused(ProblemCode::ConsentMissing))?;
        let (region, exp) = unverified(token).ok_or_else(|| refused(ProblemCode::ConsentForged))?;
        let relay = self.relay(&region).map_err(|_| refused(ProblemCode::ConsentForged))?;
        // Its last second: how long ago that was does not matter to who holds the device's key.
        let last = exp.saturating_sub(1).min(now_s());
        let claims = Claims::check(token, &relay.service_key, &region, last).map_err(of_token)?;
        self.prove(request, &claims, false).await
    }

    /// The mailbox that a device had when it was given the token it shows, however old that is.
    pub fn shown(&self, parts: &Parts, device: DeviceId) -> Option<MailboxId> {
        let token = parts.headers.get(CONSENT_HEADER)?.to_str().ok()?;
        let (region, exp) = unverified(token)?;
        let relay = self.relay(&region).ok()?;
        let last = exp.saturating_sub(1).min(now_s());
        let claims = Claims::check(token, &relay.service_key, &region, last).ok()?;
        claims.mailbox.filter(|_| claims.device == device)
    }

    async fn prove(&self, request: Request, claims: &Claims, waits: bool) -> Result<Caller, Problem> {
        let proof = proof_of(request.headers())?;
        let (parts, body) = self.read(request).await?;
        // Who has a token may be anybody, and sends as slowly as they like: a place is for who has sent it all.
        let place = if waits { None } else { Some(self.place()?) };
        let known = self.known(claims).await?;
        let now = now_s();
        self.is_signed(&proof, &known.key, (&parts, &body), now)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.first_time(claims.device, &proof, now).map_err(of_proof)?;
        drop(seen);
        let Known { key, mailbox, has_number, purposes, waiting } = known;
        let device = claims.device;
        Ok(Caller { device, key, mailbox, has_number, purposes, waiting, parts, body, _place: place })
    }

    /// Is a record brought by who has signed it? Else whoever reads records could bring old ones again.
    ///
    /// That it was brought so before is not asked: the same record changes nothing, and strangers would fill the memory.
    pub fn is_its_own(&self, key: &Key, parts: &Parts, body: &[u8]) -> Result<(), Problem> {
        self.is_signed(&proof_of(&parts.headers)?, key, (parts, body), now_s())
    }

    fn is_signed(
        &self,
        proof: &Proof,
        key: &Key,
        (parts, body): (&Parts, &[u8]),
        now: i64,
    ) -> Result<(), Problem> {
        let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let (region, method) = (self.region().as_str(), parts.method.as_str());
        let signed = proof::Request { region, method, path_and_query, body };
        let key = VerifyingKey::from_bytes(&key.0).map_err(|_| refused(ProblemCode::ProofForged))?;
        proof.check(&key, signed, now).map_err(of_proof)
    }

    /// A long poll, which goes on only as long as the mailbox is this device's and its owner agrees to messages: by its end either
    /// may be over, and what came since is somebody else's.
    pub async fn while_held<T>(
        &self,
        caller: &Caller,
        mailbox: MailboxId,
        poll: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let mut poll = std::pin::pin!(poll);
        let mut news = self.mail.moving.wait_for(&mailbox.to_string());
        let answer = loop {
            tokio::select! {
                answer = &mut poll => break answer,
                _ = news.heard(self.mail.limits.reread) => {}
            }
            // Most news is a message, which ends the poll by itself.
            if let Ok(answer) = tokio::time::timeout(NEWS, &mut poll).await {
                break answer;
            }
            self.still_holds(caller, mailbox).await?;
        };
        self.still_holds(caller, mailbox).await.map(|()| answer)
    }

    async fn still_holds(&self, caller: &Caller, mailbox: MailboxId) -> Result<(), Problem> {
        let name = mailbox.to_string();
        let holder = self.mailboxes.holder(&name).await.map_err(|e| of_store(&e))?;
        let Some(holder) = holder.filter(|holder| holder.is_home) else {
            // Under way, or at another home: the poll knows, and says which.
            return Ok(());
        };
        let known = self.holds(&holder, &caller.device).await?;
        match known.purposes.has(Purpose::CloudMessaging) {
            true => Ok(()),
            false => Err(refused(ProblemCode::ConsentWithdrawn).because(Purpose::CloudMessaging.as_str())),
        }
    }

    /// Head and whole body, within the limits.
    pub async fn read(&self, request: Request) -> Result<(Parts, Bytes), Problem> {
        self.read_some(request, REQUEST_BYTES_MAX).await
    }

    /// The same with a body of so many bytes at most.
    pub async fn read_some(&self, request: Request, most: usize) -> Result<(Parts, Bytes), Problem> {
        let (parts, body) = request.into_parts();
        let body = self.whole(body, most).await?;
        Ok((parts, body))
    }

    async fn whole(&self, body: Body, most: usize) -> Result<Bytes, Problem> {
        let read = Limited::new(body, most).collect();
        match tokio::time::timeout(self.limits.body, read).await {
            Err(_) => Err(TOO_SLOW),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(refused(ProblemCode::TooBig)),
            Ok(Err(_)) => Err(refused(ProblemCode::BadRequest).because("the body ended too early")),
            Ok(Ok(body)) => Ok(body.to_bytes()),
        }
    }

    async fn known(&self, claims: &Claims) -> Result<Known, Problem> {
        let device = claims.device.to_string();
        let mailbox = match claims.mailbox {
            Some(mailbox) => Some(mailbox.to_string()),
            None => self.mailbox_of(&device).await?,
        };
        if let Some(mailbox) = mailbox {
            return self.known_by(mailbox, &claims.device).await;
        }
        let found = self.mailboxes.waiting(&device, now_ms()).await.map_err(|e| of_store(&e))?;
        let Some(waiting) = found else {
            // Or it got its mailbox between these two looks.
            let mailbox =
                self.mailbox_of(&device).await?.ok_or_else(|| refused(ProblemCode::DeviceUnknown))?;
            return self.known_by(mailbox, &claims.device).await;
        };
        let records = waiting::read(&waiting)?;
        let key = key_of(&waiting.device_key, &claims.device)?;
        let purposes = waiting::given(&records);
        let waiting = Waited { records, row: waiting.record };
        Ok(Known { key, mailbox: None, has_number: false, purposes, waiting })
    }

    async fn mailbox_of(&self, device: &str) -> Result<Option<String>, Problem> {
        self.mailboxes.mailbox_of(device).await.map_err(|e| of_store(&e))
    }

    async fn holder(&self, mailbox: &str) -> Result<Holder, Problem> {
        match self.mailboxes.holder(mailbox).await.map_err(|e| of_store(&e))? {
            Some(holder) => Ok(holder),
            None => Err(self.not_here(mailbox).await),
        }
    }

    /// A device by a mailbox that it had when it was asked last.
    async fn known_by(&self, mailbox: String, device: &DeviceId) -> Result<Known, Problem> {
        let (mut holder, name) = (self.holder(&mailbox).await?, device.to_string());
        // One that was never finished, and that it gave up for another.
        if holder.is_home
            && holder.device != name
            && let Some(own) = self.mailbox_of(&name).await?
        {
            holder = self.holder(&own).await?;
        }
        self.holds(&holder, device).await
    }

    async fn holds(&self, holder: &Holder, device: &DeviceId) -> Result<Known, Problem> {
        if !holder.is_home {
            return Err(self.not_here(&holder.mailbox).await);
        }
        if holder.device.is_empty() {
            return Err(refused(ProblemCode::ConsentWithdrawn));
        }
        if holder.device != device.to_string() {
            return Err(refused(ProblemCode::DeviceReplaced));
        }
        let id: MailboxId = holder.mailbox.parse().map_err(|_| super::refusals::BROKEN)?;
        let key = key_of(&holder.device_key, device)?;
        let (has_number, purposes) = (holder.has_number, given(holder));
        Ok(Known { key, mailbox: Some(id), has_number, purposes, waiting: Waited::default() })
    }
}

/// What a mailbox's owner agrees to.
pub(super) fn given(holder: &Holder) -> Purposes {
    let is_given = |(purpose, state): &(String, String)| purpose.parse().ok().filter(|_| state == GIVEN);
    holder.consents.iter().filter_map(is_given).collect()
}

/// A key as it is kept. INVARIANT: the one whose hash is the device's id.
fn key_of(bytes: &[u8], device: &DeviceId) -> Result<Key, Problem> {
    let key = Key(bytes.try_into().map_err(|_| super::refusals::BROKEN)?);
    if device_of(&key) == *device { Ok(key) } else { Err(refused(ProblemCode::ProofForged)) }
}

fn proof_of(headers: &HeaderMap) -> Result<Proof, Problem> {
    let proof = header(headers, PROOF_HEADER).ok_or_else(|| refused(ProblemCode::ProofMissing))?;
    proof.parse().map_err(of_proof)
}

/// A header's text; none where it is there twice.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().ok(),
        _ => None,
    }
}

/// Region and end of a token whose signature is not looked at yet: which key has to have signed it.
fn unverified(token: &str) -> Option<(domicile_messaging::wire::RegionName, i64)> {
    use base64::Engine;
    #[derive(serde::Deserialize)]
    struct Begin {
        region: domicile_messaging::wire::RegionName,
        exp: i64,
    }
    let short = token.len() <= domicile_messaging::wire::limits::TOKEN_BYTES_MAX;
    let (claims, _) = token.split_once('.').filter(|_| short)?;
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    let begin: Begin = serde_json::from_slice(&json).ok()?;
    Some((begin.region, begin.exp))
}

pub(super) fn is_json(parts: &Parts) -> Result<(), Problem> {
    let is = parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|v| {
        v.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    });
    if is { Ok(()) } else { Err(NO_JSON) }
}

fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}
