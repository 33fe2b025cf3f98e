//! Policy asked once, at start: may data of this category be kept (`cache`) where this gateway stands?

use super::settings::Cached;
use domicile_policy::{Action, Class, Context, Country, Policies, Region};
use std::collections::BTreeMap;

/// The question that is the same for all routes of a service.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The service's policies.
    pub policies: &'a Policies,
    /// The place where this gateway stands: the region it belongs to, or one of its own with a country.
    pub stands: &'a Region,
    /// Which transfer mechanisms are in force today.
    pub mechanisms: &'a BTreeMap<String, bool>,
}

/// May answers of that category be kept here? `residents`: whose data they may hold, by country; all of them
/// must be permitted. Empty: what is public is nobody's, and is asked for as if it were of a resident of the
/// country where the gateway stands.
pub fn may_cache(asked: Asked<'_>, category: &str, residents: &[Country]) -> Cached {
    let own = [asked.stands.country];
    let residents = if residents.is_empty() { &own[..] } else { residents };
    let context = Context { category, source: None, mechanisms: asked.mechanisms };
    for residence in residents {
        let class = Class::resident(*residence);
        let decision = asked.policies.decide(&class, Action::Cache, asked.stands, &context);
        if !decision.allowed {
            let why = format!("residents of {}: {}", residence.name(), decision.text());
            return Cached::Forbidden { why };
        }
    }
    Cached::Allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        @law("company policy") @reason("what is public may be kept everywhere")
        permit (principal, action == Action::"cache", resource) when { context.category == "public" };
        @law("company policy") @reason("profiles are kept at home")
        permit (principal, action == Action::"cache", resource)
        when { context.category == "profile" && principal.residence == resource.country };
        @law("an order of 2014") @reason("nothing of ours is kept in that country")
        forbid (principal, action == Action::"cache", resource) when { resource.country == "CN" };
    "#;

    #[test]
    fn policy_is_asked_for_the_place_the_category_and_whose_data_it_is() {
        let policies = Policies::parse(&[("rules.cedar".to_owned(), RULES.to_owned())], &[]).unwrap();
        let mechanisms = BTreeMap::new();
        let country = |code: &str| code.parse::<Country>().unwrap();
        let ask = |place: &str, category: &str, residents: &[&str]| {
            let stands = Region {
                id: "edge".to_owned(),
                country: country(place),
                operator: country(place),
                opens: None,
                site: "edge".to_owned(),
            };
            let residents: Vec<Country> = residents.iter().map(|r| country(r)).collect();
            may_cache(
                Asked { policies: &policies, stands: &stands, mechanisms: &mechanisms },
                category,
                &residents,
            )
        };
        assert_eq!(ask("IN", "public", &[]), Cached::Allowed);
        assert_eq!(ask("IN", "public", &["DE", "BR"]), Cached::Allowed);
        assert_eq!(ask("IN", "profile", &["IN"]), Cached::Allowed);
        for (place, category, residents, says) in [
            ("IN", "profile", &["IN", "DE"][..], "residents of Germany: "),
            ("IN", "orders", &[], "residents of India: "),
            ("CN", "public", &[], "an order of 2014: nothing of ours is kept"),
        ] {
            let Cached::Forbidden { why } = ask(place, category, residents) else {
                panic!("{place} {category}")
            };
            assert!(why.contains(says), "{why}");
        }
    }
}
