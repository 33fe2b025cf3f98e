//! The device's half of an evaluation.

use super::{Suite, Tag};
use crate::number::Number;
use crate::wire::limits::{EVALUATE_MAX, EVALUATE_SIZES};
use crate::wire::{Blinded, Evaluation, Key, Proof};
use rand_core::{CryptoRng, OsRng, RngCore};
use std::fmt;
use voprf::{EvaluationElement, Group, VoprfClient};
use zeroize::Zeroizing;

/// Numbers, blinded once for all regions. Lives in memory only: what unblinds is never written anywhere.
pub struct Blinding {
    numbers: Vec<Number>,
    clients: Vec<VoprfClient<Suite>>,
    blinded: Vec<Blinded>,
}

/// Why an answer is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlindFault {
    /// More than [`EVALUATE_MAX`] numbers at once.
    #[error("more than {EVALUATE_MAX} numbers at once")]
    TooMany,
    /// Another number of elements than were asked for.
    #[error("the relay answered for another number of elements")]
    Count,
    /// Not a point, not a scalar.
    #[error("the relay's answer is not made of points and scalars")]
    NoPoint,
    /// The proof does not hold: another key than the published one was used, perhaps to recognise this device.
    #[error("the relay used another key than the one it has published")]
    OtherKey,
}

/// The size to which so many numbers are padded. `None`: too many for one batch.
pub fn padded_size(numbers: usize) -> Option<usize> {
    EVALUATE_SIZES.into_iter().find(|size| numbers <= *size)
}

impl Blinding {
    /// Blinds numbers and pads with random inputs. What goes out tells the two apart for nobody.
    ///
    /// # Errors
    /// [`BlindFault::TooMany`].
    pub fn of(numbers: Vec<Number>) -> Result<Self, BlindFault> {
        let size = padded_size(numbers.len()).ok_or(BlindFault::TooMany)?;
        let padding = (numbers.len()..size).map(|_| Zeroizing::new(crate::random::bytes::<32>().to_vec()));
        let inputs = numbers.iter().map(|number| Zeroizing::new(number.as_str().as_bytes().to_vec()));
        let inputs: Vec<_> = inputs.chain(padding).collect();
        let (clients, blinded) = blind(&mut OsRng, &inputs);
        Ok(Self { numbers, clients, blinded })
    }

    /// What is sent.
    pub fn blinded(&self) -> &[Blinded] {
        &self.blinded
    }

    /// Whose tags [`Blinding::tags`] returns, in its order.
    pub fn numbers(&self) -> &[Number] {
        &self.numbers
    }

    /// The numbers' tags out of a region's answer, checked against the key that it has published. May be called for each
    /// region's answer.
    ///
    /// # Errors
    /// An answer that does not hold gives no tag at all.
    pub fn tags(
        &self,
        evaluated: &[Evaluation],
        proof: &Proof,
        public_key: &Key,
    ) -> Result<Vec<Tag>, BlindFault> {
        if evaluated.len() != self.clients.len() {
            return Err(BlindFault::Count);
        }
        let inputs: Vec<_> = self.numbers.iter().map(|number| number.as_str().as_bytes()).collect();
        finish(&self.clients, &inputs, evaluated, proof, public_key)
    }
}

impl fmt::Debug for Blinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blinding({} elements)", self.blinded.len())
    }
}

fn blind<R: RngCore + CryptoRng, I: AsRef<[u8]>>(
    random: &mut R,
    inputs: &[I],
) -> (Vec<VoprfClient<Suite>>, Vec<Blinded>) {
    let one = |input: &I| {
        let blinded = VoprfClient::<Suite>::blind(input.as_ref(), random).expect("inputs of ours are short");
        let message = Blinded(blinded.message.serialize().into());
        (blinded.state, message)
    };
    inputs.iter().map(one).unzip()
}

