//! The catalogue, read from `pg_catalog` in one snapshot.

use super::Postgres;
use super::connect::Target;
use super::pool::{Conn, Pool};
use crate::error::Result;
use domicile_datamap::catalogue::{
    Catalogue, Column, Engine, FkAction, ForeignKey, Table, TableKind, TableName, Unique,
};
use secrecy::SecretString;
use std::collections::HashMap;
use tokio_postgres::Row;

/// Relations of the user: no system schema, none of Domicile's, nothing temporary.
const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'domicile') \
    AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'";

impl Postgres {
    /// The catalogue of a database that has no layout yet: what `init` reads.
    pub async fn catalogue_of(url: &str, secret: Option<SecretString>) -> Result<Catalogue> {
        read(&Pool::new(Target::parse(url, secret.as_ref())?)).await
    }

    pub(super) async fn read_catalogue(&self) -> Result<Catalogue> {
        read(&self.pool).await
    }
}

async fn read(pool: &Pool) -> Result<Catalogue> {
    let mut conn = pool.get().await?;
    conn.begin_with_the_first("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned());
    let version = conn.query_one(WHAT, "SELECT current_setting('server_version')", &[]).await?;
    let version: String = version.get(0);
    let mut tables = tables(&conn).await?;
    // Sent together: over a long line a round trip each would be felt.
    let [columns_of, indexes_of, keys_of, triggers_of, sequences_of] =
        [COLUMNS, INDEXES, FOREIGN_KEYS, TRIGGERS, SEQUENCES].map(|sql| conn.query(WHAT, sql, &[]));
    let answers = tokio::try_join!(columns_of, indexes_of, keys_of, triggers_of, sequences_of)?;
    conn.end_reading().await;
    each(&mut tables, &answers.0, column);
    each(&mut tables, &answers.1, index);
    each(&mut tables, &answers.2, foreign_key);
    each(&mut tables, &answers.3, |table, row| table.triggers.push(row.get(1)));
    each(&mut tables, &answers.4, sequence);
    let mut tables: Vec<Table> = tables.into_values().collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    estimate_partitioned(&mut tables);
    let version = version.split(' ').next().unwrap_or_default().to_owned();
    Ok(Catalogue { engine: Engine::Postgres, version, tables })
}

const WHAT: &str = "reading the catalogue";

type Tables = HashMap<u32, Table>;

async fn tables(conn: &Conn) -> Result<Tables> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, \
         greatest(c.reltuples, 0)::float8, pn.nspname::text, p.relname::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND c.relispartition \
         LEFT JOIN pg_class p ON p.oid = i.inhparent LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace \
         WHERE {OURS}"
    );
    let rows = conn.query(WHAT, &sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), table(row))).collect())
}

fn table(row: &Row) -> Table {
    let (kind, persistence): (String, String) = (row.get(3), row.get(4));
    let parent: Option<(String, String)> = row.get::<_, Option<String>>(6).zip(row.get(7));
    Table {
        name: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
        columns: Vec::new(),
        primary_key: Vec::new(),
        uniques: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
        triggers: Vec::new(),
        kind: match (kind.as_str(), persistence.as_str()) {
            ("p", _) => TableKind::Partitioned,
            ("f", _) => TableKind::Foreign,
            (_, "u") => TableKind::Unlogged,
            _ => TableKind::Ordinary,
        },
        partition_of: parent.map(|(schema, name)| TableName { schema, name }),
        rows_estimate: row.get::<_, f64>(5) as u64,
        sequences: Vec::new(),
    }
}

/// Hands each row of an answer, whose first column is a table's oid, to its table.
fn each(tables: &mut Tables, rows: &[Row], put: impl Fn(&mut Table, &Row)) {
    for row in rows {
        if let Some(table) = tables.get_mut(&row.get(0)) {
            put(table, row);
        }
    }
}

/// Without the server's own tables (their numbers end at 16383): they have thousands of columns, which take
/// seconds over a long line.
const COLUMNS: &str = "SELECT a.attrelid, a.attname::text, format_type(a.atttypid, a.atttypmod), \
        a.attnotnull OR t.typnotnull, \
        (a.atthasdef AND a.attgenerated = '') OR a.attidentity = 'd' OR t.typdefault IS NOT NULL, \
        a.attgenerated <> '', a.attidentity = 'a' \
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
        WHERE a.attrelid > 16383 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum";

fn column(table: &mut Table, row: &Row) {
    table.columns.push(Column {
        name: row.get(1),
        type_name: row.get(2),
        not_null: row.get(3),
        has_default: row.get(4),
        generated: row.get(5),
        identity: row.get(6),
    });
}

