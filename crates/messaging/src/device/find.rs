//! Contacts: kept here, found without being named.

use super::state::{CONTACTS_MAX, Contact, Reached};
use super::{Agreed, Device, DeviceFault, Relay};
use crate::consent::Purpose;
use crate::discovery::{Blinding, Filter, Tag, ask};
use crate::number::Number;
use crate::wire::limits::EVALUATE_MAX;
use crate::wire::{
    Evaluate, Evaluated, Filters, Found, List, Presence, PresenceOf, RegionName, ShowPresence, Text,
};
use http::Method;
use std::collections::BTreeMap;

/// What a sync found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Contacts that are users.
    pub found: usize,
    /// Contacts that were blinded and asked for now: those without a tag yet.
    pub blinded: usize,
    /// Contacts that were found with another identity than before: see [`Contact::changed`].
    pub changed: usize,
    /// Regions that were asked for.
    pub regions: usize,
    /// Regions whose filter the home relay does not have yet: contacts that were found there stay found.
    pub unseen: usize,
    /// Bytes of filters downloaded; those that have not changed are not.
    pub filter_bytes: usize,
}

impl<S> Device<S> {
    /// Adds a contact, or renames it. Sends nothing.
    ///
    /// # Errors
    /// Too many.
    pub fn add_contact(&mut self, number: Number, name: Text) -> Result<(), DeviceFault> {
        if self.state.contacts.len() >= CONTACTS_MAX && !self.state.contacts.contains_key(&number) {
            return Err(DeviceFault::Limit("a device has at most 5000 contacts"));
        }
        let contact = self.state.contacts.entry(number).or_insert_with(|| Contact::new(name.clone()));
        contact.name = name;
        self.save()
    }

    /// Removes a contact and its tags.
    ///
    /// # Errors
    /// None of this number.
    pub fn remove_contact(&mut self, number: &Number) -> Result<(), DeviceFault> {
        self.state.contacts.remove(number).ok_or(DeviceFault::NoContact)?;
        self.state.tags.forget(number);
        self.save()
    }

    /// All contacts.
    pub fn contacts(&self) -> impl Iterator<Item = (&Number, &Contact)> {
        self.state.contacts.iter()
    }

    /// Opens a contact's card: by name or number, out of the device's own file. Sends nothing, whether user or not.
    ///
    /// # Errors
    /// [`DeviceFault::NoContact`].
    pub fn contact(&self, who: &str) -> Result<(&Number, &Contact), DeviceFault> {
        let is =
            |(number, contact): &(&Number, &Contact)| contact.name.as_str() == who || number.as_str() == who;
        self.state.contacts.iter().find(is).ok_or(DeviceFault::NoContact)
    }

    /// The owner has made sure that a contact's other identity ([`Contact::changed`]) is the contact's: by comparing
    /// [`IdentityKeys::fingerprint`](crate::wire::IdentityKeys::fingerprint) in person, say. False: there is none. Sends nothing.
    ///
    /// # Errors
    /// [`DeviceFault::NoContact`].
    pub fn accept_identity(&mut self, who: &str) -> Result<bool, DeviceFault> {
        let number = self.contact(who)?.0.clone();
        let accepted = self.state.contacts.get_mut(&number).is_some_and(Contact::accept);
        self.save()?;
        Ok(accepted)
    }

    /// This device's own identity, as its contacts see it.
    pub fn identity(&self) -> crate::wire::IdentityKeys {
        self.state.keyring.identity()
    }

    /// How a contact is reached, if that is still the one who was found first.
    pub(super) fn reached(&self, who: &str) -> Result<Reached, DeviceFault> {
        let contact = self.contact(who)?.1;
        match contact.changed {
            Some(_) => Err(DeviceFault::IdentityChanged),
            None => contact.found.ok_or(DeviceFault::NotAUser),
        }
    }
}

impl<R: Relay> Device<Agreed<R>> {
    /// Looks which contacts are users.
    ///
    /// # Errors
    /// No consent to discovery: nothing is sent. An answer that does not hold: what was kept before stays.
    pub async fn sync_contacts(&mut self) -> Result<Synced, DeviceFault> {
        self.needs(Purpose::ContactDiscovery)?;
        self.refresh_region().await?;
        self.settle().await?;
        self.needs(Purpose::ContactDiscovery)?;
        let current: Vec<_> = self
            .region()
            .regions
            .iter()
            .filter_map(|each| Some((each.region.clone(), each.current()?.generation)))
            .collect();
        let (missing, regions) = self.state.tags.missing(self.state.contacts.keys(), &current);
        let mut synced = Synced { blinded: missing.len(), regions: regions.len(), ..Synced::default() };
        for batch in missing.chunks(EVALUATE_MAX) {
            self.evaluate(batch.to_vec(), &regions).await?;
        }
        self.look_up(&current, &mut synced).await?;
        Ok(synced)
    }

