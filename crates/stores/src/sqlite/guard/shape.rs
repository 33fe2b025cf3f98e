//! What the generator must know of a table beyond the layout, read from the file itself.
//!
//! The layout names unique constraints; to find the rows that REPLACE would displace, the guard must
//! compare exactly as each unique index compares: its collations, expressions and WHERE.

use super::super::fault::Fault;
use super::super::quote::{ident, literal};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// A table's columns and everything that can make two of its rows collide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Shape {
    /// All columns, generated ones too, in the table's order.
    pub(crate) columns: Vec<String>,
    /// NOT NULL columns with a default, and its SQL: REPLACE puts the default where NULL is given, and
    /// does so after the BEFORE triggers ran.
    pub(crate) fillers: BTreeMap<String, String>,
    /// Primary key columns that may hold NULL (SQLite allows it in keys that are not the rowid).
    pub(crate) nullable_key: Vec<String>,
    /// Every way two rows can collide: primary key, unique indexes, and the rowid.
    pub(crate) uniques: Vec<UniqueIndex>,
    /// Triggers that are not Domicile's.
    pub(crate) foreign_triggers: Vec<String>,
}

/// One unique index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UniqueIndex {
    /// What it is unique over.
    pub(crate) terms: Vec<Term>,
    /// Its WHERE, as written, without the word.
    pub(crate) predicate: Option<String>,
}

/// One part of a unique index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// A column, compared by this collation.
    Column {
        /// Unquoted; `rowid` in one of its spellings for a table's hidden key.
        name: String,
        /// E.g. `BINARY`, `NOCASE`.
        collation: String,
    },
    /// An expression over the table's columns, as written.
    Expression {
        /// The SQL.
        sql: String,
        /// Its collation.
        collation: String,
    },
}

impl Shape {
    /// Reads the shape of `table` (unquoted), which must be an ordinary table.
    pub(crate) fn read(conn: &Connection, table: &str) -> Result<Self, Fault> {
        let mut shape = Shape::default();
        let mut key: Vec<(i64, String)> = Vec::new();
        let mut integer_key = false;
        let mut statement = conn.prepare(
            "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo(?1) ORDER BY cid",
        )?;
        let mut rows = statement.query([table])?;
        while let Some(row) = rows.next()? {
            let (name, type_name): (String, String) = (row.get(0)?, row.get(1)?);
            let (not_null, filler, pk): (bool, Option<String>, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
            if let (true, Some(filler)) = (not_null, filler) {
                shape.fillers.insert(name.clone(), filler);
            }
            if pk > 0 {
                integer_key = type_name.eq_ignore_ascii_case("INTEGER");
                key.push((pk, name.clone()));
                if !not_null {
                    shape.nullable_key.push(name.clone());
                }
            }
            shape.columns.push(name);
        }
        key.sort();
        let without_rowid = without_rowid(conn, table)?;
        shape.uniques = uniques(conn, table)?;
        let has_key_index: bool = conn
            .prepare("SELECT count(*) FROM pragma_index_list(?1) WHERE origin = 'pk'")?
            .query_row([table], |r| r.get::<_, i64>(0).map(|n| n > 0))?;
        // INVARIANT: a one-column INTEGER key without an index of its own is the rowid itself.
        let rowid_alias = !without_rowid && integer_key && key.len() == 1 && !has_key_index;
        if rowid_alias {
            shape.nullable_key.clear();
            shape.uniques.insert(0, UniqueIndex::column(&key[0].1));
        } else if !without_rowid
            && let Some(hidden) = ["rowid", "_rowid_", "oid"]
                .into_iter()
                .find(|n| !shape.columns.iter().any(|c| c.eq_ignore_ascii_case(n)))
        {
            shape.uniques.push(UniqueIndex::column(hidden));
        }
        if without_rowid {
            shape.nullable_key.clear();
        }
        shape.foreign_triggers = foreign_triggers(conn, table)?;
        Ok(shape)
    }
}

impl UniqueIndex {
    fn column(name: &str) -> Self {
        let term = Term::Column { name: name.into(), collation: "BINARY".into() };
        Self { terms: vec![term], predicate: None }
    }
}

fn without_rowid(conn: &Connection, table: &str) -> Result<bool, Fault> {
    let wr = conn
        .prepare("SELECT coalesce(max(wr), 0) FROM pragma_table_list WHERE schema = 'main' AND name = ?1")?
        .query_row([table], |r| r.get::<_, bool>(0))?;
    Ok(wr)
}

fn foreign_triggers(conn: &Connection, table: &str) -> Result<Vec<String>, Fault> {
    let mut statement = conn.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?1)
           AND name NOT LIKE 'domicile\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let names = statement.query_map([table], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(names)
}

