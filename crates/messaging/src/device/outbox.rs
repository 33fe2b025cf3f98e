//! Messages on their way out.

use super::state::{OUTBOX_MAX, Outgoing};
use super::{Agreed, Device, DeviceFault, Relay};
use crate::consent::Purpose;
use crate::wire::{ClaimKeys, ClaimedKeys, IfOffline, MailboxId, MessageId, Send, Sent, SentState};

impl<R: Relay> Device<Agreed<R>> {
    /// Sends a text to a contact that is a user. A lost answer: the message stays in the outbox and
    /// [`Device::flush`] sends it again under the same id.
    ///
    /// # Errors
    /// No consent, no such contact, not a user: nothing is sent.
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
        if self.state.outbox.len() >= OUTBOX_MAX {
            return Err(DeviceFault::Limit("1000 messages wait to be sent already"));
        }
        self.settle().await?;
        if !self.state.keyring.has_session(&to.identity.curve25519) {
            let asked = ClaimKeys { mailbox: to.mailbox };
            let claimed: ClaimedKeys = self.post("/v1/messaging/keys/claim", &asked).await?;
            self.state.keyring.start(&to.identity, &claimed)?;
        }
        let id = MessageId::random();
        let body = self.state.keyring.seal(&to.identity.curve25519, from, id, text)?;
        let sealed_to = Some(to.identity.curve25519);
        self.state.outbox.push(Outgoing { to: to.mailbox, id, body, expires_in_s, if_offline, sealed_to });
        // CRASH: session and body are durable before the body leaves: no key of the session is used twice.
        self.save()?;
        let Flushed { states, refused } = self.flush_all().await?;
        if let Some((_, state)) = states.into_iter().find(|(sent, _)| *sent == id) {
            return Ok(state);
        }
        // It may be held up by another one for the same receiver.
        let why = refused.into_iter().rfind(|(receiver, _)| *receiver == to.mailbox);
        Err(why.map_or(DeviceFault::Answer, |(_, fault)| fault))
    }

    /// Sends what waits, each receiver's oldest first, and says what became of each.
    ///
    /// # Errors
    /// The first one that is not taken; those of other receivers were sent all the same.
    pub async fn flush(&mut self) -> Result<Vec<(MessageId, SentState)>, DeviceFault> {
        let Flushed { states, refused } = self.flush_all().await?;
        refused.into_iter().next().map_or(Ok(states), |(_, fault)| Err(fault))
    }

    async fn flush_all(&mut self) -> Result<Flushed, DeviceFault> {
        let mut flushed = Flushed::default();
        // Receivers whose next message has to wait, and with it those behind it.
        let mut held: Vec<MailboxId> = Vec::new();
        let mut at = 0;
        while let Some(next) = self.state.outbox.get(at) {
            if held.contains(&next.to) {
                at += 1;
                continue;
            }
            let message = Send {
                to: next.to,
                id: next.id,
                body: next.body.clone(),
                expires_in_s: next.expires_in_s,
                if_offline: next.if_offline,
                sealed_to: next.sealed_to,
            };
            match self.post::<_, Sent>("/v1/messaging/messages", &message).await {
                Ok(sent) => {
                    self.state.outbox.remove(at);
                    // CRASH: before this, it is sent again, and the receiver's home knows its id.
                    self.save()?;
                    flushed.states.push((message.id, sent.state));
                }
                Err(fault) => {
                    match Why::of(&fault) {
                        Why::ForGood => {
                            self.state.outbox.remove(at);
                            self.save()?;
                        }
                        Why::Receiver if held.len() < HELD_MAX => held.push(message.to),
                        Why::Receiver | Why::Sender => return Err(fault),
                    }
                    flushed.refused.push((message.to, fault));
                }
            }
        }
        Ok(flushed)
    }
}

/// Receivers that are tried in vain, at most: more of them, and it is something else.
const HELD_MAX: usize = 16;

/// What became of what waited.
#[derive(Default)]
struct Flushed {
    states: Vec<(MessageId, SentState)>,
    /// By receiver.
    refused: Vec<(MailboxId, DeviceFault)>,
}

/// Whom a refusal is about.
enum Why {
    /// This message: it is never taken, and must not hold up those behind it.
    ForGood,
    /// Its receiver, for the time being.
    Receiver,
    /// Everything that this device sends.
    Sender,
}

impl Why {
    fn of(fault: &DeviceFault) -> Self {
        use crate::wire::ProblemCode::{BadRequest, KeysOther, MailboxFull, MailboxUnknown, TooBig};
        let DeviceFault::Refused(problem) = fault else { return Self::Sender };
        match problem.code {
            MailboxUnknown | TooBig | BadRequest | KeysOther => Self::ForGood,
            MailboxFull => Self::Receiver,
            // The receiver's region is away, or the mailbox moves; or it is the device's own.
            _ if problem.status == 503 => Self::Receiver,
            _ => Self::Sender,
        }
    }
}
