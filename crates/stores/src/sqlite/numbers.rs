//! Rowids that are keys: SQLite numbers such rows by itself where none is given.

use super::Sqlite;
use super::fault::Fault;
use super::quote::ident;
use crate::Result;
use domicile_datamap::layout::{Layout, MappedTable};
use domicile_datamap::{Giver, Numbers};
use rusqlite::{Connection, OptionalExtension};

impl Sqlite {
    pub(super) async fn read_numbers(&self) -> Result<Vec<Numbers>> {
        let layout = self.layout.clone();
        self.read("read the greatest keys", move |conn| numbers(conn, &layout)).await
    }
}

fn numbers(conn: &Connection, layout: &Layout) -> Result<Vec<Numbers>, Fault> {
    let counted: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence')",
        [],
        |row| row.get(0),
    )?;
    let mut found = Vec::new();
    for table in &layout.tables {
        let Some(column) = rowid(conn, table)? else { continue };
        let sql = format!("SELECT max({}) FROM {}", ident(column), ident(&table.name.name));
        let greatest: Option<i64> = conn.query_row(&sql, [], |row| row.get(0))?;
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
        let last: Option<i64> = match counted {
            true => conn.query_row(sql, [&table.name.name], |row| row.get(0)).optional()?,
            false => None,
        };
        found.push(Numbers {
            table: table.name.clone(),
            column: column.to_owned(),
            giver: Giver::Rowid,
            next: Some(greatest.max(last).unwrap_or(0).saturating_add(1)),
            step: 1,
            greatest,
        });
    }
    Ok(found)
}

/// The key where it is another name of the rowid: one column, declared INTEGER and nothing else.
fn rowid<'a>(conn: &Connection, table: &'a MappedTable) -> Result<Option<&'a str>, Fault> {
    let [key] = table.key.as_slice() else { return Ok(None) };
    let integer = table.columns.iter().any(|c| &c.name == key && c.type_name.eq_ignore_ascii_case("INTEGER"));
    let sql = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1";
    let without: Option<bool> = conn.query_row(sql, [&table.name.name], |row| row.get(0)).optional()?;
    Ok((integer && without == Some(false)).then_some(key.as_str()))
}
