//! The data map resolved against a catalogue: what the stores and the mover work with.
//!
//! INVARIANT: `tables[0]` is the root; a parent stands before its children, and a table stands after
//! every mapped table its foreign keys refer to, cycles excepted (those columns are in `null_first`).
//! Loading walks the list forwards, deleting walks it backwards.

use crate::catalogue::{Engine, ForeignKey, TableName, Unique};

/// A table's place in [`Layout::tables`]; stable for one data map hash.
pub type TableIx = usize;

/// The resolved data map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The engine all regions of the service use.
    pub engine: Engine,
    /// Mapped tables, parents first; `tables[0]` is the root.
    pub tables: Vec<MappedTable>,
    /// How to find the subject's country: a path that starts at the root.
    pub country: AttributePath,
    /// Optional path to the citizenship (a country).
    pub citizenship: Option<AttributePath>,
    /// Optional path to a text of flags, separated by commas or spaces.
    pub flags: Option<AttributePath>,
    /// Optional path to a text of purposes consented to, separated likewise.
    pub consents: Option<AttributePath>,
    /// Reference tables in dependency order (a table after those it refers to).
    pub references: Vec<ReferenceTable>,
    /// Excluded tables and the reason written in the map.
    pub excluded: Vec<(TableName, String)>,
    /// Foreign keys that must not exist at any region, because the other side is answered `keep-id`.
    pub dropped_foreign_keys: Vec<(TableName, String)>,
    /// Objects named by the map.
    pub objects: Vec<ObjectRule>,
    /// Stores declared as not moved, or moved by hook: (name, kind, note).
    pub declared: Vec<DeclaredStore>,
    /// Triggers of the user's at mapped tables, listed as safe.
    pub safe_triggers: Vec<(TableName, String)>,
    /// SHA-256 (hex) of the map's canonical form; on plans and receipts.
    pub hash: String,
}

impl Layout {
    /// The index of a mapped table by name.
    pub fn index_of(&self, name: &TableName) -> Option<TableIx> {
        self.tables.iter().position(|t| &t.name == name)
    }

    /// The data categories in use, sorted, each once.
    pub fn categories(&self) -> Vec<String> {
        let mut all: Vec<_> = self
            .tables
            .iter()
            .map(|t| t.category.clone())
            .chain(self.objects.iter().map(|o| o.category.clone()))
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

/// One table whose rows move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedTable {
    /// Qualified name.
    pub name: TableName,
    /// How a row finds its subject.
    pub owner: Owner,
    /// Data category, e.g. `profile`, `purchases`, `messages`.
    pub category: String,
    /// Columns that move, in a fixed order: generated columns left out.
    pub columns: Vec<MovedColumn>,
    /// Primary key columns in key order (never empty: `check` refuses a mapped table without a key).
    pub key: Vec<String>,
    /// Other unique constraints.
    pub uniques: Vec<Unique>,
    /// All foreign keys of the table, as the catalogue has them.
    pub foreign_keys: Vec<ForeignKey>,
    /// Tables whose owner path goes through this one.
    pub children: Vec<TableIx>,
    /// Columns of foreign keys that close a cycle: loaded as NULL, filled once all tables are loaded.
    pub null_first: Vec<String>,
    /// Columns answered `null`: the other subject's id is not moved; NULL at the target, left out of digests.
    pub blanked: Vec<String>,
    /// Columns whose row is refused a move while the other subject lives elsewhere (answer `refuse`).
    pub refusing: Vec<String>,
    /// True for a partitioned table; its leaves are guarded too.
    pub partitioned: bool,
    /// A partitioned table's leaves, at all levels.
    pub leaves: Vec<TableName>,
}

/// One column that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedColumn {
    /// Name, unquoted.
    pub name: String,
    /// The engine's type name.
    pub type_name: String,
    /// Declared NOT NULL.
    pub not_null: bool,
    /// `GENERATED ALWAYS AS IDENTITY`: its values are kept (`OVERRIDING SYSTEM VALUE`).
    pub identity: bool,
}

/// How a row of a mapped table finds its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The root: `column` is the subject's key (unique, NOT NULL).
    Root {
        /// The key column.
        column: String,
    },
    /// The table holds the subject's key itself.
    Direct {
        /// The column that holds it.
        column: String,
    },
    /// By a foreign key to a mapped parent.
    Derived {
        /// The parent, always earlier in [`Layout::tables`].
        parent: TableIx,
        /// (this table's column, the parent's column) for each column of the key.
        link: Vec<(String, String)>,
        /// The key is DEFERRABLE: a child may be written before its parent.
        deferrable: bool,
    },
}

/// A path from the root over foreign keys to a column: how to find the subject's country.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributePath {
    /// Tables to join, in order; empty where the column stands on the root itself.
    pub hops: Vec<Hop>,
    /// The column at the end.
    pub column: String,
}

/// One step of an [`AttributePath`]: join `table` on (column before, column of `table`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The table joined.
    pub table: TableName,
    /// (column of the table before, column of this table).
    pub on: Vec<(String, String)>,
}

/// A shared table: rows are copied where absent and kept in step by `region sync-reference`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceTable {
    /// Qualified name.
    pub name: TableName,
    /// Columns copied, generated ones left out.
    pub columns: Vec<MovedColumn>,
    /// Primary key columns.
    pub key: Vec<String>,
    /// Foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// `copy`: all columns; `stub`: the key and fillers for NOT NULL columns, the rest NULL.
    pub personal: Personal,
    /// Category, for the policy's question about copying it.
    pub category: String,
}

/// What is copied of a reference table that looks as if it held personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personal {
    /// Nothing personal in it, or answered `copy`.
    Copy,
    /// Answered `stub`: key and NOT NULL fillers.
    Stub,
}

/// How objects belong to a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRule {
    /// Where the keys come from.
    pub source: ObjectSource,
    /// What happens to objects that no row names.
    pub without_row: WithoutRow,
    /// Category.
    pub category: String,
}

/// Where object keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectSource {
    /// A column of a mapped table holds the key (NULL: no object).
    Column {
        /// The table.
        table: TableIx,
        /// The column.
        column: String,
    },
    /// A prefix template with `{subject}`, e.g. `photos/{subject}/`.
    Prefix {
        /// The template.
        template: String,
    },
}

/// What happens to an object below the subject's prefix without a row that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutRow {
    /// It moves too; the old prefix is listed again until erase, late arrivals are forwarded.
    Sweep,
    /// It must not exist: one found stops the batch.
    Deny,
}

/// A store Domicile does not move itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredStore {
    /// Its name, e.g. `search-index`.
    pub name: String,
    /// Why, and what happens with it; printed on every receipt.
    pub note: String,
}
