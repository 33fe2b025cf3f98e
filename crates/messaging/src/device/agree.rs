//! The owner agrees, or does so no longer.

use super::state::{Contact, Kept, is_withdrawal};
use super::{Agreed, Device, DeviceFault, Relay, Silent, Unreachable};
use crate::consent::{Countersigned, DeviceSigned, EventState, Processing, Purpose, Record};
use crate::session::Keyring;
use crate::wire::{ConsentTaken, GiveConsent, Key, ProblemCode};
use jiff::Timestamp;

/// Records that are brought at once: a withdrawal and a consent of each purpose, and once more after a move.
const DELIVERIES_MAX: usize = 3 * Purpose::ALL.len();

/// That the owner of a device has agreed: the only key to a transport. Nobody but [`Device::connect`] makes one.
#[derive(Debug)]
pub struct Agreement(());

impl<S> Device<S> {
    /// What the owner is asked to agree to, as the home region has signed it: to be shown before [`Device::agree`].
    pub fn offered(&self, purpose: Purpose) -> Processing {
        Processing::offered(purpose, &self.state.home.region, &self.region().terms)
    }

    /// The latest record of a purpose, and whether the service has countersigned it.
    pub fn consent(&self, purpose: Purpose) -> Option<(&DeviceSigned, Option<&Countersigned>)> {
        self.state.consents.get(&purpose).map(|kept| (&kept.signed, kept.countersigned.as_ref()))
    }

    /// Whether the owner agrees to it.
    pub fn agrees(&self, purpose: Purpose) -> bool {
        self.state.agrees(purpose)
    }

    /// The owner agrees: a record is signed and kept. Sends nothing. A withdrawal that the relay has not heard of yet still goes to
    /// it, first.
    ///
    /// # Errors
    /// Its file.
    pub fn agree(&mut self, purpose: Purpose, now: Timestamp) -> Result<(), DeviceFault> {
        if !self.state.agrees(purpose) {
            self.record(purpose, EventState::Given, now);
        }
        self.save()
    }

    /// The owner agrees no longer: signed and kept, and from here on nothing more is sent for it but the withdrawal
    /// itself. Without messaging there is nothing else, so all goes with it.
    ///
    /// # Errors
    /// Its file.
    pub fn withdraw(&mut self, purpose: Purpose, now: Timestamp) -> Result<(), DeviceFault> {
        let all =
            Purpose::ALL.into_iter().filter(|each| purpose == Purpose::CloudMessaging || *each == purpose);
        for each in all.filter(|each| self.state.consents.contains_key(each)).collect::<Vec<_>>() {
            if self.state.agrees(each) {
                self.record(each, EventState::Withdrawn, now);
            }
        }
        if purpose == Purpose::ContactDiscovery || purpose == Purpose::CloudMessaging {
            self.state.tags.clear();
            self.state.contacts.values_mut().for_each(Contact::forget);
            self.state.tagged = None;
        }
        if purpose == Purpose::CloudMessaging {
            self.forget_mailbox(DeviceFault::NoConsent(purpose).code());
        }
        // Kept until the relay has heard of it: the token says whose mailbox it is, which may have moved meanwhile.
        self.renew_soon();
        self.save()?;
        if self.agrees(Purpose::ContactDiscovery) { Ok(()) } else { self.forget_filters() }
    }

    /// Another device has the number now, or the relay has forgotten this one: what was agreed to is not any more, and the
    /// owner may agree and register again.
    pub(super) fn is_nobodys(&mut self, why: ProblemCode) -> Result<(), DeviceFault> {
        self.state.consents.values_mut().for_each(|kept| kept.refused |= !kept.is_withdrawal());
        self.state.token = None;
        self.forget_mailbox(why.as_str());
        self.save()
    }

    /// Texts that wait come back: nobody sends them any more.
    fn forget_mailbox(&mut self, why: &str) {
        self.state.all_come_back(why);
        let state = &mut self.state;
        (state.mailbox, state.number, state.number_proof, state.attempt) = (None, None, None, None);
        state.keyring = Keyring::new();
        state.keys_published_at = None;
    }

    fn record(&mut self, purpose: Purpose, event: EventState, now: Timestamp) {
        let has_to_tell = self.state.has_to_tell();
        let last = self.state.consents.remove(&purpose);
        let sequence = last.as_ref().map_or(0, |kept| kept.signed.record.event.sequence);
        // A later withdrawal says all that an earlier one does.
        let is_given = event == EventState::Given && has_to_tell;
        let before = last.filter(|_| is_given).and_then(|kept| kept.withdrawal().cloned());
        let now = self.relays_time(now);
        let record = Record::new(self.id(), self.offered(purpose), event, sequence + 1, now);
        let signed = DeviceSigned::sign(record, &self.key());
        self.state.consents.insert(purpose, Kept { before, ..Kept::new(signed) });
    }

