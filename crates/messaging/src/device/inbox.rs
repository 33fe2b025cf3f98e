//! Messages that come: kept, acknowledged, shown once.
//!
//! The order is: fetch, decrypt, keep (text, session and id in one write), acknowledge, mark as shown, show. Wherever the
//! process dies, the message is at the home relay or in the file, and its id is known as soon as it is in the file. One
//! that was marked and not yet printed is in the inbox ([`Device::inbox`]); none is shown twice.

use super::state::{Contact, INBOX_BYTES_MAX, INBOX_MAX, Received, SEEN_MAX, STRANGERS_MAX, State};
use super::{Agreed, Device, DeviceFault, Relay};
use crate::consent::Purpose;
use crate::wire::limits::{MESSAGE_EXPIRES_S_MAX, WAIT_S_MAX};
use crate::wire::{Acknowledge, Key, List, Message, Messages};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// One-time keys left below which new ones are published.
const KEYS_LOW: usize = 25;
/// Steps of sessions' chains at one time, about a second. Whoever knows the mailbox can send what takes many; what is left stays at
/// home, and comes first the next time.
const STEPS_MAX: u64 = 1_000_000;

impl<S> Device<S> {
    /// Everything received that is still kept, oldest first.
    pub fn inbox(&self) -> &[Received] {
        &self.state.inbox
    }

    /// What was not shown yet, marked as shown: print it after this returns.
    ///
    /// # Errors
    /// Its file: then nothing is marked.
    // CRASH: marked before it is handed out, so it is never shown twice.
    pub fn take_new(&mut self) -> Result<Vec<Received>, DeviceFault> {
        let new: Vec<_> = self.state.inbox.iter().filter(|each| !each.shown).cloned().collect();
        if new.is_empty() {
            return Ok(new);
        }
        self.state.inbox.iter_mut().for_each(|each| each.shown = true);
        let beyond = beyond(&self.state.inbox);
        self.state.inbox.drain(..beyond);
        self.save()?;
        Ok(new)
    }
}

/// How many of the oldest have to go so that the rest is within its limits. The last one stays: it is smaller than they are.
fn beyond(inbox: &[Received]) -> usize {
    let mut bytes = 0;
    let fits = inbox.iter().rev().take(INBOX_MAX).take_while(|each| {
        bytes += each.text.len();
        bytes <= INBOX_BYTES_MAX
    });
    inbox.len() - fits.count()
}

impl<S> Device<S> {
    /// How many messages came since this was last asked that could not be decrypted: for other keys, changed, read before.
    ///
    /// # Errors
    /// Its file.
    pub fn take_unreadable(&mut self) -> Result<u64, DeviceFault> {
        let unreadable = std::mem::take(&mut self.state.unreadable);
        if unreadable > 0 {
            self.save()?;
        }
        Ok(unreadable)
    }
}

impl<R: Relay> Device<Agreed<R>> {
    /// Fetches what waits at home, and waits up to `wait_s` for the first one. Returns how many are new; they are in the
    /// inbox, and [`Device::take_new`] gives them out.
    ///
    /// # Errors
    /// No consent: nothing is sent.
    pub async fn receive(&mut self, wait_s: u32) -> Result<usize, DeviceFault> {
        self.needs(Purpose::CloudMessaging)?;
        self.state.mailbox.ok_or(DeviceFault::NotRegistered)?;
        self.settle().await?;
        let path = format!("/v1/messaging/messages?wait_s={}", wait_s.min(WAIT_S_MAX));
        let came: Messages = self.get(&path).await?;
        if came.messages.is_empty() {
            // It may have moved while it waited.
            self.settle().await?;
            return Ok(0);
        }
        let before = self.state.inbox.len();
        let (mut ids, mut steps) = (Vec::new(), 0);
        for message in came.messages {
            if steps > STEPS_MAX {
                break;
            }
            ids.push(message.id);
            self.keep(message);
            steps += self.state.keyring.take_steps();
        }
        let new = self.state.inbox.len() - before;
        // CRASH: kept before it is acknowledged: the home deletes what it hears of here.
        self.save()?;
        let ids = List::new(ids).ok_or(DeviceFault::Answer)?;
        self.tell(&Method::POST, "/v1/messaging/messages/ack", &Acknowledge { ids }).await?;
        if self.state.keyring.one_time_keys() < KEYS_LOW {
            self.publish_keys().await?;
        }
        self.settle().await?;
        Ok(new)
    }

    fn keep(&mut self, message: Message) {
        let Message { id, body, received_at } = message;
        let now = Timestamp::now();
        self.state.seen.retain(|_, until| *until > now);
        let until = now + SignedDuration::from_secs(i64::from(MESSAGE_EXPIRES_S_MAX));
        if self.state.seen.insert(id.to_string(), until).is_some() {
            return;
        }
        if self.state.seen.len() > SEEN_MAX {
            let oldest = self.state.seen.iter().min_by_key(|(_, until)| **until).map(|(id, _)| id.clone());
            oldest.map(|id| self.state.seen.remove(&id));
        }
        // Whoever knows the mailbox can put anything there: what does not decrypt is acknowledged and counted.
        let Ok(opened) = self.state.keyring.open(id, &body) else {
            self.state.unreadable += 1;
            return;
        };
        self.limit_strangers(&opened.identity);
        let contact = self.state.who(&opened.from, &opened.identity).map(|contact| contact.name.clone());
        let received =
            Received { id, from: opened.from, contact, text: opened.text, received_at, shown: false };
        self.state.inbox.push(received);
    }
    /// Whoever knows the mailbox can begin sessions, each with new keys: they must not take the place of contacts', nor make the
    /// file grow.
    fn limit_strangers(&mut self, latest: &Key) {
        let State { keyring, contacts, .. } = &mut self.state;
        let identities = contacts.values().filter_map(Contact::identity).map(|identity| identity.curve25519);
        let known: BTreeSet<Key> = identities.collect();
        keyring.limit_strangers(STRANGERS_MAX, latest, |peer| known.contains(peer));
    }
}
