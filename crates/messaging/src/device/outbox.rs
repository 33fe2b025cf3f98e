//! Messages on their way out.
//!
//! A text is in the file before anything is asked for it, and is encrypted as soon as there is a session with its receiver.
//! What one receiver's home does not take now holds up nothing for others; for one receiver the order stays. A text that
//! no relay keeps, as it has to go by SMS or was given up, stays in the file until the owner is told of it.

use super::state::{Draft, OUTBOX_MAX, Outgoing, Returned};
use super::{Agreed, Device, DeviceFault, Relay};
use crate::consent::Purpose;
use crate::session::{SessionFault, TEXT_BYTES_MAX};
use crate::wire::{ClaimKeys, ClaimedKeys, IfOffline, MailboxId, MessageId, Problem, Send, Sent, SentState};
use std::collections::BTreeSet;

/// So many receivers that can't be reached at the moment, and no more are tried.
const HELD_MAX: usize = 16;
/// Why a text came back whose receiver is away, as the relay's answer has it.
const USE_SMS: &str = "use-sms";

/// What became of each message that the relay took, and the first reason why others still wait.
type Flushed = (Vec<(MessageId, SentState)>, Option<DeviceFault>);

impl<S> Device<S> {
    /// How many texts wait here until the relay has taken them.
    pub fn waiting(&self) -> usize {
        self.state.drafts.len() + self.state.outbox.len()
    }

    /// Texts that are sent no more and that no relay has, of which the owner was not told yet: print them after this
    /// returns. The one that [`Device::send_text`] told of itself is not among them.
    ///
    /// # Errors
    /// Its file: then they are given out again.
    // CRASH: until this has saved, they are in the file.
    pub fn take_returned(&mut self) -> Result<Vec<Returned>, DeviceFault> {
        if self.state.returned.is_empty() {
            return Ok(Vec::new());
        }
        let returned = std::mem::take(&mut self.state.returned);
        self.save()?;
        Ok(returned)
    }
}

impl<R: Relay> Device<Agreed<R>> {
    /// Sends a text to a contact that is a user. Without an answer it waits in the file, and [`Device::flush`] sends it, once.
    ///
    /// # Errors
    /// No consent, no such contact, not a user, another identity than before, oneself, too long: nothing is sent, and nothing kept.
    pub async fn send_text(
        &mut self,
        who: &str,
        text: &str,
        if_offline: IfOffline,
        expires_in_s: u32,
    ) -> Result<SentState, DeviceFault> {
        self.needs(Purpose::CloudMessaging)?;
        let to = self.reached(who)?;
        let from = self.state.mailbox.ok_or(DeviceFault::NotRegistered)?;
        // There is no session with oneself: such a text could be read by nobody.
        if to.mailbox == from {
            return Err(DeviceFault::Oneself);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(SessionFault::TooLong.into());
        }
        if self.waiting() >= OUTBOX_MAX {
            return Err(DeviceFault::Limit("1000 messages wait to be sent already"));
        }
        if self.state.returned.len() >= OUTBOX_MAX {
            return Err(DeviceFault::Limit("1000 messages came back, and nobody has asked which"));
        }
        let id = MessageId::random();
        self.state.drafts.push(Draft { to, id, text: text.to_owned(), expires_in_s, if_offline });
        // CRASH: before anything is asked for it, so that whatever the relay does not answer loses no text.
        self.save()?;
        let (states, fault) = self.send_all().await?;
        let own = states.into_iter().find(|(sent, _)| *sent == id).map(|(_, state)| state);
        self.is_told(id)?;
        own.ok_or_else(|| fault.unwrap_or(DeviceFault::Answer))
    }

    /// What came of this one is said in another way.
    fn is_told(&mut self, id: MessageId) -> Result<(), DeviceFault> {
        let before = self.state.returned.len();
        self.state.returned.retain(|each| each.id != id);
        if self.state.returned.len() == before { Ok(()) } else { self.save() }
    }

    /// Sends what waits, oldest first, and says what became of each.
    ///
    /// # Errors
    /// The first one that is not taken. What has become of the others is in [`Device::waiting`] and
    /// [`Device::take_returned`].
    pub async fn flush(&mut self) -> Result<Vec<(MessageId, SentState)>, DeviceFault> {
        let (states, fault) = self.send_all().await?;
        fault.map_or(Ok(states), Err)
    }

