//! The choice of a home: law first, then latency, then the name.

use crate::class::Class;
use crate::country::Country;
use crate::latency::{Latency, Quality};
use crate::policies::Policies;
use crate::region::{Action, Context, Region};
use crate::rule::Rule;
use jiff::civil::Date;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What is the same for all subjects of one plan.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The data categories of the service; a home must be allowed to store every one. None at all:
    /// everything is refused, since nothing was asked.
    pub categories: &'a [String],
    /// The regions the service may use.
    pub regions: &'a [Region],
    /// The latency table.
    pub latency: &'a Latency,
    /// Today.
    pub today: Date,
    /// Transfer mechanism -> in force.
    pub mechanisms: &'a BTreeMap<String, bool>,
    /// Whether to move a subject whose present region is permitted, for latency alone. Nobody moves for
    /// latency unless the plan asks for it.
    pub for_latency: bool,
}

/// What policy says of one region for one subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It may be the home.
    Permitted {
        /// Typical round trip from the subject's country, ms, where the table has it.
        rtt_ms: Option<f64>,
        /// How that number came about.
        quality: Option<Quality>,
        /// The permits for storing, each once.
        rules: Vec<Rule>,
    },
    /// It would be permitted but isn't open yet.
    NotOpen {
        /// The day it opens.
        opens: Date,
    },
    /// It may not.
    Refused {
        /// The action refused first: `store`, or `transfer` from the present region.
        action: Action,
        /// The category it was refused for.
        category: String,
        /// The rules that refused it.
        rules: Vec<Rule>,
    },
}

/// One region's outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The region's id.
    pub region: String,
    /// What came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Where a subject belongs, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placement {
    /// The home's id; `None`: no region may have the data.
    pub home: Option<String>,
    /// Whether the present region is (still) refused, so that the subject must leave it, home or not.
    pub must_leave: bool,
    /// A verdict for each region of the service, in the config's order.
    pub verdicts: Vec<Verdict>,
    /// One sentence for a person.
    pub why: String,
    /// The law of the deciding rule: the one that asked for the move, else the one that permits the home,
    /// else the one that refuses.
    pub law: String,
    /// The rules that ask the subject to leave the present region; empty if none does.
    pub asked_by: Vec<Rule>,
    /// The permits of the home; empty without one.
    pub chosen_by: Vec<Rule>,
}

/// A candidate for the home.
struct Candidate<'r> {
    region: &'r Region,
    rtt_ms: Option<f64>,
    quality: Option<Quality>,
    rules: Vec<Rule>,
}

impl Policies {
    /// Where a subject of `class` that lives in `from` (`None`: nowhere yet) belongs.
    ///
    /// Permitted = `store` for every category at the region, and `transfer` of every category where it is not
    /// `from`. Home = the permitted and open region with the lowest round trip for the subject's country, a
    /// missing number last, ties by id. A subject whose present region is permitted stays, unless
    /// `for_latency` is set and another is known to be faster. `from` itself need not be open.
    pub fn place(&self, class: &Class, from: Option<&Region>, c: &Circumstances<'_>) -> Placement {
        let verdicts: Vec<Verdict> = c
            .regions
            .iter()
            .map(|r| Verdict { region: r.id.clone(), outcome: self.outcome(class, from, r, c) })
            .collect();
        let mut candidates: Vec<Candidate<'_>> =
            c.regions.iter().zip(&verdicts).filter_map(|(r, v)| candidate(r, v)).collect();
        candidates.sort_by(by_latency_then_name);
        let residence = class.residence;
        let Some(present) = from else {
            return settle(None, candidates.into_iter().next(), residence, verdicts);
        };
        let leave = self.reasons_to_leave(class, present, c);
        if leave.is_empty() {
            return keep_or_speed_up(present, candidates, residence, verdicts, c);
        }
        settle(Some((present, leave)), candidates.into_iter().next(), residence, verdicts)
    }

    /// The rules that forbid `present` to go on storing the data; empty if it may.
    fn reasons_to_leave(&self, class: &Class, present: &Region, c: &Circumstances<'_>) -> Vec<Rule> {
        if !c.regions.iter().any(|r| r.id == present.id) {
            let reason = format!("region `{}` is not one of the service's regions", present.id);
            return vec![Rule::builtin("not-a-region", reason)];
        }
        match self.refusal(class, Some(present), present, c) {
            Some((_, _, rules)) => rules,
            None => Vec::new(),
        }
    }