fn uniques(conn: &Connection, table: &str) -> Result<Vec<UniqueIndex>, Fault> {
    let mut list = conn.prepare(
        "SELECT l.name, m.sql FROM pragma_index_list(?1) l LEFT JOIN sqlite_master m
           ON m.type = 'index' AND m.name = l.name WHERE l.\"unique\" = 1 ORDER BY l.name",
    )?;
    let indexes: Vec<(String, Option<String>)> =
        list.query_map([table], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut all = Vec::new();
    for (index, sql) in indexes {
        let (written, predicate) = sql.as_deref().map(index_parts).unwrap_or_default();
        let mut info =
            conn.prepare("SELECT cid, name, coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")?;
        let columns: Vec<(i64, Option<String>, Option<String>)> = info
            .query_map([&index], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut terms = Vec::new();
        for (n, (cid, name, collation)) in columns.into_iter().enumerate() {
            let collation = collation.unwrap_or_else(|| "BINARY".into());
            terms.push(match name.filter(|_| cid >= 0) {
                Some(name) => Term::Column { name, collation },
                None => Term::Expression { sql: written.get(n).cloned().unwrap_or_default(), collation },
            });
        }
        all.push(UniqueIndex { terms, predicate });
    }
    Ok(all)
}

/// The terms and the WHERE of a `CREATE UNIQUE INDEX` statement, as written.
fn index_parts(sql: &str) -> (Vec<String>, Option<String>) {
    let mut terms = Vec::new();
    let (mut depth, mut start, mut after) = (0usize, 0usize, None);
    for (at, c) in unquoted(sql) {
        match c {
            '(' => {
                depth += 1;
                if depth == 1 {
                    start = at + 1;
                }
            }
            ',' if depth == 1 => {
                terms.push(without_order(&sql[start..at]));
                start = at + 1;
            }
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    terms.push(without_order(&sql[start..at]));
                    after = Some(at + 1);
                    break;
                }
            }
            _ => {}
        }
    }
    let rest = after.map_or("", |at| &sql[at..]);
    let word = unquoted(rest).find(|(_, c)| !c.is_whitespace()).map_or(rest.len(), |(at, _)| at);
    let rest = &rest[word..];
    let predicate =
        rest.get(..5).filter(|w| w.eq_ignore_ascii_case("where")).map(|_| rest[5..].trim().to_owned());
    (terms, predicate)
}

/// A term without ASC or DESC at its end.
fn without_order(term: &str) -> String {
    let term = term.trim();
    for order in ["asc", "desc"] {
        let Some(cut) = term.len().checked_sub(order.len()) else { continue };
        let is_word = term.get(..cut).is_some_and(|t| t.ends_with(|c: char| c.is_whitespace() || c == ')'));
        if is_word && term.get(cut..).is_some_and(|w| w.eq_ignore_ascii_case(order)) {
            return term[..cut].trim().to_owned();
        }
    }
    term.to_owned()
}

/// The characters of a statement that stand outside quotes and comments, with their places.
fn unquoted(sql: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut until: Option<&'static str> = None;
    let mut skip_to = 0;
    sql.char_indices().filter(move |&(at, c)| {
        if at < skip_to {
            return false;
        }
        if let Some(end) = until {
            if sql[at..].starts_with(end) {
                until = None;
                skip_to = at + end.len();
            }
            return false;
        }
        until = match c {
            '\'' => Some("'"),
            '"' => Some("\""),
            '`' => Some("`"),
            '[' => Some("]"),
            '-' if sql[at..].starts_with("--") => Some("\n"),
            '/' if sql[at..].starts_with("/*") => Some("*/"),
            _ => None,
        };
        until.is_none()
    })
}

/// One row with all of the table's columns as `NEW` has them, under their own names: expressions and
/// WHERE of an index can be evaluated over it as written.
pub(crate) fn new_row(shape: &Shape) -> String {
    let columns: Vec<_> =
        shape.columns.iter().map(|c| format!("{} AS {}", new_value(shape, c), ident(c))).collect();
    format!("(SELECT {})", columns.join(", "))
}

/// The value a column will have once REPLACE has filled it.
pub(crate) fn new_value(shape: &Shape, column: &str) -> String {
    match shape.fillers.get(column) {
        Some(filler) => format!("coalesce(NEW.{}, ({filler}))", ident(column)),
        None => format!("NEW.{}", ident(column)),
    }
}

/// The name of a table in the guard's own rows, as `TableName` prints it.
pub(crate) fn table_text(name: &domicile_datamap::TableName) -> String {
    literal(&name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, terms: &[&str], predicate: Option<&str>) {
        let (got, where_) = index_parts(sql);
        assert_eq!((got, where_.as_deref()), (terms.iter().map(|t| (*t).to_owned()).collect(), predicate));
    }

    #[test]
    fn an_index_statement_comes_apart() {
        check("CREATE UNIQUE INDEX i ON t(a)", &["a"], None);
        check("CREATE UNIQUE INDEX \"i(\" ON \"t,(\" (lower(a), b DESC)", &["lower(a)", "b"], None);
        check(
            "CREATE UNIQUE INDEX i ON t(substr(a,1,2) COLLATE NOCASE asc) -- all (of) it\n WHERE b = 'x)' AND c IN (1,2)",
            &["substr(a,1,2) COLLATE NOCASE"],
            Some("b = 'x)' AND c IN (1,2)"),
        );
        check("CREATE UNIQUE INDEX i ON t(a /* , b */)WHERE(c)", &["a /* , b */"], Some("(c)"));
        check("CREATE UNIQUE INDEX i ON t([basc], lower(basc))", &["[basc]", "lower(basc)"], None);
    }
}