    async fn send_all(&mut self) -> Result<Flushed, DeviceFault> {
        let (mut states, mut first, mut held) = (Vec::new(), None, BTreeSet::new());
        if self.waiting() == 0 {
            return Ok((states, first));
        }
        self.settle().await?;
        while held.len() < HELD_MAX {
            let Some((to, step)) = self.next(&held) else { break };
            let done = match step {
                Step::Seal(id) => self.seal(id).await.map(|()| None),
                Step::Bring(id) => self.bring(id).await.map(|state| Some((id, state))),
            };
            match done {
                Ok(sent) => states.extend(sent),
                Err(fault) if self.gives_up(step, &fault)? => _ = first.get_or_insert(fault),
                Err(fault) if waits_for_the_receiver(&fault) => {
                    held.insert(to);
                    first.get_or_insert(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok((states, first))
    }

    /// The oldest message to somebody who can be reached, as far as known: those that are encrypted are older.
    fn next(&self, held: &BTreeSet<MailboxId>) -> Option<(MailboxId, Step)> {
        let sealed = self.state.outbox.iter().map(|each| (each.to, Step::Bring(each.id)));
        let drafts = self.state.drafts.iter().map(|each| (each.to.mailbox, Step::Seal(each.id)));
        sealed.chain(drafts).find(|(to, _)| !held.contains(to))
    }

    async fn seal(&mut self, id: MessageId) -> Result<(), DeviceFault> {
        let from = self.state.mailbox.ok_or(DeviceFault::NotRegistered)?;
        let draft = self.state.drafts.iter().find(|each| each.id == id).ok_or(DeviceFault::Answer)?;
        let to = draft.to;
        if !self.state.keyring.has_session(&to.identity.curve25519) {
            let asked = ClaimKeys { mailbox: to.mailbox };
            let claimed: ClaimedKeys = self.post("/v1/messaging/keys/claim", &asked).await?;
            self.state.keyring.start(&to.identity, &claimed)?;
        }
        let at = self.state.drafts.iter().position(|each| each.id == id).ok_or(DeviceFault::Answer)?;
        let text = &self.state.drafts[at].text;
        let body = self.state.keyring.seal(&to.identity.curve25519, from, id, text)?;
        let Draft { expires_in_s, if_offline, text, .. } = self.state.drafts.remove(at);
        let (sealed_to, text) = (Some(to.identity.curve25519), Some(text));
        let to = to.mailbox;
        self.state.outbox.push(Outgoing { to, id, body, expires_in_s, if_offline, sealed_to, text });
        // CRASH: session and body are durable before the body leaves: no key of the session is used twice.
        self.save()
    }

    async fn bring(&mut self, id: MessageId) -> Result<SentState, DeviceFault> {
        let found = self.state.outbox.iter().find(|each| each.id == id).ok_or(DeviceFault::Answer)?;
        let Outgoing { to, id, body, expires_in_s, if_offline, sealed_to, .. } = found.clone();
        let message = Send { to, id, body, expires_in_s, if_offline, sealed_to };
        let sent: Sent = self.post("/v1/messaging/messages", &message).await?;
        match sent.state {
            SentState::Kept => self.state.outbox.retain(|each| each.id != id),
            SentState::UseSms => self.state.comes_back(id, USE_SMS),
        }
        // CRASH: before this, it is sent again, and the receiver's home knows its id.
        self.save()?;
        Ok(sent.state)
    }

    /// A message that its receiver's home refuses for good, or that can't be encrypted, is sent no more.
    fn gives_up(&mut self, step: Step, fault: &DeviceFault) -> Result<bool, DeviceFault> {
        use crate::wire::ProblemCode::{BadRequest, KeysOther, MailboxUnknown, TooBig};
        let is_final = match fault {
            DeviceFault::Refused(problem) => {
                matches!(problem.code, MailboxUnknown | TooBig | BadRequest | KeysOther)
            }
            DeviceFault::Session(_) => true,
            _ => false,
        };
        if is_final {
            let (Step::Seal(id) | Step::Bring(id)) = step;
            self.state.comes_back(id, fault.code());
            self.save()?;
        }
        Ok(is_final)
    }
}

/// What is next to be done for a message.
#[derive(Debug, Clone, Copy)]
enum Step {
    Seal(MessageId),
    Bring(MessageId),
}

/// Another receiver may be reached all the same.
fn waits_for_the_receiver(fault: &DeviceFault) -> bool {
    use crate::wire::ProblemCode::{Busy, KeysMissing, MailboxFull, RegionAway};
    let is_theirs = |problem: &Problem| {
        // The receiver's region is away, or the mailbox moves; or it is the device's own.
        matches!(problem.code, Busy | KeysMissing | MailboxFull | RegionAway) || problem.status == 503
    };
    matches!(fault, DeviceFault::Refused(problem) if is_theirs(problem))
}
