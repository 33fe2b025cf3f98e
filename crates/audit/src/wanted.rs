//! The identifiers as keyed fingerprints: nothing here can be read back into an identifier without the run's key.

mod free;
mod mails;
mod numbers;
mod threes;

pub(crate) use free::Free;
pub(crate) use mails::Mails;
pub(crate) use numbers::{LEAD_DIGITS, Numbers};

use crate::digests::{self, Digests};
use crate::keys::Keys;
use crate::{Fingerprint, Forms, Identifier, Kind, forms};
use zeroize::Zeroizing;

/// Threads that make digests, at most.
const THREADS_MAX: usize = 4;

/// What is looked for, ready to look up.
#[derive(Debug)]
pub struct Wanted {
    kinds: Vec<Kind>,
    prints: Vec<Fingerprint>,
    pub(crate) keys: Keys,
    pub(crate) numbers: Numbers,
    pub(crate) mails: Mails,
    pub(crate) free: Free,
    pub(crate) digests: Digests,
    pub(crate) bounds: Bounds,
}

/// What lengths the forms have, for those who decode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of the shortest form.
    pub(crate) shortest: usize,
    /// Bytes of the longest form, separators of digits with it.
    pub(crate) longest: usize,
    /// Has a form bytes of 128 and more?
    pub(crate) wide: bool,
    /// The bytes of all forms, and of what may stand between the digits of one.
    forms: [bool; 256],
    /// The same, and those of their encodings.
    spelling: [bool; 256],
}

impl Wanted {
    /// Prepares `identifiers`; their texts are wiped. A random key is drawn for this run unless one is given
    /// (the same key gives the same fingerprints in two reports).
    ///
    /// # Panics
    /// With more than [`crate::IDENTIFIERS_MAX`] identifiers, or where the system gives no random bytes.
    pub fn new(identifiers: Vec<Identifier>, forms: &Forms, key: Option<Zeroizing<[u8; 32]>>) -> Self {
        assert!(identifiers.len() <= crate::IDENTIFIERS_MAX, "more identifiers than a list may have");
        let keys = Keys::new(key);
        let numbers = Numbers::new(&identifiers, &keys);
        let mails = Mails::new(&identifiers, &keys);
        let free = Free::new(&identifiers, &keys);
        let digests = digests(&identifiers, forms, &keys);
        let bounds = Bounds::of(&numbers, &mails, &free);
        let print = |i: &Identifier| keys.printed(i.kind, forms::normal(i).as_bytes());
        Self {
            kinds: identifiers.iter().map(|i| i.kind).collect(),
            prints: identifiers.iter().map(print).collect(),
            keys,
            numbers,
            mails,
            free,
            digests,
            bounds,
        }
    }

    /// How many identifiers.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The sort and the fingerprint of an identifier by its number.
    pub fn named(&self, identifier: u32) -> (Kind, Fingerprint) {
        (self.kinds[identifier as usize], self.prints[identifier as usize])
    }

    /// Bytes of memory held.
    pub fn held_bytes(&self) -> usize {
        self.kinds.capacity() * size_of::<Kind>()
            + self.prints.capacity() * size_of::<Fingerprint>()
            + self.numbers.held_bytes()
            + self.mails.held_bytes()
            + self.free.held_bytes()
            + self.digests.held_bytes()
    }
}

fn digests(identifiers: &[Identifier], forms: &Forms, keys: &Keys) -> Digests {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let each = identifiers.len().div_ceil(threads).max(1);
    let counts: Vec<usize> = identifiers.chunks(each).map(|some| digests::count(some, forms)).collect();
    let all = counts.iter().sum();
    let parts = counts.iter().map(|mine| digests::Part::new(all, *mine)).collect();
    Digests::new(parts, |parts, half| {
        std::thread::scope(|scope| {
            for (at, (some, part)) in identifiers.chunks(each).zip(parts).enumerate() {
                scope.spawn(move || part.make(half, (at * each) as u32, some, forms, keys));
            }
        });
    })
}

impl Bounds {
    /// May a byte stand within a form?
    #[inline]
    pub(crate) fn stands_in_form(&self, byte: u8) -> bool {
        self.forms[usize::from(byte)]
    }

    /// May a byte be one of a form, or of an encoding of it?
    #[inline]
    pub(crate) fn spells(&self, byte: u8) -> bool {
        self.spelling[usize::from(byte)]
    }

    fn of(numbers: &Numbers, mails: &Mails, free: &Free) -> Self {
        const SEPARATORS: &[u8] = b" ()+-./\xC2\xA0@";
        // UTF-16, base64 with its line ends, percent-encoding, escapes and references.
        const ENCODINGS: &[u8] = b"\0=\r\n_%\\&#;";
        let forms: [bool; 256] = std::array::from_fn(|byte| {
            let byte = byte as u8;
            let always = byte.is_ascii_alphanumeric() || SEPARATORS.contains(&byte);
            always || mails.spells(byte) || free.spells(byte)
        });
        let spelling = std::array::from_fn(|byte| forms[byte] || ENCODINGS.contains(&(byte as u8)));
        let shortest = [numbers.shortest(), mails.shortest(), free.shortest()].into_iter().flatten().min();
        Self {
            shortest: shortest.unwrap_or(usize::MAX),
            longest: numbers.longest().max(mails.longest()).max(free.longest()),
            wide: free.wide() || mails.wide(),
            forms,
            spelling,
        }
    }
}
