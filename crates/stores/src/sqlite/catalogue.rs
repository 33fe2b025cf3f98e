//! The catalogue of a SQLite file, from its pragmas; what they leave out, from the table's own text.

use super::Sqlite;
use super::connect::Cell;
use super::fault::Fault;
use super::tokens;
use crate::Result;
use domicile_datamap::catalogue::{
    Catalogue, Column, Engine, FkAction, ForeignKey, Table, TableKind, TableName, Unique,
};
use rusqlite::Connection;
use std::path::Path;

impl Sqlite {
    /// The catalogue of a file without a data map yet (`domicile init`).
    pub async fn catalogue_of(path: &Path) -> Result<Catalogue> {
        Cell::open(path, false).await?.read("read the catalogue", read).await
    }
}

/// The condition that a name is neither Domicile's nor SQLite's own.
pub(crate) fn not_ours(name: &str) -> String {
    format!("{name} NOT LIKE 'domicile\\_%' ESCAPE '\\' AND {name} NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
}

/// Reads all of it.
pub(crate) fn read(conn: &Connection) -> Result<Catalogue, Fault> {
    let sql = format!(
        "SELECT l.name, l.type, l.wr, coalesce(m.sql, '') FROM pragma_table_list l \
         JOIN sqlite_master m ON m.type = 'table' AND m.name = l.name \
         WHERE l.schema = 'main' AND l.type IN ('table', 'virtual') AND {} ORDER BY l.name",
        not_ours("l.name")
    );
    let mut statement = conn.prepare(&sql)?;
    let listed = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<rusqlite::Result<Vec<(String, String, bool, String)>>>()?;
    let mut tables = Vec::with_capacity(listed.len());
    for (name, kind, without_rowid, sql) in listed {
        tables.push(table(conn, name, kind == "virtual", without_rowid, &sql)?);
    }
    name_referred(&mut tables);
    Ok(Catalogue { engine: Engine::Sqlite, version: rusqlite::version().to_owned(), tables })
}

fn table(
    conn: &Connection,
    name: String,
    is_virtual: bool,
    without_rowid: bool,
    sql: &str,
) -> Result<Table, Fault> {
    let (columns, primary_key) = columns(conn, &name, without_rowid)?;
    let mut uniques = uniques(conn, &name)?;
    uniques.sort_by(|a, b| a.name.cmp(&b.name));
    let indexes = indexes(conn, &name, &primary_key)?;
    let sequences = match primary_key.as_slice() {
        [key] if tokens::says_autoincrement(sql) => vec![(key.clone(), "sqlite_sequence".to_owned(), 1)],
        _ => Vec::new(),
    };
    Ok(Table {
        columns,
        primary_key,
        indexes,
        uniques,
        foreign_keys: foreign_keys(conn, &name, sql)?,
        triggers: triggers(conn, &name)?,
        kind: if is_virtual { TableKind::Virtual } else { TableKind::Ordinary },
        partition_of: None,
        rows_estimate: estimate(conn, &name)?,
        sequences,
        name: TableName::new("main", name),
    })
}

/// Columns (a virtual table's hidden ones left out) and the primary key in key order.
fn columns(conn: &Connection, table: &str, without_rowid: bool) -> Result<(Vec<Column>, Vec<String>), Fault> {
    let mut statement = conn.prepare(
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1) \
         WHERE hidden <> 1 ORDER BY cid",
    )?;
    let mut rows = statement.query([table])?;
    let (mut columns, mut key, mut integer_key) = (Vec::new(), Vec::new(), None);
    while let Some(row) = rows.next()? {
        let (name, type_name): (String, String) = (row.get(0)?, row.get(1)?);
        let (place, hidden): (i64, i64) = (row.get(4)?, row.get(5)?);
        if place > 0 {
            key.push((place, name.clone()));
            integer_key = type_name.eq_ignore_ascii_case("INTEGER").then_some(columns.len());
        }
        columns.push(Column {
            // A key of a table WITHOUT ROWID is NOT NULL without saying so; any other may hold NULLs.
            not_null: row.get::<_, bool>(2)? || (place > 0 && without_rowid),
            has_default: row.get(3)?,
            generated: hidden == 2 || hidden == 3,
            identity: false,
            name,
            type_name,
        });
    }
    // `INTEGER PRIMARY KEY` is the rowid: NULL becomes the next number. Alone it has no index of its own.
    if let (1, Some(at), false) = (key.len(), integer_key, without_rowid)
        && !has_key_index(conn, table)?
    {
        (columns[at].not_null, columns[at].has_default) = (true, true);
    }
    key.sort();
    Ok((columns, key.into_iter().map(|(_, name)| name).collect()))
}

fn has_key_index(conn: &Connection, table: &str) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')";
    Ok(conn.prepare_cached(sql)?.query_row([table], |row| row.get(0))?)
}

