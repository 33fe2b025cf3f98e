//! Answers spread out: every action for `policy explain`, every country for the guard's admission table.

use crate::class::Class;
use crate::country::Country;
use crate::decide::Decision;
use crate::policies::Policies;
use crate::region::{Action, Context, Region};
use serde::Serialize;
use std::collections::BTreeMap;

/// One line of `policy explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The region's id.
    pub region: String,
    /// What would be done.
    pub action: Action,
    /// With which category of data.
    pub category: String,
    /// The decision and its rules.
    #[serde(flatten)]
    pub decision: Decision,
    /// What keeps the decision; `None`: nothing does, and the screen must say so.
    pub enforced_by: Option<&'static str>,
}

/// One row of the guard's admission table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Admission {
    /// A country as an upper-cased column may hold it.
    pub spelling: String,
    /// Whether a plain resident's data may be stored here, in every category.
    pub allowed: bool,
    /// `law: reason` of the rule that decided.
    pub rule: String,
}

impl Policies {
    /// Every action and category at `regions` for a class. `from` is where the subject lives: `transfer` is
    /// asked from there, and left out for `from` itself and for a subject that lives nowhere.
    pub fn explain(
        &self,
        class: &Class,
        from: Option<&Region>,
        regions: &[Region],
        categories: &[String],
        mechanisms: &BTreeMap<String, bool>,
    ) -> Vec<Explained> {
        let mut lines = Vec::new();
        for region in regions {
            let source = from.filter(|f| f.id != region.id);
            for action in Action::ALL {
                let transfer = action == Action::Transfer;
                if transfer && source.is_none() {
                    continue;
                }
                for category in categories {
                    let context = Context { category, source: source.filter(|_| transfer), mechanisms };
                    lines.push(Explained {
                        region: region.id.clone(),
                        action,
                        category: category.clone(),
                        decision: self.decide(class, action, region, &context),
                        enforced_by: action.enforced_by(),
                    });
                }
            }
        }
        lines
    }

    /// The admission table of a region: for every spelling of every country, whether a resident without
    /// flags, consents and citizenship may sign up there. `store` only: a sign-up comes from nowhere.
    /// A region that isn't open yet is answered like an open one; opening is not policy's business.
    pub fn admission(
        &self,
        region: &Region,
        categories: &[String],
        mechanisms: &BTreeMap<String, bool>,
    ) -> Vec<Admission> {
        let mut rows = Vec::new();
        for country in Country::all() {
            let (allowed, rule) = self.admits(country, region, categories, mechanisms);
            let row =
                |spelling: &String| Admission { spelling: spelling.clone(), allowed, rule: rule.clone() };
            rows.extend(country.spellings().iter().map(row));
        }
        rows
    }

    fn admits(
        &self,
        country: Country,
        region: &Region,
        categories: &[String],
        mechanisms: &BTreeMap<String, bool>,
    ) -> (bool, String) {
        let class = Class::resident(country);
        let mut rule = None;
        for category in categories {
            let context = Context { category, source: None, mechanisms };
            let decision = self.decide(&class, Action::Store, region, &context);
            if !decision.allowed {
                return (false, decision.text());
            }
            rule.get_or_insert(decision.text());
        }
        match rule {
            Some(rule) => (true, rule),
            None => (false, "the service has no data category, so nothing can be asked".to_owned()),
        }
    }
}
