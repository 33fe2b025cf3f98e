//! One decision: may this be done with data of this class and category in that region, and by which rule.

use crate::class::Class;
use crate::country::Country;
use crate::known::{Answer, Known, Question};
use crate::policies::Policies;
use crate::region::{Action, Context, Region};
use crate::rule::Rule;
use cedar_policy::{
    Authorizer, Context as CedarContext, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    RestrictedExpression,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An answer and the rules that made it, in order of file and line; `rules` is never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
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
    known: Mutex<Known>,
    evaluations: AtomicU64,
}

impl Cache {
    /// A panic elsewhere leaves at most an answer unkept, so a poisoned lock is as good as any.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let answer = self.cache.known().get(&question).cloned();
        // Nobody waits for Cedar: two that ask the same at once are both right.
        let answer = answer.unwrap_or_else(|| {
            let answer = self.evaluate(&question, residence);
            self.cache.known().keep(question.clone(), &answer);
            answer
        });
        match answer {
            Answer::Decided(decision) => decision,
            Answer::NoPermit => Decision::refused("no-permit", no_permit(&question, residence)),
        }
    }

    /// How often Cedar was run so far: once per class, category, action and region, never per subject.
    pub fn evaluations(&self) -> u64 {
        self.cache.evaluations.load(Ordering::Relaxed)
    }

    fn evaluate(&self, question: &Question, residence: Country) -> Answer {
        let failed = |why: String| Answer::Decided(Decision::refused("failed", why));
        self.cache.evaluations.fetch_add(1, Ordering::Relaxed);
        let (request, entities) = match self.ask(question, residence) {
            Ok(asked) => asked,
            Err(error) => {
                return failed(format!("the policies could not be asked: {error}"));
            }
        };
        let response = Authorizer::new().is_authorized(&request, &self.set, &entities);
        // INVARIANT: an error in a policy refuses. Cedar skips a policy that fails, and a skipped forbid
        // would let data through. Validated policies have no way to fail that we know of.
        if let Some(error) = response.diagnostics().errors().next() {
            return failed(format!("a policy failed: {error}"));
        }
        let written = response.diagnostics().reason().filter_map(|id| self.written.get::<str>(id.as_ref()));
        let mut rules: Vec<Rule> = written.map(|w| w.rule.clone()).collect();
        rules.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let allowed = response.decision() == cedar_policy::Decision::Allow;
        if rules.is_empty() {
            return Answer::NoPermit;
        }
        Answer::Decided(Decision { allowed, rules })
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
