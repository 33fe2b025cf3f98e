//! Which foreign keys lead a row to its subject: shared by `init`, which asks, and by `check`.

use crate::catalogue::{Catalogue, Table, TableName};
use crate::map::{DataMap, Kind, Subject};
use crate::relations::{Reference, references};
use std::collections::BTreeSet;

/// The kind a table has when this foreign key is its way to the subject.
pub(crate) fn kind_by(subject: &Subject, reference: Reference<'_>) -> Kind {
    let key = reference.key;
    match key.columns.as_slice() {
        [column] if *reference.to == subject.table && key.referenced == [subject.key.clone()] => {
            Kind::Direct { subject: column.clone() }
        }
        _ => Kind::Derived { parent: reference.to.clone(), via: key.columns.clone() },
    }
}

/// The columns that hold a row's way to its subject.
pub(crate) fn owner_columns(kind: &Kind) -> &[String] {
    match kind {
        Kind::Direct { subject } => std::slice::from_ref(subject),
        Kind::Derived { via, .. } => via,
        _ => &[],
    }
}

/// The foreign key is the owner's path, not another side.
pub(crate) fn is_owner_key(subject: &Subject, kind: &Kind, reference: Reference<'_>) -> bool {
    kind_by(subject, reference) == *kind
}

/// The column that holds the subject's key in a table, where one does.
fn subject_column<'a>(map: &'a DataMap, table: &TableName) -> Option<&'a str> {
    if *table == map.subject.table {
        return Some(&map.subject.key);
    }
    match &map.tables.get(table)?.kind {
        Kind::Direct { subject } => Some(subject),
        _ => None,
    }
}

/// The foreign key carries the subject's key itself, as in `(tenant_id, order_id)`: both rows have
/// one subject, and the database sees to it.
pub(crate) fn provably_same(map: &DataMap, table: &TableName, reference: Reference<'_>) -> bool {
    let (Some(here), Some(there)) = (subject_column(map, table), subject_column(map, reference.to)) else {
        return false;
    };
    // A column of the root is no proof about another row of the root.
    *table != *reference.to && pairs(reference).any(|(a, b)| a == here && b == there)
}

/// (this table's column, the column referred to) for each column of the key.
pub(crate) fn pairs<'a>(reference: Reference<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let key = reference.key;
    key.columns.iter().map(String::as_str).zip(key.referenced.iter().map(String::as_str))
}

/// Tables whose rows have a subject as far as the map says, the root included.
pub(crate) fn mapped(map: &DataMap) -> BTreeSet<&TableName> {
    map.tables
        .iter()
        .filter(|(_, rule)| matches!(rule.kind, Kind::Direct { .. } | Kind::Derived { .. } | Kind::Undecided))
        .map(|(name, _)| name)
        .chain([&map.subject.table])
        .collect()
}

/// Foreign keys of a mapped table to rows that may have another subject: all into mapped tables but
/// the owner's path, those that provably stay with the subject, and a table's reference to itself
/// (a reply within one conversation); the root's reference to itself is one.
pub(crate) fn strays<'a>(
    map: &DataMap,
    catalogue: &'a Catalogue,
    table: &'a Table,
    mapped: &BTreeSet<&TableName>,
) -> Vec<Reference<'a>> {
    let root = table.name == map.subject.table;
    let kind = map.tables.get(&table.name).map(|rule| &rule.kind);
    references(catalogue, table)
        .filter(|r| mapped.contains(r.to))
        .filter(|r| root || *r.to != table.name)
        .filter(|r| !kind.is_some_and(|kind| is_owner_key(&map.subject, kind, *r)))
        .filter(|r| !provably_same(map, &table.name, *r))
        .collect()
}

/// Columns of a foreign key that the row's own path does not need.
pub(crate) fn free_columns<'a>(reference: Reference<'a>, owner: &[String]) -> Vec<&'a String> {
    reference.key.columns.iter().filter(|c| !owner.contains(c)).collect()
}
