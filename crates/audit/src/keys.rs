//! The keys of one run, and what they make of a form.
//!
//! A phone number has so few values that whoever knows the key tries them all: what protects it is that the key stays in this
//! process. Three hashes with keys of their own: what a report prints is keyed BLAKE3; what the tables hold is SipHash-1-3, a
//! pseudo-random function, cut to some 62 bits; and the filters before them use a fast multiplication, no such function,
//! whose values never leave a filter's bits.

use crate::{Fingerprint, Kind};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Keeps forms of different sorts apart in one table.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sort {
    Mail = 1,
    Free = 2,
    Gram = 3,
    Digest = 4,
}

/// The keys of one run; wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Keys {
    report: [u8; 32],
    table: [u64; 2],
    /// Odd.
    mix: u64,
    salt: u64,
}

impl Keys {
    /// Keys from a master key, or from a random one.
    pub(crate) fn new(master: Option<Zeroizing<[u8; 32]>>) -> Self {
        let master = master.unwrap_or_else(|| {
            let mut drawn = Zeroizing::new([0; 32]);
            // INVARIANT: without the system's randomness nothing here may run: a guessable key is no key.
            getrandom::fill(&mut *drawn).expect("the system gives random bytes");
            drawn
        });
        let report = blake3::derive_key("domicile audit 2026 report fingerprint", &*master);
        let rest = Zeroizing::new(blake3::derive_key("domicile audit 2026 tables", &*master));
        let word = |n: usize| u64::from_le_bytes(std::array::from_fn(|at| rest[n * 8 + at]));
        Self { report, table: [word(0), word(1)], mix: word(2) | 1, salt: word(3) }
    }

    /// What stands for an identifier in a report.
    pub(crate) fn printed(&self, kind: Kind, normal: &[u8]) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_keyed(&self.report);
        hasher.update(&[kind as u8]).update(normal);
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Fingerprint(u64::from_be_bytes(first))
    }

    fn hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.table[0], self.table[1])
    }

    /// Of `length` decimal digits whose number is `value`.
    pub(crate) fn of_digits(&self, value: u64, length: usize) -> u64 {
        let mut hasher = self.hasher();
        hasher.write_u64(value);
        hasher.write_u8(length as u8);
        hasher.finish()
    }

    /// Of bytes.
    pub(crate) fn of_bytes(&self, sort: Sort, bytes: &[u8]) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(bytes);
        hasher.write(&[sort as u8; 3]);
        hasher.finish()
    }

    /// Of a mail address, whatever its case (ASCII).
    pub(crate) fn of_mail(&self, address: &[u8]) -> u64 {
        let mut lower = [0; crate::identifier::LENGTH_BYTES_MAX];
        let lower = &mut lower[..address.len()];
        lower.copy_from_slice(address);
        lower.make_ascii_lowercase();
        let print = self.of_bytes(Sort::Mail, lower);
        lower.zeroize();
        print
    }

    /// For filters only.
    #[inline(always)]
    pub(crate) fn mixed(&self, value: u64, tweak: u64) -> u64 {
        let wide = u128::from(value ^ self.salt) * u128::from(self.mix.wrapping_add(tweak << 1));
        let folded = (wide as u64) ^ (wide >> 64) as u64;
        folded.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// One byte more of a rolling value, for filters only.
    #[inline]
    pub(crate) fn rolled(&self, value: u64, byte: u8) -> u64 {
        (value ^ u64::from(byte)).wrapping_mul(self.mix).rotate_left(29)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(hidden)")
    }
}