/// Primary keys, unique constraints and indexes. Where a key column is an expression its
/// number is 0 and the list of names stays shorter than the key.
const INDEXES: &str = "SELECT i.indrelid, c.relname::text, i.indisprimary, \
        i.indpred IS NOT NULL OR i.indexprs IS NOT NULL, i.indexprs IS NOT NULL, \
        ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(n, place) \
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n \
              WHERE k.place <= i.indnkeyatts ORDER BY k.place), \
        i.indisunique, i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND m.amname IN ('btree', 'hash') \
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam \
        WHERE i.indrelid > 16383 AND i.indislive ORDER BY i.indrelid, c.relname";

fn index(table: &mut Table, row: &Row) {
    let (name, columns): (String, Vec<String>) = (row.get(1), row.get(5));
    if row.get(7) {
        table.indexes.push(columns.clone());
    }
    if row.get(2) {
        table.primary_key = columns;
    } else if row.get(6) {
        let columns = if row.get(4) { Vec::new() } else { columns };
        table.uniques.push(Unique { name, columns, partial: row.get(3) });
    }
}

/// A key to a partitioned table has further rows in `pg_constraint`, one for each leaf referred to:
/// those are left out (the referred table differs from that of the key they stem from).
const FOREIGN_KEYS: &str = "WITH RECURSIVE stem(oid, top) AS ( \
          SELECT oid, confrelid FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 \
          UNION ALL SELECT c.oid, s.top FROM pg_constraint c JOIN stem s ON c.conparentid = s.oid) \
        SELECT f.conrelid, f.conname::text, n.nspname::text, r.relname::text, \
          ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k(n, place) \
                JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.n ORDER BY k.place), \
          ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS k(n, place) \
                JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.n ORDER BY k.place), \
          f.confdeltype::text, f.confupdtype::text, f.condeferrable, f.condeferred \
        FROM pg_constraint f JOIN stem s ON s.oid = f.oid AND s.top = f.confrelid \
        JOIN pg_class r ON r.oid = f.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace \
        WHERE f.contype = 'f' ORDER BY f.conrelid, f.conname";

fn foreign_key(table: &mut Table, row: &Row) {
    table.foreign_keys.push(ForeignKey {
        name: row.get(1),
        columns: row.get(4),
        references: TableName::new(row.get::<_, String>(2), row.get::<_, String>(3)),
        referenced: row.get(5),
        on_delete: action(row.get(6)),
        on_update: action(row.get(7)),
        deferrable: row.get(8),
        initially_deferred: row.get(9),
    });
}

fn action(letter: &str) -> FkAction {
    match letter {
        "r" => FkAction::Restrict,
        "c" => FkAction::Cascade,
        "n" => FkAction::SetNull,
        "d" => FkAction::SetDefault,
        _ => FkAction::NoAction,
    }
}

const TRIGGERS: &str = "SELECT tgrelid, tgname::text FROM pg_trigger \
        WHERE NOT tgisinternal AND tgname !~ '^00_domicile' ORDER BY tgrelid, tgname";

/// Sequences owned by a column (serial, identity) or called in a column's default.
const SEQUENCES: &str = "SELECT u.rel, a.attname::text, n.nspname::text, s.relname::text, q.seqincrement \
        FROM (SELECT d.refobjid AS rel, d.refobjsubid AS col, d.objid AS seq FROM pg_depend d \
              WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass \
                AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 \
              UNION SELECT ad.adrelid, ad.adnum, d.refobjid FROM pg_depend d \
              JOIN pg_attrdef ad ON ad.oid = d.objid \
              WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) u \
        JOIN pg_class s ON s.oid = u.seq AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid \
        JOIN pg_namespace n ON n.oid = s.relnamespace \
        JOIN pg_attribute a ON a.attrelid = u.rel AND a.attnum = u.col ORDER BY u.rel, u.col, s.relname";

fn sequence(table: &mut Table, row: &Row) {
    let sequence = TableName::new(row.get::<_, String>(2), row.get::<_, String>(3)).to_string();
    table.sequences.push((row.get(1), sequence, row.get(4)));
}

/// A partitioned table's estimate is the sum of its leaves', at all levels.
fn estimate_partitioned(tables: &mut [Table]) {
    let parents: HashMap<TableName, TableName> =
        tables.iter().filter_map(|t| Some((t.name.clone(), t.partition_of.clone()?))).collect();
    let mut sums: HashMap<TableName, u64> = HashMap::new();
    for leaf in tables.iter().filter(|t| t.kind != TableKind::Partitioned) {
        let mut at = &leaf.name;
        while let Some(parent) = parents.get(at) {
            *sums.entry(parent.clone()).or_default() += leaf.rows_estimate;
            at = parent;
        }
    }
    for table in tables.iter_mut().filter(|t| t.kind == TableKind::Partitioned) {
        table.rows_estimate = sums.get(&table.name).copied().unwrap_or(0);
    }
}
