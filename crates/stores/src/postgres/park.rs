//! A unique value that changed hands inside one upsert.
//!
//! Two rows swapped a value, or one gave it up for another: the statement meets the old holder before
//! it writes that one, and a unique index does not wait. Then the values of all rows that are about
//! to be written are parked (NULL, or something nobody has) and the statement runs once more. A
//! holder that is not among those rows is a real conflict and stays one.

use super::pool::{Conn, Params};
use super::{paths, quote};
use crate::error::{Error, Result};
use domicile_datamap::layout::{MappedTable, MovedColumn};
use futures::future;

/// Runs an upsert of `columns` (text, as the table's columns stand) into `table`; parks and repeats
/// where a unique constraint is in the way.
pub(super) async fn run(
    conn: &Conn,
    what: &str,
    sql: &str,
    params: Params<'_>,
    table: &MappedTable,
    columns: &[Vec<Option<String>>],
) -> Result<u64> {
    if table.uniques.is_empty() {
        return conn.execute(what, sql, params).await;
    }
    conn.prepared(what, sql).await?;
    let (begun, done, released) = future::join3(
        conn.batch(what, "SAVEPOINT before_upsert"),
        conn.execute(what, sql, params),
        conn.batch(what, "RELEASE before_upsert"),
    )
    .await;
    begun?;
    let taken = match done {
        Ok(written) => return released.map(|()| written),
        Err(error) => error,
    };
    let Some(parking) = parking(table, &taken) else { return Err(taken) };
    let keys = keys(table, columns);
    conn.batch(what, "ROLLBACK TO before_upsert").await?;
    // A filler that breaks a CHECK is no better than the conflict: the first error is told.
    if conn.execute(what, &parking, &[&keys]).await.is_err() {
        return Err(taken);
    }
    conn.execute(what, sql, params).await
}

/// The statement that parks the unique columns in the way of the rows with keys `$1`.
fn parking(table: &MappedTable, error: &Error) -> Option<String> {
    let Error::Taken { table: of, constraint, .. } = error else { return None };
    let name = format!("{}.{}", table.name.schema, table.name.name);
    let unique = table.uniques.iter().find(|u| *of == name && &u.name == constraint)?;
    let refers = |c: &str| table.foreign_keys.iter().any(|fk| fk.columns.iter().any(|f| f == c));
    let free =
        table.columns.iter().filter(|c| unique.columns.contains(&c.name) && !table.key.contains(&c.name));
    let mut free: Vec<&MovedColumn> = free.filter(|c| !refers(&c.name) && !c.identity).collect();
    free.sort_by_key(|c| c.not_null);
    let (column, value) = free.into_iter().find_map(|c| Some((c, nobodys(c)?)))?;
    let relation = paths::relation(table);
    let found = paths::key_in(table, "t0", "$1");
    Some(format!("UPDATE {relation} AS t0 SET {} = {value} WHERE {found}", quote::ident(&column.name)))
}

/// A value that no row has.
fn nobodys(column: &MovedColumn) -> Option<String> {
    if !column.not_null {
        return Some("NULL".to_owned());
    }
    match quote::cast(&column.type_name).as_str() {
        "text" | "character varying" | "bpchar" => Some("'\u{1}' || gen_random_uuid()::text".to_owned()),
        "uuid" => Some("gen_random_uuid()".to_owned()),
        "bigint" | "numeric" => Some("-(random() * 9e15)::bigint".to_owned()),
        _ => None,
    }
}

/// Keys of the rows as JSON arrays of text, which `paths::key_in` casts like any other.
fn keys(table: &MappedTable, columns: &[Vec<Option<String>>]) -> Vec<String> {
    let places: Vec<usize> =
        table.key.iter().filter_map(|k| table.columns.iter().position(|c| &c.name == k)).collect();
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows)
        .map(|row| {
            let parts: Vec<&Option<String>> = places.iter().map(|place| &columns[*place][row]).collect();
            serde_json::to_string(&parts).unwrap_or_default()
        })
        .collect()
}
