//! Keys to which others encrypt: put by a device, each one-time key given to one who begins to write.

use super::mail::{Mail, Place};
use super::refusals::{AGAIN, KEYS_MISSING, MAILBOX_UNKNOWN, TOO_MANY, refused};
use super::relays::{self, json};
use crate::{Body, Problem};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domicile_messaging::session::keys_are_signed;
use domicile_messaging::wire::{
    ClaimKeys, ClaimedKeys, DeviceId, IdentityKeys, MailboxId, OneTimeKey, ProblemCode, PublishKeys,
};
use domicile_stores::mailboxes::{Keys, OneTime, Refusal};
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};
use std::time::Instant;

impl Mail {
    /// `PUT /v1/messaging/keys` of a device whose mailbox this is. Senders would refuse a key that its identity has not signed,
    /// and it would be spent: it is refused here.
    pub(super) async fn put_keys(
        &self,
        (mailbox, device): (MailboxId, &DeviceId),
        body: &[u8],
    ) -> Result<Response<Body>, Problem> {
        let asked: PublishKeys = relays::read(body)?;
        if !keys_are_signed(&asked) {
            return Err(refused(ProblemCode::KeysForged));
        }
        let keys: Vec<OneTime> = asked.one_time.iter().map(named).collect();
        let (name, device, identity) = (mailbox.to_string(), device.to_string(), asked.identity.to_bytes());
        let put = || {
            let most = self.limits.one_time_keys;
            self.mailboxes.put_keys((&name, &device), (&identity, &asked.fallback.0), &keys, most)
        };
        match self.at_home(&name, put).await? {
            Place::Done(()) => {
                // What was counted of it has the key of before.
                self.forget(&name);
                Ok(relays::done())
            }
            Place::Elsewhere(home) => Err(self.moving.moved(home)),
        }
    }

    /// `POST /v1/messaging/keys/claim` of a sender whose mailbox is `from`.
    ///
    /// An answer that is lost is a key that is lost, never one that is given twice: the sender claims another.
    pub(super) async fn claim_keys(&self, from: MailboxId, body: &[u8]) -> Result<Response<Body>, Problem> {
        let asked: ClaimKeys = relays::read(body)?;
        self.claims
            .take(&from.to_string(), Instant::now())
            .map_err(|wait| TOO_MANY.retry_after(wait.max(AGAIN)))?;
        let name = asked.mailbox.to_string();
        // One who begins to write claims one key; nobody takes all that a device has put here.
        self.pair_claims
            .take(&super::messages::pair(&from, &name), Instant::now())
            .map_err(|wait| TOO_MANY.retry_after(wait.max(AGAIN)))?;
        let here = || self.claimed(&name);
        let read = |_, answer: &[u8]| serde_json::from_slice::<ClaimedKeys>(answer).ok().map(Ok);
        let keys = self.wherever(&name, here, relays::CLAIM, &asked, read).await?;
        keys.map(|keys| json(StatusCode::OK, &keys))
    }

    /// The same for another relay's user: here or nowhere.
    pub(super) async fn claimed_here(&self, mailbox: MailboxId) -> Result<Place<Claimed>, Problem> {
        let name = mailbox.to_string();
        self.at_home(&name, || self.claimed(&name)).await
    }

    async fn claimed(&self, mailbox: &str) -> Result<Claimed, Refusal> {
        let keys = self.mailboxes.claim(mailbox).await?;
        // No key has gone, so the guard has seen nothing: the fallback may be the one of before a move.
        let is_read = keys.as_ref().is_none_or(|keys| keys.one_time.is_none());
        if is_read && !self.is_home(mailbox).await? {
            return Err(Refusal::NotHere);
        }
        match keys.and_then(claimed) {
            Some(keys) => Ok(Ok(keys)),
            // One whose owner has withdrawn has none and will have none: who would wait for them is told.
            None => Ok(Err(if self.mailboxes.fill(mailbox).await?.agreed {
                KEYS_MISSING
            } else {
                MAILBOX_UNKNOWN
            })),
        }
    }
}

/// Keys to begin with, or why there are none.
type Claimed = Result<ClaimedKeys, Problem>;

/// A key is its own name: the same again is the same row.
fn named(key: &OneTimeKey) -> OneTime {
    let digest = Sha256::digest(key.0);
    OneTime { id: URL_SAFE_NO_PAD.encode(&digest[..16]), key: key.0.to_vec() }
}

fn claimed(keys: Keys) -> Option<ClaimedKeys> {
    let one_time = keys.one_time.map(|one| one.key).or(keys.fallback)?;
    let one_time = OneTimeKey(one_time.try_into().ok()?);
    Some(ClaimedKeys { identity: IdentityKeys::from_bytes(&keys.identity)?, one_time })
}
