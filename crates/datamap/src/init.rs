//! From a catalogue to a first data map. What is plain is written, what is not is a question: `init`
//! never guesses silently.

mod country;
mod owners;
mod questions;
mod root;

use crate::catalogue::{Catalogue, Table, TableKind, TableName};
use crate::map::{Ask, DataMap, Kind, Question, Subject, TableRule, VERSION};
use crate::relations::{comparable, identifies, is_text, references, wholes};
use crate::words;
use std::collections::{BTreeMap, BTreeSet};

/// Proposes a data map for the database. `root` is the root table where the user has named it; else
/// the likeliest is taken and, unless it stands out, asked for.
pub fn propose(catalogue: &Catalogue, root: Option<&TableName>) -> DataMap {
    let (subject, asked) = root::choose(catalogue, root);
    let map = DataMap {
        version: VERSION,
        engine: catalogue.engine,
        subject,
        tables: BTreeMap::new(),
        objects: Vec::new(),
        declared: Vec::new(),
        questions: Vec::new(),
    };
    let mut draft = Draft { map, catalogue, owned: BTreeSet::new() };
    draft.map.questions.extend(asked);
    draft.country();
    draft.owned = owners::reached(catalogue, &draft.map.subject.table);
    draft.owners();
    draft.shared();
    draft.rows_in_question();
    draft.columns_in_question();
    draft.ask(Ask::Stores, questions::STORES.to_owned(), &["none", "declared"]);
    draft.map
}

/// The map while it grows.
struct Draft<'a> {
    map: DataMap,
    catalogue: &'a Catalogue,
    /// Tables with a chain of foreign keys to the root, the root left out.
    owned: BTreeSet<TableName>,
}

impl<'a> Draft<'a> {
    fn ask<T: ToString>(&mut self, ask: Ask, text: String, choices: &[T]) {
        let choices = choices.iter().map(T::to_string).collect();
        let (columns, answer) = (Vec::new(), String::new());
        self.map.questions.push(Question { ask, text, columns, choices, answer });
    }

