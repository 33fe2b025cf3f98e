//! Policy asked about what is public: may it be cached where a gateway, or a CDN, stands?

use crate::config::{Config, Service};
use crate::failure::Result;
use crate::open;
use domicile_policy::{Country, Region};
use domicile_server::edge::{Asked, Cached, EdgeSettings, may_cache};

/// The settings of the edge cache with policy's word on each route, for a process that stands at all of these
/// places. Asked once, at start: a policy that changed is heeded from the next start on.
///
/// # Errors
/// Policies that can't be read.
pub fn settings(config: &Config, service: &Service, stands: &[Region]) -> Result<EdgeSettings> {
    let mut settings = config.edge.settings.clone();
    if settings.routes.is_empty() || stands.is_empty() {
        return Ok(settings);
    }
    let rules = open::rules(config, service, open::today())?;
    for (route, residents) in settings.routes.iter_mut().zip(&config.edge.residents) {
        let forbids = |place| {
            let asked = Asked { policies: &rules.policies, stands: place, mechanisms: &rules.mechanisms };
            Some(may_cache(asked, &route.category, residents)).filter(|word| *word != Cached::Allowed)
        };
        if let Some(forbidden) = stands.iter().find_map(forbids) {
            route.cached = forbidden;
        }
    }
    Ok(settings)
}

/// A place of a CDN, as policies see it: of nobody's region, run under the law of its country.
pub fn place(country: Country) -> Region {
    let id = format!("cdn-{}", country.alpha2().to_ascii_lowercase());
    Region { site: id.clone(), id, country, operator: country, opens: None }
}

/// Path and reason of the routes that may not be cached.
pub fn forbidden(settings: &EdgeSettings) -> Vec<(&str, &str)> {
    let why = |r: &'_ domicile_server::edge::PublicRoute| matches!(r.cached, Cached::Forbidden { .. });
    let routes = settings.routes.iter().filter(|r| why(r));
    routes
        .filter_map(|r| match &r.cached {
            Cached::Forbidden { why } => Some((r.path.as_str(), why.as_str())),
            Cached::Allowed => None,
        })
        .collect()
}
