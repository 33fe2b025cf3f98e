//! Presence: whether a device holds a long poll, in memory only, for those whom its owner lets see it.

use super::mail::{Mail, Place};
use super::refusals::{BAD_REQUEST, MAILBOX_UNKNOWN};
use super::relays::{self, json};
use crate::{Body, Problem};
use domicile_messaging::wire::relay::RelayPresence;
use domicile_messaging::wire::{DeviceId, MailboxId, Presence, PresenceOf, ShowPresence};
use domicile_stores::mailboxes::Refusal;
use hashlink::LruCache;
use http::{Response, StatusCode};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Long polls of one mailbox at once: its device, and those of it that a dead connection still holds. Else one device would take
/// the places of all.
const POLLS_MAX: usize = 8;
/// How much of the time that a device is here after its poll passes until the region's other processes are told again.
const AGAIN_PART: u32 = 3;
/// The same at least.
const AGAIN_MIN: Duration = Duration::from_millis(50);

/// Who is here.
pub(super) struct Presences {
    seen: Mutex<Seen>,
    for_so_long: Duration,
}

struct Seen {
    /// Open long polls; as many as there may be.
    polling: HashMap<String, Polling>,
    /// When the last one ended.
    left: LruCache<String, Left>,
    /// Who is here at another process of the region, until when unless it is told again.
    elsewhere: LruCache<String, Instant>,
}

#[derive(Default)]
struct Polling {
    polls: usize,
    /// When the region's other processes were told.
    told: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Left {
    at: Instant,
    told: Option<Instant>,
}

/// A long poll, as long as it is open.
pub(super) struct Entered<'a> {
    presences: &'a Presences,
    mailbox: String,
}

