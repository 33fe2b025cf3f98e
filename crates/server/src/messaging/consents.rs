//! `POST consents` and `POST token`: what an owner agrees to, and the token that says so for ten minutes.

use super::admit::{given, is_json};
use super::refusals::{STORE_AWAY, of_record, of_store, refused, unreadable};
use super::routes::json;
use super::shared::{Shared, now_ms};
use super::waiting::{self, is_withdrawal};
use crate::Problem;
use axum::extract::{Request, State};
use axum::response::Response;
use domicile_messaging::consent::{Countersigned, DeviceSigned, EventState, Processing, Purpose, Purposes};
use domicile_messaging::token::Claims;
use domicile_messaging::wire::limits::WAITING_S;
use domicile_messaging::wire::{
    ConsentTaken, DeviceId, GiveConsent, MailboxId, ProblemCode, TokenIssued, parse,
};
use domicile_stores::mailboxes::{Effect, Holder, Kept, Refusal, Waiting};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Tries where another record of the same device comes between.
const TRIES: u32 = 4;
/// A request with a record, bytes: its texts are short.
const RECORD_BYTES_MAX: usize = 32 << 10;
/// How far ahead of ours a device's clock may be in a record.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// `POST consents`: takes a record, signs it too, and does what it means.
pub(super) async fn give(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    // Anybody may send one, as slowly as they like: a place is for who has sent it.
    let (parts, body) = shared.read_some(request, RECORD_BYTES_MAX).await?;
    let _place = shared.place()?;
    is_json(&parts)?;
    let GiveConsent { record } = parse(&body).map_err(unreadable)?;
    shared.check(&record)?;
    shared.is_its_own(&record.device_key, &parts, &body)?;
    is_of_now(&record)?;
    let before = shared.shown(&parts, record.record.header.pii_principal_id);
    for _ in 0..TRIES {
        if let Some(taken) = shared.take(&record, before).await? {
            return Ok(json(StatusCode::CREATED, &taken));
        }
    }
    Err(STORE_AWAY)
}

/// `POST token`: a new token for what is agreed to now.
pub(super) async fn token(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let caller = shared.admit_late(request).await?;
    let token = shared.token(caller.device, caller.mailbox, caller.purposes);
    let token = token.ok_or_else(|| refused(ProblemCode::ConsentWithdrawn))?;
    Ok(json(StatusCode::OK, &TokenIssued { token }))
}

impl Shared {
    /// A token, if anything is agreed to.
    pub fn token(&self, device: DeviceId, mailbox: Option<MailboxId>, purposes: Purposes) -> Option<String> {
        let now = Timestamp::now().as_second();
        let claims = Claims::at(now, self.region().clone(), device, mailbox, purposes);
        (!purposes.is_empty()).then(|| claims.sign(&self.settings.service_key))
    }

    /// Is it signed, on our terms, and of a time that can be?
    fn check(&self, signed: &DeviceSigned) -> Result<(), Problem> {
        let purpose = signed.record.processing.purpose;
        let offered = Processing::offered(purpose, self.region(), &self.settings.terms);
        signed.check_offered(&offered).map_err(of_record)?;
        if signed.record.event.validity.is_some() {
            return Err(refused(ProblemCode::RecordTerms).because("consent holds until it is withdrawn"));
        }
        Ok(())
    }

    /// Keeps the record where the device is known; `None`: another one came between.
    async fn take(
        &self,
        signed: &DeviceSigned,
        before: Option<MailboxId>,
    ) -> Result<Option<ConsentTaken>, Problem> {
        let device = signed.record.header.pii_principal_id.to_string();
        let mailbox = self.mailboxes.mailbox_of(&device).await.map_err(|e| of_store(&e))?;
        let Some(mailbox) = mailbox else {
            self.is_elsewhere(before).await?;
            let taken = self.take_waiting(signed, &device).await?;
            // The process that took it at first may have died before it said so.
            if let (Some(mailbox), EventState::Withdrawn) = (before, signed.record.event.event_state) {
                self.ends(mailbox);
            }
            return Ok(taken);
        };
        let holder = self.mailboxes.holder(&mailbox).await.map_err(|e| of_store(&e))?;
        match holder {
            // Another device has it since; what this one agrees to is not that one's.
            Some(holder) if holder.is_home && holder.device != device => Ok(None),
            Some(holder) if holder.is_home => self.take_of(signed, &holder).await,
            _ => Err(self.not_here(&mailbox).await),
        }
    }

    /// A device's mailbox that moved away, and of which nothing is left here: its records belong where it lives. Else the
    /// region that it left would take a withdrawal of which its home never hears.
    async fn is_elsewhere(&self, before: Option<MailboxId>) -> Result<(), Problem> {
        let Some(mailbox) = before else { return Ok(()) };
        if self.mailboxes.holder(&mailbox.to_string()).await.map_err(|e| of_store(&e))?.is_some() {
            return Ok(());
        }
        let problem = self.not_here(&mailbox.to_string()).await;
        if problem.code == ProblemCode::DeviceUnknown.as_str() { Ok(()) } else { Err(problem) }
    }

    fn countersign(&self, signed: &DeviceSigned) -> Countersigned {
        let (region, now) = (self.region().clone(), Timestamp::now());
        Countersigned::sign(signed.clone(), region, now, &self.settings.service_key)
    }

