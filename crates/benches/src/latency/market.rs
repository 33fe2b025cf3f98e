//! Who is far from what: the markets of the latency table, and where policy and latency put them.
//!
//! Table, policy and places are those of `domicile demo`: the reference case, once its regions in India and Brazil are open.

use crate::Fallible;
use domicile_policy::{
    Action, Circumstances, Class, Context, Country, Latency, Link, Policies, Quality, Region,
};
use jiff::civil::date;
use std::collections::BTreeMap;

const RTT: &str = include_str!("../../../cli/src/demo/rtt.csv");
const POLICY: &str = include_str!("../../../cli/src/demo/policies/residency.cedar");
/// Where everybody was.
pub const OLD: &str = "beijing";
/// Id, country, site in the latency table, and whether the application runs there: California has the shop alone,
/// so here only an edge.
const PLACES: [(&str, &str, &str, bool); 6] = [
    (OLD, "CN", "Beijing", true),
    ("california", "US", "N.California", false),
    ("singapore", "SG", "Singapore", true),
    ("oregon", "US", "Oregon", true),
    ("mumbai", "IN", "Mumbai", true),
    ("sao-paulo", "BR", "SaoPaulo", true),
];
/// A category of what the application keeps; the case's policy makes no difference between them.
const CATEGORY: &str = "profile";

/// All that decides where things are.
pub struct Case {
    /// Round trips.
    pub latency: Latency,
    /// Who may live where.
    pub policies: Policies,
    /// All places.
    pub places: Vec<Region>,
    /// Those with the application.
    pub regions: Vec<Region>,
}

/// One country's users.
#[derive(Debug, Clone)]
pub struct Market {
    /// The country.
    pub country: Country,
    /// Their home.
    pub home: String,
    /// The place of the gateway they reach.
    pub edge: String,
    /// Their way to Beijing.
    pub before: Link,
    /// Their way to the edge.
    pub after: Link,
}

impl Market {
    /// Their only user.
    pub fn subject(&self) -> String {
        format!("someone-{}", self.country.alpha2().to_lowercase())
    }

    /// Is a number of its ways an estimate?
    pub fn is_estimate(&self) -> [bool; 2] {
        [&self.before, &self.after].map(|link| link.quality == Quality::Estimated)
    }
}

impl Case {
    /// The case as the demo tells it.
    pub fn of_2014() -> Fallible<Self> {
        let policies = Policies::parse(&[("residency.cedar".to_owned(), POLICY.to_owned())], &[])?;
        let place = |(id, country, site, _): &(&str, &str, &str, bool)| -> Fallible<Region> {
            let (country, operator) = (country.parse()?, "CN".parse()?);
            Ok(Region { id: (*id).to_owned(), country, operator, opens: None, site: (*site).to_owned() })
        };
        let places = PLACES.iter().map(place).collect::<Fallible<Vec<_>>>()?;
        let with_application = places.iter().zip(PLACES).filter(|(_, (.., runs))| *runs);
        let regions = with_application.map(|(region, _)| region.clone()).collect();
        Ok(Self { latency: Latency::parse_csv(RTT)?, policies, places, regions })
    }

    /// In the table's order.
    pub fn markets(&self) -> Fallible<Vec<Market>> {
        let mut codes: Vec<&str> =
            RTT.lines().filter_map(|l| l.strip_prefix("user-")?.split(',').next()).collect();
        codes.dedup();
        codes.into_iter().map(|code| self.market(code.parse()?)).collect()
    }

    fn market(&self, country: Country) -> Fallible<Market> {
        let class = Class::resident(country);
        let circumstances = Circumstances {
            categories: &[CATEGORY.to_owned()],
            regions: &self.regions,
            latency: &self.latency,
            today: date(2016, 1, 1),
            mechanisms: &BTreeMap::new(),
            for_latency: false,
        };
        let placed = self.policies.place(&class, None, &circumstances);
        let home = placed.home.ok_or_else(|| format!("{}: {}", country.name(), placed.why))?;
        let (edge, after) = self.nearest(country, &class)?;
        let before = self.latency.from_users(country, "Beijing").cloned();
        let before =
            before.ok_or_else(|| format!("the table has no way from {} to Beijing", country.name()))?;
        Ok(Market { country, home, edge, before, after })
    }

    /// The nearest place where policy lets this country's data be processed: a gateway sees all of it.
    fn nearest(&self, country: Country, class: &Class) -> Fallible<(String, Link)> {
        let nothing = BTreeMap::new();
        let context = Context { category: CATEGORY, source: None, mechanisms: &nothing };
        let permitted =
            |place: &&Region| self.policies.decide(class, Action::Process, place, &context).allowed;
        let ways = self.places.iter().filter(permitted).filter_map(|place| {
            Some((place.id.clone(), self.latency.from_users(country, &place.site)?.clone()))
        });
        let nearest = ways.min_by(|a, b| a.1.rtt_typ_ms.total_cmp(&b.1.rtt_typ_ms));
        nearest.ok_or_else(|| format!("no place may serve {}", country.name()).into())
    }

    /// A place by its id.
    pub fn place(&self, id: &str) -> Fallible<&Region> {
        self.places.iter().find(|p| p.id == id).ok_or_else(|| format!("no place {id}").into())
    }

    /// Typical round trip between two places, ms.
    pub fn between_ms(&self, a: &Region, b: &Region) -> Option<f64> {
        if a.site == b.site {
            return Some(0.0);
        }
        self.latency.between(&a.site, &b.site).map(|link| link.rtt_typ_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_and_latency_place_markets_and_edges() -> Fallible<()> {
        let markets = Case::of_2014()?.markets()?;
        assert_eq!(markets.len(), 10);
        let of = |code: &str| {
            let market = markets.iter().find(|m| m.country.alpha2() == code);
            market.map(|m| (m.home.as_str(), m.edge.as_str()))
        };
        // Beijing is nearer to Hong Kong than Singapore, and forbidden.
        assert_eq!(of("HK"), Some(("singapore", "singapore")));
        assert_eq!(of("IN"), Some(("mumbai", "mumbai")));
        assert_eq!(of("US"), Some(("oregon", "california")));
        assert_eq!(of("CN"), Some(("beijing", "beijing")));
        Ok(())
    }
}