    async fn evaluate(&mut self, numbers: Vec<Number>, regions: &[RegionName]) -> Result<(), DeviceFault> {
        let blinding = Blinding::of(numbers)?;
        let asked = Evaluate {
            blinded: List::new(blinding.blinded().to_vec()).ok_or(DeviceFault::Answer)?,
            regions: List::new(regions.to_vec()),
        };
        let evaluated: Evaluated = self.post("/v1/messaging/discovery/evaluate", &asked).await?;
        for result in evaluated.results {
            let listed = self.region().listed(&result.region).ok_or(DeviceFault::Answer)?;
            let key = listed.generations.iter().find(|each| each.generation == result.generation);
            let key = key.ok_or(DeviceFault::Answer)?.public_key;
            let tags = blinding.tags(&result.evaluated, &result.proof, &key)?;
            for (number, tag) in blinding.numbers().iter().zip(tags) {
                self.state.tags.keep(number, &result.region, result.generation, tag);
            }
        }
        // CRASH: without this the same contacts are blinded again, and charged again.
        self.save()
    }

    async fn look_up(
        &mut self,
        current: &[(RegionName, u32)],
        synced: &mut Synced,
    ) -> Result<(), DeviceFault> {
        let filters: Filters = self.get("/v1/messaging/filters").await?;
        let (mut found, mut seen): (BTreeMap<Number, Vec<Reached>>, _) = (BTreeMap::new(), 0);
        for listed in filters {
            if !current.contains(&(listed.region.clone(), listed.generation)) {
                continue;
            }
            let filter = self.filter(&listed, &mut synced.filter_bytes).await?;
            for (number, reached) in self.residents(&filter).await? {
                found.entry(number).or_default().push(reached);
            }
            seen += 1;
        }
        synced.unseen = current.len().saturating_sub(seen);
        for (number, contact) in &mut self.state.contacts {
            match found.get(number) {
                Some(reached) => contact.is_found(reached),
                None if synced.unseen == 0 => contact.is_found(&[]),
                // Of a region that was not looked at nothing is known: whoever was found there is a user still.
                None => {}
            }
        }
        synced.found = self.state.contacts.values().filter(|contact| contact.found.is_some()).count();
        synced.changed = self.state.contacts.values().filter(|contact| contact.changed.is_some()).count();
        self.save()
    }

    async fn residents(&mut self, filter: &Filter) -> Result<Vec<(Number, Reached)>, DeviceFault> {
        // CRASH: copies of the few tags that are asked for; the device's own stay in its state, which any request may save.
        let of = |number: &Number| {
            let tag = self.state.tags.get(number, filter.region(), filter.generation())?;
            filter.has(&tag.locator()).then(|| (number.clone(), tag.clone()))
        };
        let tags: Vec<(Number, Tag)> = self.state.contacts.keys().filter_map(of).collect();
        let asked = ask(filter, tags.iter().map(|(number, tag)| (number.clone(), tag)));
        let mut found = Vec::new();
        for each in asked {
            let answer: Found = self.post("/v1/messaging/discovery/lookup", each.lookup()).await?;
            found.extend(each.residents(&answer.entries));
        }
        let reached = |(number, resident): (Number, crate::discovery::Resident)| {
            (number, Reached { mailbox: resident.mailbox, identity: resident.identity })
        };
        Ok(found.into_iter().map(reached).collect())
    }

    /// Lets the contacts that are users and whose names are given see whether this device is connected, and nobody else.
    ///
    /// # Errors
    /// No consent to presence: nothing is sent.
    pub async fn show_presence_to(&mut self, names: &[String]) -> Result<(), DeviceFault> {
        self.needs(Purpose::Presence)?;
        let mailbox = |name: &String| self.reached(name).map(|at| at.mailbox);
        let visible_to: Vec<_> = names.iter().map(mailbox).collect::<Result<_, _>>()?;
        let visible_to = List::new(visible_to).ok_or(DeviceFault::Limit("at most 1000 may see it"))?;
        self.settle().await?;
        self.tell(&Method::PUT, "/v1/messaging/presence", &ShowPresence { visible_to }).await
    }

    /// Whether a contact is connected, as far as it lets this device see. A contact who is not a user: nothing is sent.
    ///
    /// # Errors
    /// No consent, no such contact, not a user.
    pub async fn presence(&mut self, who: &str) -> Result<Presence, DeviceFault> {
        self.needs(Purpose::CloudMessaging)?;
        let mailbox = self.reached(who)?.mailbox;
        self.settle().await?;
        let shown: PresenceOf = self.get(&format!("/v1/messaging/presence/{mailbox}")).await?;
        Ok(shown.presence)
    }
}
