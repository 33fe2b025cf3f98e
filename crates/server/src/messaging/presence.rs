//! Presence: whether a device holds a long poll, in memory only, for those whom its owner lets see it.

use super::mail::{Mail, Place};
use super::refusals::{BAD_REQUEST, MAILBOX_UNKNOWN};
use super::relays::{self, json};
use crate::{Body, Problem};
use domicile_messaging::wire::relay::RelayPresence;
use domicile_messaging::wire::{MailboxId, Presence, PresenceOf, ShowPresence};
use domicile_stores::mailboxes::Refusal;
use hashlink::LruCache;
use http::{Response, StatusCode};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Long polls of one mailbox at once: its device, and those of it that a dead connection still holds. Else one device would take
/// the places of all.
const POLLS_MAX: usize = 8;

/// Who is here.
pub(super) struct Presences {
    seen: Mutex<Seen>,
    for_so_long: Duration,
}

struct Seen {
    /// Open long polls; as many as there may be.
    polling: HashMap<String, usize>,
    /// When the last one ended.
    left: LruCache<String, Instant>,
}

/// A long poll, as long as it is open.
pub(super) struct Entered<'a> {
    presences: &'a Presences,
    mailbox: String,
}

impl Presences {
    /// Remembers `kept` who have left, each for so long: between two long polls a device is here, too.
    pub fn new(kept: usize, for_so_long: Duration) -> Self {
        let seen = Seen { polling: HashMap::new(), left: LruCache::new(kept.max(1)) };
        Self { seen: Mutex::new(seen), for_so_long }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A long poll begins. `None`: the mailbox has [`POLLS_MAX`] of them.
    pub fn enter(&self, mailbox: &str) -> Option<Entered<'_>> {
        let mut seen = self.seen();
        let polls = seen.polling.entry(mailbox.to_owned()).or_default();
        let fits = *polls < POLLS_MAX;
        *polls += usize::from(fits);
        fits.then(|| Entered { presences: self, mailbox: mailbox.to_owned() })
    }

    /// Is its device here, or was until a moment ago?
    pub fn is_here(&self, mailbox: &str) -> bool {
        let mut seen = self.seen();
        let left = seen.left.get(mailbox).is_some_and(|at| at.elapsed() < self.for_so_long);
        left || seen.polling.contains_key(mailbox)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut seen = self.presences.seen();
        if let Some(polls) = seen.polling.get_mut(&self.mailbox) {
            *polls -= 1;
            if *polls == 0 {
                seen.polling.remove(&self.mailbox);
            }
        }
        seen.left.insert(std::mem::take(&mut self.mailbox), Instant::now());
    }
}

impl Mail {
    /// `PUT /v1/messaging/presence` of a device whose mailbox this is.
    pub(super) async fn show_presence(
        &self,
        mailbox: MailboxId,
        body: &[u8],
    ) -> Result<Response<Body>, Problem> {
        let asked: ShowPresence = relays::read(body)?;
        if asked.visible_to.len() > self.limits.viewers {
            return Err(BAD_REQUEST.because(format!("at most {} may see it", self.limits.viewers)));
        }
        let viewers: Vec<String> = asked.visible_to.iter().map(ToString::to_string).collect();
        let name = mailbox.to_string();
        match self.at_home(&name, || self.mailboxes.put_viewers(&name, &viewers)).await? {
            Place::Done(()) => Ok(relays::done()),
            Place::Elsewhere(home) => Err(self.moving.moved(home)),
        }
    }

    /// `GET /v1/messaging/presence/{mailbox}` of one whose mailbox is `viewer`. Whoever may not see it, and whoever asks
    /// after nobody, hears the same.
    pub(super) async fn presence_of(
        &self,
        viewer: MailboxId,
        mailbox: MailboxId,
    ) -> Result<Response<Body>, Problem> {
        let asked = RelayPresence { viewer, mailbox };
        let read = |_, answer: &[u8]| serde_json::from_slice::<PresenceOf>(answer).ok();
        let name = mailbox.to_string();
        let here = || self.seen_by(&asked);
        match self.wherever(&name, here, relays::PRESENCE, &asked, read).await {
            Err(problem) if problem.code == MAILBOX_UNKNOWN.code => {
                Ok(json(StatusCode::OK, &PresenceOf { presence: Presence::NotShared }))
            }
            seen => seen.map(|seen| json(StatusCode::OK, &seen)),
        }
    }

    /// The same for another relay's user: here or nowhere.
    pub(super) async fn seen_here(&self, asked: &RelayPresence) -> Result<Place<PresenceOf>, Problem> {
        self.at_home(&asked.mailbox.to_string(), || self.seen_by(asked)).await
    }

    async fn seen_by(&self, asked: &RelayPresence) -> Result<PresenceOf, Refusal> {
        let name = asked.mailbox.to_string();
        let presence = match self.mailboxes.may_view(&name, &asked.viewer.to_string()).await? {
            false => Presence::NotShared,
            true if self.presences.is_here(&name) => Presence::Here,
            true => Presence::Away,
        };
        Ok(PresenceOf { presence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_here_while_it_polls_and_a_moment_after() {
        let presences = Presences::new(2, Duration::from_secs(60));
        assert!(!presences.is_here("ann"));
        let (first, second) = (presences.enter("ann").unwrap(), presences.enter("ann").unwrap());
        drop(first);
        assert!(presences.is_here("ann"));
        drop(second);
        assert!(presences.is_here("ann"), "until the next poll");
        let presences = Presences::new(2, Duration::ZERO);
        drop(presences.enter("ann").unwrap());
        assert!(!presences.is_here("ann"));
        assert!(presences.seen().polling.is_empty());
    }

    #[test]
    fn a_mailbox_has_few_polls_at_once() {
        let presences = Presences::new(2, Duration::ZERO);
        let mut open: Vec<_> = (0..POLLS_MAX).map(|_| presences.enter("ann").unwrap()).collect();
        assert!(presences.enter("ann").is_none());
        assert!(presences.enter("bob").is_some(), "each for itself");
        open.pop();
        assert!(presences.enter("ann").is_some());
    }
}
