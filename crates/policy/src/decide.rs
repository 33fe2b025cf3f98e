//! One decision: may this be done with data of this class and category in that region, and by which rule.

use crate::class::Class;
use crate::country::Country;
use crate::policies::Policies;
use crate::region::{Action, Context, Region};
use cedar_policy::{
    Authorizer, Context as CedarContext, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    RestrictedExpression,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::error::Error;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// At most this many decisions are kept; beyond it the cache starts over. 2,000 classes x 42 (category,
/// action) x 10 regions are 840,000.
const CACHED_DECISIONS_MAX: usize = 1_000_000;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// A policy that permits.
    Permit,
    /// A policy that forbids; it beats every permit.
    Forbid,
    /// Not a policy of the user's: Domicile's own answer (no permit, unknown residence).
    Builtin,
}

/// A rule that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The policy's `@id`, or `<file>#<number>`; for [`Effect::Builtin`] `no-permit`, `unknown-residence`...
    pub policy_id: String,
    /// The file it stands in; empty for a builtin rule.
    pub file: String,
    /// Its first line in that file, from 1; 0 for a builtin rule.
    pub line: usize,
    /// Its `@law`.
    pub law: String,
    /// Its `@reason`.
    pub reason: String,
    /// What it does.
    pub effect: Effect,
}

impl Rule {
    /// Domicile's own rule of that name.
    pub(crate) fn builtin(id: &str, reason: String) -> Self {
        let law = "Domicile's default: what no policy permits is refused".to_owned();
        Self { policy_id: id.to_owned(), file: String::new(), line: 0, law, reason, effect: Effect::Builtin }
    }

    /// `law: reason`, or the reason alone for a builtin rule.
    pub fn text(&self) -> String {
        match self.effect {
            Effect::Builtin => self.reason.clone(),
            Effect::Permit | Effect::Forbid => format!("{}: {}", self.law, self.reason),
        }
    }
}

/// An answer and the rules that made it, in order of file and line; `rules` is never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// The permits, if allowed; else the forbids, or the builtin rule.
    pub rules: Vec<Rule>,
}

impl Decision {
    fn refused(id: &str, reason: String) -> Self {
        Self { allowed: false, rules: vec![Rule::builtin(id, reason)] }
    }

    /// The first rule's text.
    pub fn text(&self) -> String {
        self.rules.first().map(Rule::text).unwrap_or_default()
    }
}

/// Decisions made so far by one set of policies, and how often Cedar was asked.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    decisions: Mutex<HashMap<Question, Decision>>,
    evaluations: AtomicU64,
}

/// Everything a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    class: Class,
    action: Action,
    region: (String, Country, Country),
    category: String,
    source: Option<(Country, Country)>,
    mechanisms: Vec<bool>,
}

impl Policies {
    /// Decides by the policies, and from memory where the same was asked before. Default deny: no
    /// permit, no; unknown residence, no, whatever the policies say.
    pub fn decide(&self, class: &Class, action: Action, region: &Region, context: &Context<'_>) -> Decision {
        let Some(residence) = class.residence else {
            return Decision::refused(
                "unknown-residence",
                "the subject's country of residence is not known, so no region may have the data".to_owned(),
            );
        };
        let on_file = |name: &String| context.mechanisms.get(name).copied().unwrap_or(false);
        let question = Question {
            class: self.mentioned().project(class),
            action,
            region: (region.id.clone(), region.country, region.operator),
            category: context.category.to_owned(),
            source: context.source.map(|s| (s.country, s.operator)),
            mechanisms: self.mechanisms.iter().map(on_file).collect(),
        };
        // A panic elsewhere can't leave the map half-written, so a poisoned lock is as good as any.
        let mut known = self.cache.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(decision) = known.get(&question) {
            return decision.clone();
        }
        let decision = self.evaluate(&question, residence);
        if known.len() >= CACHED_DECISIONS_MAX {
            known.clear();
        }
        known.insert(question, decision.clone());
        decision
    }

