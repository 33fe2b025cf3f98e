//! Foreign keys that do not lead to the owner: what they point at moves along, is shared, or needs an
//! answer in `other`.

use super::owners::{By, Owned, Owners};
use super::{Role, Scene};
use crate::catalogue::{FkAction, Table, TableName};
use crate::map::{Ask, Other};
use crate::owner::{free_columns, mapped, strays};
use crate::relations::{Reference, comparable, label, nullable, references};
use std::collections::{BTreeMap, BTreeSet};

/// What the answers come to.
#[derive(Default)]
pub(super) struct Sides<'a> {
    pub(super) blanked: BTreeMap<&'a TableName, BTreeSet<&'a str>>,
    pub(super) refusing: BTreeMap<&'a TableName, BTreeSet<&'a str>>,
    /// Foreign keys answered `keep-id` that this catalogue still has.
    pub(super) dropped: BTreeSet<(&'a TableName, &'a str)>,
    /// Columns answered `keep-id`, whether or not the foreign key is still there.
    pub(super) kept: BTreeSet<(&'a TableName, &'a str)>,
}

impl<'a> Scene<'a> {
    pub(super) fn sides(&mut self, owners: &Owners<'a>) -> Sides<'a> {
        let mut sides = Sides::default();
        let mapped = mapped(self.map);
        for owned in owners.values() {
            let table = owned.table;
            let stray: BTreeSet<&str> = strays(self.map, self.catalogue, table, &mapped)
                .iter()
                .map(|r| r.key.name.as_str())
                .collect();
            for reference in references(self.catalogue, table).filter(|r| !owned.is_way(*r, self.map)) {
                self.side(owned, reference, stray.contains(reference.key.name.as_str()), &mut sides);
            }
            self.loose_columns(owned, &mut sides);
        }
        for table in self.having(Role::Unmoved) {
            self.unmoved(table, &mut sides);
        }
        sides
    }

    fn side(&mut self, owned: &Owned<'a>, reference: Reference<'a>, stray: bool, sides: &mut Sides<'a>) {
        let table = &owned.table.name;
        let answers = self.other(table);
        let answer = free_columns(reference, owned.columns).into_iter().find_map(|c| answers.get(c)).copied();
        if self.catalogue.table(&reference.key.references).is_none() && answer.is_none() {
            let what = format!(
                "{} of {table} refers to {}, which is not visible here",
                reference.key.name, reference.to
            );
            let why = "rows can't be loaded in an order that the foreign key accepts";
            let fix = format!("grant the role SELECT on {}, or drop the foreign key", reference.to);
            return self.report("map-foreign-key-outside", table, what, why, fix);
        }
        let unmoved = self.role(reference.to) == Role::Unmoved;
        match answer {
            Some(answer) => self.answered(owned, reference, answer, unmoved, sides),
            None if unmoved => self.refers_to_unmoved(owned.table, reference),
            None if stray && !self.open.contains(&Ask::Other(table.clone())) => {
                self.undecided_side(owned.table, reference);
            }
            None => {}
        }
    }

    fn answered(
        &mut self,
        owned: &Owned<'a>,
        reference: Reference<'a>,
        answer: Other,
        unmoved: bool,
        sides: &mut Sides<'a>,
    ) {
        let (table, key) = (owned.table, reference.key);
        match answer {
            Other::KeepId => {
                sides.dropped.insert((&table.name, &key.name));
                sides
                    .kept
                    .extend(free_columns(reference, owned.columns).iter().map(|c| (&table.name, c.as_str())));
            }
            Other::Null => self.blank(owned, &free_columns(reference, owned.columns), sides),
            Other::CopyToBoth => self.copy_to_both(table, &label(table, key)),
            Other::Refuse => match key.columns.as_slice() {
                [column]
                    if self.is_root(reference.to) && key.referenced == [self.map.subject.key.clone()] =>
                {
                    sides.refusing.entry(&table.name).or_default().insert(column);
                }
                _ => {
                    let what = format!(
                        "{} of {} is answered `refuse`, but holds no subject's key",
                        key.name, table.name
                    );
                    let why = "the other subject is looked up by its key";
                    let fix = format!("{} answer `same`, `keep-id` or `null`", self.place(&table.name));
                    self.report("map-other-wrong", &table.name, what, why, fix);
                }
            },
            Other::Same if unmoved => self.refers_to_unmoved(table, reference),
            Other::Same => {}
        }
    }

    fn blank(&mut self, owned: &Owned<'a>, columns: &[&'a String], sides: &mut Sides<'a>) {
        let table = owned.table;
        let free: Vec<&'a String> = columns
            .iter()
            .copied()
            .filter(|c| table.column(c).is_some_and(|c| !c.not_null) && !table.primary_key.contains(c))
            .collect();
        if free.is_empty() {
            let list: Vec<&str> = columns.iter().map(|c| c.as_str()).collect();
            let what = format!(
                "{} of {} is answered `null`, but is NOT NULL or in the key",
                list.join(", "),
                table.name
            );
            let fix = format!("{} give another answer, or allow NULL in the column", self.place(&table.name));
            return self.report(
                "map-null-not-nullable",
                &table.name,
                what,
                "the row could not be stored",
                fix,
            );
        }
        sides.blanked.entry(&table.name).or_default().extend(free.iter().map(|c| c.as_str()));
    }

    fn copy_to_both(&mut self, table: &Table, column: &str) {
        let what = format!("{column} of {} is answered `copy-to-both`, which is not built yet", table.name);
        let why = "a copy at the other subject's home is a transfer that policy would have to be asked about";
        let fix = format!("{} answer `keep-id`, `null` or `refuse`", self.place(&table.name));
        self.report("map-copy-to-both", &table.name, what, why, fix);
    }