    fn outcome(
        &self,
        class: &Class,
        from: Option<&Region>,
        region: &Region,
        c: &Circumstances<'_>,
    ) -> Outcome {
        if let Some((action, category, rules)) = self.refusal(class, from, region, c) {
            return Outcome::Refused { action, category, rules };
        }
        let present = from.is_some_and(|f| f.id == region.id);
        if let Some(opens) = region.opens.filter(|_| !present && !region.is_open(c.today)) {
            return Outcome::NotOpen { opens };
        }
        let link = class.residence.and_then(|country| c.latency.from_users(country, &region.site));
        Outcome::Permitted {
            rtt_ms: link.map(|l| l.rtt_typ_ms),
            quality: link.map(|l| l.quality),
            rules: self.permits(class, region, c),
        }
    }

    /// The first refusal, if any: `store` of every category, then `transfer` of every category.
    fn refusal(
        &self,
        class: &Class,
        from: Option<&Region>,
        region: &Region,
        c: &Circumstances<'_>,
    ) -> Option<(Action, String, Vec<Rule>)> {
        if c.categories.is_empty() {
            let reason = "the service has no data category, so nothing can be asked".to_owned();
            return Some((Action::Store, String::new(), vec![Rule::builtin("no-category", reason)]));
        }
        let source = from.filter(|f| f.id != region.id);
        let actions = [(Action::Store, None), (Action::Transfer, source)];
        let asked = if source.is_some() { &actions[..] } else { &actions[..1] };
        for (action, source) in asked {
            for category in c.categories {
                let context = Context { category, source: *source, mechanisms: c.mechanisms };
                let decision = self.decide(class, *action, region, &context);
                if !decision.allowed {
                    return Some((*action, category.clone(), decision.rules));
                }
            }
        }
        None
    }

    /// The permits for storing at a permitted region, each once.
    fn permits(&self, class: &Class, region: &Region, c: &Circumstances<'_>) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for category in c.categories {
            let context = Context { category, source: None, mechanisms: c.mechanisms };
            for rule in self.decide(class, Action::Store, region, &context).rules {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        rules
    }
}

fn candidate<'r>(region: &'r Region, verdict: &Verdict) -> Option<Candidate<'r>> {
    match &verdict.outcome {
        Outcome::Permitted { rtt_ms, quality, rules } => {
            Some(Candidate { region, rtt_ms: *rtt_ms, quality: *quality, rules: rules.clone() })
        }
        Outcome::NotOpen { .. } | Outcome::Refused { .. } => None,
    }
}

fn by_latency_then_name(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    let rtt = match (a.rtt_ms, b.rtt_ms) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    rtt.then_with(|| a.region.id.cmp(&b.region.id))
}

/// The present region is permitted: stay, or leave it for a faster one if the plan asked for that.
fn keep_or_speed_up(
    present: &Region,
    candidates: Vec<Candidate<'_>>,
    residence: Option<Country>,
    verdicts: Vec<Verdict>,
    c: &Circumstances<'_>,
) -> Placement {
    let now = candidates.iter().find(|x| x.region.id == present.id);
    let now_ms = now.and_then(|x| x.rtt_ms);
    let rules = now.map(|x| x.rules.clone()).unwrap_or_default();
    let faster = candidates.into_iter().next().filter(|best| match (best.rtt_ms, now_ms) {
        (Some(best), Some(now)) => c.for_latency && best < now,
        _ => false,
    });
    match faster {
        Some(best) => {
            let why = format!(
                "may stay in {}, but the plan asks for latency: goes to {}",
                present.id,
                praised(&best, residence)
            );
            decided(Some(&best), false, Vec::new(), why, verdicts)
        }
        None => Placement {
            home: Some(present.id.clone()),
            must_leave: false,
            verdicts,
            why: format!("stays in {}: {}", present.id, first_text(&rules)),
            law: first_law(&rules),
            asked_by: Vec::new(),
            chosen_by: rules,
        },
    }
}

