//! The schema as statements: written out of one file, run in another.

use super::Sqlite;
use super::catalogue;
use super::fault::Fault;
use crate::{Error, Result};
use domicile_datamap::layout::Layout;
use rusqlite::Connection;

impl Sqlite {
    /// See [`crate::Records::schema_dump`].
    pub(super) async fn dump_schema(&self) -> Result<String> {
        let (layout, name) = (self.layout.clone(), self.cell.name().to_owned());
        self.read("read the schema", move |conn| {
            refuse_dropped_keys(conn, &layout, &name)?;
            dump(conn)
        })
        .await
    }

    /// See [`crate::Records::run_schema`].
    pub(super) async fn apply_schema(&self, sql: &str) -> Result<()> {
        let sql = sql.to_owned();
        self.write("run the schema", None, move |conn| Ok(conn.execute_batch(&sql)?)).await
    }
}

/// In SQLite a foreign key is part of its table's text, which nobody can cut safely.
fn refuse_dropped_keys(conn: &Connection, layout: &Layout, name: &str) -> Result<(), Fault> {
    if layout.dropped_foreign_keys.is_empty() {
        return Ok(());
    }
    let catalogue = catalogue::read(conn)?;
    let there: Vec<_> = layout
        .dropped_foreign_keys
        .iter()
        .filter_map(|(table, key)| {
            let key = catalogue.table(table)?.foreign_keys.iter().find(|k| &k.name == key)?;
            Some(format!("{table} ({})", key.columns.join(", ")))
        })
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let what = format!(
        "the data map answers `keep-id` for foreign keys that are still in the schema here: {}; SQLite can't \
         drop one, so rebuild the table without it (https://sqlite.org/lang_altertable.html, section 7), then \
         run `domicile region prepare` again",
        there.join(", ")
    );
    Err(Error::Schema { store: name.into(), what }.into())
}

/// Tables, then indexes, views and triggers in the order they were made; Domicile's and SQLite's own
/// left out, and the tables a virtual table makes for itself. The user's version numbers come with it,
/// since applications decide by them whether to migrate.
fn dump(conn: &Connection) -> Result<String, Fault> {
    let mut out = String::new();
    for pragma in ["application_id", "user_version"] {
        let value: i64 = conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))?;
        if value != 0 {
            out += &format!("PRAGMA {pragma} = {value};\n");
        }
    }
    let mut statement = conn.prepare(&format!(
        "SELECT sql FROM sqlite_master m WHERE sql IS NOT NULL AND {} AND {} AND NOT EXISTS \
           (SELECT 1 FROM pragma_table_list l WHERE l.schema = 'main' AND l.type = 'shadow' AND l.name = m.tbl_name) \
         ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid",
        catalogue::not_ours("m.name"),
        catalogue::not_ours("m.tbl_name"),
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        out += &row.get::<_, String>(0)?;
        out += ";\n";
    }
    Ok(out)
}