    fn root(&self) -> Option<&'a Table> {
        self.catalogue.table(&self.map.subject.table)
    }

    /// The root and the tables that have a way to it.
    fn mapped(&self) -> Vec<&'a Table> {
        wholes(self.catalogue)
            .filter(|t| t.name == self.map.subject.table || self.owned.contains(&t.name))
            .collect()
    }

    fn country(&mut self) {
        let Some(root) = self.root() else { return };
        let candidates = country::candidates(self.catalogue, root);
        match candidates.plain.as_slice() {
            [only] => self.map.subject.country = Some(only.clone()),
            _ => {
                let text = questions::country(&candidates);
                self.ask(Ask::Country, text, &candidates.all());
            }
        }
    }

    /// Tables without a way to the subject: shared where rows that move, or other shared tables, are
    /// tied to them; asked about where nothing is.
    fn shared(&mut self) {
        let tied = self.tied();
        let catalogue = self.catalogue;
        let free: Vec<&Table> = wholes(catalogue).filter(|t| !self.is_mapped(&t.name)).collect();
        for table in free {
            if let Some(reason) = self.known_useless(table) {
                self.put(table, TableRule::new(Kind::Excluded { reason }, ""));
                continue;
            }
            let kind = if tied.contains(&table.name) {
                Kind::Reference { personal: None }
            } else {
                let columns = self.lookalikes(table);
                let mut choices = vec!["reference".to_owned(), "excluded".to_owned()];
                choices.extend(columns.iter().cloned());
                self.ask(Ask::Reach(table.name.clone()), questions::reach(table, &columns), &choices);
                Kind::Undecided
            };
            self.put(table, TableRule::new(kind, words::shared_category(&table.name.name)));
            self.personal(table);
        }
    }

    fn is_mapped(&self, name: &TableName) -> bool {
        *name == self.map.subject.table || self.owned.contains(name)
    }

    fn put(&mut self, table: &Table, rule: TableRule) {
        self.map.tables.insert(table.name.clone(), rule);
    }

    fn personal(&mut self, table: &Table) {
        let columns = personal_signs(table);
        if !columns.is_empty() {
            let text = questions::personal(table, &columns);
            self.ask(Ask::Personal(table.name.clone()), text, &["copy", "stub", "exclude"]);
        }
    }

    /// Tables in the same web of foreign keys as a table that mapped rows refer to.
    fn tied(&self) -> BTreeSet<&'a TableName> {
        let edges: Vec<(&TableName, &TableName)> = wholes(self.catalogue)
            .flat_map(|t| references(self.catalogue, t).map(move |r| (&t.name, r.to)))
            .collect();
        let mut tied: BTreeSet<&TableName> =
            edges.iter().filter(|(a, b)| self.is_mapped(a) && !self.is_mapped(b)).map(|(_, b)| *b).collect();
        loop {
            let more: Vec<_> = edges
                .iter()
                .filter(|(a, b)| {
                    !self.is_mapped(a) && !self.is_mapped(b) && tied.contains(a) != tied.contains(b)
                })
                .flat_map(|(a, b)| [*a, *b])
                .collect();
            if more.is_empty() {
                return tied;
            }
            tied.extend(more);
        }
    }

    /// Why a table needs no question: it belongs to a tool or to a virtual table.
    fn known_useless(&self, table: &Table) -> Option<String> {
        if let Some(tool) = words::tool_of(&table.name.name) {
            return Some(format!("bookkeeping of {tool}"));
        }
        const SHADOWS: [&str; 10] = [
            "_data",
            "_idx",
            "_content",
            "_docsize",
            "_config",
            "_segments",
            "_segdir",
            "_stat",
            "_node",
            "_parent",
        ];
        let virtual_table = wholes(self.catalogue).find(|v| {
            v.kind == TableKind::Virtual
                && table
                    .name
                    .name
                    .strip_prefix(&v.name.name)
                    .is_some_and(|s| SHADOWS.contains(&s) || s == "_rowid")
        })?;
        Some(format!("belongs to the virtual table {}", virtual_table.name))
    }

    /// Columns named after the root's key that have its type but no foreign key.
    fn lookalikes(&self, table: &Table) -> Vec<String> {
        let Some(root) = self.root() else { return Vec::new() };
        let Some(key) = root.column(&self.map.subject.key) else { return Vec::new() };
        let root_words = words::words(&root.name.name).join("");
        let stem = root_words.trim_end_matches('s');
        table
            .columns
            .iter()
            .filter(|c| comparable(self.catalogue.engine, &c.type_name, &key.type_name))
            .filter(|c| {
                let joined = words::words(&c.name).join("");
                (c.name == key.name && joined != "id") || joined == format!("{stem}id") || joined == stem
            })
            .map(|c| c.name.clone())
            .collect()
    }

    /// Tables that can't be moved as they are.
    fn rows_in_question(&mut self) {
        for table in wholes(self.catalogue) {
            if matches!(self.map.tables.get(&table.name), Some(TableRule { kind: Kind::Excluded { .. }, .. }))
            {
                continue;
            }
            let root = table.name == self.map.subject.table;
            let leaves_key = references(self.catalogue, table).any(|r| self.is_mapped(r.to));
            let exclude = if leaves_key { "exclude-drop-key" } else { "exclude" };
            if !matches!(table.kind, TableKind::Ordinary | TableKind::Partitioned) {
                let choices = questions::storage_choices(table.kind, exclude, root);
                self.ask(Ask::Storage(table.name.clone()), questions::storage(table, exclude), &choices);
            } else if table.primary_key.is_empty() {
                let choices = if root { vec!["add-key"] } else { vec!["add-key", exclude] };
                self.ask(Ask::Key(table.name.clone()), questions::key(table, exclude), &choices);
            }
        }
    }

    /// Triggers and columns of mapped tables that only the user knows.
    fn columns_in_question(&mut self) {
        for table in self.mapped() {
            for trigger in &table.triggers {
                let ask = Ask::Trigger(table.name.clone(), trigger.clone());
                self.ask(ask, questions::trigger(self.catalogue.engine, table, trigger), &["safe", "remove"]);
            }
        }
        for table in self.mapped() {
            let keys = table.columns.iter().filter(|c| {
                words::looks_like_object_key(&c.name) && is_text(self.catalogue.engine, &c.type_name)
            });
            for column in keys {
                let ask = Ask::Object(table.name.clone(), column.name.clone());
                self.ask(ask, questions::object(table, &column.name), &["sweep", "deny", "no"]);
            }
        }
    }
}

/// What of a table looks personal, by name: its columns, or the table itself (`address`).
pub(crate) fn personal_signs(table: &Table) -> Vec<&str> {
    let columns = table.columns.iter().map(|c| c.name.as_str()).filter(|c| words::looks_personal(c));
    let signs: Vec<&str> = columns.collect();
    if signs.is_empty() && words::looks_personal(&table.name.name) { vec!["its name"] } else { signs }
}

/// The key column a root of that table would have: its primary key, else a whole unique NOT NULL
/// column; a composite key's first column where there is none, which `check` then refuses.
fn key_of(table: &Table) -> String {
    if let [only] = table.primary_key.as_slice() {
        return only.clone();
    }
    table
        .columns
        .iter()
        .find(|c| c.not_null && identifies(table, &c.name))
        .map(|c| c.name.clone())
        .or_else(|| table.primary_key.first().cloned())
        .unwrap_or_else(|| "id".to_owned())
}

/// The root with nothing but its names.
fn subject_of(table: &TableName, key: String) -> Subject {
    Subject {
        table: table.clone(),
        key,
        category: words::category(&table.name).unwrap_or("profile").to_owned(),
        country: None,
        citizenship: None,
        flags: None,
        consents: None,
        other: BTreeMap::new(),
        safe_triggers: Vec::new(),
    }
}
