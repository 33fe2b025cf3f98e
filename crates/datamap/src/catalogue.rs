//! What a region's database has: tables, columns, keys, foreign keys.
//!
//! `stores` fills it from `pg_catalog` or from SQLite's pragmas; nothing here asks a database.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The two engines Domicile speaks. A service's regions all use the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL 15 or later.
    Postgres,
    /// SQLite 3.38 or later.
    Sqlite,
}

/// A table's qualified name. SQLite has no schemas: there `schema` is always `main`.
/// Written `schema.name` in the data map; a part that holds a dot or a quote is written `"a.b"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema, e.g. `public`; `main` on SQLite.
    pub schema: String,
    /// The table's name exactly as the catalogue holds it, unquoted.
    pub name: String,
}

impl TableName {
    /// `schema` and `name`, unquoted.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl TableName {
    /// As a statement of SQL that a person pastes needs it: both parts in quotes.
    pub fn in_sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// A name in quotes, for statements that a person pastes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", crate::name::part(&self.schema), crate::name::part(&self.name))
    }
}

/// Everything `init`, `check` and preflight need to know of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// Which engine it is.
    pub engine: Engine,
    /// The server's version as it names itself, e.g. `15.18`.
    pub version: String,
    /// Ordinary and partitioned tables outside system schemas and Domicile's own, by name.
    /// Partition leaves are listed too, with `partition_of` set.
    pub tables: Vec<Table>,
}

impl Catalogue {
    /// The table of that name, if the database has it.
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|t| &t.name == name)
    }
}

/// One table as the database describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Qualified name.
    pub name: TableName,
    /// Columns in the catalogue's order, dropped ones left out.
    pub columns: Vec<Column>,
    /// Primary key columns in key order; empty if there is none.
    pub primary_key: Vec<String>,
    /// Unique constraints and unique indexes other than the primary key.
    pub uniques: Vec<Unique>,
    /// Foreign keys of this table.
    pub foreign_keys: Vec<ForeignKey>,
    /// Columns of each index that finds any row by them, in the index's order; the primary key's, too.
    pub indexes: Vec<Vec<String>>,
    /// The user's own triggers (not Domicile's, not the foreign keys').
    pub triggers: Vec<String>,
    /// What kind of relation it is.
    pub kind: TableKind,
    /// The partitioned table this one is a partition of.
    pub partition_of: Option<TableName>,
    /// The server's own estimate of its rows; 0 if it has none.
    pub rows_estimate: u64,
    /// Sequences whose values this table's columns take by default: (column, sequence, increment).
    pub sequences: Vec<(String, String, i64)>,
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
}

/// Kinds of relation that the data map treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// An ordinary table.
    Ordinary,
    /// A partitioned table: rows live in its leaves.
    Partitioned,
    /// PostgreSQL `UNLOGGED`: lost in a crash, so it can't be moved with a promise.
    Unlogged,
    /// PostgreSQL foreign table: its rows live elsewhere.
    Foreign,
    /// SQLite virtual table.
    Virtual,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name as the catalogue holds it.
    pub name: String,
    /// `format_type` on PostgreSQL (schema-qualified for types outside `pg_catalog`), the declared type on SQLite.
    pub type_name: String,
    /// Declared NOT NULL (or part of a primary key that implies it).
    pub not_null: bool,
    /// Has a default.
    pub has_default: bool,
    /// `GENERATED ALWAYS AS (expression)`: never written by Domicile.
    pub generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`: its values are kept, and nobody may update one. (`BY DEFAULT` is a column
    /// with a default.)
    pub identity: bool,
}

/// A unique constraint or index besides the primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// Constraint or index name.
    pub name: String,
    /// Its columns; empty where it stands on expressions.
    pub columns: Vec<String>,
    /// A partial index (WHERE ...) or one on expressions.
    pub partial: bool,
}

/// One foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Constraint name; on SQLite `fk_<id>`.
    pub name: String,
    /// Columns of this table.
    pub columns: Vec<String>,
    /// The table referred to.
    pub references: TableName,
    /// The columns referred to, in the same order.
    pub referenced: Vec<String>,
    /// ON DELETE.
    pub on_delete: FkAction,
    /// ON UPDATE.
    pub on_update: FkAction,
    /// DEFERRABLE.
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    pub initially_deferred: bool,
}

/// What a foreign key does when the row referred to goes or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FkAction {
    /// NO ACTION.
    NoAction,
    /// RESTRICT.
    Restrict,
    /// CASCADE.
    Cascade,
    /// SET NULL.
    SetNull,
    /// SET DEFAULT.
    SetDefault,
}
