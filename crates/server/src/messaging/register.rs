//! Registration: a number is proven by a code, and gets a mailbox, or a new device for the one that it has.
//!
//! ```text
//! start:  whose home is it? -> attempt (hashes only) -> text message
//! finish: code -> claim reserved -> home in the directory -> row here -> claim committed -> number sealed, tag
//! ```
//! INVARIANT: a mailbox is found, and written to, only once its number's claim is its own: the last step makes it so.
//! Each step may be done again; a mailbox's id follows from its attempt, so that it is the same one then.

use super::admit::Caller;
use super::refusals::{self, BROKEN, DEVICE_KNOWN, NUMBER_BUSY, SMS_AWAY, of_store, refused};
use super::routes::json;
use super::shared::{Shared, now_ms};
use crate::Problem;
use axum::extract::{Request, State};
use axum::response::Response;
use domicile_directory::{Claim, ClaimKind, Claimed, Committed, Reserved};
use domicile_messaging::consent::{Countersigned, Purpose};
use domicile_messaging::number::Number;
use domicile_messaging::registration::NumberProof;
use domicile_messaging::wire::limits::{CODE_S, CODE_TRIES_MAX};
use domicile_messaging::wire::{
    Attempt, Code, FinishRegistration, Home, IdentityKeys, MailboxId, ProblemCode, Registered,
    RegistrationStarted, StartRegistration,
};
use domicile_policy::{Class, Country};
use domicile_stores::mailboxes::{Agreed, AttemptLimits, Kept, NewAttempt, Owner, Proven, Refusal};
use domicile_stores::records::SubjectId;
use hmac::{Hmac, Mac};
use http::StatusCode;
use jiff::Timestamp;
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// How long a number is kept for a mailbox that is being made.
const RESERVED: Duration = Duration::from_secs(600);
/// Ids that are hashed at once where a mailbox is looked for by its hash.
const PAGE: u32 = 1_000;

/// `POST register/start`: sends a code.
pub(super) async fn start(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let caller = shared.admit(request, Purpose::CloudMessaging).await?;
    let StartRegistration { number } = caller.json()?;
    shared.belongs_here(&number).await?;
    let (attempt, code) = (Attempt::random(), Code::random());
    let begun = NewAttempt {
        id: attempt.to_string(),
        device: caller.device.to_string(),
        number_mac: shared.mac_of_number(&number),
        code_mac: shared.mac_of_code(&attempt, &code),
        expires_ms: now_ms().saturating_add(CODE_S * 1_000),
    };
    // CRASH: an attempt whose code was not sent; it counts, and ends by itself.
    let begins = shared.mailboxes.begin_attempt(&begun, &shared.attempt_limits()).await;
    if !begins.map_err(|e| of_store(&e))? {
        return Err(refused(ProblemCode::CodesSpent).retry_after(shared.limits.starts_per));
    }
    let text = format!("{} is your code. Nobody will ask you for it but your own telephone.", code.as_str());
    // Why it failed is the operator's to know: it is counted, and never holds the number.
    shared.sms.send(number.as_str(), &text).await.map_err(|_| SMS_AWAY)?;
    Ok(json(StatusCode::ACCEPTED, &RegistrationStarted { attempt }))
}

/// `POST register/finish`: checks the code; then the number has its mailbox on this device.
pub(super) async fn finish(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let caller = shared.admit(request, Purpose::CloudMessaging).await?;
    let asked: FinishRegistration = caller.json()?;
    let number_mac = shared.mac_of_number(&asked.number);
    let (id, device) = (asked.attempt.to_string(), caller.device.to_string());
    let tried = shared.mailboxes.try_code((&id, &device), &number_mac, now_ms(), CODE_TRIES_MAX).await;
    let wanted = tried.map_err(|e| of_store(&e))?.ok_or_else(|| refused(ProblemCode::CodeWrong))?;
    let shown = shared.mac_of_code(&asked.attempt, &asked.code);
    if !bool::from(wanted.ct_eq(&shown)) {
        return Err(refused(ProblemCode::CodeWrong));
    }
    let (country, claimed) = shared.belongs_here(&asked.number).await?;
    let registering = Registering { shared: &shared, caller: &caller, asked: &asked, country };
    let (mailbox, epoch) = match claimed {
        Some(claimed) => Box::pin(registering.take_over(&claimed)).await?,
        None => Box::pin(registering.make()).await?,
    };
    Box::pin(registering.prove(&mailbox, &number_mac)).await?;
    let region = shared.region().clone();
    let number_proof = NumberProof::issue(
        &shared.settings.service_key,
        region.clone(),
        (mailbox, caller.device),
        &asked.number,
        Timestamp::now(),
    );
    let endpoint = shared.relay(&region)?.endpoint.clone();
    let home = Home { region, endpoint, epoch };
    Ok(json(StatusCode::CREATED, &Registered { mailbox, number_proof, home }))
}

