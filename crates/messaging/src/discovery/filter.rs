//! The locators of all users of a region, as a set that says "not in it" without being asked over the network.
//!
//! A binary fuse filter (Graf and Lemire, 2022) with 32-bit fingerprints, over the first eight bytes of each locator: about
//! 36 bits a user. Who is in it is always found; of those who are not, one in 2^32 seems to be, and then the lookup finds
//! no entry. It can only be asked with a tag at hand, and a tag costs an evaluation.
//!
//! # Bytes, integers little-endian
//! | bytes | what |
//! |---|---|
//! | 8 | `DOMFLTR1` |
//! | 1 + n | length and name of the region |
//! | 4 | generation |
//! | 8 | users in it |
//! | 20 | seed (8), segment length (4), its mask (4), length of all first segments (4) |
//! | 4 each | fingerprints |
//! | 64 | Ed25519 of the region's service key over `domicile-filter-v1\n` and all before: who passes it on cannot change it, and a region |
//! |    | that puts in it who is no user has signed that |
//!
//! A locator's first eight bytes, as an integer, give a hash (`mixed`), the hash three places (`Layout::places`); it is in
//! the filter if the fingerprints there, xored, are the hash's lower half xored with its upper half.

use crate::wire::limits::FILTER_BYTES_MAX;
use crate::wire::{Key, Locator, RegionName};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::collections::BTreeSet;
use std::fmt;
use xorf::{BinaryFuse32, DmaSerializable};

const MAGIC: &[u8; 8] = b"DOMFLTR1";
/// The longest segment that a filter is built with, fingerprints.
const SEGMENT_MAX: u32 = 1 << 18;

/// What is signed begins so.
const DOMAIN: &[u8] = b"domicile-filter-v1\n";

/// Bytes of a [`Layout`].
const LAYOUT_BYTES: usize = 20;

/// How locators are spread over the fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    seed: u64,
    segment_length: u32,
    segment_mask: u32,
    first_segments_length: u32,
}

/// Who has a mailbox in a region, under its key of one generation.
#[derive(Clone)]
pub struct Filter {
    region: RegionName,
    generation: u32,
    entries: u64,
    layout: Layout,
    fingerprints: Vec<u32>,
}

/// Why bytes are not a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    /// Longer than [`FILTER_BYTES_MAX`].
    #[error("a filter has at most {FILTER_BYTES_MAX} bytes")]
    TooBig,
    /// Not a filter, one of another version, or cut off.
    #[error("not a filter of this version")]
    NoFilter,
    /// Its parts contradict each other.
    #[error("the filter's parts contradict each other")]
    Contradiction,
    /// Not signed by its region.
    #[error("the filter is not signed by its region")]
    Forged,
    /// No filter can be built of these locators.
    #[error("no filter can be built of these locators")]
    Unbuildable,
}

fn short(locator: &Locator) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&locator.0[..8]);
    u64::from_le_bytes(bytes)
}

impl Filter {
    /// Builds one. The order of the locators does not matter; twice the same is once.
    ///
    /// # Errors
    /// [`FilterFault::TooBig`] for more users than [`FILTER_BYTES_MAX`] has room for.
    pub fn build(
        region: RegionName,
        generation: u32,
        locators: impl IntoIterator<Item = Locator>,
    ) -> Result<Self, FilterFault> {
        let distinct: BTreeSet<u64> = locators.into_iter().map(|locator| short(&locator)).collect();
        let keys: Vec<u64> = distinct.into_iter().collect();
        if keys.len() > FILTER_BYTES_MAX / 4 {
            return Err(FilterFault::TooBig);
        }
        let built = BinaryFuse32::try_from(&keys).map_err(|_| FilterFault::Unbuildable)?;
        let mut descriptor = [0; LAYOUT_BYTES];
        built.dma_copy_descriptor_to(&mut descriptor);
        let layout = Layout::read(&mut &descriptor[..])?;
        let filter = Self {
            region,
            generation,
            entries: keys.len() as u64,
            layout,
            fingerprints: built.fingerprints.into_vec(),
        };
        (filter.bytes_len() <= FILTER_BYTES_MAX).then_some(filter).ok_or(FilterFault::TooBig)
    }

    /// Whose users.
    pub fn region(&self) -> &RegionName {
        &self.region
    }

    /// Under which key their locators are.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// How many they are.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Whether somebody may lie at `locator`: never false for who does.
    pub fn has(&self, locator: &Locator) -> bool {
        let hash = mixed(short(locator), self.layout.seed);
        let of = |at: u32| self.fingerprints[at as usize];
        let [first, second, third] = self.layout.places(hash);
        (hash ^ (hash >> 32)) as u32 == of(first) ^ of(second) ^ of(third)
    }

