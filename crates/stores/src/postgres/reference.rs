//! Reference tables: shared rows that are copied where absent and kept in step.

use super::{Postgres, quote, upsert, writing};
use crate::error::{Error, Result};
use bytes::Bytes;
use domicile_datamap::layout::{MovedColumn, Personal, ReferenceTable};
use futures::TryStreamExt;

impl Postgres {
    pub(super) async fn read_reference(&self, table: usize) -> Result<Vec<Bytes>> {
        let from = self.reference(table)?;
        let conn = self.conn().await?;
        let columns = from.columns.iter().map(|c| self.reference_column(from, c));
        let columns: Vec<String> = columns.collect::<Result<_>>()?;
        let key: Vec<_> = from.key.iter().map(|k| quote::column("t0", k)).collect();
        let sql = format!(
            "COPY (SELECT {} FROM {} AS t0 ORDER BY {}) TO STDOUT",
            columns.join(", "),
            quote::table(&from.name),
            key.join(", ")
        );
        let what = format!("reading reference table {}", from.name);
        let stream = conn.copy_out(&what, &sql).await?;
        conn.rows(what, stream).try_collect().await
    }

    pub(super) async fn write_reference(&self, table: usize, rows: Vec<Bytes>) -> Result<u64> {
        let into = self.reference(table)?;
        let mut conn = self.conn().await?;
        conn.begin("BEGIN; SET CONSTRAINTS ALL DEFERRED").await?;
        let written =
            upsert::upsert(&conn, &upsert::Destination::reference(into), writing::stream(rows)).await?;
        // CRASH: all of the table's rows or none; the next `region sync-reference` repeats it.
        conn.commit().await?;
        Ok(written)
    }

    fn reference(&self, table: usize) -> Result<&ReferenceTable> {
        self.layout.references.get(table).ok_or_else(|| Error::Schema {
            store: self.store_name(),
            what: format!("the data map has no reference table number {table}"),
        })
    }

    /// A column of a reference table as it is read: itself, or a filler where the map says `stub`.
    fn reference_column(&self, table: &ReferenceTable, column: &MovedColumn) -> Result<String> {
        let own = quote::column("t0", &column.name);
        // A foreign key's value names another row; a filler would name none.
        let refers = table.foreign_keys.iter().any(|fk| fk.columns.contains(&column.name));
        let kept = table.personal == Personal::Copy || table.key.contains(&column.name);
        if kept || (refers && column.not_null) {
            return Ok(own);
        }
        if !column.not_null {
            return Ok("NULL".to_owned());
        }
        filler(table, column).ok_or_else(|| Error::Schema {
            store: self.store_name(),
            what: format!(
                "{}: no filler is known for the NOT NULL column `{}` of type {}; \
                 answer `copy` or `exclude`, or make it nullable",
                table.name, column.name, column.type_name
            ),
        })
    }
}

/// A value that says nothing of a person. Texts and UUIDs differ by key, since a unique index may
/// stand on them.
fn filler(table: &ReferenceTable, column: &MovedColumn) -> Option<String> {
    let key: Vec<_> = table.key.iter().map(|k| quote::column("t0", k)).collect();
    let key = format!("jsonb_build_array({})::text", key.join(", "));
    let bare = quote::cast(&column.type_name);
    let constant = match bare.as_str() {
        "text" | "character varying" | "bpchar" => {
            return Some(format!("(trim({key}, '[]\"') || ' (stub)')::{}", column.type_name));
        }
        "uuid" => return Some(format!("md5({key})::uuid")),
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" | "money"
        | "interval" => "0",
        "boolean" => "false",
        "date" | "timestamp without time zone" | "timestamp with time zone" => "1970-01-01",
        "time without time zone" | "time with time zone" => "00:00",
        "json" | "jsonb" => "{}",
        "bytea" | "xml" | "tsvector" => "",
        "inet" | "cidr" => "0.0.0.0",
        _ if bare.ends_with("[]") => "{}",
        _ if bare.ends_with("range") => "empty",
        _ => return None,
    };
    Some(format!("{}::{}", quote::literal(constant), column.type_name))
}
