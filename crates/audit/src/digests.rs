//! Digests of the normal forms, without a salt and with each given one before and after.
//!
//! A digest is looked up by its first 16 bytes; the first 8 are its own hash for the filter before the table.

use crate::filter::Filter;
use crate::keys::{Keys, Sort};
use crate::table::{Entries, Table};
use crate::{Encoding, Forms, Identifier, forms};
use sha2::Digest as _;
use zeroize::Zeroizing;

/// Bits of the filter for each digest: 0.4 % of others pass.
const FILTER_BITS: usize = 14;
/// Bytes of a digest that are compared.
pub(crate) const COMPARED_BYTES: usize = 16;

/// The digests, in the order of their numbers in the table.
pub(crate) const ALL: [(Encoding, usize); 5] = [
    (Encoding::Md5, 16),
    (Encoding::Sha1, 20),
    (Encoding::Sha256, 32),
    (Encoding::Sha512, 64),
    (Encoding::Blake3, 32),
];

/// Digests of all identifiers.
#[derive(Debug)]
pub(crate) struct Digests {
    filter: Filter,
    table: Table,
}

/// Digests of some identifiers, made on one thread.
#[derive(Debug)]
pub(crate) struct Part {
    filter: Filter,
    entries: Entries,
}

/// How many digests `identifiers` have.
pub(crate) fn count(identifiers: &[Identifier], salts: &Forms) -> usize {
    let forms: usize = identifiers.iter().map(|i| forms::hashed(i).len()).sum();
    forms * ALL.len() * (1 + 2 * salts.salts.len())
}

impl Part {
    /// Makes digests; `all` and `mine` say how many there are in all and of these identifiers.
    pub(crate) fn new(
        first: u32,
        identifiers: &[Identifier],
        salts: &Forms,
        keys: &Keys,
        (all, mine): (usize, usize),
    ) -> Self {
        let mut part = Self { filter: Filter::new(all, FILTER_BITS), entries: Entries::with_capacity(mine) };
        for (number, identifier) in (first..).zip(identifiers) {
            for form in forms::hashed(identifier) {
                part.add(number, &form, keys);
                for salt in &salts.salts {
                    part.add(number, &Zeroizing::new([salt.as_slice(), &form].concat()), keys);
                    part.add(number, &Zeroizing::new([form.as_slice(), salt].concat()), keys);
                }
            }
        }
        part
    }

    fn add(&mut self, number: u32, form: &[u8], keys: &Keys) {
        self.remember(number, 0, &md5::Md5::digest(form), keys);
        self.remember(number, 1, &sha1::Sha1::digest(form), keys);
        self.remember(number, 2, &sha2::Sha256::digest(form), keys);
        self.remember(number, 3, &sha2::Sha512::digest(form), keys);
        self.remember(number, 4, blake3::hash(form).as_bytes(), keys);
    }

    fn remember(&mut self, number: u32, algorithm: u32, digest: &[u8], keys: &Keys) {
        self.filter.insert(keys.mixed(head(digest), Sort::Digest as u64));
        let print = keys.of_bytes(Sort::Digest, &digest[..COMPARED_BYTES]);
        self.entries.push(print, number | algorithm << 24);
    }
}

impl Digests {
    /// All parts as one.
    pub(crate) fn new(parts: Vec<Part>) -> Self {
        let mut filters = Vec::new();
        let mut entries = Vec::new();
        for part in parts {
            filters.push(part.filter);
            entries.push(part.entries);
        }
        let mut filter = filters.pop().unwrap_or_default();
        filters.iter().for_each(|more| filter.merge(more));
        drop(filters);
        Self { filter, table: Table::new(entries) }
    }

    /// What the filter knows a digest by that begins with these eight bytes.
    #[inline]
    pub(crate) fn mixed(&self, keys: &Keys, first: u64) -> u64 {
        keys.mixed(first, Sort::Digest as u64)
    }

    /// Which of these (at most 64) may begin digests, as bits.
    #[inline]
    pub(crate) fn passing(&self, mixed: &[u64]) -> u64 {
        self.filter.passing(mixed)
    }

    /// Whose digest begins with these 16 bytes: identifier, algorithm and the digest's length.
    pub(crate) fn of(&self, keys: &Keys, first: &[u8]) -> impl Iterator<Item = (u32, Encoding, usize)> {
        let print = keys.of_bytes(Sort::Digest, &first[..COMPARED_BYTES]);
        self.table.meanings(print).iter().map(|meaning| {
            let (algorithm, length) = ALL[(meaning >> 24) as usize];
            (meaning & 0xFF_FFFF, algorithm, length)
        })
    }

    /// Bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.filter.held_bytes() + self.table.held_bytes()
    }
}

/// The first eight bytes as a number.
pub(crate) fn head(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