    fn bytes_len(&self) -> usize {
        MAGIC.len() + 1 + self.region.as_str().len() + 4 + 8 + LAYOUT_BYTES + 4 * self.fingerprints.len()
    }

    /// As it is sent: its bytes, and the signature of its region's service key.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut bytes = self.to_bytes();
        let signature = key.sign(&[DOMAIN, &bytes].concat());
        bytes.extend_from_slice(&signature.to_bytes());
        bytes
    }

    /// Reads what [`Filter::sign`] wrote, if the region's service key has signed it.
    ///
    /// # Errors
    /// [`FilterFault::Forged`], and all of [`Filter::from_bytes`].
    pub fn believe(bytes: &[u8], service_key: &Key) -> Result<Self, FilterFault> {
        if bytes.len() > FILTER_BYTES_MAX {
            return Err(FilterFault::TooBig);
        }
        let (rest, signature) = bytes.split_last_chunk().ok_or(FilterFault::NoFilter)?;
        let key = VerifyingKey::from_bytes(&service_key.0).map_err(|_| FilterFault::Forged)?;
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        key.verify_strict(&[DOMAIN, rest].concat(), &signature).map_err(|_| FilterFault::Forged)?;
        Self::from_bytes(rest)
    }

    /// As it is kept, without its signature.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes_len());
        bytes.extend_from_slice(MAGIC);
        bytes.push(self.region.as_str().len() as u8);
        bytes.extend_from_slice(self.region.as_str().as_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&self.layout.to_bytes());
        self.fingerprints.iter().for_each(|each| bytes.extend_from_slice(&each.to_le_bytes()));
        bytes
    }

    /// Reads what [`Filter::to_bytes`] wrote.
    ///
    /// # Errors
    /// Anything that could make a question go wrong is refused here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FilterFault> {
        if bytes.len() > FILTER_BYTES_MAX {
            return Err(FilterFault::TooBig);
        }
        let mut rest = bytes;
        let [magic] = take::<1, 8>(&mut rest)?;
        if magic != *MAGIC {
            return Err(FilterFault::NoFilter);
        }
        let [[length]] = take::<1, 1>(&mut rest)?;
        let (name, mut rest) = rest.split_at_checked(length.into()).ok_or(FilterFault::NoFilter)?;
        let region = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
        let region = region.ok_or(FilterFault::NoFilter)?;
        let [generation] = take::<1, 4>(&mut rest)?.map(u32::from_le_bytes);
        let [entries] = take::<1, 8>(&mut rest)?.map(u64::from_le_bytes);
        let layout = Layout::read(&mut rest)?;
        let (words, cut) = rest.as_chunks::<4>();
        if !cut.is_empty() {
            return Err(FilterFault::NoFilter);
        }
        let fingerprints = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let filter = Self { region, generation, entries, layout, fingerprints };
        filter.is_sound().then_some(filter).ok_or(FilterFault::Contradiction)
    }

    // INVARIANT: with this, every index that a question computes is below the number of fingerprints: the first lies in
    // the first segments, each following one segment further, moved only within a segment.
    fn is_sound(&self) -> bool {
        let Layout { segment_length, segment_mask, first_segments_length, .. } = self.layout;
        segment_length.is_power_of_two()
            && segment_length <= SEGMENT_MAX
            && segment_mask == segment_length - 1
            && first_segments_length > 0
            && first_segments_length % segment_length == 0
            && self.fingerprints.len() as u64
                == u64::from(first_segments_length) + 2 * u64::from(segment_length)
            && self.entries <= self.fingerprints.len() as u64
    }
}

impl Layout {
    fn read(from: &mut &[u8]) -> Result<Self, FilterFault> {
        let [seed] = take::<1, 8>(from)?.map(u64::from_le_bytes);
        let [segment_length, segment_mask, first_segments_length] =
            take::<3, 4>(from)?.map(u32::from_le_bytes);
        Ok(Self { seed, segment_length, segment_mask, first_segments_length })
    }

    fn to_bytes(self) -> [u8; LAYOUT_BYTES] {
        let mut bytes = [0; LAYOUT_BYTES];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.segment_length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment_mask.to_le_bytes());
        bytes[16..].copy_from_slice(&self.first_segments_length.to_le_bytes());
        bytes
    }

    /// The three places of a hash: in one of the first segments, and in the two after it.
    fn places(self, hash: u64) -> [u32; 3] {
        let first = ((u128::from(hash) * u128::from(self.first_segments_length)) >> 64) as u32;
        let second = (first + self.segment_length) ^ ((hash >> 18) as u32 & self.segment_mask);
        let third = (first + 2 * self.segment_length) ^ (hash as u32 & self.segment_mask);
        [first, second, third]
    }
}

