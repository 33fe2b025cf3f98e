//! What a region's relay says of itself, signed: endpoints, keys, notice, limits.
//!
//! A device is set up with an endpoint and the fingerprint of one service key. The statement signed by that key names the
//! other regions with their service keys, so a move is followed to a region that the first one vouched for, and to no
//! other.

use crate::wire::limits::{GENERATIONS_MAX, REGIONS_MAX};
use crate::wire::{Key, List, RegionName, Signature, Text};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is signed begins so.
const DOMAIN: &[u8] = b"domicile-region-v1\n";

/// The answer of `GET /v1/messaging/region`. Its signature is over [`DOMAIN`](self) and the JSON of `statement` as
/// [`RegionStatement::to_bytes`] writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRegion {
    /// What is signed.
    pub statement: RegionStatement,
    /// By the region's service key.
    pub signature: Signature,
}

/// A region's relay and what it works with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionStatement {
    /// The form: 1.
    pub v: u8,
    /// The service that all its regions belong to.
    pub service: Text,
    /// Whose statement this is.
    pub region: RegionName,
    /// When it was made.
    pub at: Timestamp,
    /// What it asks consent for, and on which terms.
    pub terms: Terms,
    /// Ed25519: signs statements, tokens, consents, and proofs of numbers.
    pub service_key: Key,
    /// X25519 (HPKE): numbers at rest are sealed to it; its private half is not in the region.
    pub sealing_key: Key,
    /// Its limits.
    pub limits: PublishedLimits,
    /// All regions of the service, this one too.
    pub regions: List<RegionListed, REGIONS_MAX>,
}

/// A region as the others know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionListed {
    /// Its name.
    pub region: RegionName,
    /// Where it is, ISO 3166-1 alpha-2.
    pub country: Text,
    /// Its relay: `https://host[:port]`, or `http://127.0.0.1:port` where one tries it at home.
    pub endpoint: Text,
    /// Its service key.
    pub service_key: Key,
    /// The discovery keys it has published.
    pub generations: List<Generation, GENERATIONS_MAX>,
}

/// A discovery key. A new generation makes all tags new, so that whoever stole the old key can follow nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// Counts up.
    pub generation: u32,
    /// A ristretto255 element: the proofs of evaluations are checked with it.
    pub public_key: Key,
    /// Whether new tags are made with it. Exactly one is.
    pub current: bool,
}

/// What a consent record refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What the owner is shown before being asked.
    pub notice: Notice,
    /// Who is responsible.
    pub controller: Controller,
    /// The country whose law applies, ISO 3166-1 alpha-2.
    pub jurisdiction: Text,
    /// The country where what is kept lies, ISO 3166-1 alpha-2.
    pub storage_country: Text,
}

/// A privacy notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Where it can be read.
    pub url: Text,
    /// SHA-256 of its bytes.
    pub sha256: Key,
    /// Its language, BCP 47.
    pub language: Text,
}

/// Who is responsible for the processing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// The name of the company.
    pub name: Text,
    /// Where to write to it.
    pub contact: Text,
}

/// The limits that a device must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedLimits {
    /// A message's body, bytes.
    pub message_bytes: u32,
    /// How long a message may wait, seconds.
    pub message_expires_s: u32,
    /// Sizes of a batch to evaluate.
    pub evaluate_sizes: List<u32, 16>,
    /// Sizes of a lookup.
    pub lookup_sizes: List<u32, 16>,
    /// Elements evaluated per account and generation.
    pub budget_per_generation: u64,
    /// Elements a day beyond.
    pub budget_per_day: u64,
}

impl Default for PublishedLimits {
    fn default() -> Self {
        use crate::wire::limits::{
            BUDGET_PER_DAY, BUDGET_PER_GENERATION, EVALUATE_SIZES, LOOKUP_SIZES, MESSAGE_BYTES_MAX,
            MESSAGE_EXPIRES_S_MAX,
        };
        let sizes = |all: &[usize]| List::new(all.iter().map(|n| *n as u32).collect()).unwrap_or_default();
        Self {
            message_bytes: MESSAGE_BYTES_MAX as u32,
            message_expires_s: MESSAGE_EXPIRES_S_MAX,
            evaluate_sizes: sizes(&EVALUATE_SIZES),
            lookup_sizes: sizes(&LOOKUP_SIZES),
            budget_per_generation: BUDGET_PER_GENERATION,
            budget_per_day: BUDGET_PER_DAY,
        }
    }
}

/// SHA-256 of a service key: what a device is set up with.
pub fn fingerprint(service_key: &Key) -> Key {
    Key(Sha256::digest(service_key.0).into())
}

/// Why a statement is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegionFault {
    /// Another key than the device was set up with.
    #[error("the relay's service key is not the one that this device was set up with")]
    OtherKey,
    /// The signature does not hold.
    #[error("the relay's statement is not signed by its service key")]
    Forged,
    /// It has other keys for a region than the statement before it.
    #[error("the relay's statement has another key for a region than this device knows")]
    OtherRegionsKey,
    /// It contradicts itself.
    #[error("the relay's statement does not list itself with one current discovery key")]
    Contradiction,
}

