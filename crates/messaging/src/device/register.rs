//! The owner's number is proven, and made found.

use super::state::Started;
use super::{Agreed, Device, DeviceFault, Relay};
use crate::consent::Purpose;
use crate::number::Number;
use crate::wire::{
    Code, FinishRegistration, ProblemCode, Registered, RegistrationStarted, Retag, StartRegistration, Tagged,
};
use http::Method;

/// One-time keys that a device keeps published.
const ONE_TIME_KEYS: usize = 50;

impl<R: Relay> Device<Agreed<R>> {
    /// Asks for a code to be sent to the owner's number. This is the moment at which the region learns it.
    ///
    /// # Errors
    /// No consent to messaging, or another number registered: nothing is sent. A number whose home is elsewhere: see
    /// [`DeviceFault::HomeElsewhere`].
    pub async fn start_registration(&mut self, number: Number) -> Result<(), DeviceFault> {
        self.needs(Purpose::CloudMessaging)?;
        if self.state.mailbox.is_some() && self.state.number.as_ref() != Some(&number) {
            return Err(DeviceFault::HasNumber);
        }
        self.deliver_consents().await?;
        let asked = StartRegistration { number: number.clone() };
        let started: RegistrationStarted = self.post("/v1/messaging/register/start", &asked).await?;
        self.state.attempt = Some(Started { attempt: started.attempt, number });
        self.save()
    }

    /// Brings the code, and publishes keys.
    ///
    /// # Errors
    /// A code that is wrong or late; then it can be started again.
    pub async fn finish_registration(&mut self, code: Code) -> Result<(), DeviceFault> {
        self.needs(Purpose::CloudMessaging)?;
        let started = self.state.attempt.as_ref().ok_or(DeviceFault::NotStarted)?;
        let number = started.number.clone();
        let identity_keys = self.state.keyring.identity();
        let asked =
            FinishRegistration { attempt: started.attempt, number: number.clone(), code, identity_keys };
        let registered: Registered = self.post("/v1/messaging/register/finish", &asked).await?;
        let elsewhere = registered.home.region != self.state.home.region;
        if !elsewhere {
            self.state.home.epoch = registered.home.epoch;
        }
        self.state.attempt = None;
        self.state.number = Some(number);
        self.state.mailbox = Some(registered.mailbox);
        self.state.number_proof = Some(registered.number_proof);
        // The token of before names no mailbox.
        self.renew_soon();
        self.save()?;
        if elsewhere {
            self.follow(&registered.home).await?;
        }
        self.settle().await
    }

    /// Does what a home needs to be one: keys published, and the number tagged under its current key if the owner agrees
    /// to be found. After a registration, a move, or a new generation.
    ///
    /// # Errors
    /// As the relay refuses; but not where only the tag is refused: [`Device::agrees`] says whether discovery is agreed to still.
    pub async fn settle(&mut self) -> Result<(), DeviceFault> {
        self.deliver_consents().await?;
        if self.state.mailbox.is_none() {
            return Ok(());
        }
        if self.state.keys_published_at.is_none() {
            self.publish_keys().await?;
        }
        if !self.state.agrees(Purpose::ContactDiscovery) {
            return Ok(());
        }
        match self.tag().await {
            Err(fault) => self.is_not_tagged(fault),
            Ok(()) => Ok(()),
        }
    }

    /// To be found is one thing, messages are another: who cannot be found now still reads and writes, and is tagged by
    /// what comes next.
    ///
    /// # Errors
    /// What ends messages as well: the device is nobody's, or its file fails.
    fn is_not_tagged(&mut self, fault: DeviceFault) -> Result<(), DeviceFault> {
        let is_withdrawn =
            matches!(&fault, DeviceFault::Refused(no) if no.code == ProblemCode::ConsentWithdrawn);
        match self.state.consents.get_mut(&Purpose::ContactDiscovery) {
            _ if self.state.mailbox.is_none() || matches!(fault, DeviceFault::File(_)) => Err(fault),
            // The service was told in another way that the owner agrees to it no longer.
            Some(kept) if is_withdrawn => {
                kept.refused = true;
                self.save()
            }
            _ => Ok(()),
        }
    }

    /// Publishes one-time keys, filled up. The same keys again after a lost answer.
    pub(super) async fn publish_keys(&mut self) -> Result<(), DeviceFault> {
        let keys = self.state.keyring.to_publish(ONE_TIME_KEYS);
        self.save()?;
        self.tell(&Method::PUT, "/v1/messaging/keys", &keys).await?;
        self.state.keyring.published();
        self.state.keys_published_at = Some(self.state.home.region.clone());
        self.save()
    }

    async fn tag(&mut self) -> Result<(), DeviceFault> {
        let listed = self.region().listed(&self.state.home.region);
        let current = listed.and_then(|own| own.current()).map(|each| each.generation);
        let wanted = current.map(|generation| (self.state.home.region.clone(), generation));
        if wanted.is_some() && self.state.tagged == wanted {
            return Ok(());
        }
        let (number, proof) = (self.state.number.clone(), self.state.number_proof.clone());
        let (Some(number), Some(number_proof)) = (number, proof) else {
            return Err(DeviceFault::NotRegistered);
        };
        let tagged: Tagged = self.post("/v1/messaging/tag", &Retag { number, number_proof }).await?;
        self.state.tagged = Some((tagged.region, tagged.generation));
        self.save()
    }
}
