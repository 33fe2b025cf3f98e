//! What the map says besides tables: where the country stands, objects, declared stores.

use super::sequence::Sequence;
use super::sides::Sides;
use super::{Role, Scene};
use crate::catalogue::Table;
use crate::layout::{AttributePath, Hop, ObjectRule, ObjectSource};
use crate::map::{Ask, Kind, ObjectFrom, PersonalAnswer};
use crate::name::Path;
use crate::relations::{by_label, is_text, label, whole};

const SUBJECT: &str = "{subject}";

/// The resolved paths.
pub(super) struct Attributes {
    pub(super) country: AttributePath,
    pub(super) citizenship: Option<AttributePath>,
    pub(super) flags: Option<AttributePath>,
    pub(super) consents: Option<AttributePath>,
}

impl<'a> Scene<'a> {
    /// `None`: a problem was reported.
    pub(super) fn attributes(&mut self, root: &'a Table, sides: &Sides<'a>) -> Option<Attributes> {
        let subject = self.subject();
        if subject.country.is_none() && !self.open.contains(&Ask::Country) {
            let what = "the data map does not say where the subject's country stands".to_owned();
            let fix = "under [subject] write country = a column, or a path such as address_id->country_code";
            let why = "policy decides by it, and an unknown residence is refused";
            self.report("map-country-missing", &subject.table, what, why, fix.to_owned());
        }
        let country = subject.country.as_ref().and_then(|p| self.path(root, "country", p, sides));
        let citizenship = subject.citizenship.as_ref().map(|p| self.path(root, "citizenship", p, sides));
        let flags = subject.flags.as_ref().map(|p| self.path(root, "flags", p, sides));
        let consents = subject.consents.as_ref().map(|p| self.path(root, "consents", p, sides));
        Some(Attributes {
            country: country?,
            citizenship: citizenship.map_or(Some(None), |p| p.map(Some))?,
            flags: flags.map_or(Some(None), |p| p.map(Some))?,
            consents: consents.map_or(Some(None), |p| p.map(Some))?,
        })
    }

    fn path(&mut self, root: &'a Table, word: &str, path: &Path, sides: &Sides<'a>) -> Option<AttributePath> {
        let mut at = root;
        let mut hops = Vec::new();
        for step in &path.hops {
            let Some(key) = by_label(at, step) else {
                let known: Vec<String> = at.foreign_keys.iter().map(|k| label(at, k)).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let what = format!("`{path}`: {} has no foreign key `{step}`", at.name);
                let fix = format!("under [subject], in `{word}`, use one of its foreign keys: {known}");
                self.report("map-path-broken", &root.name, what, "the path is followed from the root", fix);
                return None;
            };
            for column in &key.columns {
                self.readable(at, column, word, path, sides);
            }
            if sides.dropped.contains(&(&at.name, key.name.as_str())) {
                let what =
                    format!("`{path}` follows {}, which is answered `keep-id` and will not exist", key.name);
                let fix = format!("under [subject], in `{word}`, use another path, or answer otherwise");
                self.report("map-path-broken", &root.name, what, "the path could not be followed", fix);
            }
            // A key to a table that is not visible has a problem of its own.
            at = self.catalogue.table(whole(self.catalogue, &key.references))?;
            let on = key.columns.iter().cloned().zip(key.referenced.iter().cloned()).collect();
            hops.push(Hop { table: at.name.clone(), on });
        }
        let Some(column) = at.column(&path.column) else {
            let what = format!("`{path}`: {} has no column {}", at.name, path.column);
            let fix = format!("under [subject] correct `{word}`");
            self.report("map-column-gone", &root.name, what, "policy decides by it", fix);
            return None;
        };
        self.readable(at, &column.name, word, path, sides);
        Some(AttributePath { hops, column: column.name.clone() })
    }

