//! Which attributes policies mention: a decision can depend on nothing else.

use crate::class::Class;
use cedar_policy::Policy;
use serde::Serialize;
use std::collections::BTreeSet;

/// What the policies of a set look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mentioned {
    /// Attributes of the subject's class: of `residence`, `citizenship`.
    pub attributes: BTreeSet<String>,
    /// Flags named by a policy.
    pub flags: BTreeSet<String>,
    /// Consents named by a policy.
    pub consents: BTreeSet<String>,
    /// Regions named by id: `policy check` compares them with the config.
    pub regions: BTreeSet<String>,
}

impl Mentioned {
    /// Adds what `policy` mentions. `json` is its JSON form.
    pub(crate) fn add(&mut self, policy: &Policy, json: &serde_json::Value) {
        for uid in policy.entity_literals() {
            let id = uid.id().unescaped().to_owned();
            match uid.type_name().basename() {
                "Flag" => self.flags.insert(id),
                "Consent" => self.consents.insert(id),
                "Region" => self.regions.insert(id),
                _ => false,
            };
        }
        attributes(json, &mut self.attributes);
    }

    /// The class as far as policies can tell: what none mentions is dropped. Residence stays always,
    /// since latency asks for it.
    pub fn project(&self, class: &Class) -> Class {
        let keep = |have: &BTreeSet<String>, asked: &BTreeSet<String>| have & asked;
        Class {
            residence: class.residence,
            citizenship: class.citizenship.filter(|_| self.attributes.contains("citizenship")),
            flags: keep(&class.flags, &self.flags),
            consents: keep(&class.consents, &self.consents),
        }
    }
}

/// Every attribute access by one of the class's attribute names, whatever it stands on: the names are not
/// used by regions or the context, so this errs only towards mentioning too much.
fn attributes(json: &serde_json::Value, found: &mut BTreeSet<String>) {
    match json {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::String(name)) = fields.get("attr")
                && ["residence", "citizenship"].contains(&name.as_str())
            {
                found.insert(name.clone());
            }
            fields.values().for_each(|value| attributes(value, found));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| attributes(value, found)),
        _ => {}
    }
}
