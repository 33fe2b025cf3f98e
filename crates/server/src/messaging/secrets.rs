//! What a relay does with its secret keys: evaluates, tags proven numbers, and seals them to a key that is not here.

use super::refusals::{BROKEN, of_store};
use super::shared::Shared;
use crate::Problem;
use domicile_messaging::SigningKey;
use domicile_messaging::discovery::{DiscoveryKey, Filter, Resident};
use domicile_messaging::number::Number;
use domicile_messaging::sealing;
use domicile_messaging::wire::{
    Blinded, IdentityKeys, Key, List, Locator, MailboxId, RegionEvaluated, RegionName,
};
use domicile_stores::mailboxes::Tag;
use zeroize::Zeroizing;

/// What a service key's file begins with.
const SERVICE: &str = "domicile-service-key-v1:";

/// A relay's secret keys, and the public one that numbers are sealed to.
pub struct RelayKeys {
    /// Signs tokens, consents, statements and proofs of numbers.
    pub service: SigningKey,
    /// X25519; its private half is not here.
    pub sealing: Key,
    /// Discovery keys by generation, oldest first; never empty.
    pub discovery: Vec<(u32, DiscoveryKey)>,
}

impl std::fmt::Debug for RelayKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayKeys").finish_non_exhaustive()
    }
}

/// A new service key, as its file has it.
pub fn new_service_key() -> (Zeroizing<String>, Key) {
    let seed = Zeroizing::new(Key::random().0);
    let public = Key(SigningKey::from_bytes(&seed).verifying_key().to_bytes());
    (Zeroizing::new(format!("{SERVICE}{}\n", Key(*seed))), public)
}

/// The service key of a file's text. `None`: it is none.
pub fn service_key(text: &str) -> Option<SigningKey> {
    let seed: Key = text.trim().strip_prefix(SERVICE)?.parse().ok()?;
    Some(SigningKey::from_bytes(&Zeroizing::new(seed.0)))
}

/// A generation's keys behind all requests.
pub(super) struct Discovery {
    region: RegionName,
    keys: Vec<(u32, DiscoveryKey)>,
}

impl Discovery {
    /// Of a region; `None`: it has no key.
    pub fn new(region: RegionName, keys: Vec<(u32, DiscoveryKey)>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self { region, keys })
    }

    fn current(&self) -> &(u32, DiscoveryKey) {
        self.keys.last().expect("never empty")
    }

    /// A batch under today's key, with its proof. `None`: an element is no point. Nothing is evaluated then.
    pub fn evaluate(&self, blinded: &[Blinded]) -> Option<RegionEvaluated> {
        let (generation, key) = self.current();
        let (evaluated, proof) = key.evaluate(blinded).ok()?;
        let evaluated = List::new(evaluated)?;
        Some(RegionEvaluated { region: self.region.clone(), generation: *generation, evaluated, proof })
    }
}

/// A filter's bytes, signed; `None`: none can be built of these.
pub(super) fn filter(
    key: &SigningKey,
    region: RegionName,
    generation: u32,
    locators: Vec<Locator>,
) -> Option<Vec<u8>> {
    Filter::build(region, generation, locators).ok().map(|filter| filter.sign(key))
}

impl Shared {
    /// The generation under which new tags are made.
    pub fn generation(&self) -> u32 {
        self.discovery.current().0
    }

    /// A proven number's tag under today's key.
    pub fn tag(&self, number: &Number, mailbox: &MailboxId, identity: &IdentityKeys) -> Tag {
        let (generation, key) = self.discovery.current();
        let tag = key.tag(number);
        let entry = tag.seal(&Resident { mailbox: *mailbox, identity: *identity });
        Tag {
            region: self.region().as_str().to_owned(),
            generation: *generation,
            locator: tag.locator().0.to_vec(),
            entry: entry.0.to_vec(),
        }
    }

    /// The mailbox of a proven number, where its tag lies under one of the keys.
    pub async fn tagged(&self, number: &Number) -> Result<Option<String>, Problem> {
        for (generation, key) in self.discovery.keys.iter().rev() {
            let locator = key.tag(number).locator();
            let found = self.mailboxes.found_at(self.region().as_str(), *generation, &locator.0).await;
            if let Some(mailbox) = found.map_err(|e| of_store(&e))? {
                return Ok(Some(mailbox));
            }
        }
        Ok(None)
    }
}

impl Shared {
    /// A number, sealed for who has the private key.
    pub fn seal(&self, number: &Number, mailbox: &MailboxId) -> Result<Vec<u8>, Problem> {
        let sealed = sealing::seal(&self.settings.sealing, mailbox, number);
        sealed.map(|bytes| bytes.to_vec()).map_err(|_| BROKEN)
    }
}
