//! Each mapped table's way to the subject, checked against the catalogue.

use super::{Role, Scene};
use crate::catalogue::{ForeignKey, Table, TableName};
use crate::map::{Ask, Kind};
use crate::owner::owner_columns;
use crate::relations::{comparable, nullable, whole};
use std::collections::BTreeMap;

/// A mapped table and how its rows find their subject.
pub(super) struct Owned<'a> {
    pub(super) table: &'a Table,
    /// Columns that hold the way; the key for the root.
    pub(super) columns: &'a [String],
    pub(super) by: By<'a>,
}

/// [`crate::layout::Owner`] with names instead of places.
pub(super) enum By<'a> {
    Root,
    Direct(&'a str),
    Derived(&'a TableName, &'a ForeignKey),
}

pub(super) type Owners<'a> = BTreeMap<&'a TableName, Owned<'a>>;

impl<'a> Scene<'a> {
    /// Mapped tables whose way is sound. Tables with a problem are left out, and the problem reported.
    pub(super) fn owners(&mut self, root: &'a Table) -> Owners<'a> {
        let key = std::slice::from_ref(&self.map.subject.key);
        let mut owners = Owners::from([(&root.name, Owned { table: root, columns: key, by: By::Root })]);
        for table in self.having(Role::Mapped) {
            let Some(rule) = self.rule(&table.name).filter(|_| !self.is_root(&table.name)) else { continue };
            let columns = owner_columns(&rule.kind);
            let by = match &rule.kind {
                Kind::Direct { subject } => self.direct(root, table, subject),
                Kind::Derived { parent, via } => self.derived(table, parent, via),
                _ => continue,
            };
            self.ownerless(table, columns, rule.ownerless_refused);
            if let Some(by) = by {
                owners.insert(&table.name, Owned { table, columns, by });
            }
        }
        self.cycles_of_parents(&mut owners);
        owners
    }

    fn direct(&mut self, root: &Table, table: &Table, column: &'a str) -> Option<By<'a>> {
        let name = &table.name;
        let Some(found) = table.column(column) else {
            let what = format!("{name} has no column {column}");
            let fix = format!("at \"{name}\" write subject = the column that holds the key of {}", root.name);
            self.report("map-column-gone", name, what, "it was to hold the subject's key", fix);
            return None;
        };
        let key = root.column(&self.map.subject.key)?;
        if !comparable(self.catalogue.engine, &found.type_name, &key.type_name) {
            let what = format!(
                "{column} of {name} has type `{}`, the subject's key `{}`",
                found.type_name, key.type_name
            );
            let why = "a column that holds the subject's key has the key's type";
            let fix = format!("at \"{name}\" name another column as `subject`, or change its type");
            self.report("map-key-type", name, what, why, fix);
            return None;
        }
        Some(By::Direct(column))
    }

    fn derived(&mut self, table: &'a Table, parent: &'a TableName, via: &[String]) -> Option<By<'a>> {
        let name = &table.name;
        if let Some(missing) = via.iter().find(|c| table.column(c).is_none()) {
            let what = format!("{name} has no column {missing}");
            let fix = format!("at \"{name}\" write via = the columns of its foreign key to {parent}");
            self.report("map-column-gone", name, what, "it was to lead to the subject", fix);
            return None;
        }
        match self.role(parent) {
            Role::Mapped => {}
            // Its own problem or open question says it already.
            Role::Unknown if self.rule(parent).is_some() => return None,
            _ => {
                let what = format!("the parent of {name} is {parent}, which is not a mapped table");
                let fix = format!("make \"{parent}\" direct or derived, or give \"{name}\" another parent");
                self.report("map-parent-not-mapped", name, what, "the path must end at a subject", fix);
                return None;
            }
        }
        let same = |key: &&ForeignKey| {
            whole(self.catalogue, &key.references) == parent
                && key.columns.len() == via.len()
                && key.columns.iter().all(|c| via.contains(c))
        };
        let Some(key) = table.foreign_keys.iter().find(same) else {
            let what = format!("{name} has no foreign key ({}) to {parent}", via.join(", "));
            let fix = format!("add the foreign key to {name}, or name its real parent and columns");
            self.report("map-path-broken", name, what, "only a foreign key holds a row to its owner", fix);
            return None;
        };
        self.link_types(table, parent, key);
        Some(By::Derived(parent, key))
    }

    fn link_types(&mut self, table: &Table, parent: &TableName, key: &ForeignKey) {
        let Some(above) = self.catalogue.table(parent) else { return };
        for (mine, theirs) in key.columns.iter().zip(&key.referenced) {
            let (Some(a), Some(b)) = (table.column(mine), above.column(theirs)) else { continue };
            if !comparable(self.catalogue.engine, &a.type_name, &b.type_name) {
                let what = format!(
                    "{mine} of {} has type `{}`, {theirs} of {parent} `{}`",
                    table.name, a.type_name, b.type_name
                );
                let fix = "give both columns the same type".to_owned();
                self.report("map-key-type", &table.name, what, "the path compares them", fix);
            }
        }
    }

    fn ownerless(&mut self, table: &Table, columns: &[String], refused: bool) {
        let asked = self.open.contains(&Ask::Ownerless(table.name.clone()));
        if asked || refused || !nullable(table, columns) || columns.iter().any(|c| table.column(c).is_none())
        {
            return;
        }
        let what = format!("{} may be NULL in {}: such a row has no owner", columns.join(", "), table.name);
        let fix = format!(
            "at \"{}\" write ownerless = \"refuse\" (such rows are refused), declare the columns NOT NULL, \
             or exclude the table",
            table.name
        );
        self.report("map-ownerless", &table.name, what, "a row without an owner has no home", fix);
    }

    fn cycles_of_parents(&mut self, owners: &mut Owners<'a>) {
        let parent = |owners: &Owners<'a>, at: &TableName| match owners.get(at).map(|o| &o.by) {
            Some(By::Derived(parent, _)) => Some(*parent),
            _ => None,
        };
        let lost: Vec<&'a TableName> = owners
            .keys()
            .filter(|name| {
                let mut at = **name;
                (0..=owners.len()).all(|_| parent(owners, at).inspect(|p| at = p).is_some())
            })
            .copied()
            .collect();
        for name in lost {
            let what = format!("the parents of {name} go round in a circle");
            let fix = format!("at \"{name}\" name a parent that leads to {}", self.map.subject.table);
            self.report("map-parent-cycle", name, what, "the path must end at a subject", fix);
            owners.remove(name);
        }
    }
}
