//! Rules: what decided, in the words that people read.

use serde::{Serialize, Serializer};
use std::ops::Deref;
use std::sync::Arc;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// A policy that permits.
    Permit,
    /// A policy that forbids; it beats every permit.
    Forbid,
    /// Not a policy of the user's: Domicile's own answer (no permit, unknown residence).
    Builtin,
}

/// A rule that decided. Clones share one text: there are few rules, and decisions by the hundred thousand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule(Arc<RuleText>);

/// What is written of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct RuleText {
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

impl From<RuleText> for Rule {
    fn from(text: RuleText) -> Self {
        Self(Arc::new(text))
    }
}

impl Deref for Rule {
    type Target = RuleText;

    fn deref(&self) -> &RuleText {
        &self.0
    }
}

/// As its text.
impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl Rule {
    /// Domicile's own rule of that name.
    pub(crate) fn builtin(id: &str, reason: String) -> Self {
        let law = "Domicile's default: what no policy permits is refused".to_owned();
        let effect = Effect::Builtin;
        RuleText { policy_id: id.to_owned(), file: String::new(), line: 0, law, reason, effect }.into()
    }

    /// `law: reason`, or the reason alone for a builtin rule.
    pub fn text(&self) -> String {
        match self.effect {
            Effect::Builtin => self.reason.clone(),
            Effect::Permit | Effect::Forbid => format!("{}: {}", self.law, self.reason),
        }
    }
}
