//! What all doors of a relay share.

use super::filters::Filters;
use super::limits::MessagingLimits;
use super::mail::Mail;
use super::others::Others;
use super::refusals::{self, DIRECTORY_AWAY, refused};
use super::secrets::Discovery;
use super::settings::{RelayListed, RelaySettings};
use super::sms::Sms;
use super::verified::Verified;
use crate::directory::Placing;
use crate::listen::Stop;
use crate::{Elsewhere, Problem};
use domicile_directory::{Directory, Home};
use domicile_messaging::SigningKey;
use domicile_messaging::proof::Seen;
use domicile_messaging::region::Terms;
use domicile_messaging::wire::{Key, MailboxId, ProblemCode, RegionName};
use domicile_stores::mailboxes::Mailboxes;
use domicile_stores::records::SubjectId;
use jiff::Timestamp;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A relay's settings, as far as requests need them.
pub(super) struct Settings {
    pub service: String,
    pub region: RegionName,
    pub service_key: SigningKey,
    pub sealing: Key,
    pub terms: Terms,
    pub relays: Vec<RelayListed>,
}

/// What all requests share.
pub(super) struct Shared {
    pub settings: Settings,
    pub mail: Arc<Mail>,
    pub discovery: Arc<Discovery>,
    pub filters: Filters,
    pub others: Others,
    pub mailboxes: Arc<Mailboxes>,
    pub directory: Arc<Directory>,
    pub placing: Placing,
    pub sms: Box<dyn Sms>,
    pub limits: MessagingLimits,
    pub stop: Stop,
    /// Proofs that were used.
    pub seen: Mutex<Seen>,
    /// Tokens that were verified.
    pub verified: Verified,
    requests: Arc<Semaphore>,
}

/// What a relay works with besides its settings.
pub struct RelayParts {
    /// The region's mailboxes.
    pub mailboxes: Arc<Mailboxes>,
    /// Homes and claims.
    pub directory: Arc<Directory>,
    /// Where new mailboxes live.
    pub placing: Placing,
    /// How codes are sent.
    pub sms: Box<dyn Sms>,
}

impl std::fmt::Debug for RelayParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayParts").field("mailboxes", &self.mailboxes).finish_non_exhaustive()
    }
}

impl Shared {
    /// # Errors
    /// In words: a key that is none, or TLS that can't be set up.
    pub fn new(
        settings: RelaySettings,
        parts: RelayParts,
        mail: Arc<Mail>,
        limits: MessagingLimits,
        stop: Stop,
    ) -> Result<Self, String> {
        let RelaySettings { service, region, keys, terms, relays, relay_tokens: _, relay_token } = settings;
        let RelayParts { mailboxes, directory, placing, sms } = parts;
        let discovery = Discovery::new(region.clone(), keys.discovery);
        let (service_key, sealing) = (keys.service, keys.sealing);
        Ok(Self {
            settings: Settings { service, region, service_key, sealing, terms, relays },
            mail,
            discovery: Arc::new(discovery.ok_or("a relay has a discovery key")?),
            filters: Filters::default(),
            others: Others::new(&relay_token)?,
            mailboxes,
            directory,
            placing,
            sms,
            limits,
            stop,
            seen: Mutex::new(Seen::at_most(limits.nonces).since(Timestamp::now().as_second())),
            verified: Verified::default(),
            requests: Arc::new(Semaphore::new(limits.requests)),
        })
    }

    /// This relay's region.
    pub fn region(&self) -> &RegionName {
        &self.settings.region
    }

    /// A place among the requests that are answered at once.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.requests.clone().try_acquire_owned().map_err(|_| refused(ProblemCode::Busy))
    }

    /// A relay of the service.
    pub fn relay(&self, region: &RegionName) -> Result<&RelayListed, Problem> {
        let found = self.settings.relays.iter().find(|relay| relay.region == *region);
        found.ok_or_else(|| refused(ProblemCode::RegionUnknown))
    }

    /// What the directory says, in time.
    pub async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, domicile_directory::Error>>,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(self.limits.answer, call).await {
            Ok(answer) => answer.map_err(|e| refusals::of_directory(&e)),
            Err(_) => Err(DIRECTORY_AWAY),
        }
    }

    /// An answer of the mailboxes' doors, in time. What is given up may be done all the same: its asker repeats it
    /// under the same id.
    pub async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T, Problem> {
        let in_time = tokio::time::timeout(self.limits.answer, answer).await;
        in_time.map_err(|_| refused(ProblemCode::Busy))
    }

    /// A region as it is told to a device.
    pub fn elsewhere(&self, region: &str, epoch: u64) -> Elsewhere {
        let relay = self.settings.relays.iter().find(|relay| relay.region.as_str() == region);
        let endpoint = relay.map(|relay| relay.endpoint.as_str().to_owned());
        Elsewhere { region: region.to_owned(), endpoint, epoch }
    }

    /// The home of a mailbox that is not at home here: a refusal that says where to go.
    pub async fn not_here(&self, mailbox: &str) -> Problem {
        let subject = SubjectId(mailbox.to_owned());
        match self.ask(self.directory.home(&self.settings.service, &subject)).await {
            Err(problem) => problem,
            // Under way: the directory knows it first, then the region.
            Ok(Some(Home { region, .. })) if region == self.region().as_str() => refused(ProblemCode::Busy),
            Ok(Some(home)) => refusals::moved(self.elsewhere(&home.region, home.epoch)),
            Ok(None) => refused(ProblemCode::DeviceUnknown),
        }
    }

    /// A mailbox was withdrawn or taken over: what is remembered of it and what is open for its device ends.
    pub fn ends(&self, mailbox: MailboxId) {
        self.mail.is_findable();
        self.mail.forget(&mailbox.to_string());
    }
}

/// Now, milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