impl Presences {
    /// Remembers `kept` who have left and as many who are elsewhere, each for so long: between two long polls a device is here, too.
    pub fn new(kept: usize, for_so_long: Duration) -> Self {
        let (left, elsewhere) = (LruCache::new(kept.max(1)), LruCache::new(kept.max(1)));
        Self { seen: Mutex::new(Seen { polling: HashMap::new(), left, elsewhere }), for_so_long }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After so long the region's other processes are told again of who is here.
    pub fn again(&self) -> Duration {
        (self.for_so_long / AGAIN_PART).max(AGAIN_MIN)
    }

    /// So long what they are told holds. INVARIANT: not shorter than a device is here after its poll, if they are told in time.
    pub fn lease(&self) -> Duration {
        self.for_so_long + self.again() + self.again() / 2
    }

    /// A long poll begins, and whether the other processes are to be told. `None`: the mailbox has [`POLLS_MAX`] of them.
    pub fn enter(&self, mailbox: &str) -> Option<(Entered<'_>, bool)> {
        let (mut seen, now) = (self.seen(), Instant::now());
        let told = seen.left.get(mailbox).and_then(|left| left.told);
        let polling = seen.polling.entry(mailbox.to_owned()).or_insert(Polling { polls: 0, told });
        if polling.polls >= POLLS_MAX {
            return None;
        }
        polling.polls += 1;
        let is_news = self.is_due(polling.told, now);
        if is_news {
            polling.told = Some(now);
        }
        Some((Entered { presences: self, mailbox: mailbox.to_owned() }, is_news))
    }

    fn is_due(&self, told: Option<Instant>, now: Instant) -> bool {
        told.is_none_or(|told| now.duration_since(told) >= self.again())
    }

    /// Of whom the other processes are to be told again; taken for told.
    pub fn due(&self) -> Vec<String> {
        let now = Instant::now();
        let mut seen = self.seen();
        let due = seen.polling.iter_mut().filter(|(_, polling)| self.is_due(polling.told, now));
        due.map(|(mailbox, polling)| {
            polling.told = Some(now);
            mailbox.clone()
        })
        .collect()
    }

    /// There is somebody who was told nothing yet.
    pub fn tell_anew(&self) {
        self.seen().polling.values_mut().for_each(|polling| polling.told = None);
    }

    /// Another process says that a device is there.
    pub fn is_elsewhere(&self, mailbox: String) {
        let until = Instant::now() + self.lease();
        self.seen().elsewhere.insert(mailbox, until);
    }

    /// Is its device here, or was until a moment ago, at this process or another one?
    pub fn is_here(&self, mailbox: &str) -> bool {
        let mut seen = self.seen();
        seen.polling.contains_key(mailbox)
            || seen.left.get(mailbox).is_some_and(|left| left.at.elapsed() < self.for_so_long)
            || seen.elsewhere.get(mailbox).is_some_and(|until| Instant::now() < *until)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut seen = self.presences.seen();
        let mut told = None;
        if let Some(polling) = seen.polling.get_mut(&self.mailbox) {
            polling.polls -= 1;
            told = polling.told;
            if polling.polls == 0 {
                seen.polling.remove(&self.mailbox);
            }
        }
        seen.left.insert(std::mem::take(&mut self.mailbox), Left { at: Instant::now(), told });
    }
}

impl Mail {
    /// `PUT /v1/messaging/presence` of a device whose mailbox this is.
    pub(super) async fn show_presence(
        &self,
        (mailbox, device): (MailboxId, &DeviceId),
        body: &[u8],
    ) -> Result<Response<Body>, Problem> {
        let asked: ShowPresence = relays::read(body)?;
        if asked.visible_to.len() > self.limits.viewers {
            return Err(BAD_REQUEST.because(format!("at most {} may see it", self.limits.viewers)));
        }
        let viewers: Vec<String> = asked.visible_to.iter().map(ToString::to_string).collect();
        let (name, device) = (mailbox.to_string(), device.to_string());
        let put = || self.mailboxes.put_viewers((&name, &device), &viewers);
        match self.at_home(&name, put).await? {
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

    /// Whether `viewer` may see this mailbox's presence. Only the home says: the guard refuses no read, and who has moved away may
    /// have changed it since.
    pub(super) async fn may_view(&self, mailbox: &str, viewer: &MailboxId) -> Result<bool, Refusal> {
        let may = self.mailboxes.may_view(mailbox, &viewer.to_string()).await?;
        if self.is_home(mailbox).await? { Ok(may) } else { Err(Refusal::NotHere) }
    }

    async fn seen_by(&self, asked: &RelayPresence) -> Result<PresenceOf, Refusal> {
        let name = asked.mailbox.to_string();
        let presence = match self.may_view(&name, &asked.viewer).await? {
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
        let (first, second) = (presences.enter("ann").unwrap().0, presences.enter("ann").unwrap().0);
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

    #[test]
    fn the_other_processes_are_told_once_in_a_while() {
        let presences = Presences::new(2, Duration::from_secs(600));
        let (ann, is_news) = presences.enter("ann").unwrap();
        assert!(is_news);
        assert!(presences.due().is_empty(), "they were told");
        drop(ann);
        let (_ann, is_news) = presences.enter("ann").unwrap();
        assert!(!is_news, "many polls are one thing to tell");
        presences.tell_anew();
        assert_eq!(presences.due(), ["ann"]);
        let presences = Presences::new(2, Duration::ZERO);
        let _ann = presences.enter("ann").unwrap();
        std::thread::sleep(AGAIN_MIN);
        assert_eq!(presences.due(), ["ann"], "again and again, as long as it is here");
    }

    #[test]
    fn what_another_process_says_ends_by_itself_and_is_bounded() {
        let presences = Presences::new(2, Duration::from_secs(600));
        for who in ["ann", "bob", "cid"] {
            presences.is_elsewhere(who.to_owned());
        }
        assert_eq!(["ann", "bob", "cid"].map(|who| presences.is_here(who)), [false, true, true]);
        let presences = Presences::new(2, Duration::ZERO);
        presences.is_elsewhere("ann".to_owned());
        std::thread::sleep(presences.lease());
        assert!(!presences.is_here("ann"));
    }
}
