//! The mapped tables in loading order.

use super::Scene;
use super::owners::{Owned, Owners};
use super::sides::Sides;
use crate::catalogue::{Engine, ForeignKey, TableName};
use crate::order::{Edge, order};
use crate::owner::free_columns;
use crate::relations::{Reference, references};
use std::collections::{BTreeMap, BTreeSet};

/// Tables first loaded first, and what is filled in afterwards.
pub(super) struct Sequence<'a> {
    pub(super) order: Vec<&'a TableName>,
    pub(super) null_first: BTreeMap<&'a TableName, BTreeSet<&'a str>>,
}

/// Whose foreign key an edge is, which, and what of it can be NULL.
type Found<'a> = (&'a TableName, Reference<'a>, Vec<&'a str>);

impl<'a> Sequence<'a> {
    pub(super) fn index(&self, table: &TableName) -> Option<usize> {
        self.order.iter().position(|name| *name == table)
    }
}

impl<'a> Scene<'a> {
    pub(super) fn sequence(&mut self, owners: &Owners<'a>, sides: &Sides<'a>) -> Sequence<'a> {
        let names: Vec<&'a TableName> = owners.keys().copied().collect();
        let (edges, found): (Vec<Edge>, Vec<Found<'a>>) = owners
            .values()
            .flat_map(|owned| references(self.catalogue, owned.table).map(move |r| (owned, r)))
            .filter(|(owned, r)| stands(owned, *r, sides))
            .filter_map(|(owned, r)| {
                let edge = self.edge(owned, r, &names)?;
                Some((edge, (&owned.table.name, r, openable(owned, r))))
            })
            .unzip();
        let first = names.iter().position(|name| self.is_root(name));
        let ordered = order(names.len(), first, &edges);
        let mut sequence = Sequence {
            order: ordered.order.into_iter().map(|i| names[i]).collect(),
            null_first: BTreeMap::new(),
        };
        for opened in ordered.opened {
            let (table, reference, columns) = &found[opened];
            if edges[opened].nullable {
                sequence.null_first.entry(table).or_default().extend(columns.iter().copied());
            } else if !edges[opened].deferrable {
                self.closed_cycle(table, *reference);
            }
        }
        sequence
    }

    fn edge(&self, owned: &Owned<'a>, reference: Reference<'a>, names: &[&TableName]) -> Option<Edge> {
        let place = |table: &TableName| names.iter().position(|name| *name == table);
        let owner = owned.is_way(reference, self.map);
        Some(Edge {
            from: place(&owned.table.name)?,
            to: place(reference.to)?,
            owner,
            nullable: !owner && !openable(owned, reference).is_empty(),
            deferrable: !owner && self.deferrable(reference.key),
        })
    }

    /// SQLite defers every foreign key where asked (`PRAGMA defer_foreign_keys`).
    pub(super) fn deferrable(&self, key: &ForeignKey) -> bool {
        key.deferrable || self.catalogue.engine == Engine::Sqlite
    }

    fn closed_cycle(&mut self, table: &TableName, reference: Reference<'_>) {
        let key = reference.key;
        let what = format!(
            "the foreign key {} of {table} to {} closes a cycle and can be neither NULL nor deferred",
            key.name, reference.to
        );
        let why = "no order of loading satisfies it";
        let fix = format!(
            "allow NULL in {}, or ALTER TABLE ... ALTER CONSTRAINT {} DEFERRABLE, at every region",
            key.columns.join(", "),
            key.name
        );
        self.report("map-cycle", table, what, why, fix);
    }
}

/// The foreign key exists at the regions and its value arrives with the row.
fn stands(owned: &Owned<'_>, reference: Reference<'_>, sides: &Sides<'_>) -> bool {
    let table = &owned.table.name;
    let blank = sides.blanked.get(table);
    !sides.dropped.contains(&(table, reference.key.name.as_str()))
        && !blank.is_some_and(|b| reference.key.columns.iter().any(|c| b.contains(c.as_str())))
}

/// Columns that can be NULL until all tables are loaded.
fn openable<'a>(owned: &Owned<'a>, reference: Reference<'a>) -> Vec<&'a str> {
    free_columns(reference, owned.columns)
        .into_iter()
        .filter(|c| {
            owned.table.column(c).is_some_and(|c| !c.not_null) && !owned.table.primary_key.contains(c)
        })
        .map(String::as_str)
        .collect()
}