impl Shared {
    /// The number's country, and who has its claim. A refusal: another region is the home, or none may be.
    async fn belongs_here(&self, number: &Number) -> Result<(Country, Option<Claimed>), Problem> {
        let country = number.country().and_then(|code| code.parse::<Country>().ok());
        let country = country.filter(|_| number.takes_codes());
        let country = country.ok_or_else(|| refused(ProblemCode::NumberInvalid))?;
        let claim = [claim(number)?];
        let claimed = self.ask(self.directory.resolve(&self.settings.service, &claim)).await?.pop().flatten();
        let (region, epoch) = match &claimed {
            Some(claimed) => (claimed.home.region.clone(), claimed.home.epoch),
            None => {
                let placed = self.placing.place(&Class::resident(country));
                let home = placed.home.clone();
                (home.ok_or_else(|| refused(ProblemCode::NoHome).because(placed.why.clone()))?, 0)
            }
        };
        if region != self.region().as_str() {
            return Err(refusals::moved(self.elsewhere(&region, epoch)));
        }
        Ok((country, claimed))
    }

    /// Forgets, again and again until the relay stops, what registrations and devices without a mailbox left behind.
    pub async fn forgets(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.mail.limits.sweep) => {}
                () = self.stop.stopped() => return,
            }
            // The database is away: the next time.
            let _ = self.mailboxes.forget_over(self.attempt_limits().since_ms, now_ms()).await;
        }
    }

    fn attempt_limits(&self) -> AttemptLimits {
        let limits = &self.limits;
        let window_ms = i64::try_from(limits.starts_per.as_millis()).unwrap_or(i64::MAX);
        AttemptLimits {
            // A row ends a code's time after it began.
            since_ms: now_ms().saturating_sub(window_ms).saturating_add(CODE_S * 1_000),
            per_number: limits.starts_per_number,
            per_device: limits.starts_per_device,
            all: limits.starts_an_hour,
        }
    }

    /// A keyed hash for what is at rest: the key follows from the service key, which the database does not hold.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let seed = zeroize::Zeroizing::new(self.settings.service_key.to_bytes());
        let mut mac = Hmac::<Sha256>::new_from_slice(&*seed).expect("HMAC takes keys of any length");
        mac.update(b"domicile registration v1\n");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn mac_of_number(&self, number: &Number) -> Vec<u8> {
        self.mac(&[b"number", number.as_str().as_bytes()]).to_vec()
    }

    fn mac_of_code(&self, attempt: &Attempt, code: &Code) -> Vec<u8> {
        self.mac(&[b"code", &attempt.0, code.as_str().as_bytes()]).to_vec()
    }

    fn mailbox_of_attempt(&self, attempt: &Attempt) -> MailboxId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.mac(&[b"mailbox", &attempt.0])[..16]);
        MailboxId(id)
    }
}

fn claim(number: &Number) -> Result<Claim, Problem> {
    Claim::new(ClaimKind::Phone, number.as_str()).map_err(|_| refused(ProblemCode::NumberInvalid))
}

/// A registration whose code was right.
struct Registering<'a> {
    shared: &'a Shared,
    caller: &'a Caller,
    asked: &'a FinishRegistration,
    country: Country,
}