/// Murmur3's finish of key and seed: the hash that the filter is built with, and a part of its format. The questions are
/// put here and not by the crate that builds, which offers none on bytes of strangers.
fn mixed(key: u64, seed: u64) -> u64 {
    let mut hash = key.wrapping_add(seed);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Takes `C` times `N` bytes off the front.
fn take<const C: usize, const N: usize>(from: &mut &[u8]) -> Result<[[u8; N]; C], FilterFault> {
    let (taken, rest) = from.split_at_checked(C * N).ok_or(FilterFault::NoFilter)?;
    *from = rest;
    taken.as_chunks::<N>().0.try_into().map_err(|_| FilterFault::NoFilter)
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({} generation {}, {} entries)", self.region, self.generation, self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn build(n: u64) -> (Filter, Vec<Locator>) {
        let locators: Vec<_> = (0..n).map(|_| Locator::random()).collect();
        (Filter::build("beijing".parse().unwrap(), 7, locators.iter().copied()).unwrap(), locators)
    }

    #[test]
    fn everybody_in_it_is_found_whatever_its_size() {
        for n in [0, 1, 2, 3, 10, 1_000, 20_000] {
            let (filter, locators) = build(n);
            let read = Filter::from_bytes(&filter.to_bytes()).unwrap();
            assert_eq!((read.region().as_str(), read.generation(), read.entries()), ("beijing", 7, n));
            assert!(locators.iter().all(|each| read.has(each)), "{n}");
            // One in 2^32: that any of a thousand strangers seems to be in it happens once in four million runs.
            assert!(!(0..1_000).any(|_| read.has(&Locator::random())), "{n}");
        }
    }

    #[test]
    fn twice_the_same_is_once() {
        let filter = Filter::build("beijing".parse().unwrap(), 1, [Locator([1; 16]); 3]).unwrap();
        assert_eq!(filter.entries(), 1);
        assert!(filter.has(&Locator([1; 16])));
    }

    #[test]
    fn a_million_users_take_less_than_five_megabytes() {
        let (filter, _) = build(1_000_000);
        assert!(filter.to_bytes().len() <= 5_000_000, "{} bytes", filter.to_bytes().len());
    }

    #[test]
    fn who_passes_a_filter_on_cannot_change_it() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = Key(key.verifying_key().to_bytes());
        let (filter, locators) = build(100);
        let good = filter.sign(&key);
        assert!(Filter::believe(&good, &public).unwrap().has(&locators[0]));
        for at in [0, 30, good.len() / 2, good.len() - 1] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert_eq!(Filter::believe(&changed, &public).err(), Some(FilterFault::Forged), "{at}");
        }
        let other = SigningKey::from_bytes(&[2; 32]);
        assert_eq!(Filter::believe(&filter.sign(&other), &public).err(), Some(FilterFault::Forged));
        assert_eq!(Filter::believe(&filter.to_bytes(), &public).err(), Some(FilterFault::Forged));
        assert_eq!(Filter::believe(&[0; 63], &public).err(), Some(FilterFault::NoFilter));
    }

    #[test]
    fn contradictions_are_refused() {
        let (filter, _) = build(100);
        let good = filter.to_bytes();
        let header = 8 + 1 + 7;
        for (at, what) in [
            (header + 4 + 7, "entries"),
            (header + 20, "segment"),
            (header + 24, "mask"),
            (header + 28, "count"),
        ] {
            let mut bytes = good.clone();
            bytes[at] ^= 0x81;
            assert_eq!(Filter::from_bytes(&bytes).err(), Some(FilterFault::Contradiction), "{what}");
        }
        for cut in 0..good.len() {
            assert!(Filter::from_bytes(&good[..cut]).is_err(), "{cut}");
        }
        assert_eq!(Filter::from_bytes(b"DOMFLTR2").err(), Some(FilterFault::NoFilter));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_answer(
            at in 0_usize..200, to: u8, also in 0_usize..60, by: u8, extra in 0_usize..9, locator: [u8; 16],
        ) {
            let (filter, _) = build(20);
            let mut bytes = filter.to_bytes();
            let len = bytes.len();
            bytes[at % len] = to;
            bytes[also % len] ^= by;
            bytes.extend(std::iter::repeat_n(to, extra));
            if let Ok(filter) = Filter::from_bytes(&bytes) {
                filter.has(&Locator(locator));
            }
        }
    }
}
