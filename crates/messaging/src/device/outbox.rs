//! Messages on their way out.

use super::state::{OUTBOX_MAX, Outgoing};
use super::{Agreed, Device, DeviceFault, Relay};
use crate::consent::Purpose;
use crate::wire::{ClaimKeys, ClaimedKeys, IfOffline, MessageId, Send, Sent, SentState};

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
        let to = self.contact(who)?.1.found.ok_or(DeviceFault::NotAUser)?;
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
        self.state.outbox.push(Outgoing { to: to.mailbox, id, body, expires_in_s, if_offline });
        // CRASH: session and body are durable before the body leaves: no key of the session is used twice.
        self.save()?;
        let states = self.flush().await?;
        states.into_iter().find(|(sent, _)| *sent == id).map(|(_, state)| state).ok_or(DeviceFault::Answer)
    }

    /// Sends what waits, oldest first, and says what became of each.
    ///
    /// # Errors
    /// The first one that is not taken; those before it are gone from the outbox.
    pub async fn flush(&mut self) -> Result<Vec<(MessageId, SentState)>, DeviceFault> {
        let mut states = Vec::new();
        while let Some(first) = self.state.outbox.first() {
            let message = Send {
                to: first.to,
                id: first.id,
                body: first.body.clone(),
                expires_in_s: first.expires_in_s,
                if_offline: first.if_offline,
            };
            let sent = self.post::<_, Sent>("/v1/messaging/messages", &message).await;
            if let Err(fault) = sent {
                self.give_up_if_refused(&fault)?;
                return Err(fault);
            }
            let sent = sent?;
            self.state.outbox.remove(0);
            // CRASH: before this, it is sent again, and the receiver's home knows its id.
            self.save()?;
            states.push((message.id, sent.state));
        }
        Ok(states)
    }

    /// A message that its receiver's home refuses for good must not hold up those behind it.
    fn give_up_if_refused(&mut self, fault: &DeviceFault) -> Result<(), DeviceFault> {
        use crate::wire::ProblemCode::{BadRequest, MailboxUnknown, TooBig};
        let DeviceFault::Refused(problem) = fault else { return Ok(()) };
        if matches!(problem.code, MailboxUnknown | TooBig | BadRequest) {
            self.state.outbox.remove(0);
            self.save()?;
        }
        Ok(())
    }
}