    async fn take_waiting(
        &self,
        signed: &DeviceSigned,
        device: &str,
    ) -> Result<Option<ConsentTaken>, Problem> {
        let now = now_ms();
        let before = self.mailboxes.waiting(device, now).await.map_err(|e| of_store(&e))?;
        let records = before.as_ref().map(waiting::read).transpose()?.unwrap_or_default();
        let latest = records.iter().find(|r| same_purpose(r, signed));
        let id = signed.record.header.pii_principal_id;
        if let Some(again) = newer(latest, signed)? {
            let token = self.token(id, None, waiting::given(&records));
            return Ok(Some(ConsentTaken { record: again.clone(), token }));
        }
        let record = self.countersign(signed);
        let records = waiting::with(records, record.clone());
        let kept = Waiting { device_key: signed.device_key.0.to_vec(), record: waiting::write(&records) };
        let until = now.saturating_add(WAITING_S * 1_000);
        let most = self.limits.waiting;
        let old = before.as_ref().map(|w| w.record.as_slice());
        let is_kept = self.mailboxes.keep_waiting(device, &kept, old, until, (now, most)).await;
        if !is_kept.map_err(|e| of_store(&e))? {
            return Ok(None);
        }
        Ok(Some(ConsentTaken { record, token: self.token(id, None, waiting::given(&records)) }))
    }

    async fn take_of(&self, signed: &DeviceSigned, holder: &Holder) -> Result<Option<ConsentTaken>, Problem> {
        let purpose = signed.record.processing.purpose;
        let device = signed.record.header.pii_principal_id;
        let all = self.mailboxes.records(&holder.mailbox).await.map_err(|e| of_store(&e))?;
        let of_purpose = || all.iter().filter(|kept| kept.purpose == purpose.as_str());
        let own = of_purpose().filter_map(|kept| serde_json::from_slice::<Countersigned>(&kept.record).ok());
        let latest = own.filter(|r| r.signed.device_key == signed.device_key).max_by_key(sequence);
        let mailbox: MailboxId = holder.mailbox.parse().map_err(|_| super::refusals::BROKEN)?;
        if let Some(again) = newer(latest.as_ref(), signed)? {
            // Whoever kept it may have died before it said so.
            self.has_changed(mailbox, is_withdrawal(again));
            let token = self.token(device, Some(mailbox), given(holder));
            return Ok(Some(ConsentTaken { record: again.clone(), token }));
        }
        let record = self.countersign(signed);
        let kept = Kept {
            purpose: purpose.as_str().to_owned(),
            seq: of_purpose().map(|kept| kept.seq).max().unwrap_or(0) + 1,
            state: signed.record.event.event_state.as_str().to_owned(),
            record: serde_json::to_vec(&record).map_err(|_| super::refusals::BROKEN)?,
        };
        let is_withdrawal = is_withdrawal(&record);
        let effects = if is_withdrawal { self.effects(purpose, &record) } else { Vec::new() };
        // CRASH: record and effects in one transaction; the device that got no answer sends the record again.
        match self.mailboxes.keep_consent((&holder.mailbox, &holder.device), &kept, &effects).await {
            Ok(()) => {}
            Err(Refusal::Taken | Refusal::Changed) => return Ok(None),
            Err(refusal) if refusal.is_elsewhere() => return Err(self.not_here(&holder.mailbox).await),
            Err(refusal) => return Err(of_store(&refusal)),
        }
        self.has_changed(mailbox, is_withdrawal);
        let purposes = with(given(holder), purpose, is_withdrawal);
        Ok(Some(ConsentTaken { record, token: self.token(device, Some(mailbox), purposes) }))
    }

    fn has_changed(&self, mailbox: MailboxId, is_withdrawal: bool) {
        if is_withdrawal {
            self.ends(mailbox);
        } else {
            self.mail.forget(&mailbox.to_string());
        }
    }

    /// What a withdrawal does.
    fn effects(&self, purpose: Purpose, record: &Countersigned) -> Vec<Effect> {
        let mut effects = Effect::of(purpose.as_str());
        if purpose == Purpose::CloudMessaging {
            let until_ms = now_ms().saturating_add(WAITING_S * 1_000);
            let signed = &record.signed;
            let remembered = waiting::write(std::slice::from_ref(record));
            effects.push(Effect::Remember {
                device: signed.record.header.pii_principal_id.to_string(),
                waiting: Waiting { device_key: signed.device_key.0.to_vec(), record: remembered },
                until_ms,
            });
        }
        effects
    }
}

fn is_of_now(signed: &DeviceSigned) -> Result<(), Problem> {
    let (now, at) = (Timestamp::now(), signed.record.event.event_time);
    let kept_for = SignedDuration::from_secs(WAITING_S);
    // Older than what is remembered of devices without a mailbox: it could be one that was superseded since.
    if at > now + AHEAD || at < now - kept_for {
        return Err(refused(ProblemCode::RecordSuperseded).because("its time is too far from now"));
    }
    Ok(())
}

fn sequence(record: &Countersigned) -> u64 {
    record.signed.record.event.sequence
}

fn same_purpose(record: &Countersigned, signed: &DeviceSigned) -> bool {
    record.signed.record.processing.purpose == signed.record.processing.purpose
}

/// `Some`: it is the latest one, sent again. `None`: it is new. An error: it is older.
fn newer<'a>(
    latest: Option<&'a Countersigned>,
    signed: &DeviceSigned,
) -> Result<Option<&'a Countersigned>, Problem> {
    match latest {
        Some(latest) if latest.signed == *signed => Ok(Some(latest)),
        Some(latest) if !signed.record.supersedes(sequence(latest)) => {
            Err(refused(ProblemCode::RecordSuperseded))
        }
        _ => Ok(None),
    }
}

fn with(purposes: Purposes, purpose: Purpose, withdrawn: bool) -> Purposes {
    if withdrawn && purpose == Purpose::CloudMessaging {
        return Purposes::default();
    }
    let others = purposes.iter().filter(|p| *p != purpose);
    others.chain((!withdrawn).then_some(purpose)).collect()
}