    /// The column has its true value at every region, so that the guard can decide there.
    fn readable(&mut self, table: &'a Table, column: &str, word: &str, path: &Path, sides: &Sides<'a>) {
        let stub = matches!(
            self.rule(&table.name).map(|rule| &rule.kind),
            Some(Kind::Reference { personal: Some(PersonalAnswer::Stub) })
        );
        let blank = sides.blanked.get(&table.name).is_some_and(|b| b.contains(column));
        let why_not = match self.role(&table.name) {
            Role::Unmoved => "the table is excluded",
            Role::Shared if stub && !table.primary_key.iter().any(|k| k == column) => {
                "only a stub of the table is copied"
            }
            Role::Mapped if blank => "the column is answered `null`",
            _ => return,
        };
        let what = format!("`{path}` reads {column} of {}, but {why_not}", table.name);
        let fix = format!("under [subject], in `{word}`, use another path, or copy the table");
        let why = "the guard of every region must be able to read it";
        self.report("map-path-unreadable", &table.name, what, why, fix);
    }

    pub(super) fn objects(&mut self, sequence: &Sequence<'a>) -> Vec<ObjectRule> {
        let mut rules = Vec::new();
        for entry in &self.map.objects {
            let source = match &entry.source {
                ObjectFrom::Prefix { template } => self.prefix(template),
                ObjectFrom::Column { table, column } => {
                    let found = self.catalogue.table(table).and_then(|t| t.column(column));
                    let fits = found.is_some_and(|c| is_text(self.catalogue.engine, &c.type_name));
                    if self.role(table) != Role::Mapped || !fits {
                        let what = format!("object keys are said to stand in {column} of {table}");
                        let why = "it is no text column of a mapped table";
                        let fix = "correct the entry in [[objects]], or remove it".to_owned();
                        self.report("map-object-column", table, what, why, fix);
                    }
                    // No place: the table has a problem of its own.
                    sequence.index(table).map(|table| ObjectSource::Column { table, column: column.clone() })
                }
            };
            let (without_row, category) = (entry.without_row, entry.category.clone());
            rules.extend(source.map(|source| ObjectRule { source, without_row, category }));
        }
        rules
    }

    fn prefix(&mut self, template: &str) -> Option<ObjectSource> {
        let parts: Vec<&str> = template.split(SUBJECT).collect();
        // What follows must end the subject's key: `photos/{subject}` would match 12 for 1.
        if let [before, after] = parts.as_slice()
            && !before.starts_with('/')
            && after.starts_with('/')
        {
            return Some(ObjectSource::Prefix { template: template.to_owned() });
        }
        let what = format!("the object prefix `{template}` does not hold one subject's objects");
        let why = "a prefix must match one subject's objects and nobody else's";
        let fix =
            "write it as photos/{subject}/: {subject} once, a slash after it, none at the front".to_owned();
        self.problems.push(crate::Problem::new("map-object-prefix", what, why, fix));
        None
    }

    pub(super) fn declared(&mut self) {
        let asked = self.map.questions.iter().any(|q| q.ask == Ask::Stores);
        if !asked && self.map.declared.is_empty() {
            let what = "the data map does not say whether other stores hold data of the subjects".to_owned();
            let why = "every receipt lists the stores that were not moved";
            let fix = "add [[question]] id = \"stores\", choices = [\"none\", \"declared\"], answer = \"none\"; \
                       or [[declared]] with name and note";
            self.problems.push(crate::Problem::new("map-stores-undeclared", what, why, fix.to_owned()));
        }
        let root = (&self.map.subject.table, &self.map.subject.category);
        let rules =
            self.map.tables.iter().filter(|(n, _)| matches!(self.role(n), Role::Mapped | Role::Shared));
        let empty: Vec<_> = rules
            .map(|(name, rule)| (name, &rule.category))
            .chain([root])
            .filter(|(_, category)| category.trim().is_empty())
            .map(|(name, _)| name)
            .collect();
        for name in empty {
            let fix = format!("{} write category = \"...\"", self.place(name));
            let what = format!("{name} has an empty category");
            self.report("map-category-empty", name, what, "policy decides by it", fix);
        }
    }
}
