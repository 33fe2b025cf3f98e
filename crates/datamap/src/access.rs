//! How the mover finds rows, and whether the database has an index for it.

use crate::catalogue::{Catalogue, Engine, Table, TableKind, TableName, quoted};
use crate::layout::{Layout, MappedTable, Owner};
use std::collections::BTreeSet;

/// Tables of fewer rows are read whole about as fast.
const SMALL: u64 = 10_000;

/// A look-up without an index to serve it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unindexed {
    /// The table.
    pub table: TableName,
    /// The columns looked up together.
    pub columns: Vec<String>,
    /// The statement that makes the index.
    pub remedy: String,
}

/// Columns by which the mover finds rows of a mapped table, or the database checks a foreign key when it
/// erases their parents, and which no index begins with: each batch then reads the whole table, and an
/// erase does so for every parent row. Tables of at most ten thousand rows (by the catalogue's estimate)
/// are left out.
pub fn unindexed(layout: &Layout, catalogue: &Catalogue) -> Vec<Unindexed> {
    let mut all = BTreeSet::new();
    for mapped in &layout.tables {
        let Some(table) = catalogue.table(&mapped.name).filter(|t| t.rows_estimate > SMALL) else { continue };
        for columns in ways(layout, mapped).into_iter().filter(|columns| !is_indexed(table, columns)) {
            let remedy = remedy(catalogue.engine, table, &columns);
            all.insert(Unindexed { table: mapped.name.clone(), columns, remedy });
        }
    }
    all.into_iter().collect()
}

/// The statement that makes the index, on PostgreSQL without shutting writers out where it can.
fn remedy(engine: Engine, table: &Table, columns: &[String]) -> String {
    let on: Vec<_> = columns.iter().map(|c| quoted(c)).collect();
    let on = on.join(", ");
    match engine {
        Engine::Sqlite => {
            let name = quoted(&format!("{}_{}", table.name.name, columns.join("_")));
            format!("CREATE INDEX {name} ON {} ({on});", quoted(&table.name.name))
        }
        Engine::Postgres if table.kind == TableKind::Partitioned => {
            format!("CREATE INDEX ON {} ({on});", table.name.in_sql())
        }
        Engine::Postgres => format!("CREATE INDEX CONCURRENTLY ON {} ({on});", table.name.in_sql()),
    }
}

/// The column lists by which rows of a table are looked up.
fn ways(layout: &Layout, mapped: &MappedTable) -> Vec<Vec<String>> {
    let owner = match &mapped.owner {
        Owner::Root { .. } => None,
        Owner::Direct { column } => Some(vec![column.clone()]),
        Owner::Derived { link, .. } => Some(link.iter().map(|(own, _)| own.clone()).collect()),
    };
    let to_mapped = mapped.foreign_keys.iter().filter(|key| layout.index_of(&key.references).is_some());
    owner.into_iter().chain(to_mapped.map(|key| key.columns.clone())).collect()
}

/// Does an index begin with these columns, in any order?
fn is_indexed(table: &Table, columns: &[String]) -> bool {
    let wanted: BTreeSet<&String> = columns.iter().collect();
    table.indexes.iter().any(|index| {
        let begins: BTreeSet<&String> = index.iter().take(wanted.len()).collect();
        begins == wanted
    })
}