/// Nowhere yet, or the present region is refused: the best candidate, if there is one.
fn settle(
    leaving: Option<(&Region, Vec<Rule>)>,
    best: Option<Candidate<'_>>,
    residence: Option<Country>,
    verdicts: Vec<Verdict>,
) -> Placement {
    let (begins, asked_by) = match &leaving {
        Some((present, rules)) => {
            (format!("must leave {}: {}; ", present.id, first_text(rules)), rules.clone())
        }
        None => (String::new(), Vec::new()),
    };
    let must_leave = !asked_by.is_empty();
    let present = leaving.map(|(present, _)| present.id.as_str());
    let why = match &best {
        Some(best) => format!("{begins}goes to {}", praised(best, residence)),
        None => without_home(&begins, nowhere(&verdicts, present)),
    };
    decided(best.as_ref(), must_leave, asked_by, why, verdicts)
}

/// Why it must leave and why nowhere else will have it is often one reason: said once.
fn without_home(begins: &str, nowhere: String) -> String {
    let reason = nowhere.strip_prefix(NOBODY).unwrap_or(&nowhere);
    match begins.strip_suffix(&format!(": {reason}; ")) {
        Some(must_leave) => format!("{must_leave}, and {nowhere}"),
        None => format!("{begins}{nowhere}"),
    }
}

/// What begins the sentence about a subject that no region will have.
const NOBODY: &str = "no region may have the data: ";

fn decided(
    best: Option<&Candidate<'_>>,
    must_leave: bool,
    asked_by: Vec<Rule>,
    why: String,
    verdicts: Vec<Verdict>,
) -> Placement {
    let chosen_by = best.map(|b| b.rules.clone()).unwrap_or_default();
    let refusing = verdicts.iter().find_map(|v| match &v.outcome {
        Outcome::Refused { rules, .. } => rules.first(),
        Outcome::Permitted { .. } | Outcome::NotOpen { .. } => None,
    });
    let deciding = asked_by.first().or(chosen_by.first()).or(refusing);
    let law = deciding.map(|r| r.law.clone()).unwrap_or_default();
    Placement { home: best.map(|b| b.region.id.clone()), must_leave, verdicts, why, law, asked_by, chosen_by }
}

fn praised(best: &Candidate<'_>, residence: Option<Country>) -> String {
    let country = residence.map(|c| c.to_string()).unwrap_or_default();
    let rtt = match (best.rtt_ms, best.quality) {
        (Some(ms), Some(quality)) => format!("nearest permitted region for {country}: {ms} ms, {quality}"),
        _ => format!("first permitted region by name; no round trip known for {country}"),
    };
    format!("{} ({rtt}); permitted by {}", best.region.id, first_text(&best.rules))
}

/// Why no region is a home: the one that opens soonest, else what the regions other than the present one
/// refuse it for.
fn nowhere(verdicts: &[Verdict], present: Option<&str>) -> String {
    let mut soonest: Option<(&str, Date)> = None;
    let mut refusals: Vec<String> = Vec::new();
    for verdict in verdicts.iter().filter(|v| present != Some(v.region.as_str())) {
        match &verdict.outcome {
            Outcome::NotOpen { opens } if soonest.is_none_or(|(_, day)| *opens < day) => {
                soonest = Some((&verdict.region, *opens));
            }
            Outcome::Refused { rules, .. } => {
                let text = first_text(rules);
                if !refusals.contains(&text) {
                    refusals.push(text);
                }
            }
            Outcome::NotOpen { .. } | Outcome::Permitted { .. } => {}
        }
    }
    match (soonest, refusals.as_slice()) {
        (Some((region, day)), _) => format!("no permitted region is open yet: {region} opens on {day}"),
        (None, []) => format!("{NOBODY}the service has no other region"),
        (None, [one]) => format!("{NOBODY}{one}"),
        (None, [one, rest @ ..]) => {
            format!("{NOBODY}{one} (and {} more: see the verdicts)", rest.len())
        }
    }
}

fn first_text(rules: &[Rule]) -> String {
    rules.first().map(Rule::text).unwrap_or_default()
}

fn first_law(rules: &[Rule]) -> String {
    rules.first().map(|r| r.law.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_said_once() {
        let unknown = "the country is not known";
        let said = without_home(&format!("must leave fra: {unknown}; "), format!("{NOBODY}{unknown}"));
        assert_eq!(said, "must leave fra, and no region may have the data: the country is not known");
        let two = without_home("must leave fra: one; ", format!("{NOBODY}another"));
        assert_eq!(two, "must leave fra: one; no region may have the data: another");
    }
}