impl RegionStatement {
    /// What is signed: the JSON of the fields in the order of their declaration, without white space, numbers as
    /// integers, times as RFC 3339 in UTC with as many digits as they need.
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("it has only texts and integers");
        [DOMAIN, &json].concat()
    }

    /// Signs it.
    pub fn sign(self, key: &SigningKey) -> SignedRegion {
        let signature = Signature(key.sign(&self.to_bytes()).to_bytes());
        SignedRegion { statement: self, signature }
    }

    /// A region by its name.
    pub fn listed(&self, region: &RegionName) -> Option<&RegionListed> {
        self.regions.iter().find(|listed| listed.region == *region)
    }

    /// Whether this statement says of every region that `known` lists, too, what that says: the same service key, and the same
    /// discovery key of a generation. A relay that vouches for others does so once: with keys of its own in the place of another
    /// region's it would be asked what only that region may be asked.
    pub fn agrees_with(&self, known: &Self) -> bool {
        self.regions.iter().filter_map(|now| Some((now, known.listed(&now.region)?))).all(|(now, before)| {
            let same = |each: &Generation| {
                let kept = before.generations.iter().find(|kept| kept.generation == each.generation);
                kept.is_none_or(|kept| kept.public_key == each.public_key)
            };
            now.service_key == before.service_key && now.generations.iter().all(same)
        })
    }

    fn is_sound(&self) -> bool {
        let one_current =
            |listed: &RegionListed| listed.generations.iter().filter(|each| each.current).count() == 1;
        let own = self.listed(&self.region).is_some_and(|own| own.service_key == self.service_key);
        self.v == 1 && own && self.regions.iter().all(one_current)
    }
}

impl RegionListed {
    /// The key with which new tags are made.
    pub fn current(&self) -> Option<&Generation> {
        self.generations.iter().find(|each| each.current)
    }
}

impl SignedRegion {
    /// The statement, if the key of this fingerprint has signed it.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn believe(self, wanted: &Key) -> Result<RegionStatement, RegionFault> {
        if fingerprint(&self.statement.service_key) != *wanted {
            return Err(RegionFault::OtherKey);
        }
        let key =
            VerifyingKey::from_bytes(&self.statement.service_key.0).map_err(|_| RegionFault::OtherKey)?;
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature.0);
        key.verify_strict(&self.statement.to_bytes(), &signature).map_err(|_| RegionFault::Forged)?;
        self.statement.is_sound().then_some(self.statement).ok_or(RegionFault::Contradiction)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A statement of one region.
    pub(crate) fn statement(key: &SigningKey, region: &str) -> RegionStatement {
        let service_key = Key(key.verifying_key().to_bytes());
        let region: RegionName = region.parse().unwrap();
        let listed = RegionListed {
            region: region.clone(),
            country: "CN".parse().unwrap(),
            endpoint: "https://relay.beijing.example".parse().unwrap(),
            service_key,
            generations: List::new(vec![Generation {
                generation: 1,
                public_key: Key([2; 32]),
                current: true,
            }])
            .unwrap(),
        };
        RegionStatement {
            v: 1,
            service: "messaging".parse().unwrap(),
            region,
            at: "2026-11-27T16:00:00Z".parse().unwrap(),
            terms: terms(),
            service_key,
            sealing_key: Key([3; 32]),
            limits: PublishedLimits::default(),
            regions: List::new(vec![listed]).unwrap(),
        }
    }

    /// Terms of a consent.
    pub(crate) fn terms() -> Terms {
        Terms {
            notice: Notice {
                url: "https://phone.example/notice".parse().unwrap(),
                sha256: Key([4; 32]),
                language: "en".parse().unwrap(),
            },
            controller: Controller {
                name: "Phone Example Ltd".parse().unwrap(),
                contact: "privacy@phone.example".parse().unwrap(),
            },
            jurisdiction: "CN".parse().unwrap(),
            storage_country: "CN".parse().unwrap(),
        }
    }

    #[test]
    fn only_the_wanted_key_is_believed_and_only_unchanged() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let signed = statement(&key, "beijing").sign(&key);
        let wanted = fingerprint(&signed.statement.service_key);
        let text = serde_json::to_string(&signed).unwrap();
        let read: SignedRegion = serde_json::from_str(&text).unwrap();
        assert_eq!(read.believe(&wanted).unwrap(), signed.statement);

        let others = statement(&other, "beijing").sign(&other);
        assert_eq!(others.believe(&wanted), Err(RegionFault::OtherKey));
        assert_eq!(statement(&key, "beijing").sign(&other).believe(&wanted), Err(RegionFault::Forged));
        let mut changed = signed.clone();
        changed.statement.sealing_key = Key([9; 32]);
        assert_eq!(changed.believe(&wanted), Err(RegionFault::Forged));
    }

    #[test]
    fn a_statement_that_contradicts_itself_is_refused() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let wanted = fingerprint(&Key(key.verifying_key().to_bytes()));
        let mut alone = statement(&key, "beijing");
        alone.regions = List::default();
        assert_eq!(alone.sign(&key).believe(&wanted), Err(RegionFault::Contradiction));
    }
}
