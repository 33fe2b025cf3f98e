//! Columns with claims, found in the data map.

use crate::config::{ClaimColumn, nearest};
use domicile_datamap::Layout;
use domicile_datamap::layout::TableIx;

/// A column with claims in a mapped table.
#[derive(Debug)]
pub struct Found<'c> {
    /// As the configuration names it.
    pub named: &'c ClaimColumn,
    /// Its table.
    pub table: TableIx,
}

/// What is wrong with one of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Absent {
    /// What.
    pub what: String,
    /// How to mend it.
    pub fix: String,
}

/// Each of the columns, or what is wrong with it.
pub fn columns<'c>(columns: &'c [ClaimColumn], layout: &Layout) -> Vec<Result<Found<'c>, Absent>> {
    columns.iter().map(|named| found(named, layout)).collect()
}

fn found<'c>(named: &'c ClaimColumn, layout: &Layout) -> Result<Found<'c>, Absent> {
    let Some(table) = layout.index_of(&named.table) else {
        let tables: Vec<String> = layout.tables.iter().map(|t| t.name.to_string()).collect();
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        let what = format!("{named} is to hold claims, and {} is no mapped table", named.table);
        return Err(Absent { what, fix: meant(&named.table.to_string(), &tables) });
    };
    let names: Vec<&str> = layout.tables[table].columns.iter().map(|c| c.name.as_str()).collect();
    if names.contains(&named.column.as_str()) {
        return Ok(Found { named, table });
    }
    let what =
        format!("{named} is to hold claims, and {} has no column of that name that moves", named.table);
    Err(Absent { what, fix: meant(&named.column, &names) })
}

fn meant(typed: &str, all: &[&str]) -> String {
    match nearest(typed, all) {
        Some(one) => format!("did you mean {one}? correct the [[claim]] in domicile.toml"),
        None => format!("one of: {}; correct the [[claim]] in domicile.toml", all.join(", ")),
    }
}
