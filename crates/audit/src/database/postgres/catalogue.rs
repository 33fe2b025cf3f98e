//! What is in the database, asked of `pg_catalog` alone.

use tokio_postgres::Row;

/// Databases of the server beside this one.
pub(super) const OTHER_DATABASES: &str = "SELECT count(*) FROM pg_catalog.pg_database \
    WHERE datname <> pg_catalog.current_database() AND NOT datistemplate AND datname <> 'postgres'";

/// Every relation that holds rows, outside the catalogue's own schemas.
pub(super) const TABLES: &str = "SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, \
    c.relispopulated, pg_catalog.has_schema_privilege(n.oid, 'USAGE'), pg_catalog.pg_is_other_temp_schema(n.oid) \
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
    ORDER BY n.nspname, c.relname";

/// Their columns. A domain counts as the type it is made of.
pub(super) const COLUMNS: &str = "SELECT a.attrelid::bigint, a.attname::text, \
    pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'), \
    (CASE WHEN t.typbasetype <> 0 THEN t.typbasetype ELSE t.oid END)::bigint, t.typlen, \
    (SELECT k.n FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(att, n) WHERE k.att = a.attnum) \
    FROM pg_catalog.pg_attribute AS a \
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm', 'f') \
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid \
    LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary \
    WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";

const BYTEA: i64 = 17;
/// bool, int8, int2, int4, oid, date, timestamp, timestamptz, numeric, uuid: types whose values name nobody by themselves.
const IMPERSONAL: [i64; 10] = [16, 20, 21, 23, 26, 1082, 1114, 1184, 1700, 2950];

/// A table to be read.
pub(super) struct Table {
    pub schema: String,
    pub name: String,
    /// Only those that may be read.
    pub columns: Vec<Column>,
    pub key: Vec<Key>,
    /// What of it can't be read.
    pub unseen: Vec<String>,
    /// A view has no row identifier.
    has_ctid: bool,
}

pub(super) struct Column {
    pub name: String,
    binary: bool,
    varies: bool,
}

pub(super) struct Key {
    pub column: Option<usize>,
    pub personal: bool,
    name: String,
    /// Its place among the key's columns.
    place: i64,
}

impl Table {
    /// ctid, the key's parts, the value of each column, and last an array that says which of them are longer than
    /// `bytes_max`: such a value is null, and a piece of it can be asked for.
    ///
    /// INVARIANT: one expression a column. A table may have 1600 of them, and a question 1664.
    pub(super) fn select(&self, bytes_max: usize) -> String {
        let bytes_max = if self.has_ctid { bytes_max } else { i32::MAX as usize };
        let mut parts = vec![if self.has_ctid { "ctid::text".to_owned() } else { "null::text".to_owned() }];
        parts.extend(self.key.iter().map(|key| format!("{}::text", quoted(&key.name))));
        let mut long = Vec::new();
        for column in &self.columns {
            let value = column.value();
            let (part, is_long) = match column.varies {
                true => (
                    format!("CASE WHEN octet_length({value}) <= {bytes_max} THEN {value} END"),
                    format!("octet_length({value}) > {bytes_max}"),
                ),
                false => (value, "false".to_owned()),
            };
            parts.push(part);
            long.push(is_long);
        }
        parts.push(format!("ARRAY[{}]::text", long.join(", ")));
        format!("SELECT {} FROM {}", parts.join(", "), self.from())
    }

    /// SQL that gives a piece of a large value.
    pub(super) fn piece(&self, column: usize, ctid: &str) -> impl Fn(usize) -> String {
        let column = &self.columns[column];
        let value = match column.binary {
            true => column.value(),
            false => format!("pg_catalog.convert_to({}, 'UTF8')", column.value()),
        };
        let from = self.from();
        let ctid = ctid.to_owned();
        move |piece| {
            let first = piece * super::PIECE_BYTES + 1;
            let length = super::PIECE_BYTES;
            format!(
                "SELECT substring({value} from {first} for {length}) FROM {from} WHERE ctid = '{ctid}'::tid"
            )
        }
    }

    /// ONLY: the rows of children are read with the children.
    fn from(&self) -> String {
        format!("ONLY {}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

impl Column {
    fn value(&self) -> String {
        let name = quoted(&self.name);
        if self.binary { name } else { format!("{name}::text") }
    }
}

/// Tables with their columns, from the two questions' answers.
pub(super) fn tables(tables: &[Row], columns: &[Row]) -> Vec<Table> {
    tables.iter().map(|row| table(row, columns)).collect()
}

fn table(row: &Row, columns: &[Row]) -> Table {
    let (oid, kind): (i64, String) = (row.get(0), row.get(3));
    let (populated, usage, elsewhere): (bool, bool, bool) = (row.get(4), row.get(5), row.get(6));
    let mut table = Table {
        schema: row.get(1),
        name: row.get(2),
        columns: Vec::new(),
        key: Vec::new(),
        unseen: Vec::new(),
        has_ctid: true,
    };
    let whole = [
        (kind == "f", "a foreign table: its rows are in another store, which needs a target of its own"),
        (!populated, "a materialised view that was never filled"),
        (!usage, "the role may not use its schema"),
        (elsewhere, "a temporary table of another session"),
    ];
    if let Some((_, why)) = whole.into_iter().find(|(is, _)| *is) {
        table.unseen.push(why.to_owned());
        return table;
    }
    let first = columns.partition_point(|c| c.get::<_, i64>(0) < oid);
    for column in columns[first..].iter().take_while(|c| c.get::<_, i64>(0) == oid) {
        table.add(column);
    }
    table.key.sort_by_key(|key| key.place);
    if !table.unseen.is_empty() && table.columns.is_empty() {
        table.unseen = vec!["the role may not read it (GRANT SELECT)".to_owned()];
    }
    table
}

impl Table {
    fn add(&mut self, row: &Row) {
        let (name, readable, kind, length): (String, bool, i64, i16) =
            (row.get(1), row.get(2), row.get(3), row.get(4));
        if !readable {
            self.unseen.push(format!("the role may not read its column {name} (GRANT SELECT)"));
            // Nor the row's identifier then: the server counts it as a column.
            self.has_ctid = false;
            return;
        }
        if let Some(place) = row.get::<_, Option<i64>>(5) {
            let personal = !IMPERSONAL.contains(&kind);
            self.key.push(Key { column: Some(self.columns.len()), personal, name: name.clone(), place });
        }
        self.columns.push(Column { name, binary: kind == BYTEA, varies: length == -1 });
    }
}

/// What the planner remembers of values.
pub(super) fn statistics() -> Table {
    let column = |name: &str| Column { name: name.to_owned(), binary: false, varies: true };
    let key = |name: &str| Key { column: None, personal: false, name: name.to_owned(), place: 0 };
    Table {
        schema: "pg_catalog".to_owned(),
        name: "pg_stats".to_owned(),
        columns: ["most_common_vals", "most_common_elems", "histogram_bounds"].map(column).into(),
        key: ["schemaname", "tablename", "attname"].map(key).into(),
        unseen: Vec::new(),
        has_ctid: false,
    }
}

/// A name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