    fn refers_to_unmoved(&mut self, table: &Table, reference: Reference<'_>) {
        let column = label(table, reference.key);
        let what = format!("{column} of {} refers to {}, which does not move", table.name, reference.to);
        let can_be_null = nullable(table, &reference.key.columns);
        let null = if can_be_null { "\"null\" (NULL at the new home) or " } else { "" };
        let place = self.place(&table.name);
        let free = &reference.key.columns[0];
        let fix = format!(
            "{place} write other = {{ {free} = ... }} with {null}\"keep-id\" (the foreign key must not exist \
             at any region); or make {} a reference",
            reference.to
        );
        let why = "the row it refers to would be missing at the new home";
        self.report("map-refers-to-excluded", &table.name, what, why, fix);
    }

    fn undecided_side(&mut self, table: &Table, reference: Reference<'_>) {
        let column = label(table, reference.key);
        let what = format!(
            "{column} of {} points at a row of {} that may be another subject's",
            table.name, reference.to
        );
        let refuse = if self.is_root(reference.to) { ", \"refuse\"" } else { "" };
        let fix = format!(
            "{} write other = {{ {} = ... }} with \"same\", \"keep-id\", \"null\"{refuse}",
            self.place(&table.name),
            reference.key.columns[0]
        );
        let why = "the other subject may live elsewhere when the row arrives";
        self.report("map-other-undecided", &table.name, what, why, fix);
    }

    /// Entries of `other` for columns that no foreign key but the owner's uses.
    fn loose_columns(&mut self, owned: &Owned<'a>, sides: &mut Sides<'a>) {
        let table = owned.table;
        let name = &table.name;
        for (column, answer) in self.other(name) {
            let in_side = references(self.catalogue, table)
                .any(|r| !owned.is_way(r, self.map) && r.key.columns.contains(column));
            let found = table.column(column);
            let wrong = match found {
                None => Some(format!("{name} has no column {column}")),
                Some(_) if owned.columns.contains(column) => {
                    Some(format!("{column} of {name} is the owner's own column"))
                }
                Some(_) => None,
            };
            if let Some(what) = wrong {
                let fix = format!("{} remove {column} from `other`", self.place(name));
                self.report("map-other-wrong", name, what, "`other` speaks of columns of another side", fix);
                continue;
            }
            if in_side {
                continue;
            }
            match answer {
                Other::KeepId => {
                    sides.kept.insert((name, column));
                }
                Other::Null => self.blank(owned, &[column], sides),
                Other::Refuse if self.holds_subject(table, column) => {
                    sides.refusing.entry(name).or_default().insert(column);
                }
                Other::Refuse => {
                    let what = format!(
                        "{column} of {name} is answered `refuse`, but has not the type of a subject's key"
                    );
                    let fix = format!("{} give another answer", self.place(name));
                    self.report(
                        "map-other-wrong",
                        name,
                        what,
                        "the other subject is looked up by its key",
                        fix,
                    );
                }
                Other::CopyToBoth => self.copy_to_both(table, column),
                Other::Same => {}
            }
        }
    }

    fn holds_subject(&self, table: &Table, column: &str) -> bool {
        let key = self.catalogue.table(&self.map.subject.table).and_then(|t| t.column(&self.map.subject.key));
        match (table.column(column), key) {
            (Some(a), Some(b)) => comparable(self.catalogue.engine, &a.type_name, &b.type_name),
            _ => false,
        }
    }

    /// A table that stays must not refer to rows that are erased.
    fn unmoved(&mut self, table: &'a Table, sides: &mut Sides<'a>) {
        let name = &table.name;
        let answers = self.other(name);
        for reference in references(self.catalogue, table) {
            if self.role(reference.to) != Role::Mapped {
                continue;
            }
            let key = reference.key;
            let kept: Vec<&'a String> =
                key.columns.iter().filter(|c| answers.get(*c) == Some(&Other::KeepId)).collect();
            if !kept.is_empty() {
                sides.dropped.insert((name, &key.name));
                sides.kept.extend(kept.iter().map(|c| (name, c.as_str())));
                continue;
            }
            let what = format!("{name} is excluded, but {} refers to {}", label(table, key), reference.to);
            let why = match key.on_delete {
                FkAction::Cascade => "erasing the moved rows would delete rows of the excluded table",
                FkAction::SetNull | FkAction::SetDefault => {
                    "erasing the moved rows would change rows of the excluded table"
                }
                FkAction::NoAction | FkAction::Restrict => {
                    "its rows would keep the moved rows from being erased"
                }
            };
            let fix = format!(
                "map \"{name}\" (direct or derived); or drop the foreign key {} at every region and write \
                 other = {{ {} = \"keep-id\" }} at \"{name}\"",
                key.name, key.columns[0]
            );
            self.report("map-excluded-refers", name, what, why, fix);
        }
    }
}

impl Owned<'_> {
    /// The foreign key is this table's way to its subject.
    pub(super) fn is_way(&self, reference: Reference<'_>, map: &crate::map::DataMap) -> bool {
        match &self.by {
            By::Root => false,
            By::Direct(column) => {
                let key = reference.key;
                *reference.to == map.subject.table
                    && key.columns.len() == 1
                    && key.columns[0] == *column
                    && key.referenced == [map.subject.key.clone()]
            }
            By::Derived(parent, key) => *reference.to == **parent && reference.key.columns == key.columns,
        }
    }
}