/// The proof is checked over everything, padding too; tags are made for the first elements only, as many as `inputs`.
#[allow(clippy::ptr_arg)] // the crate iterates over references to sized collections
fn finish(
    clients: &Vec<VoprfClient<Suite>>,
    inputs: &Vec<&[u8]>,
    evaluated: &[Evaluation],
    proof: &Proof,
    public_key: &Key,
) -> Result<Vec<Tag>, BlindFault> {
    let point = |each: &Evaluation| EvaluationElement::<Suite>::deserialize(&each.0);
    let points: Vec<_> =
        evaluated.iter().map(point).collect::<Result<_, _>>().map_err(|_| BlindFault::NoPoint)?;
    let proof = voprf::Proof::<Suite>::deserialize(&proof.0).map_err(|_| BlindFault::NoPoint)?;
    let key = Suite::deserialize_elem(&public_key.0).map_err(|_| BlindFault::NoPoint)?;
    let outputs = VoprfClient::batch_finalize(inputs, clients, &points, &proof, key)
        .map_err(|_| BlindFault::OtherKey)?;
    outputs.map(|output| output.map(|tag| Tag(tag.into())).map_err(|_| BlindFault::Count)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::DiscoveryKey;
    use super::*;

    fn numbers(n: usize) -> Vec<Number> {
        (0..n).map(|i| format!("+86139{i:08}").parse().unwrap()).collect()
    }

    #[test]
    fn one_blinding_gives_the_tags_of_each_regions_key() {
        let blinding = Blinding::of(numbers(5)).unwrap();
        assert_eq!(blinding.blinded().len(), 16);
        for key in [DiscoveryKey::generate(), DiscoveryKey::generate()] {
            let (evaluated, proof) = key.evaluate(blinding.blinded()).unwrap();
            let tags = blinding.tags(&evaluated, &proof, &key.public_key()).unwrap();
            let known: Vec<_> = numbers(5).iter().map(|number| key.tag(number)).collect();
            assert!(tags == known, "as the relay itself tags a proven number");
        }
    }

    #[test]
    fn another_key_for_one_element_only_is_seen() {
        let blinding = Blinding::of(numbers(5)).unwrap();
        let (key, other) = (DiscoveryKey::generate(), DiscoveryKey::generate());
        let (mut evaluated, proof) = key.evaluate(blinding.blinded()).unwrap();
        let (others, _) = other.evaluate(blinding.blinded()).unwrap();
        evaluated[15] = others[15];
        let seen = blinding.tags(&evaluated, &proof, &key.public_key());
        assert_eq!(seen.err(), Some(BlindFault::OtherKey), "in the padding, too");
        let (evaluated, proof) = other.evaluate(blinding.blinded()).unwrap();
        assert_eq!(blinding.tags(&evaluated, &proof, &key.public_key()).err(), Some(BlindFault::OtherKey));
    }

    #[test]
    fn broken_answers_give_no_tag() {
        let blinding = Blinding::of(numbers(1)).unwrap();
        let key = DiscoveryKey::generate();
        let (mut evaluated, proof) = key.evaluate(blinding.blinded()).unwrap();
        let public = key.public_key();
        assert_eq!(blinding.tags(&evaluated[1..], &proof, &public).err(), Some(BlindFault::Count));
        assert_eq!(blinding.tags(&evaluated, &Proof([255; 64]), &public).err(), Some(BlindFault::NoPoint));
        evaluated.swap(3, 4);
        assert_eq!(blinding.tags(&evaluated, &proof, &public).err(), Some(BlindFault::OtherKey));
        evaluated[3] = Evaluation([0; 32]);
        assert_eq!(blinding.tags(&evaluated, &proof, &public).err(), Some(BlindFault::NoPoint));
    }

    #[test]
    fn batches_have_few_sizes_and_an_end() {
        assert_eq!([0, 16, 17, 500, 1024].map(padded_size), [16, 16, 64, 512, 1024].map(Some));
        assert_eq!(Blinding::of(numbers(1025)).err(), Some(BlindFault::TooMany));
    }

    /// Gives the bytes that a test vector wants; a scalar is drawn from 64 bytes, of which the vector has the low ones.
    struct Scripted(Vec<[u8; 32]>);

    impl RngCore for Scripted {
        fn next_u32(&mut self) -> u32 {
            unreachable!("scalars are drawn by fill_bytes")
        }
        fn next_u64(&mut self) -> u64 {
            unreachable!("scalars are drawn by fill_bytes")
        }
        fn fill_bytes(&mut self, to: &mut [u8]) {
            to[..32].copy_from_slice(&self.0.remove(0));
            to[32..].fill(0);
        }
        fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand_core::Error> {
            self.fill_bytes(to);
            Ok(())
        }
    }

    impl CryptoRng for Scripted {}

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        assert_eq!(text.len(), 2 * N);
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }

    /// One vector of RFC 9497, appendix A.1.2 (ristretto255-SHA512, VOPRF): input, blind, blinded, evaluated, output.
    type Vector = (&'static [u8], &'static str, &'static str, &'static str, &'static str);

    const ZERO: &[u8] = &[0];
    const FIVE_A: &[u8] = &[0x5a; 17];
    const BLIND: &str = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";
    const BLIND_2: &str = "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e";
    const OUT_ZERO: &str = "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d\
                            a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c";
    const OUT_FIVE_A: &str = "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60\
                              356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6";
    const VECTOR_1: Vector = (
        ZERO,
        BLIND,
        "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
        "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
        OUT_ZERO,
    );
    const VECTOR_2: Vector = (
        FIVE_A,
        BLIND,
        "cc0b2a350101881d8a4cba4c80241d74fb7dcbfde4a61fde2f91443c2bf9ef0c",
        "60a59a57208d48aca71e9e850d22674b611f752bed48b36f7a91b372bd7ad468",
        OUT_FIVE_A,
    );
    const VECTOR_3: Vector = (
        FIVE_A,
        BLIND_2,
        "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
        "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
        OUT_FIVE_A,
    );

    fn check(vectors: &[Vector], proof_scalar: &str, wanted_proof: &str) {
        let key = DiscoveryKey::from_bytes(&hex(
            "e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909",
        ))
        .unwrap();
        let public = key.public_key();
        assert_eq!(public.0, hex("c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e"));
        let inputs: Vec<_> = vectors.iter().map(|vector| vector.0).collect();
        let mut blinds = Scripted(vectors.iter().map(|vector| hex(vector.1)).collect());
        let (clients, blinded) = blind(&mut blinds, &inputs);
        assert_eq!(blinded, vectors.iter().map(|vector| Blinded(hex(vector.2))).collect::<Vec<_>>());
        let (evaluated, proof) = key.evaluate_with(&mut Scripted(vec![hex(proof_scalar)]), &blinded).unwrap();
        assert_eq!(evaluated, vectors.iter().map(|vector| Evaluation(hex(vector.3))).collect::<Vec<_>>());
        assert_eq!(proof, Proof(hex(wanted_proof)));
        let tags = finish(&clients, &inputs, &evaluated, &proof, &public).unwrap();
        assert!(tags == vectors.iter().map(|vector| Tag(hex(vector.4))).collect::<Vec<_>>());
    }

    #[test]
    fn test_vectors_of_rfc_9497_a_1_2() {
        let proof = "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06\
                     6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d";
        check(&[VECTOR_1], BLIND_2, proof);
        let proof = "401a0da6264f8cf45bb2f5264bc31e109155600babb3cd4e5af7d181a2c9dc0a\
                     67154fabf031fd936051dec80b0b6ae29c9503493dde7393b722eafdf5a50b02";
        check(&[VECTOR_2], BLIND_2, proof);
        let proof = "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a\
                     5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08";
        let scalar = "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c";
        check(&[VECTOR_1, VECTOR_3], scalar, proof);
    }
}
