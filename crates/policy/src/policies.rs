//! Policy files, parsed and checked as a whole: nothing is decided by a set with a fault in it.

use crate::decide::Cache;
use crate::fault::{Fault, Faults, place_of};
use crate::mentioned::Mentioned;
use crate::rule::{Effect, Rule, RuleText};
use crate::schema::{self, SCHEMA_VERSION};
use crate::statement::statements;
use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Checked policies: parsed, validated against the schema, every one with `@law` and `@reason`.
#[derive(Debug)]
pub struct Policies {
    pub(crate) set: PolicySet,
    pub(crate) written: BTreeMap<String, Written>,
    pub(crate) mechanisms: Vec<String>,
    pub(crate) cache: Cache,
    schema: String,
    mentioned: Mentioned,
    warnings: Vec<Fault>,
    hash: String,
}

/// Where a policy is written, and the words it carries.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub rule: Rule,
    /// Index of the file and byte offset of the statement in it.
    file_index: usize,
    offset: usize,
}

impl Policies {
    /// Parses and validates `files` (name, text). `mechanisms` are the transfer mechanisms declared in the
    /// config, by name. A policy is called by its `@id`, else `<file without .cedar>#<number>`.
    ///
    /// # Errors
    /// Every fault found, each with file, line, column, the source line and what to do.
    pub fn parse(files: &[(String, String)], mechanisms: &[String]) -> Result<Self, Faults> {
        let schema_text = schema::schema_text(mechanisms);
        let (schema, _) = Schema::from_cedarschema_str(&schema_text).map_err(|e| {
            let what = format!("the schema for the configured transfer mechanisms is not valid: {e}");
            let fix = "use letters, digits, `-` and `_` in the names of mechanisms";
            Faults(vec![Fault::at("(generated schema)", &schema_text, 0, what, fix.to_owned())])
        })?;
        let mut reading =
            Reading { files, set: PolicySet::new(), written: BTreeMap::new(), faults: Vec::new() };
        for index in 0..files.len() {
            reading.read_file(index);
        }
        let warnings = reading.validate(schema);
        let Reading { set, written, mut faults, .. } = reading;
        if !faults.is_empty() {
            let order: BTreeMap<&str, usize> =
                files.iter().enumerate().map(|(index, (name, _))| (name.as_str(), index)).collect();
            faults.sort_by_key(|f| (order.get(f.file.as_str()).copied(), f.line, f.column));
            return Err(Faults(faults));
        }
        let (mentioned, hash) = read_meaning(&set, &schema_text);
        Ok(Self {
            set,
            written,
            mechanisms: mechanisms.to_vec(),
            cache: Cache::default(),
            schema: schema_text,
            mentioned,
            warnings,
            hash,
        })
    }

    /// SHA-256 (hex) over every policy's meaning and words, and the schema with its version. Comments and
    /// layout don't change it; a changed law or reason does.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The schema that policies are checked against, with comments that explain it.
    pub fn schema_text(&self) -> &str {
        &self.schema
    }

    /// Which attributes, flags, consents and regions the policies mention.
    pub fn mentioned(&self) -> &Mentioned {
        &self.mentioned
    }

    /// What is suspicious but no error, e.g. a policy that can never apply.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.written.len()
    }

    /// Whether there are none: then nothing is permitted.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }
}

/// Parsing under way.
struct Reading<'a> {
    files: &'a [(String, String)],
    set: PolicySet,
    written: BTreeMap<String, Written>,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    fn read_file(&mut self, index: usize) {
        let (name, text) = &self.files[index];
        if self.files[..index].iter().any(|(earlier, _)| earlier == name) {
            let fix = "give each policy file once".to_owned();
            self.faults.push(Fault::at(name, text, 0, format!("`{name}` is given twice"), fix));
            return;
        }
        for (number, range) in statements(text).into_iter().enumerate() {
            match Policy::parse(None, &text[range.clone()]) {
                Ok(policy) => self.add(index, number, range.start, policy),
                Err(errors) => {
                    let faults = errors.iter().map(|e| parse_fault(name, text, range.clone(), e));
                    self.faults.extend(faults);
                }
            }
        }
    }

    fn add(&mut self, file_index: usize, number: usize, offset: usize, policy: Policy) {
        let (file, text) = &self.files[file_index];
        let mut fault =
            |what: String, fix: &str| self.faults.push(Fault::at(file, text, offset, what, fix.to_owned()));
        let words =
            |name: &str| policy.annotation(name).map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned);
        let (law, reason) = (words("law"), words("reason"));
        if law.is_none() {
            fault(
                "the policy has no `@law`".to_owned(),
                "write above it `@law(\"...\")`: the law, contract or company rule it comes from",
            );
        }
        if reason.is_none() {
            fault(
                "the policy has no `@reason`".to_owned(),
                "write above it `@reason(\"...\")`: what people read where it decides",
            );
        }
        if policy.entity_literals().iter().any(|uid| uid.type_name().basename() == "Class") {
            fault(
                "the policy names a class, and classes have no names".to_owned(),
                "ask for attributes: `principal.residence == \"IN\"`, `principal in Flag::\"...\"`",
            );
        }
        let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".cedar");
        let id = words("id").unwrap_or_else(|| format!("{stem}#{}", number + 1));
        if let Some(other) = self.written.get(&id) {
            let what =
                format!("a policy called `{id}` is already at {}:{}", other.rule.file, other.rule.line);
            fault(what, "give one of them another `@id(\"...\")`");
            return;
        }
        let effect = match policy.effect() {
            cedar_policy::Effect::Permit => Effect::Permit,
            cedar_policy::Effect::Forbid => Effect::Forbid,
        };
        if let Err(error) = self.set.add(policy.new_id(PolicyId::new(&id))) {
            fault(error.to_string(), "give it another `@id(\"...\")`");
            return;
        }
        let (law, reason) = (law.unwrap_or_default(), reason.unwrap_or_default());
        let line = place_of(text, offset).0;
        let text = RuleText { policy_id: id.clone(), file: file.clone(), line, law, reason, effect };
        self.written.insert(id, Written { rule: text.into(), file_index, offset });
    }

    /// Adds validation errors to the faults and returns the warnings.
    fn validate(&mut self, schema: Schema) -> Vec<Fault> {
        let result = Validator::new(schema).validate(&self.set, ValidationMode::Strict);
        let errors = result.validation_errors().map(|e| self.validation_fault(e.policy_id(), e)).collect();
        let warnings =
            result.validation_warnings().map(|w| self.validation_fault(w.policy_id(), w)).collect();
        self.faults.extend(one_a_place(errors));
        one_a_place(warnings)
    }

    fn validation_fault(&self, id: &PolicyId, found: &dyn Diagnostic) -> Fault {
        let name: &str = id.as_ref();
        let (what, help) = words_of(found);
        // Cedar begins with "for policy `x`, "; the place says that already.
        let begins = format!("for policy `{name}`, ");
        let bare = |text: String| text.strip_prefix(&begins).unwrap_or(&text).to_owned();
        let what = bare(what);
        let fix =
            fix_for(&what).map(str::to_owned).or(help.map(bare)).unwrap_or_else(|| SEE_SCHEMA.to_owned());
        match self.written.get(name) {
            Some(w) => {
                let (file, text) = &self.files[w.file_index];
                Fault::at(file, text, w.offset + label_offset(found).unwrap_or(0), what, fix)
            }
            None => Fault::at("(policies)", "", 0, what, fix),
        }
    }
}

