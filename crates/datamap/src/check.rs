//! From the data map and a catalogue to a [`Layout`], or to all problems at once.

mod attributes;
mod build;
mod owners;
mod presence;
mod sequence;
mod shared;
mod sides;

use crate::answers;
use crate::catalogue::{Catalogue, Table, TableName};
use crate::layout::Layout;
use crate::map::{Ask, DataMap, Kind, Other, PersonalAnswer, Subject, TableRule};
use crate::problem::Problem;
use crate::write::engine_name;
use std::collections::{BTreeMap, BTreeSet};

/// Resolves the map against a database.
///
/// # Errors
/// Every problem found, in the order of the file where there is one: unanswered questions first.
pub fn check(map: &DataMap, catalogue: &Catalogue) -> Result<Layout, Vec<Problem>> {
    if map.engine != catalogue.engine {
        return Err(vec![wrong_engine(map, catalogue)]);
    }
    let settled = answers::settle(map, catalogue);
    let mut scene =
        Scene { map: &settled.map, catalogue, open: &settled.open, problems: settled.problems.clone() };
    scene.presence();
    let Some(root) = scene.root() else { return Err(scene.problems) };
    let owners = scene.owners(root);
    let sides = scene.sides(&owners);
    let references = scene.references();
    let sequence = scene.sequence(&owners, &sides);
    let shared = scene.shared_sequence(references);
    let attributes = scene.attributes(root, &sides);
    let objects = scene.objects(&sequence);
    scene.declared();
    match attributes {
        Some(attributes) if scene.problems.is_empty() => {
            Ok(build::Resolved { scene: &scene, owners, sides, sequence, shared, attributes, objects }
                .layout())
        }
        _ => Err(scene.problems),
    }
}

fn wrong_engine(map: &DataMap, catalogue: &Catalogue) -> Problem {
    let (wanted, found) = (engine_name(map.engine), engine_name(catalogue.engine));
    Problem::new(
        "map-engine",
        format!("the data map is for {wanted}, the database is {found}"),
        "all regions of a service use the same engine",
        "point the region at the right database, or write a map for this one with `domicile init`".to_owned(),
    )
}

/// Foreign keys that the answer `keep-id` says must not exist, and that this region's database has:
/// (table, constraint). They block a move to and from the region.
pub fn dropped_but_present(layout: &Layout, catalogue: &Catalogue) -> Vec<(TableName, String)> {
    let present = |table: &TableName, name: &String| {
        catalogue.table(table).is_some_and(|t| t.foreign_keys.iter().any(|key| key.name == *name))
    };
    layout.dropped_foreign_keys.iter().filter(|(table, name)| present(table, name)).cloned().collect()
}

/// What the checks look at, and what they found.
struct Scene<'a> {
    map: &'a DataMap,
    catalogue: &'a Catalogue,
    open: &'a BTreeSet<Ask>,
    problems: Vec<Problem>,
}

/// What the map makes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Mapped,
    Shared,
    Unmoved,
    /// Not said, or not in the map.
    Unknown,
}

impl<'a> Scene<'a> {
    fn subject(&self) -> &'a Subject {
        &self.map.subject
    }

    fn rule(&self, table: &TableName) -> Option<&'a TableRule> {
        self.map.tables.get(table)
    }

    fn is_root(&self, table: &TableName) -> bool {
        self.map.subject.table == *table
    }

    fn role(&self, table: &TableName) -> Role {
        if self.is_root(table) {
            return Role::Mapped;
        }
        match self.rule(table).map(|rule| &rule.kind) {
            Some(Kind::Direct { .. } | Kind::Derived { .. }) => Role::Mapped,
            Some(Kind::Reference { personal: Some(PersonalAnswer::Exclude) }) => Role::Unmoved,
            Some(Kind::Reference { .. }) => Role::Shared,
            Some(Kind::Excluded { .. }) => Role::Unmoved,
            Some(Kind::Undecided) | None => Role::Unknown,
        }
    }

    fn other(&self, table: &TableName) -> &'a BTreeMap<String, Other> {
        self.rule(table).map_or(&self.map.subject.other, |rule| &rule.other)
    }

    fn safe_triggers(&self, table: &TableName) -> &'a [String] {
        self.rule(table).map_or(&self.map.subject.safe_triggers, |rule| &rule.safe_triggers)
    }

    /// Where the user writes about the table.
    fn place(&self, table: &TableName) -> String {
        if self.is_root(table) {
            "under [subject]".to_owned()
        } else {
            format!("at \"{table}\" under [tables]")
        }
    }

    /// Tables of one role that the database has, by name.
    fn having(&self, role: Role) -> Vec<&'a Table> {
        let mut tables: Vec<&Table> = self
            .catalogue
            .tables
            .iter()
            .filter(|t| t.partition_of.is_none() && self.role(&t.name) == role)
            .collect();
        tables.sort_by_key(|t| &t.name);
        tables
    }

    fn report(&mut self, code: &'static str, table: &TableName, what: String, why: &str, fix: String) {
        self.problems.push(Problem::at(code, table, what, why, fix));
    }
}
