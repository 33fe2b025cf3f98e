//! `GET region`: what this relay says of itself and of the others, signed. The one thing that a device may ask before its owner agrees.

use super::refusals::BROKEN;
use super::routes::json;
use super::settings::RelayListed;
use super::shared::Shared;
use crate::Problem;
use axum::extract::State;
use axum::response::Response;
use domicile_messaging::region::{Generation, PublishedLimits, RegionListed, RegionStatement};
use domicile_messaging::wire::{Key, List};
use http::StatusCode;
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

pub(super) async fn region(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let _place = shared.place()?;
    let statement = shared.statement(Timestamp::now()).ok_or(BROKEN)?;
    Ok(json(StatusCode::OK, &statement.sign(&shared.settings.service_key)))
}

impl Shared {
    fn statement(&self, now: Timestamp) -> Option<RegionStatement> {
        let today = super::today();
        let regions = self.settings.relays.iter().map(|relay| listed(relay, today));
        let limits = PublishedLimits {
            budget_per_generation: u64::from(self.limits.discovery_allowance),
            budget_per_day: u64::from(self.limits.discovery_a_day),
            ..PublishedLimits::default()
        };
        Some(RegionStatement {
            v: 1,
            service: self.settings.service.parse().ok()?,
            region: self.region().clone(),
            // Whole seconds: nobody needs more of it.
            at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            terms: self.settings.terms.clone(),
            service_key: Key(self.settings.service_key.verifying_key().to_bytes()),
            sealing_key: self.settings.sealing,
            limits,
            regions: List::new(regions.collect::<Option<_>>()?)?,
        })
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
