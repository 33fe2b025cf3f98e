//! Digests of the normal forms, without a salt and with each given one before and after.
//!
//! A digest is looked up by its first 16 bytes; the first 8 are its own hash for the filter before the table.
//!
//! What is looked up is seldom drawn as digests are: where hexadecimal is of a text, the upper bit of each byte is zero, and if read from the
//! wrong digit on, one of the lower half. So the filter keeps digests apart by how many of these bits they have: one in 256 has
//! none of the one or of the other, and where those are kept stays in a core's cache, though the filter does not.

use crate::filter::{Filter, Probe};
use crate::keys::{Keys, Sort};
use crate::table::{Entries, Half, Table};
use crate::{Encoding, Forms, Identifier, forms};
use hmac::{Hmac, Mac};
use sha2::Digest as _;
use std::ops::Range;
use zeroize::Zeroizing;

/// Bits of the filter for each digest: 0.4 % of others pass.
const FILTER_BITS: usize = 14;
/// Bytes of a digest that are compared.
pub(crate) const COMPARED_BYTES: usize = 16;

/// The digests, in the order of their numbers in the table.
pub(crate) const ALL: [(Encoding, usize); 6] = [
    (Encoding::Md5, 16),
    (Encoding::Sha1, 20),
    (Encoding::Sha256, 32),
    (Encoding::Sha512, 64),
    (Encoding::Blake3, 32),
    (Encoding::HmacSha256, 32),
];
/// How many of them need no key.
const KEYLESS: usize = 5;

/// Digests of all identifiers.
#[derive(Debug)]
pub(crate) struct Digests {
    filter: Sorted,
    table: Table,
}

/// A filter in which digests are kept apart by how their first eight bytes are made up.
#[derive(Debug)]
struct Sorted {
    all: Filter,
    /// Which of its words those of each sort have.
    words: [Range<u32>; SORTS * SORTS],
}

/// None to all of eight bytes have a certain bit set.
const SORTS: usize = 9;
/// How many of the 256 ways to set one bit in eight bytes or not have so many set.
const WAYS: [u64; SORTS] = [1, 8, 28, 56, 70, 56, 28, 8, 1];

impl Sorted {
    fn new(digests: usize) -> Self {
        let all = Filter::new(digests, FILTER_BITS);
        let share = |ways: u64| ((u64::from(all.words()) * ways) >> 16) as u32;
        let mut before = 0;
        let words = std::array::from_fn(|sort| {
            let start = share(before);
            before += WAYS[sort / SORTS] * WAYS[sort % SORTS];
            // Of a small filter, sorts may share a word.
            let start = start.min(all.words() - 1);
            start..share(before).max(start + 1)
        });
        Self { all, words }
    }

    /// Of a digest that begins with these eight bytes.
    #[inline(always)]
    fn probe(&self, keys: &Keys, first: u64) -> Probe {
        const LOWEST: u64 = u64::MAX / 255;
        // A product's upper byte is the sum of all bytes.
        let set = |bit: u32| ((first >> bit & LOWEST).wrapping_mul(LOWEST) >> 56) as usize;
        let words = &self.words[set(7) * SORTS + set(3)];
        self.all.probe_within(keys.mixed(first, Sort::Digest as u64), words)
    }
}

/// Digests of some identifiers, made on one thread: first those of one half of the table, then those of the other. All at once would
/// take as much memory again as the whole table.
#[derive(Debug)]
pub(crate) struct Part {
    filter: Sorted,
    entries: Entries,
}

/// How many digests `identifiers` have.
pub(crate) fn count(identifiers: &[Identifier], salts: &Forms) -> usize {
    let forms: usize = identifiers.iter().map(|i| forms::hashed(i).len()).sum();
    forms * (KEYLESS * (1 + 2 * salts.salts.len()) + salts.keys.len())
}

impl Part {
    /// Empty; `all` and `mine` say how many digests there are in all and of these identifiers.
    pub(crate) fn new(all: usize, mine: usize) -> Self {
        Self { filter: Sorted::new(all), entries: Entries::with_capacity(mine) }
    }

    /// Makes the digests of these identifiers, whose numbers begin at `first`, and keeps those of a half.
    pub(crate) fn make(
        &mut self,
        half: Half,
        first: u32,
        identifiers: &[Identifier],
        salts: &Forms,
        keys: &Keys,
    ) {
        let keyed: Vec<Hmac<sha2::Sha256>> = salts.keys.iter().map(|key| keyed(key)).collect();
        for (number, identifier) in (first..).zip(identifiers) {
            for form in forms::hashed(identifier) {
                self.add(half, number, &form, keys);
                for key in &keyed {
                    let mac = key.clone().chain_update(&form).finalize().into_bytes();
                    self.remember(half, number, KEYLESS as u32, &mac, keys);
                }
                for salt in &salts.salts {
                    self.add(half, number, &Zeroizing::new([salt.as_slice(), &form].concat()), keys);
                    self.add(half, number, &Zeroizing::new([form.as_slice(), salt].concat()), keys);
                }
            }
        }
    }

    fn add(&mut self, half: Half, number: u32, form: &[u8], keys: &Keys) {
        self.remember(half, number, 0, &md5::Md5::digest(form), keys);
        self.remember(half, number, 1, &sha1::Sha1::digest(form), keys);
        self.remember(half, number, 2, &sha2::Sha256::digest(form), keys);
        self.remember(half, number, 3, &sha2::Sha512::digest(form), keys);
        self.remember(half, number, 4, blake3::hash(form).as_bytes(), keys);
    }

    fn remember(&mut self, half: Half, number: u32, algorithm: u32, digest: &[u8], keys: &Keys) {
        let print = keys.of_bytes(Sort::Digest, &digest[..COMPARED_BYTES]);
        if Half::of(print) == half {
            self.filter.all.insert(self.filter.probe(keys, head(digest)));
            self.entries.push(print, number | algorithm << 24);
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<sha2::Sha256> {
    Mac::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104)")
}

impl Digests {
    /// All parts as one; `make` makes the digests of a half.
    pub(crate) fn new(mut parts: Vec<Part>, make: impl Fn(&mut [Part], Half)) -> Self {
        let mut table = Table::default();
        for half in [Half::First, Half::Second] {
            make(&mut parts, half);
            let mut entries: Vec<_> =
                parts.iter_mut().map(|part| std::mem::take(&mut part.entries)).collect();
            table.extend(half, &mut entries);
            parts.iter_mut().zip(entries).for_each(|(part, empty)| part.entries = empty);
        }
        let mut filters = parts.into_iter().map(|part| part.filter);
        let mut filter = filters.next().unwrap_or_else(|| Sorted::new(0));
        filters.for_each(|more| filter.all.merge(&more.all));
        Self { filter, table }
    }

    /// What the filter knows a digest by that begins with these eight bytes.
    #[inline(always)]
    pub(crate) fn probe(&self, keys: &Keys, first: u64) -> Probe {
        self.filter.probe(keys, first)
    }

    /// Which of these (at most 64) may begin digests, as bits.
    #[inline(always)]
    pub(crate) fn passing(&self, probes: &[Probe]) -> u64 {
        self.filter.all.passing(probes)
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
        self.filter.all.held_bytes() + self.table.held_bytes()
    }
}

/// The first eight bytes as a number.
pub(crate) fn head(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