    /// How often Cedar was run so far: once per class, category, action and region, never per subject.
    pub fn evaluations(&self) -> u64 {
        self.cache.evaluations.load(Ordering::Relaxed)
    }

    fn evaluate(&self, question: &Question, residence: Country) -> Decision {
        self.cache.evaluations.fetch_add(1, Ordering::Relaxed);
        let (request, entities) = match self.ask(question, residence) {
            Ok(asked) => asked,
            Err(error) => {
                return Decision::refused("failed", format!("the policies could not be asked: {error}"));
            }
        };
        let response = Authorizer::new().is_authorized(&request, &self.set, &entities);
        // INVARIANT: an error in a policy refuses. Cedar skips a policy that fails, and a skipped forbid
        // would let data through. Validated policies have no way to fail that we know of.
        if let Some(error) = response.diagnostics().errors().next() {
            return Decision::refused("failed", format!("a policy failed: {error}"));
        }
        let mut rules: Vec<Rule> =
            response.diagnostics().reason().filter_map(|id| self.rule(id.as_ref())).collect();
        rules.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let allowed = response.decision() == cedar_policy::Decision::Allow;
        if rules.is_empty() {
            return Decision::refused("no-permit", no_permit(question, residence));
        }
        Decision { allowed, rules }
    }

    fn rule(&self, id: &str) -> Option<Rule> {
        let w = self.written.get(id)?;
        Some(Rule {
            policy_id: id.to_owned(),
            file: w.file.clone(),
            line: w.line,
            law: w.law.clone(),
            reason: w.reason.clone(),
            effect: w.effect,
        })
    }

    fn ask(&self, q: &Question, residence: Country) -> Result<(Request, Entities), Box<dyn Error>> {
        let principal = uid("Class", "subject")?;
        let groups = q.class.flags.iter().map(|f| uid("Flag", f));
        let groups = groups.chain(q.class.consents.iter().map(|c| uid("Consent", c)));
        let citizenship = q.class.citizenship.map(|c| c.to_string()).unwrap_or_default();
        let class = Entity::new(
            principal.clone(),
            [text("residence", residence.alpha2()), text("citizenship", &citizenship)].into(),
            groups.collect::<Result<HashSet<_>, _>>()?,
        )?;
        let (id, country, operator) = &q.region;
        let resource = uid("Region", id)?;
        let attributes = [text("country", country.alpha2()), text("operator", operator.alpha2())];
        let region = Entity::new(resource.clone(), attributes.into(), HashSet::new())?;
        let request =
            Request::new(principal, uid("Action", q.action.as_str())?, resource, self.context_of(q)?, None)?;
        Ok((request, Entities::from_entities([class, region], None)?))
    }

    fn context_of(&self, q: &Question) -> Result<CedarContext, Box<dyn Error>> {
        let flags: BTreeMap<_, _> = self.mechanisms.iter().zip(&q.mechanisms).collect();
        let mechanisms = RestrictedExpression::new_record(
            flags.into_iter().map(|(name, on)| (name.clone(), RestrictedExpression::new_bool(*on))),
        )?;
        let (country, operator) = q.source.unzip();
        let code = |c: Option<Country>| c.map(|c| c.to_string()).unwrap_or_default();
        Ok(CedarContext::from_pairs([
            text("category", &q.category),
            text("source_country", &code(country)),
            text("source_operator", &code(operator)),
            ("mechanisms".to_owned(), mechanisms),
        ])?)
    }
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, Box<dyn Error>> {
    let kind = EntityTypeName::from_str(kind)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn text(name: &str, value: &str) -> (String, RestrictedExpression) {
    (name.to_owned(), RestrictedExpression::new_string(value.to_owned()))
}

fn no_permit(q: &Question, residence: Country) -> String {
    let (id, country, operator) = &q.region;
    let marks = if q.class.flags.is_empty() {
        String::new()
    } else {
        format!(" with {}", q.class.flags.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", "))
    };
    format!(
        "no policy permits `{}` of `{}` data of residents of {residence}{marks} in region `{id}` \
         (country {country}, operator {operator})",
        q.action, q.category
    )
}