    fn relays_time(&self, own: Timestamp) -> Timestamp {
        let corrected = Timestamp::from_second(self.state.clock().relays(own.as_second()));
        corrected.unwrap_or(own)
    }

    pub(super) fn needs(&self, purpose: Purpose) -> Result<(), DeviceFault> {
        if self.state.agrees(purpose) { Ok(()) } else { Err(DeviceFault::NoConsent(purpose)) }
    }
}

impl Device<Silent> {
    /// The one way to a transport: with a consent to messaging, or a withdrawal that the relay has not heard of.
    /// `transport` is called only then.
    ///
    /// # Errors
    /// The device itself, still silent, with the reason.
    pub fn connect<R: Relay>(
        self,
        transport: impl FnOnce(&Agreement) -> Result<R, Unreachable>,
    ) -> Result<Device<Agreed<R>>, (Box<Self>, DeviceFault)> {
        if !self.state.agrees(Purpose::CloudMessaging) && !self.state.has_to_tell() {
            return Err((Box::new(self), DeviceFault::NoConsent(Purpose::CloudMessaging)));
        }
        match transport(&Agreement(())) {
            Ok(relay) => Ok(Device { file: self.file, state: self.state, link: Agreed { relay } }),
            Err(fault) => Err((Box::new(self), fault.into())),
        }
    }
}

impl<R: Relay> Device<Agreed<R>> {
    /// Closes the transport.
    pub fn fall_silent(self) -> Device<Silent> {
        Device { file: self.file, state: self.state, link: Silent }
    }

    /// Brings the relay every record that it does not have yet, and keeps them with its signature.
    ///
    /// # Errors
    /// A relay that refuses one, or whose signature does not hold. Terms that have changed: see
    /// [`DeviceFault::TermsChanged`].
    pub async fn deliver_consents(&mut self) -> Result<(), DeviceFault> {
        let mut elsewhere = None;
        for _ in 0..DELIVERIES_MAX {
            let Some((purpose, signed)) = self.state.undelivered() else {
                // What was agreed to after the withdrawal was for the region that it went on from.
                return elsewhere.filter(|_| self.state.agreed_elsewhere()).map_or(Ok(()), Err);
            };
            let given = GiveConsent { record: signed.clone() };
            match self.post_plain::<_, ConsentTaken>("/v1/messaging/consents", &given).await {
                Ok(taken) => self.take_countersigned(purpose, &signed, taken)?,
                // Withdrawn is withdrawn, whatever the terms of the region are in which the mailbox lives by now.
                Err(fault @ DeviceFault::HomeElsewhere(_)) if is_withdrawal(&signed) => {
                    elsewhere = Some(fault)
                }
                Err(fault) => return Err(self.under_new_terms(purpose, fault).await?),
            }
        }
        Err(DeviceFault::Endless("the relay asks for ever other records of consent"))
    }

    fn take_countersigned(
        &mut self,
        purpose: Purpose,
        signed: &DeviceSigned,
        taken: ConsentTaken,
    ) -> Result<(), DeviceFault> {
        let service_key: Key = self.region().service_key;
        if taken.record.signed != *signed || taken.record.check(&service_key).is_err() {
            return Err(DeviceFault::Countersignature);
        }
        self.take_token(taken.token);
        if let Some(kept) = self.state.consents.get_mut(&purpose) {
            match kept.signed == *signed {
                true => kept.countersigned = Some(taken.record),
                false => kept.before = None,
            }
        }
        self.save()
    }

    /// A record was refused. If the relay has other terms than those that the owner was shown, nothing was agreed to, and
    /// the new ones are kept to be shown. Returns what to tell the owner.
    async fn under_new_terms(
        &mut self,
        purpose: Purpose,
        fault: DeviceFault,
    ) -> Result<DeviceFault, DeviceFault> {
        let is_terms =
            matches!(&fault, DeviceFault::Refused(problem) if problem.code == ProblemCode::RecordTerms);
        if !is_terms {
            return Ok(fault);
        }
        self.refresh_region().await?;
        let offered = self.offered(purpose);
        let Some(kept) = self.state.consents.get_mut(&purpose) else { return Ok(fault) };
        if kept.signed.record.processing == offered {
            return Ok(fault);
        }
        kept.refused = true;
        self.save()?;
        Ok(DeviceFault::TermsChanged(purpose))
    }
}
