//! Asking for entries: padded, in an order that says nothing.

use super::{Filter, Resident, Tag};
use crate::wire::limits::{LOOKUP_MAX, LOOKUP_SIZES};
use crate::wire::{Entry, List, Locator, Lookup};
use std::collections::BTreeMap;

/// A lookup under way: which of its locators are real is known here only.
#[derive(Debug)]
pub struct Asked<'a, T> {
    lookup: Lookup,
    real: BTreeMap<Locator, (T, &'a Tag)>,
}

/// Lookups for those of `tags` that the filter has, in batches. `T` is what the caller knows a contact by. Nobody in the
/// filter: nothing to ask.
pub fn ask<'a, T>(filter: &Filter, tags: impl IntoIterator<Item = (T, &'a Tag)>) -> Vec<Asked<'a, T>> {
    let real = tags.into_iter().map(|(contact, tag)| (tag.locator(), (contact, tag)));
    let mut real: BTreeMap<_, _> = real.filter(|(locator, _)| filter.has(locator)).collect();
    let mut all = Vec::new();
    while !real.is_empty() {
        // Split off at a locator: which contacts are together is as random as the locators are.
        let rest = real.keys().nth(LOOKUP_MAX).copied().map(|at| real.split_off(&at));
        all.push(Asked { lookup: padded(filter, &real), real });
        real = rest.unwrap_or_default();
    }
    all
}

fn padded<T>(filter: &Filter, real: &BTreeMap<Locator, T>) -> Lookup {
    let size = LOOKUP_SIZES.into_iter().find(|size| real.len() <= *size).unwrap_or(LOOKUP_MAX);
    let random = std::iter::repeat_with(Locator::random);
    let mut locators: Vec<_> = real.keys().copied().chain(random).take(size).collect();
    // By value: locators are random bytes, so this order is the same for real and random ones.
    locators.sort_unstable();
    Lookup {
        region: filter.region().clone(),
        generation: filter.generation(),
        locators: List::new(locators).expect("no size is above LOOKUP_MAX"),
    }
}

impl<T> Asked<'_, T> {
    /// What is sent.
    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// Who lives there, out of the answer. An entry that does not open is as none: the filter was wrong, or the relay is.
    pub fn residents(mut self, entries: &[Option<Entry>]) -> Vec<(T, Resident)> {
        let mut found = Vec::new();
        for (locator, entry) in self.lookup.locators.iter().zip(entries) {
            let Some((contact, tag)) = self.real.remove(locator) else { continue };
            found.extend(entry.and_then(|entry| tag.open(&entry)).map(|resident| (contact, resident)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::DiscoveryKey;
    use super::*;
    use crate::number::Number;
    use crate::wire::{IdentityKeys, Key, MailboxId};

    fn number(i: u32) -> Number {
        format!("+86139{i:08}").parse().unwrap()
    }

    #[test]
    fn users_among_the_contacts_are_found_and_lookups_are_padded() {
        let key = DiscoveryKey::generate();
        let identity = IdentityKeys { curve25519: Key([1; 32]), ed25519: Key([2; 32]) };
        // Of two hundred contacts those with even numbers have a mailbox.
        let tags: Vec<_> = (0..200).map(|i| key.tag(&number(i))).collect();
        let resident = |i: u32| Resident { mailbox: MailboxId([i as u8; 16]), identity };
        let users: BTreeMap<_, _> = (0..200_u32)
            .step_by(2)
            .map(|i| (tags[i as usize].locator(), tags[i as usize].seal(&resident(i))))
            .collect();
        let filter = Filter::build("beijing".parse().unwrap(), 1, users.keys().copied()).unwrap();
        let asked = ask(&filter, (0..200_u32).zip(&tags));
        assert_eq!(asked.len(), 1);
        let lookup = asked[0].lookup();
        assert!(lookup.is_padded() && lookup.locators.len() == 128 && lookup.locators.is_sorted());
        let entries: Vec<_> = lookup.locators.iter().map(|at| users.get(at).copied()).collect();
        let mut found: Vec<_> = asked.into_iter().flat_map(|each| each.residents(&entries)).collect();
        found.sort_by_key(|(i, _)| *i);
        assert_eq!(found, (0..200).step_by(2).map(|i| (i, resident(i))).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_in_the_filter_asks_nothing() {
        let key = DiscoveryKey::generate();
        let filter = Filter::build("beijing".parse().unwrap(), 1, [Locator::random()]).unwrap();
        let tags: Vec<_> = (0..20).map(|i| key.tag(&number(i))).collect();
        assert!(ask(&filter, tags.iter().enumerate()).is_empty());
    }

    #[test]
    fn many_users_take_several_lookups_and_short_answers_lose_nobody_else() {
        let key = DiscoveryKey::generate();
        let tags: Vec<_> = (0..300).map(|i| key.tag(&number(i))).collect();
        let filter = Filter::build("beijing".parse().unwrap(), 1, tags.iter().map(Tag::locator)).unwrap();
        let asked = ask(&filter, tags.iter().enumerate());
        let sizes: Vec<_> = asked.iter().map(|each| each.lookup().locators.len()).collect();
        assert_eq!(sizes, [128, 128, 128]);
        assert!(asked.into_iter().all(|each| each.residents(&[None]).is_empty()));
    }
}
