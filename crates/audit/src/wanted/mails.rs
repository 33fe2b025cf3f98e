//! Mail addresses: first the domain is looked up, then what stands before the `@` of one that is known.

use super::threes::Threes;
use crate::filter::Filter;
use crate::keys::Keys;
use crate::table::Table;
use crate::{Identifier, Kind};
use std::collections::HashSet;

/// Bits of the filters for each value: 0.3 % of others pass.
const FILTER_BITS: usize = 16;

/// Mail addresses and their domains.
#[derive(Debug)]
pub(crate) struct Mails {
    domains: Filter,
    addresses: Filter,
    /// How addresses begin, in lower case.
    begins: Threes,
    table: Table,
    /// Which bytes (lower case) stand in local parts (bit 0) and domains (bit 1).
    bytes: [u8; 256],
    /// Shortest and longest local part, domain and whole, in bytes.
    locals: (usize, usize),
    hosts: (usize, usize),
    wholes: (usize, usize),
}

impl Mails {
    pub(crate) fn new(identifiers: &[Identifier], keys: &Keys) -> Self {
        let count = identifiers.iter().filter(|i| i.kind == Kind::Email).count();
        let all = || (0..).zip(identifiers).filter(|(_, i)| i.kind == Kind::Email);
        // There are few domains: what is looked up most must stay in the cache.
        let domains: HashSet<u64> = all().map(|(_, i)| domain(parts(&i.text).1, keys)).collect();
        let mut mails = Self {
            domains: Filter::new(domains.len(), FILTER_BITS),
            addresses: Filter::new(count, FILTER_BITS),
            begins: Threes::new(),
            table: Table::default(),
            bytes: [0; 256],
            locals: (usize::MAX, 0),
            hosts: (usize::MAX, 0),
            wholes: (usize::MAX, 0),
        };
        for domain in domains {
            mails.domains.insert(mails.domains.probe(keys.mixed(domain, 0)));
        }
        all().for_each(|(_, identifier)| mails.add(&identifier.text, keys));
        mails.table = Table::of(count, |push| {
            all().for_each(|(number, identifier)| push(keys.of_mail(identifier.text.as_bytes()), number));
        });
        mails
    }

    fn add(&mut self, address: &str, keys: &Keys) {
        let (local, host) = parts(address);
        let domain = domain(host, keys);
        let whole = local.iter().rev().fold(domain, |h, b| keys.rolled(h, b.to_ascii_lowercase()));
        self.addresses.insert(self.addresses.probe(keys.mixed(whole, 1)));
        let first = |three: u64, b: &u8| three << 8 | u64::from(b.to_ascii_lowercase());
        self.begins.insert(address.as_bytes().iter().take(3).rev().fold(0, first));
        for (part, bit) in [(local, 1), (host, 2)] {
            part.iter().for_each(|b| {
                self.bytes[usize::from(b.to_ascii_lowercase())] |= bit;
                self.bytes[usize::from(b.to_ascii_uppercase())] |= bit;
            });
        }
        for (range, part) in
            [(&mut self.locals, local), (&mut self.hosts, host), (&mut self.wholes, address.as_bytes())]
        {
            *range = (range.0.min(part.len()), range.1.max(part.len()));
        }
    }

    /// Calls `hit` with the range in `text` and the number of every address around the `@` at `at`. Whatever
    /// stands beside it: a byte before an address may look like a part of it.
    pub(crate) fn around(
        &self,
        keys: &Keys,
        text: &[u8],
        at: usize,
        mut hit: impl FnMut(std::ops::Range<usize>, u32),
    ) {
        let mut domain = 0;
        for (length, byte) in (1..=self.hosts.1).zip(&text[at + 1..]) {
            if self.bytes[usize::from(*byte)] & 2 == 0 {
                return;
            }
            domain = keys.rolled(domain, byte.to_ascii_lowercase());
            if length >= self.hosts.0 && self.domains.may_hold(self.domains.probe(keys.mixed(domain, 0))) {
                self.before(keys, &text[..at + 1 + length], at, domain, &mut hit);
            }
        }
    }

    fn before(
        &self,
        keys: &Keys,
        text: &[u8],
        at: usize,
        domain: u64,
        hit: &mut impl FnMut(std::ops::Range<usize>, u32),
    ) {
        let mut whole = domain;
        // An address has three bytes at least: one before the `@` and one behind it.
        let mut three = u64::from(b'@') | u64::from(text[at + 1].to_ascii_lowercase()) << 8;
        for length in 1..=self.locals.1.min(at) {
            let byte = text[at - length];
            if self.bytes[usize::from(byte)] & 1 == 0 {
                return;
            }
            whole = keys.rolled(whole, byte.to_ascii_lowercase());
            three = three << 8 | u64::from(byte.to_ascii_lowercase());
            let begins = length >= self.locals.0 && self.begins.bit(three) == 1;
            if begins && self.addresses.may_hold(self.addresses.probe(keys.mixed(whole, 1))) {
                let address = &text[at - length..];
                if address.len() <= self.wholes.1 {
                    let all = self.table.meanings(keys.of_mail(address));
                    all.iter().for_each(|number| hit(at - length..text.len(), *number));
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wholes.1 == 0
    }

    pub(crate) fn shortest(&self) -> Option<usize> {
        (!self.is_empty()).then_some(self.wholes.0)
    }

    pub(crate) fn longest(&self) -> usize {
        self.wholes.1
    }

    /// Does an address have this byte?
    pub(crate) fn spells(&self, byte: u8) -> bool {
        self.bytes[usize::from(byte)] != 0
    }

    pub(crate) fn wide(&self) -> bool {
        self.bytes[128..].iter().any(|b| *b != 0)
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.domains.held_bytes() + self.addresses.held_bytes() + self.table.held_bytes()
    }
}

/// What stands before the last `@` and what stands behind it.
fn parts(address: &str) -> (&[u8], &[u8]) {
    let (local, host) = address.rsplit_once('@').unwrap_or(("", address));
    (local.as_bytes(), host.as_bytes())
}

fn domain(host: &[u8], keys: &Keys) -> u64 {
    host.iter().fold(0, |h, b| keys.rolled(h, b.to_ascii_lowercase()))
}
