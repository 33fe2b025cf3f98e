//! What was checked, put together as a [`Layout`].

use super::Scene;
use super::attributes::Attributes;
use super::owners::{By, Owned, Owners};
use super::sequence::Sequence;
use super::shared::Shared;
use super::sides::Sides;
use crate::canonical;
use crate::catalogue::{Table, TableKind, TableName};
use crate::layout::*;
use crate::map::{Kind, PersonalAnswer};
use crate::relations::leaves;
use std::collections::{BTreeMap, BTreeSet};

/// Everything the checks found; made only where they found no problem.
pub(super) struct Resolved<'s, 'a> {
    pub(super) scene: &'s Scene<'a>,
    pub(super) owners: Owners<'a>,
    pub(super) sides: Sides<'a>,
    pub(super) sequence: Sequence<'a>,
    pub(super) shared: Vec<Shared<'a>>,
    pub(super) attributes: Attributes,
    pub(super) objects: Vec<ObjectRule>,
}

impl Resolved<'_, '_> {
    pub(super) fn layout(self) -> Layout {
        let map = self.scene.map;
        let tables: Vec<MappedTable> = self
            .sequence
            .order
            .iter()
            .filter_map(|name| self.owners.get(name))
            .map(|o| self.mapped(o))
            .collect();
        let mut layout = Layout {
            engine: map.engine,
            references: self.shared.iter().map(|s| self.reference(s)).collect(),
            excluded: self.excluded(),
            dropped_foreign_keys: owned_pairs(&self.sides.dropped),
            safe_triggers: self.safe_triggers(),
            declared: map.declared.clone(),
            tables,
            country: self.attributes.country,
            citizenship: self.attributes.citizenship,
            flags: self.attributes.flags,
            consents: self.attributes.consents,
            objects: self.objects,
            hash: String::new(),
        };
        link_children(&mut layout.tables);
        layout.hash = canonical::hash(&layout, &owned_pairs(&self.sides.kept));
        layout
    }

    fn mapped(&self, owned: &Owned<'_>) -> MappedTable {
        let table = owned.table;
        let leaves = leaves(self.scene.catalogue, &table.name);
        let category = self.scene.rule(&table.name).map_or(&self.scene.map.subject.category, |r| &r.category);
        MappedTable {
            name: table.name.clone(),
            owner: self.owner(owned),
            category: category.clone(),
            columns: moved_columns(table),
            key: table.primary_key.clone(),
            uniques: table.uniques.clone(),
            foreign_keys: table.foreign_keys.clone(),
            children: Vec::new(),
            null_first: listed(&self.sequence.null_first, &table.name),
            blanked: listed(&self.sides.blanked, &table.name),
            refusing: listed(&self.sides.refusing, &table.name),
            partitioned: table.kind == TableKind::Partitioned,
            leaves: leaves.into_iter().map(|leaf| leaf.name.clone()).collect(),
        }
    }

    fn owner(&self, owned: &Owned<'_>) -> Owner {
        match &owned.by {
            By::Root => Owner::Root { column: self.scene.map.subject.key.clone() },
            By::Direct(column) => Owner::Direct { column: (*column).to_owned() },
            By::Derived(parent, key) => Owner::Derived {
                // INVARIANT: every parent is in the sequence; `check` has reported any that is not.
                parent: self.sequence.index(parent).unwrap_or(0),
                link: key.columns.iter().cloned().zip(key.referenced.iter().cloned()).collect(),
                deferrable: key.deferrable,
            },
        }
    }

    fn reference(&self, shared: &Shared<'_>) -> ReferenceTable {
        let table = shared.table;
        ReferenceTable {
            name: table.name.clone(),
            columns: moved_columns(table),
            key: table.primary_key.clone(),
            foreign_keys: table.foreign_keys.clone(),
            personal: shared.personal,
            category: self.scene.rule(&table.name).map_or(String::new(), |rule| rule.category.clone()),
        }
    }

    fn excluded(&self) -> Vec<(TableName, String)> {
        let rules = self.scene.map.tables.iter();
        rules
            .filter_map(|(name, rule)| match &rule.kind {
                Kind::Excluded { reason } => Some((name.clone(), reason.clone())),
                Kind::Reference { personal: Some(PersonalAnswer::Exclude) } => {
                    Some((name.clone(), "shared, and holds personal data".to_owned()))
                }
                _ => None,
            })
            .collect()
    }

    /// As listed, for the table and, where they are theirs, for its partitions.
    fn safe_triggers(&self) -> Vec<(TableName, String)> {
        let mut all = BTreeSet::new();
        for owned in self.owners.values() {
            let name = &owned.table.name;
            for trigger in self.scene.safe_triggers(name) {
                all.insert((name.clone(), trigger.clone()));
                let parts = crate::relations::partitions(self.scene.catalogue, name);
                let having = parts.into_iter().filter(|p| p.triggers.contains(trigger));
                all.extend(having.map(|p| (p.name.clone(), trigger.clone())));
            }
        }
        all.into_iter().collect()
    }
}

fn moved_columns(table: &Table) -> Vec<MovedColumn> {
    let moved = table.columns.iter().filter(|c| !c.generated);
    moved
        .map(|c| MovedColumn {
            name: c.name.clone(),
            type_name: c.type_name.clone(),
            not_null: c.not_null,
            identity: c.identity,
        })
        .collect()
}

fn listed(all: &BTreeMap<&TableName, BTreeSet<&str>>, table: &TableName) -> Vec<String> {
    all.get(table).map_or(Vec::new(), |columns| columns.iter().map(|c| (*c).to_owned()).collect())
}

fn owned_pairs(pairs: &BTreeSet<(&TableName, &str)>) -> Vec<(TableName, String)> {
    pairs.iter().map(|(table, item)| ((*table).clone(), (*item).to_owned())).collect()
}

fn link_children(tables: &mut [MappedTable]) {
    for child in 0..tables.len() {
        if let Owner::Derived { parent, .. } = tables[child].owner {
            tables[parent].children.push(child);
        }
    }
}
