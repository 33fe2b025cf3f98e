//! Direct or derived: how each table that has a way to the subject finds it.

use super::{Draft, questions};
use crate::catalogue::{Catalogue, Table, TableName};
use crate::map::{Ask, Kind, TableRule};
use crate::owner::{free_columns, kind_by, mapped, owner_columns, provably_same, strays};
use crate::relations::{Reference, label, nullable, references, wholes};
use crate::words;
use std::collections::{BTreeMap, BTreeSet};

/// Tables with a chain of foreign keys to the root.
pub(super) fn reached(catalogue: &Catalogue, root: &TableName) -> BTreeSet<TableName> {
    reaching(catalogue, root, None)
}

/// The same, where no chain may pass the table `without`.
fn reaching(catalogue: &Catalogue, root: &TableName, without: Option<&TableName>) -> BTreeSet<TableName> {
    let mut found = BTreeSet::from([root.clone()]);
    loop {
        let more: Vec<_> = wholes(catalogue)
            .filter(|t| !found.contains(&t.name) && Some(&t.name) != without)
            .filter(|t| references(catalogue, t).any(|r| found.contains(r.to)))
            .map(|t| t.name.clone())
            .collect();
        if more.is_empty() {
            found.remove(root);
            return found;
        }
        found.extend(more);
    }
}

impl<'a> Draft<'a> {
    /// Writes a rule for each owned table and asks where several ways lead to a subject.
    pub(super) fn owners(&mut self) {
        let ways: BTreeMap<&TableName, Vec<Reference<'a>>> =
            self.mapped().into_iter().map(|t| (&t.name, self.ways(t))).collect();
        for (name, ways) in &ways {
            if **name != self.map.subject.table {
                let kind = match ways.as_slice() {
                    [only] => kind_by(&self.map.subject, *only),
                    _ => Kind::Undecided,
                };
                self.map.tables.insert((*name).clone(), TableRule::new(kind, self.category(name)));
            }
        }
        self.settle_provable(&ways);
        self.inherit_categories();
        for table in self.mapped() {
            self.ask_owner(table, ways.get(&table.name).map_or(&[], Vec::as_slice));
        }
    }

    /// Foreign keys that lead to the subject without passing the table again.
    fn ways(&self, table: &'a Table) -> Vec<Reference<'a>> {
        let root = &self.map.subject.table;
        if table.name == *root {
            return Vec::new();
        }
        let around = reaching(self.catalogue, root, Some(&table.name));
        references(self.catalogue, table).filter(|r| r.to == root || around.contains(r.to)).collect()
    }

    /// A table with the subject's key whose other keys all carry that key is direct without a question.
    /// Repeated, since one table's answer makes the next one's.
    fn settle_provable(&mut self, ways: &BTreeMap<&TableName, Vec<Reference<'a>>>) {
        loop {
            let mut settled = None;
            for (name, ways) in ways {
                if self.map.tables.get(*name).is_none_or(|rule| rule.kind != Kind::Undecided) {
                    continue;
                }
                let mut trial = self.map.clone();
                settled = ways.iter().map(|way| kind_by(&self.map.subject, *way)).find(|kind| {
                    let Kind::Direct { .. } = kind else { return false };
                    trial.tables.insert((*name).clone(), TableRule::new(kind.clone(), ""));
                    ways.iter()
                        .all(|w| kind_by(&self.map.subject, *w) == *kind || provably_same(&trial, name, *w))
                });
                if let Some(kind) = settled.clone() {
                    if let Some(rule) = self.map.tables.get_mut(*name) {
                        rule.kind = kind;
                    }
                    break;
                }
            }
            if settled.is_none() {
                return;
            }
        }
    }

    fn category(&self, name: &TableName) -> &'static str {
        words::category(&name.name).unwrap_or("")
    }

    /// A table whose name says nothing has its parent's category.
    fn inherit_categories(&mut self) {
        let names: Vec<TableName> = self.map.tables.keys().cloned().collect();
        for name in names {
            let mut at = name.clone();
            let mut found = self.map.tables[&at].category.clone();
            for _ in 0..self.map.tables.len() {
                let Some(TableRule { kind: Kind::Derived { parent, .. }, .. }) = self.map.tables.get(&at)
                else {
                    break;
                };
                if !found.is_empty() {
                    break;
                }
                at = parent.clone();
                found = self.map.tables.get(&at).map_or(String::new(), |rule| rule.category.clone());
            }
            if let Some(rule) = self.map.tables.get_mut(&name) {
                rule.category = if found.is_empty() { "other".to_owned() } else { found };
            }
        }
    }

    fn ask_owner(&mut self, table: &'a Table, ways: &[Reference<'a>]) {
        let undecided = self.map.tables.get(&table.name).is_some_and(|r| r.kind == Kind::Undecided);
        let labels: Vec<String> = ways.iter().map(|w| label(table, w.key)).collect();
        if undecided {
            let two = ways.iter().filter(|w| *w.to == self.map.subject.table).count() > 1;
            self.ask(Ask::Owner(table.name.clone()), questions::owner(table, &labels, two), &labels);
        }
        let map = self.map.clone();
        let others = strays(&map, self.catalogue, table, &mapped(&map));
        if !others.is_empty() {
            self.ask_other(table, &others);
        }
        let kind = self.map.tables.get(&table.name).map_or(Kind::Undecided, |rule| rule.kind.clone());
        let may_lack = match kind {
            Kind::Undecided => ways.iter().any(|w| nullable(table, &w.key.columns)),
            kind => nullable(table, owner_columns(&kind)) && !owner_columns(&kind).is_empty(),
        };
        if may_lack {
            let text = questions::ownerless(table, ways);
            self.ask(Ask::Ownerless(table.name.clone()), text, &["refuse", "exclude-drop-key"]);
        }
    }

    fn holds_key(&self, reference: Reference<'_>) -> bool {
        matches!(kind_by(&self.map.subject, reference), Kind::Direct { .. })
    }

    fn ask_other(&mut self, table: &'a Table, others: &[Reference<'a>]) {
        let root = &self.map.subject.table;
        let rule = self.map.tables.get(&table.name);
        let owner: &[String] = rule.map_or(&[], |rule| owner_columns(&rule.kind));
        let two_subjects = others.iter().any(|r| r.to == root);
        let can_be_null = others
            .iter()
            .any(|r| free_columns(*r, owner).iter().any(|c| nullable(table, std::slice::from_ref(*c))));
        let mut choices = if two_subjects { vec!["keep-id"] } else { vec!["same", "keep-id"] };
        choices.extend(can_be_null.then_some("null"));
        if two_subjects {
            // Only a subject's key can be looked up, so the word must fit every side asked about.
            choices.extend(others.iter().all(|r| self.holds_key(*r)).then_some("refuse"));
            choices.push("same");
        }
        let text = questions::other(table, others, &choices);
        let mut columns: Vec<String> = others.iter().flat_map(|r| free_columns(*r, owner)).cloned().collect();
        columns.sort();
        columns.dedup();
        self.ask(Ask::Other(table.name.clone()), text, &choices);
        if let Some(question) = self.map.questions.last_mut() {
            question.columns = columns;
        }
    }
}
