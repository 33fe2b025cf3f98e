//! `GET region`: what this relay says of itself and of the others, signed. The one thing that a device may ask before its owner agrees.

use super::limits::MessagingLimits;
use super::refusals::BROKEN;
use super::routes::json;
use super::settings::RelayListed;
use super::shared::Shared;
use crate::Problem;
use axum::extract::State;
use axum::response::Response;
use domicile_messaging::SigningKey;
use domicile_messaging::region::{
    Generation, PublishedLimits, RegionListed, RegionStatement, SignedRegion, Terms,
};
use domicile_messaging::wire::{Key, List, RegionName};
use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

pub(super) async fn region(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let _place = shared.place()?;
    let settings = &shared.settings;
    let speaker = Speaker {
        service: &settings.service,
        region: shared.region(),
        terms: &settings.terms,
        service_key: &settings.service_key,
        sealing_key: settings.sealing,
        relays: &settings.relays,
        limits: &shared.limits,
    };
    Ok(json(StatusCode::OK, &speaker.statement(Timestamp::now()).ok_or(BROKEN)?))
}

/// Who speaks for a region: its relay, or its operator who gives the statement out with devices.
pub struct Speaker<'a> {
    /// The service whose subjects are mailboxes.
    pub service: &'a str,
    /// The region.
    pub region: &'a RegionName,
    /// What consent is asked for.
    pub terms: &'a Terms,
    /// Signs.
    pub service_key: &'a SigningKey,
    /// What numbers are sealed to.
    pub sealing_key: Key,
    /// All relays of the service.
    pub relays: &'a [RelayListed],
    /// Its limits.
    pub limits: &'a MessagingLimits,
}

impl std::fmt::Debug for Speaker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speaker").field("region", &self.region).finish_non_exhaustive()
    }
}

impl Speaker<'_> {
    /// What the region says of itself, signed. `None`: a name does not fit, or there are too many regions.
    pub fn statement(&self, now: Timestamp) -> Option<SignedRegion> {
        let today = super::today();
        let regions = self.relays.iter().map(|relay| listed(relay, today));
        let limits = PublishedLimits {
            budget_per_generation: u64::from(self.limits.discovery_allowance),
            budget_per_day: u64::from(self.limits.discovery_a_day),
            ..PublishedLimits::default()
        };
        let statement = RegionStatement {
            v: 1,
            service: self.service.parse().ok()?,
            region: self.region.clone(),
            // Whole seconds: nobody needs more of it.
            at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            terms: self.terms.clone(),
            service_key: Key(self.service_key.verifying_key().to_bytes()),
            sealing_key: self.sealing_key,
            limits,
            regions: List::new(regions.collect::<Option<_>>()?)?,
        };
        Some(statement.sign(self.service_key))
    }
}

fn listed(relay: &RelayListed, today: Date) -> Option<RegionListed> {
    let current = relay.current();
    let generation = |(generation, public_key, _): &(u32, Key, Option<Date>)| Generation {
        generation: *generation,
        public_key: *public_key,
        current: *generation == current,
    };
    Some(RegionListed {
        region: relay.region.clone(),
        country: relay.country.clone(),
        endpoint: relay.endpoint.clone(),
        service_key: Key(relay.service_key.to_bytes()),
        generations: List::new(relay.served(today).map(generation).collect())?,
    })
}
