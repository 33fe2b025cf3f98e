//! Two regions' relays in one process.

#![allow(clippy::result_large_err, clippy::type_complexity)] // problems as they are sent; a world in one struct

mod finding;

use super::Crash;
use crate::consent::{Countersigned, DeviceSigned, EventState, Processing, Purpose, Purposes, device_of};
use crate::device::{Relay, Unreachable};
use crate::discovery::{DiscoveryKey, Filter, Resident};
use crate::number::Number;
use crate::proof::{Proof, Request, Seen};
use crate::region::{Generation, RegionListed, SignedRegion};
use crate::registration::NumberProof;
use crate::token::{Claims, TokenFault};
use crate::wire::{self, *};
use bytes::Bytes;
use ed25519_dalek::{SigningKey, VerifyingKey};
use http::{Method, Response};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const REGIONS: [(&str, &str); 2] =
    [("beijing", "https://relay.beijing.example"), ("oregon", "https://relay.oregon.example")];

/// What a capture would show.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) region: String,
    pub(super) path: String,
    body: Vec<u8>,
}

impl Packet {
    pub(super) fn holds(&self, text: &str) -> bool {
        self.path.contains(text) || self.body.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Purpose and state of the record of consent that was brought.
    pub(super) fn record(&self) -> Option<(Purpose, EventState)> {
        let given: GiveConsent = serde_json::from_slice(&self.body).ok()?;
        Some((given.record.record.processing.purpose, given.record.record.event.event_state))
    }
}

struct Region {
    service: SigningKey,
    published: DiscoveryKey,
    used: Option<DiscoveryKey>,
    /// What its statement says of others' service keys, where it lies.
    lists: Option<Key>,
    entries: BTreeMap<Locator, (MailboxId, Entry)>,
}

struct Mailbox {
    device: DeviceId,
    number: Number,
    region: String,
    epoch: u64,
    identity: IdentityKeys,
    keys: Option<PublishKeys>,
    waiting: Vec<Message>,
    ids: Vec<MessageId>,
    lie: Option<String>,
    full: bool,
    /// Its device is away, and every sender may know.
    gone: bool,
}

#[derive(Default)]
struct Inner {
    regions: BTreeMap<String, Region>,
    devices: BTreeMap<DeviceId, (Key, BTreeMap<Purpose, (u64, bool)>)>,
    latest: BTreeMap<(DeviceId, Purpose), DeviceSigned>,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    attempts: BTreeMap<Attempt, Number>,
    seen: Seen,
    clock_off_s: i64,
    away: Option<String>,
    /// Requests to this path are refused so, the next one or all.
    refuses: Option<(&'static str, ProblemCode, bool)>,
    packets: Vec<Packet>,
    refusals: Vec<&'static str>,
}

#[derive(Clone)]
pub(super) struct World(Arc<Mutex<Inner>>);

/// A device's way to the relays.
pub(super) struct Line {
    world: World,
    crash: Option<Arc<Crash>>,
}

type Answer = Result<(u16, Vec<u8>), Problem>;

fn answer<T: Serialize>(status: u16, value: &T) -> Answer {
    Ok((status, serde_json::to_vec(value).unwrap()))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    wire::parse(body).map_err(|fault| Problem::from(ProblemCode::BadRequest).because(fault.to_string()))
}

impl World {
    pub(super) fn new() -> Self {
        let region = |seed: u8| Region {
            service: SigningKey::from_bytes(&[seed; 32]),
            published: DiscoveryKey::generate(),
            used: None,
            lists: None,
            entries: BTreeMap::new(),
        };
        let regions =
            REGIONS.iter().zip(1..).map(|((name, _), seed)| ((*name).to_owned(), region(seed))).collect();
        Self(Arc::new(Mutex::new(Inner { regions, ..Inner::default() })))
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(super) fn line(&self, crash: Option<Arc<Crash>>) -> Line {
        Line { world: self.clone(), crash }
    }

    pub(super) fn statement(&self, region: &str) -> SignedRegion {
        self.inner().statement(region)
    }

    pub(super) fn code(&self) -> Code {
        "12345678".parse().unwrap()
    }

    pub(super) fn packets(&self) -> Vec<Packet> {
        self.inner().packets.clone()
    }

    pub(super) fn refused(&self, code: &str) -> usize {
        self.inner().refusals.iter().filter(|refusal| **refusal == code).count()
    }

    pub(super) fn set_clock(&self, off_s: i64) {
        self.inner().clock_off_s = off_s;
    }

    /// A region whose relay does not answer the others, which have just started.
    pub(super) fn set_away(&self, region: Option<&str>) {
        self.inner().away = region.map(str::to_owned);
    }

    pub(super) fn move_mailbox(&self, id: MailboxId, to: &str) {
        let mut inner = self.inner();
        let mailbox = inner.mailboxes.get_mut(&id).unwrap();
        let from = std::mem::replace(&mut mailbox.region, to.to_owned());
        mailbox.epoch += 1;
        inner.regions.get_mut(&from).unwrap().entries.retain(|_, (of, _)| *of != id);
    }

    pub(super) fn lie_about_home(&self, id: MailboxId, endpoint: &str) {
        self.inner().mailboxes.get_mut(&id).unwrap().lie = Some(endpoint.to_owned());
    }

    /// The relay of one region lists another service key for the others from now on.
    pub(super) fn list_other_service_keys(&self, region: &str) {
        let key = SigningKey::from_bytes(&Key::random().0).verifying_key();
        self.inner().regions.get_mut(region).unwrap().lists = Some(Key(key.to_bytes()));
    }

    /// The number's owner has another device, and it the mailbox.
    pub(super) fn take_over(&self, of: MailboxId, by: MailboxId) {
        let mut inner = self.inner();
        let taken = inner.mailboxes.remove(&by).unwrap();
        let mailbox = inner.mailboxes.get_mut(&of).unwrap();
        (mailbox.device, mailbox.identity, mailbox.keys) = (taken.device, taken.identity, taken.keys);
    }

    pub(super) fn fill(&self, id: MailboxId, full: bool) {
        self.inner().mailboxes.get_mut(&id).unwrap().full = full;
    }

    /// Requests whose path has this in it are refused: the next one, or all.
    pub(super) fn refuse(&self, refusal: Option<(&'static str, ProblemCode)>, all: bool) {
        self.inner().refuses = refusal.map(|(path, code)| (path, code, all));
    }

    /// The operator withdraws in the owner's name, as was asked for by letter.
    pub(super) fn withdraw_for(&self, id: MailboxId, purpose: Purpose) {
        let mut inner = self.inner();
        let device = inner.mailboxes[&id].device;
        inner.devices.get_mut(&device).unwrap().1.get_mut(&purpose).unwrap().1 = false;
    }

    /// Somebody who knows the mailbox puts this there. Returns how many wait.
    pub(super) fn put(&self, to: MailboxId, bodies: impl IntoIterator<Item = MessageBody>) -> usize {
        let mut inner = self.inner();
        let waiting = &mut inner.mailboxes.get_mut(&to).unwrap().waiting;
        let now = Timestamp::now();
        waiting.extend(bodies.into_iter().map(|body| Message {
            id: MessageId::random(),
            body,
            received_at: now,
        }));
        waiting.len()
    }

    pub(super) fn goes_away(&self, id: MailboxId, gone: bool) {
        self.inner().mailboxes.get_mut(&id).unwrap().gone = gone;
    }

    pub(super) fn use_other_discovery_key(&self, region: &str) {
        self.inner().regions.get_mut(region).unwrap().used = Some(DiscoveryKey::generate());
    }
}

impl Relay for Line {
    async fn ask(&self, request: http::Request<Bytes>, _: usize) -> Result<Response<Bytes>, Unreachable> {
        let die = || self.crash.as_ref().map_or(Ok(()), |crash| crash.step());
        let died = |_| Unreachable("died".to_owned());
        die().map_err(died)?;
        let answer = self.world.inner().answer(&request);
        die().map_err(died)?;
        Ok(answer)
    }
}

impl Inner {
    fn now(&self) -> i64 {
        Timestamp::now().as_second() + self.clock_off_s
    }

    fn statement(&self, region: &str) -> SignedRegion {
        let key = &self.regions[region].service;
        let listed = REGIONS.iter().map(|(name, endpoint)| RegionListed {
            region: name.parse().unwrap(),
            country: "CN".parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
            service_key: self.regions[region].lists.filter(|_| *name != region).unwrap_or(Key(self.regions
                [*name]
                .service
                .verifying_key()
                .to_bytes())),
            generations: List::new(vec![Generation {
                generation: 1,
                public_key: self.regions[*name].published.public_key(),
                current: true,
            }])
            .unwrap(),
        });
        let regions = List::new(listed.collect()).unwrap();
        let statement =
            crate::region::RegionStatement { regions, ..crate::region::tests::statement(key, region) };
        statement.sign(key)
    }

    fn answer(&mut self, request: &http::Request<Bytes>) -> Response<Bytes> {
        let host = request.uri().host().unwrap();
        let region = host.split('.').nth(1).unwrap().to_owned();
        let path = request.uri().path_and_query().unwrap().as_str().to_owned();
        self.packets.push(Packet {
            region: region.clone(),
            path: path.clone(),
            body: request.body().to_vec(),
        });
        let date =
            Timestamp::from_second(self.now()).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let (status, body) = self.route(&region, &path, request).unwrap_or_else(|problem| {
            self.refusals.push(problem.code.as_str());
            (problem.status, serde_json::to_vec(&problem).unwrap())
        });
        Response::builder().status(status).header("date", date).body(body.into()).unwrap()
    }

    fn route(&mut self, region: &str, path: &str, request: &http::Request<Bytes>) -> Answer {
        let body = &request.body()[..];
        if let Some((_, code, all)) = self.refuses.filter(|(part, ..)| path.contains(part)) {
            self.refuses = self.refuses.filter(|_| all);
            return Err(code.into());
        }
        if path == "/v1/messaging/region" {
            return answer(200, &self.statement(region));
        }
        if path == "/v1/messaging/consents" {
            return self.consent(region, read::<GiveConsent>(body)?);
        }
        let device = self.prove(region, path, request)?;
        if path == "/v1/messaging/token" {
            self.admit_late(device, request)?;
            return answer(200, &TokenIssued { token: self.token(region, device)? });
        }
        let claims = self.claims(region, request)?;
        if claims.device != device {
            return Err(ProblemCode::ConsentForged.into());
        }
        if let Some(mailbox) = self.mailbox_of(device) {
            self.at_home(region, mailbox)?;
        }
        self.agreed(device, path)?;
        match path.strip_prefix("/v1/messaging/").unwrap_or_default() {
            "register/start" => self.start(read(body)?),
            "register/finish" => self.finish(region, device, read(body)?),
            "tag" => self.tag(region, device, read(body)?),
            "filters" => self.filters(),
            "discovery/evaluate" => self.evaluate(&read(body)?),
            "discovery/lookup" => self.lookup(&read(body)?),
            "keys" => self.publish(device, read(body)?),
            "keys/claim" => self.claim(&read(body)?),
            "messages" if request.method() == Method::POST => self.send(read(body)?),
            "messages/ack" => self.acknowledge(device, &read(body)?),
            path if path.starts_with("messages?") => self.fetch(device),
            path => self.filter(path),
        }
    }

    fn prove(
        &mut self,
        region: &str,
        path: &str,
        request: &http::Request<Bytes>,
    ) -> Result<DeviceId, Problem> {
        let proof =
            request.headers().get(PROOF_HEADER).and_then(|proof| proof.to_str().ok()).unwrap_or_default();
        let proof: Proof = proof.parse().map_err(|_| Problem::from(ProblemCode::ProofMissing))?;
        let (method, body) = (request.method().as_str(), request.body());
        let asked = Request { region, method, path_and_query: path, body };
        let now = self.now();
        let mut stale = false;
        let by = self.devices.iter().find(|(_, (key, _))| {
            let checked = proof.check(&VerifyingKey::from_bytes(&key.0).unwrap(), asked, now);
            stale |= checked == Err(crate::proof::ProofFault::Stale);
            checked.is_ok()
        });
        let refusal = if stale { ProblemCode::ProofStale } else { ProblemCode::ProofForged };
        let device = *by.ok_or(Problem::from(refusal))?.0;
        self.seen.first_time(device, &proof, now).map_err(|_| Problem::from(ProblemCode::ProofReplayed))?;
        Ok(device)
    }

    fn claims(&self, region: &str, request: &http::Request<Bytes>) -> Result<Claims, Problem> {
        let token = request.headers().get(CONSENT_HEADER).and_then(|token| token.to_str().ok());
        let token = token.ok_or(Problem::from(ProblemCode::ConsentMissing))?;
        let key = self.regions[region].service.verifying_key();
        Claims::check(token, &key, &region.parse().unwrap(), self.now()).map_err(|fault| match fault {
            TokenFault::Expired => ProblemCode::ConsentExpired.into(),
            TokenFault::Forged => ProblemCode::ConsentForged.into(),
        })
    }

    /// As the real one: an old token, also an expired one, also of another region; never none.
    fn admit_late(&self, device: DeviceId, request: &http::Request<Bytes>) -> Result<(), Problem> {
        let token = request.headers().get(CONSENT_HEADER).and_then(|token| token.to_str().ok());
        let token = token.ok_or(Problem::from(ProblemCode::ConsentMissing))?;
        let is_of = |(name, region): (&String, &Region)| {
            let key = region.service.verifying_key();
            // Today, or at some time of the last day.
            let times = (0..24 * 60).map(|minutes| self.now() - 60 * minutes);
            let mut claims =
                times.filter_map(|at| Claims::check(token, &key, &name.parse().unwrap(), at).ok());
            claims.next().is_some_and(|claims| claims.device == device)
        };
        let is_ours = self.regions.iter().any(is_of);
        if is_ours { Ok(()) } else { Err(ProblemCode::ConsentForged.into()) }
    }

    fn agreed(&self, device: DeviceId, path: &str) -> Result<(), Problem> {
        let wanted = match path {
            path if path.contains("discovery") || path.contains("filters") || path.ends_with("/tag") => {
                Purpose::ContactDiscovery
            }
            _ => Purpose::CloudMessaging,
        };
        let given = self.devices[&device].1.get(&wanted).is_some_and(|(_, given)| *given);
        if given { Ok(()) } else { Err(ProblemCode::ConsentWithdrawn.into()) }
    }

    fn consent(&mut self, region: &str, given: GiveConsent) -> Answer {
        let signed = given.record;
        let purpose = signed.record.processing.purpose;
        let terms = self.statement(region).statement.terms;
        let offered = Processing::offered(purpose, &region.parse().unwrap(), &terms);
        signed.check_offered(&offered).map_err(|_| Problem::from(ProblemCode::RecordForged))?;
        let device = device_of(&signed.device_key);
        if let Some(mailbox) = self.mailbox_of(device) {
            self.at_home(region, mailbox)?;
        }
        let (_, records) = self.devices.entry(device).or_insert((signed.device_key, BTreeMap::new()));
        let kept = records.get(&purpose).map_or(0, |(sequence, _)| *sequence);
        // The same one again, after an answer that was lost, is no other one.
        let again = self.latest.get(&(device, purpose)) == Some(&signed);
        if !again && !signed.record.supersedes(kept) {
            return Err(ProblemCode::RecordSuperseded.into());
        }
        let state = signed.record.event.event_state == EventState::Given;
        records.insert(purpose, (signed.record.event.sequence, state));
        self.latest.insert((device, purpose), signed.clone());
        if purpose == Purpose::CloudMessaging && !state {
            self.close(device);
        }
        let at = Timestamp::from_second(self.now()).unwrap();
        let record = Countersigned::sign(signed, region.parse().unwrap(), at, &self.regions[region].service);
        let token = self.token(region, device).ok();
        answer(201, &ConsentTaken { record, token })
    }

    /// As the real one does after a withdrawal: nobody finds the mailbox, and what waits there is gone.
    fn close(&mut self, device: DeviceId) {
        let Some(id) = self.mailbox_of(device) else { return };
        self.mailboxes.remove(&id);
        self.regions.values_mut().for_each(|region| region.entries.retain(|_, (of, _)| *of != id));
    }

    fn token(&self, region: &str, device: DeviceId) -> Result<String, Problem> {
        if let Some(mailbox) = self.mailbox_of(device) {
            self.at_home(region, mailbox)?;
        }
        let given =
            self.devices[&device].1.iter().filter(|(_, (_, given))| *given).map(|(purpose, _)| *purpose);
        let purposes: Purposes = given.collect();
        if purposes.is_empty() {
            return Err(ProblemCode::ConsentWithdrawn.into());
        }
        let claims =
            Claims::at(self.now(), region.parse().unwrap(), device, self.mailbox_of(device), purposes);
        Ok(claims.sign(&self.regions[region].service))
    }

    fn mailbox_of(&self, device: DeviceId) -> Option<MailboxId> {
        self.mailboxes.iter().find(|(_, mailbox)| mailbox.device == device).map(|(id, _)| *id)
    }

    fn home(&self, id: MailboxId) -> Home {
        let mailbox = &self.mailboxes[&id];
        let listed = REGIONS.iter().find(|(name, _)| *name == mailbox.region).unwrap();
        Home {
            region: mailbox.region.parse().unwrap(),
            endpoint: listed.1.parse().unwrap(),
            epoch: mailbox.epoch,
        }
    }

    fn at_home(&self, region: &str, id: MailboxId) -> Result<(), Problem> {
        let mut home = self.home(id);
        if let Some(endpoint) = &self.mailboxes[&id].lie {
            home = Home { region: "oregon".parse().unwrap(), endpoint: endpoint.parse().unwrap(), epoch: 9 };
        }
        if home.region.as_str() == region { Ok(()) } else { Err(Problem::moved(home)) }
    }

    fn start(&mut self, asked: StartRegistration) -> Answer {
        let attempt = Attempt::random();
        self.attempts.insert(attempt, asked.number);
        answer(202, &RegistrationStarted { attempt })
    }

    fn finish(&mut self, region: &str, device: DeviceId, asked: FinishRegistration) -> Answer {
        let right = asked.code.as_str() == "12345678"
            && self.attempts.remove(&asked.attempt).as_ref() == Some(&asked.number);
        if !right {
            return Err(ProblemCode::CodeWrong.into());
        }
        let id = MailboxId::random();
        let number_proof = NumberProof::issue(
            &self.regions[region].service,
            region.parse().unwrap(),
            (id, device),
            &asked.number,
            Timestamp::now(),
        );
        let mailbox = Mailbox {
            device,
            number: asked.number,
            region: region.to_owned(),
            epoch: 0,
            identity: asked.identity_keys,
            keys: None,
            waiting: Vec::new(),
            ids: Vec::new(),
            lie: None,
            full: false,
            gone: false,
        };
        self.mailboxes.insert(id, mailbox);
        answer(201, &Registered { mailbox: id, number_proof, home: self.home(id) })
    }

    fn publish(&mut self, device: DeviceId, keys: PublishKeys) -> Answer {
        let id = self.mailbox_of(device).ok_or(Problem::from(ProblemCode::NotRegistered))?;
        let mailbox = self.mailboxes.get_mut(&id).unwrap();
        if keys.identity != mailbox.identity || !crate::session::keys_are_signed(&keys) {
            return Err(ProblemCode::KeysForged.into());
        }
        mailbox.keys = Some(keys);
        Ok((204, Vec::new()))
    }

    fn reached(&self, id: &MailboxId) -> Result<(), Problem> {
        let is_away =
            self.mailboxes.get(id).is_some_and(|mailbox| Some(&mailbox.region) == self.away.as_ref());
        if is_away { Err(ProblemCode::RegionAway.into()) } else { Ok(()) }
    }

    fn claim(&mut self, asked: &ClaimKeys) -> Answer {
        self.reached(&asked.mailbox)?;
        let mailbox =
            self.mailboxes.get_mut(&asked.mailbox).ok_or(Problem::from(ProblemCode::MailboxUnknown))?;
        let keys = mailbox.keys.as_mut().ok_or(Problem::from(ProblemCode::KeysMissing))?;
        let mut all = keys.one_time.clone().into_vec();
        let one_time = all.pop().unwrap_or(keys.fallback);
        keys.one_time = List::new(all).unwrap();
        answer(200, &ClaimedKeys { identity: keys.identity, one_time })
    }

    fn send(&mut self, message: wire::Send) -> Answer {
        self.reached(&message.to)?;
        let mailbox =
            self.mailboxes.get_mut(&message.to).ok_or(Problem::from(ProblemCode::MailboxUnknown))?;
        if message.sealed_to.is_some_and(|key| key != mailbox.identity.curve25519) {
            return Err(ProblemCode::KeysOther.into());
        }
        if mailbox.full {
            return Err(ProblemCode::MailboxFull.into());
        }
        if mailbox.gone && message.if_offline == IfOffline::Sms {
            return answer(200, &Sent { state: SentState::UseSms });
        }
        if !mailbox.ids.contains(&message.id) {
            mailbox.ids.push(message.id);
            mailbox.waiting.push(Message {
                id: message.id,
                body: message.body,
                received_at: Timestamp::now(),
            });
        }
        answer(202, &Sent { state: SentState::Kept })
    }

    fn fetch(&self, device: DeviceId) -> Answer {
        let id = self.mailbox_of(device).ok_or(Problem::from(ProblemCode::NotRegistered))?;
        let page = self.mailboxes[&id].waiting.iter().take(limits::PAGE_MESSAGES_MAX).cloned().collect();
        answer(200, &Messages { messages: List::new(page).unwrap() })
    }

    fn acknowledge(&mut self, device: DeviceId, asked: &Acknowledge) -> Answer {
        let id = self.mailbox_of(device).ok_or(Problem::from(ProblemCode::NotRegistered))?;
        self.mailboxes.get_mut(&id).unwrap().waiting.retain(|message| !asked.ids.contains(&message.id));
        Ok((204, Vec::new()))
    }
}