impl Registering<'_> {
    fn owner(&self, mailbox: &str) -> Owner {
        Owner {
            mailbox: mailbox.to_owned(),
            country: self.country.alpha2().to_owned(),
            device: self.caller.device.to_string(),
            device_key: self.caller.key.0.to_vec(),
        }
    }

    /// A number that nobody has.
    async fn make(&self) -> Result<(MailboxId, u64), Problem> {
        let (shared, service) = (self.shared, self.shared.settings.service.as_str());
        if self.caller.has_number {
            return Err(DEVICE_KNOWN);
        }
        // One that was begun before, by this attempt or another one of the device, is gone on with.
        let mailbox = self.caller.mailbox.unwrap_or_else(|| shared.mailbox_of_attempt(&self.asked.attempt));
        let (subject, attempt) = (SubjectId(mailbox.to_string()), self.asked.attempt.to_string());
        let claims = [claim(&self.asked.number)?];
        // CRASH: reserved for this mailbox, which is not there; the reservation ends by itself.
        let reserved = shared.directory.reserve(service, &subject, &claims, &attempt, RESERVED);
        if matches!(shared.ask(reserved).await?.pop(), Some(Reserved::Taken) | None) {
            return Err(NUMBER_BUSY);
        }
        // CRASH: a home of nobody; the same attempt goes on here. If none does, `verify` names the home.
        let subjects = std::slice::from_ref(&subject);
        let registered = shared.directory.register(service, shared.region().as_str(), subjects);
        let registered = shared.ask(registered).await?;
        let mut homes = registered.new.iter().chain(&registered.already);
        let epoch = homes.next().map(|(_, home)| home.epoch).ok_or(NUMBER_BUSY)?;
        if self.caller.mailbox.is_none() {
            let (owner, records) = (self.owner(&subject.0), self.records()?);
            let agreed = (&*self.caller.waiting.row, &*records);
            // CRASH: a row that nobody finds and whose device goes on here with its next attempt.
            match shared.mailboxes.make(&owner, epoch, agreed, now_ms()).await {
                // It was begun before, and withdrawn: nobody's.
                Err(Refusal::Taken) => self.given(&subject.0).await?,
                made => made.map_err(|e| of_store(&e))?,
            }
        }
        // CRASH: the number's claim is the mailbox's; finished again, the device takes its own mailbox over.
        let committed = shared.directory.commit(service, &subject, &claims, &attempt);
        match shared.ask(committed).await?.pop() {
            Some(Committed::Yes) => Ok((mailbox, epoch)),
            Some(Committed::Lost) | None => Err(NUMBER_BUSY),
        }
    }

    /// A number that has a mailbox here: this device gets it.
    async fn take_over(&self, claimed: &Claimed) -> Result<(MailboxId, u64), Problem> {
        let shared = self.shared;
        let mailbox = self.mailbox_of(claimed).await?;
        let id: MailboxId = mailbox.parse().map_err(|_| BROKEN)?;
        if self.caller.mailbox == Some(id) {
            return Ok((id, claimed.home.epoch));
        }
        if self.caller.has_number {
            return Err(DEVICE_KNOWN);
        }
        self.given(&mailbox).await?;
        shared.ends(id);
        Ok((id, claimed.home.epoch))
    }

    /// A mailbox that has a row is this device's from here on.
    async fn given(&self, mailbox: &str) -> Result<(), Problem> {
        let (shared, records) = (self.shared, self.records()?);
        let half = self.caller.mailbox.map(|half| half.to_string());
        let agreed = match &half {
            Some(half) => Agreed::HalfMade(half),
            None => Agreed::Waiting { row: &self.caller.waiting.row, records: &records },
        };
        match shared.mailboxes.take_over(&self.owner(mailbox), agreed).await {
            Ok(()) => Ok(()),
            Err(refusal) if refusal.is_elsewhere() => Err(shared.not_here(mailbox).await),
            Err(refusal) => Err(of_store(&refusal)),
        }
    }

    /// The mailbox behind a claim, of which the directory has only a hash: the device's own, the attempt's, where the number's tag
    /// lies, else the one of all here that has the hash.
    async fn mailbox_of(&self, claimed: &Claimed) -> Result<String, Problem> {
        let (shared, service) = (self.shared, self.shared.settings.service.as_str());
        let is_it = |id: &str| shared.directory.hash(service, &SubjectId(id.to_owned())) == claimed.subject;
        let derived = shared.mailbox_of_attempt(&self.asked.attempt);
        let likely = [self.caller.mailbox, Some(derived)].into_iter().flatten().map(|id| id.to_string());
        if let Some(found) = likely.into_iter().find(|id| is_it(id)) {
            return Ok(found);
        }
        if let Some(found) = shared.tagged(&self.asked.number).await?.filter(|id| is_it(id)) {
            return Ok(found);
        }
        let mut after = String::new();
        loop {
            let page = shared.mailboxes.ids_after(&after, PAGE).await.map_err(|e| of_store(&e))?;
            let Some(last) = page.last() else { return Err(NUMBER_BUSY) };
            if let Some(found) = page.iter().find(|id| is_it(id)) {
                return Ok(found.clone());
            }
            after.clone_from(last);
        }
    }

    /// What the device agreed to, as it is kept: after what a former device agreed to, which ends.
    fn records(&self) -> Result<Vec<Kept>, Problem> {
        let own = |record: &Countersigned| {
            let signed = &record.signed.record;
            Ok(Kept {
                purpose: signed.processing.purpose.as_str().to_owned(),
                seq: 1,
                state: signed.event.event_state.as_str().to_owned(),
                record: serde_json::to_vec(record).map_err(|_| BROKEN)?,
            })
        };
        self.caller.waiting.records.iter().map(own).collect()
    }

    /// The last step: the number is sealed, and its tag lies where those who know it look.
    async fn prove(&self, mailbox: &MailboxId, number_mac: &[u8]) -> Result<(), Problem> {
        let (shared, number) = (self.shared, &self.asked.number);
        let identity: &IdentityKeys = &self.asked.identity_keys;
        let finds = self.caller.purposes.has(Purpose::ContactDiscovery);
        let tag = finds.then(|| shared.tag(number, mailbox, identity));
        let proven = Proven {
            number_sealed: shared.seal(number, mailbox)?,
            identity: identity.to_bytes().to_vec(),
            tag,
        };
        let (mailbox, device) = (mailbox.to_string(), self.caller.device.to_string());
        let attempt = self.asked.attempt.to_string();
        // CRASH: all of it or nothing; finished again, it is done again.
        let done = shared.mailboxes.prove((&mailbox, &device), &proven, (number_mac, &attempt)).await;
        match done {
            Ok(()) => {
                shared.mail.is_findable();
                shared.mail.forget(&mailbox);
                Ok(())
            }
            Err(refusal) if refusal.is_elsewhere() => Err(shared.not_here(&mailbox).await),
            Err(refusal) => Err(of_store(&refusal)),
        }
    }
}