fn uniques(conn: &Connection, table: &str) -> Result<Vec<Unique>, Fault> {
    let mut list = conn.prepare_cached(
        "SELECT name, partial FROM pragma_index_list(?1) WHERE \"unique\" AND origin <> 'pk'",
    )?;
    let mut info = conn.prepare_cached("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
    let indexes = list
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(String, bool)>>>()?;
    let mut all = Vec::new();
    for (name, partial) in indexes {
        // An expression has no column's name.
        let parts =
            info.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<Vec<Option<String>>>>()?;
        let columns: Option<Vec<String>> = parts.into_iter().collect();
        all.push(Unique {
            name,
            partial: partial || columns.is_none(),
            columns: columns.unwrap_or_default(),
        });
    }
    Ok(all)
}

/// Every index that is whole and over plain columns, and the key by which rows are stored.
fn indexes(conn: &Connection, table: &str, primary_key: &[String]) -> Result<Vec<Vec<String>>, Fault> {
    let mut list = conn.prepare_cached("SELECT name FROM pragma_index_list(?1) WHERE NOT partial")?;
    let mut info = conn.prepare_cached("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
    let names = list.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut all = vec![primary_key.to_vec()];
    for name in names {
        // An expression has no column's name.
        let parts =
            info.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<Vec<Option<String>>>>()?;
        all.extend(parts.into_iter().collect::<Option<Vec<String>>>());
    }
    Ok(all)
}

/// `pragma_foreign_key_list` knows all but DEFERRABLE; it lists the last one written first.
fn foreign_keys(conn: &Connection, table: &str, sql: &str) -> Result<Vec<ForeignKey>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, \"table\", \"from\", \"to\", on_update, on_delete FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
    )?;
    let mut rows = statement.query([table])?;
    let mut all: Vec<ForeignKey> = Vec::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if last != Some(id) {
            all.push(ForeignKey {
                name: format!("fk_{id}"),
                columns: Vec::new(),
                references: TableName::new("main", row.get::<_, String>(1)?),
                referenced: Vec::new(),
                on_update: action(&row.get::<_, String>(4)?),
                on_delete: action(&row.get::<_, String>(5)?),
                deferrable: false,
                initially_deferred: false,
            });
            last = Some(id);
        }
        if let Some(key) = all.last_mut() {
            key.columns.push(row.get(2)?);
            key.referenced.extend(row.get::<_, Option<String>>(3)?);
        }
    }
    let written = tokens::references(sql);
    if written.len() == all.len() {
        for (key, clause) in all.iter_mut().rev().zip(written) {
            if clause.table.eq_ignore_ascii_case(&key.references.name) {
                (key.deferrable, key.initially_deferred) = (clause.deferrable, clause.initially_deferred);
            }
        }
    }
    Ok(all)
}

/// Tables are named in the catalogue's spelling, and a key without columns refers to the primary key.
fn name_referred(tables: &mut [Table]) {
    let known: Vec<_> =
        tables.iter().map(|t| (t.name.clone(), t.primary_key.clone(), t.columns.clone())).collect();
    for table in tables {
        for key in &mut table.foreign_keys {
            let referred =
                known.iter().find(|(name, ..)| name.name.eq_ignore_ascii_case(&key.references.name));
            let Some((name, primary, columns)) = referred else { continue };
            key.references = name.clone();
            if key.referenced.is_empty() {
                key.referenced = primary.clone();
            }
            for column in &mut key.referenced {
                if let Some(spelt) = columns.iter().find(|c| c.name.eq_ignore_ascii_case(column)) {
                    column.clone_from(&spelt.name);
                }
            }
        }
        let own = table.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        for column in table.foreign_keys.iter_mut().flat_map(|key| &mut key.columns) {
            if let Some(spelt) = own.iter().find(|name| name.eq_ignore_ascii_case(column)) {
                column.clone_from(spelt);
            }
        }
    }
}

fn action(word: &str) -> FkAction {
    match word {
        "RESTRICT" => FkAction::Restrict,
        "CASCADE" => FkAction::Cascade,
        "SET NULL" => FkAction::SetNull,
        "SET DEFAULT" => FkAction::SetDefault,
        _ => FkAction::NoAction,
    }
}

fn triggers(conn: &Connection, table: &str) -> Result<Vec<String>, Fault> {
    let sql = format!(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?1) AND {} ORDER BY name",
        not_ours("name")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(names)
}

/// ANALYZE's count of the table's rows, where it was ever run.
fn estimate(conn: &Connection, table: &str) -> Result<u64, Fault> {
    let analysed: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1')",
        [],
        |row| row.get(0),
    )?;
    if !analysed {
        return Ok(0);
    }
    let sql = "SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?1";
    let rows: Option<i64> = conn.prepare_cached(sql)?.query_row([table], |row| row.get(0))?;
    Ok(rows.and_then(|rows| rows.try_into().ok()).unwrap_or(0))
}
