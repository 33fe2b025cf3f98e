//! A region's discovery key, and what its relay does with it.

use super::{Suite, Tag};
use crate::number::Number;
use crate::wire::limits::EVALUATE_SIZES;
use crate::wire::{Blinded, Evaluation, Key, Proof};
use rand_core::{CryptoRng, OsRng, RngCore};
use std::fmt;
use std::str::FromStr;
use voprf::{BlindedElement, Group, VoprfServer};
use zeroize::Zeroizing;

/// What a key file begins with.
const PREFIX: &str = "domicile-discovery-key-v1:";

/// The secret key of one generation. Wiped from memory when dropped; `Debug` does not show it.
pub struct DiscoveryKey(VoprfServer<Suite>);

/// Not the text of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a discovery key: `domicile-discovery-key-v1:` and 32 bytes as base64url")]
pub struct KeyFault;

/// Why a batch is not evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateFault {
    /// Not one of [`EVALUATE_SIZES`].
    #[error("a batch has 16, 64, 128, 256, 512 or 1024 elements")]
    Size,
    /// Not a canonical encoding of a ristretto255 element, or the identity.
    #[error("element {at} is not a canonical ristretto255 point, or is the identity")]
    Point {
        /// Which one, from 0.
        at: usize,
    },
}

impl DiscoveryKey {
    /// A new one.
    pub fn generate() -> Self {
        Self(VoprfServer::new(&mut OsRng).expect("a seed of 32 bytes makes a key"))
    }

    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyFault> {
        VoprfServer::new_with_key(bytes).map(Self).map_err(|_| KeyFault)
    }

    /// As its file has it: one line.
    pub fn to_text(&self) -> Zeroizing<String> {
        // The first half of the crate's form is the secret scalar, the second one the public key.
        let bytes = Zeroizing::new(<[u8; 64]>::from(self.0.serialize()));
        let mut secret = Key([0; 32]);
        secret.0.copy_from_slice(&bytes[..32]);
        let text = Zeroizing::new(format!("{PREFIX}{secret}\n"));
        zeroize::Zeroize::zeroize(&mut secret.0);
        text
    }

    /// What is published, and what proofs are checked with.
    pub fn public_key(&self) -> Key {
        Key(Suite::serialize_elem(self.0.get_public_key()).into())
    }

    /// The tag of a number that its owner has proven. A relay may know no other number.
    pub fn tag(&self, number: &Number) -> Tag {
        let output = self.0.evaluate(number.as_str().as_bytes());
        Tag(output.expect("sixteen bytes are a valid input").into())
    }

    /// Evaluates a padded batch, in its order, with one proof for all of it.
    ///
    /// # Errors
    /// A batch of another size, or with something in it that is no point. Nothing is evaluated then.
    pub fn evaluate(&self, blinded: &[Blinded]) -> Result<(Vec<Evaluation>, Proof), EvaluateFault> {
        if !EVALUATE_SIZES.contains(&blinded.len()) {
            return Err(EvaluateFault::Size);
        }
        self.evaluate_with(&mut OsRng, blinded)
    }

    pub(super) fn evaluate_with<R: RngCore + CryptoRng>(
        &self,
        random: &mut R,
        blinded: &[Blinded],
    ) -> Result<(Vec<Evaluation>, Proof), EvaluateFault> {
        let point = |(at, bytes): (usize, &Blinded)| {
            BlindedElement::<Suite>::deserialize(&bytes.0).map_err(|_| EvaluateFault::Point { at })
        };
        let points: Vec<_> = blinded.iter().enumerate().map(point).collect::<Result<_, _>>()?;
        let batch = self.0.batch_blind_evaluate(random, &points).map_err(|_| EvaluateFault::Size)?;
        let evaluated = batch.messages.iter().map(|each| Evaluation(each.serialize().into())).collect();
        Ok((evaluated, Proof(batch.proof.serialize().into())))
    }
}

impl FromStr for DiscoveryKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        let text = text.trim_end_matches(['\r', '\n']).strip_prefix(PREFIX).ok_or(KeyFault)?;
        let mut secret: Key = text.parse().map_err(|_| KeyFault)?;
        let key = Self::from_bytes(&secret.0);
        zeroize::Zeroize::zeroize(&mut secret.0);
        key
    }
}

impl fmt::Debug for DiscoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiscoveryKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_its_own_file() {
        let key = DiscoveryKey::generate();
        let read: DiscoveryKey = key.to_text().parse().unwrap();
        assert_eq!(read.public_key(), key.public_key());
        let number = "+8613912345678".parse().unwrap();
        assert!(read.tag(&number) == key.tag(&number));
        let zero = format!("{PREFIX}{}", Key([0; 32]));
        let beyond = format!("{PREFIX}{}", Key([255; 32]));
        for text in ["", "x", PREFIX, &zero, &beyond] {
            assert_eq!(text.parse::<DiscoveryKey>().err(), Some(KeyFault));
        }
    }

    #[test]
    fn what_is_no_point_is_refused_and_named() {
        let key = DiscoveryKey::generate();
        let good = Blinded(key.public_key().0);
        let identity = Blinded([0; 32]);
        // Negative, beyond the field's prime, and not on the curve: RFC 9496, appendix A.2.
        let negative = hex("0100000000000000000000000000000000000000000000000000000000000000");
        let beyond = hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
        let off = hex("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371");
        for bad in [identity, negative, beyond, off] {
            let mut batch = vec![good; 16];
            batch[11] = bad;
            assert_eq!(key.evaluate(&batch), Err(EvaluateFault::Point { at: 11 }));
        }
        assert!(key.evaluate(&[good; 16]).is_ok());
    }

    #[test]
    fn only_the_sizes_are_evaluated() {
        let key = DiscoveryKey::generate();
        let good = Blinded(key.public_key().0);
        for size in [0, 1, 15, 17, 1023, 1025] {
            assert_eq!(key.evaluate(&vec![good; size]), Err(EvaluateFault::Size), "{size}");
        }
    }

    fn hex(text: &str) -> Blinded {
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        Blinded(std::array::from_fn(byte))
    }
}
