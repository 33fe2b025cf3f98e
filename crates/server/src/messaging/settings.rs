//! What a relay is told when it is started: its region, its keys, the others.

use super::secrets::RelayKeys;
use crate::token::Tokens;
use domicile_messaging::VerifyingKey;
use domicile_messaging::region::Terms;
use domicile_messaging::wire::{Key, RegionName, Text};
use jiff::civil::Date;
use secrecy::SecretString;

/// A relay's settings.
pub struct RelaySettings {
    /// The service whose subjects are mailboxes, as the directory knows it.
    pub service: String,
    /// Its region.
    pub region: RegionName,
    /// What its own keys are.
    pub keys: RelayKeys,
    /// What consent is asked for.
    pub terms: Terms,
    /// All relays of the service, this one among them, in the configuration's order.
    pub relays: Vec<RelayListed>,
    /// Who shows one of these is a relay.
    pub relay_tokens: Tokens,
    /// What is shown to other relays.
    pub relay_token: SecretString,
}

/// A relay as all of them know it.
#[derive(Debug, Clone)]
pub struct RelayListed {
    /// Its region.
    pub region: RegionName,
    /// The region's country, ISO 3166-1.
    pub country: Text,
    /// Where it is reached.
    pub endpoint: Text,
    /// Its service key.
    pub service_key: VerifyingKey,
    /// Its generations: number, public discovery key, and the first day on which it is served no more.
    pub generations: Vec<(u32, Key, Option<Date>)>,
}

impl std::fmt::Debug for RelaySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelaySettings").field("region", &self.region).finish_non_exhaustive()
    }
}

impl RelayListed {
    /// The generations that are served on a day, the last one being today's for new tags.
    pub(super) fn served(&self, today: Date) -> impl Iterator<Item = &(u32, Key, Option<Date>)> {
        self.generations.iter().filter(move |(_, _, until)| until.is_none_or(|until| today < until))
    }

    /// The generation under which new tags are made.
    pub(super) fn current(&self) -> u32 {
        self.generations.last().map_or(0, |g| g.0)
    }
}