fn parse_fault(file: &str, text: &str, range: std::ops::Range<usize>, error: &dyn Diagnostic) -> Fault {
    let (what, help) = words_of(error);
    let offset = (range.start + label_offset(error).unwrap_or(0)).min(range.end);
    let fix = help.unwrap_or_else(|| {
        "a policy is `@law(\"...\") @reason(\"...\") permit (principal, action, resource) when { ... };`"
            .to_owned()
    });
    Fault::at(file, text, offset, what, fix)
}

/// Cedar's message with what its label adds ("expected ..."), and its help.
fn words_of(found: &dyn Diagnostic) -> (String, Option<String>) {
    let mut what = found.to_string();
    let label = found.labels().and_then(|mut l| l.next()).and_then(|l| l.label().map(str::to_owned));
    if let Some(label) = label.filter(|l| !what.contains(l.as_str())) {
        what = format!("{what}: {label}");
    }
    (what, found.help().map(|h| h.to_string()))
}

fn label_offset(found: &dyn Diagnostic) -> Option<usize> {
    found.labels()?.next().map(|label| label.offset())
}

const SEE_SCHEMA: &str = "see what policies can ask about: `domicile policy check --schema`";

/// What to do where Domicile knows better than Cedar.
fn fix_for(what: &str) -> Option<&'static str> {
    let hints = [
        ("attribute `mechanisms.", "declare the transfer mechanism in domicile.toml, or correct its name"),
        ("attribute `flags`", "flags are groups: write `principal in Flag::\"air-force\"`"),
        ("attribute `consents`", "consents are groups: write `principal in Consent::\"marketing\"`"),
        ("policy is impossible", "it decides nothing as it stands: correct it, or take it out"),
    ];
    hints.into_iter().find(|(sign, _)| what.contains(sign)).map(|(_, fix)| fix)
}

/// One fault a place: Cedar tells the same again for each of the eight actions, in no fixed order.
fn one_a_place(mut faults: Vec<Fault>) -> Vec<Fault> {
    let place = |f: &Fault| (f.file.clone(), f.line, f.column);
    faults.sort_by_key(|f| (place(f), f.what.clone()));
    faults.dedup_by_key(|f| place(f));
    faults
}

/// What the policies mention, and the hash of what they mean.
fn read_meaning(set: &PolicySet, schema: &str) -> (Mentioned, String) {
    let mut mentioned = Mentioned::default();
    let mut canonical = BTreeMap::new();
    for policy in set.policies() {
        // A policy that was parsed from text has a JSON form; were there none, its text stands in for
        // it and every attribute counts as mentioned.
        let json = policy.to_json().unwrap_or_else(|_| {
            mentioned.attributes.extend(["residence".to_owned(), "citizenship".to_owned()]);
            serde_json::Value::String(policy.to_string())
        });
        mentioned.add(policy, &json);
        canonical.insert(policy.id().to_string(), sorted(&json));
    }
    let mut hasher = Sha256::new();
    hasher.update(format!("domicile policies, schema version {SCHEMA_VERSION}\n{schema}\n"));
    for (id, json) in canonical {
        hasher.update(format!("{}\n{json}\n", serde_json::Value::String(id)));
    }
    (mentioned, hex::encode(hasher.finalize()))
}

/// The same value with the fields of every object in order of their names, so that the hash doesn't
/// depend on how serde_json was built.
fn sorted(json: &serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
            serde_json::Value::Object(fields.into_iter().collect())
        }
        serde_json::Value::Array(values) => values.iter().map(sorted).collect(),
        other => other.clone(),
    }
}
