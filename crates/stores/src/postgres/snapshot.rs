//! One instant of the database, or the mover's own write transaction: what both can read.

use super::paths::{self, Found, Spelt, Way};
use super::pool::Conn;
use super::{Postgres, expand, quote};
use crate::error::{Error, Result};
use crate::records::{
    Change, Key, KeySet, ObjectRef, Pick, RowStream, RowsAndCounts, Snapshot, SubjectId, TableDigest,
};
use async_trait::async_trait;
use domicile_datamap::layout::{Layout, MappedTable, ObjectSource, TableIx};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A transaction on a connection of its own: read-only, or the mover's own, begun with its lease.
/// Dropped, it rolls back.
pub(super) struct Transaction {
    pub(super) conn: Conn,
    pub(super) layout: Arc<Layout>,
    pub(super) found: Found,
    /// The batch whose lease it holds; empty in a snapshot, which writes nothing.
    pub(super) batch: String,
}

/// A statement and its parameters, to be sent with others.
pub(super) type Call<'a> = (String, Vec<&'a (dyn ToSql + Sync)>);

impl Postgres {
    pub(super) async fn open_snapshot(&self) -> Result<Transaction> {
        let mut conn = self.conn().await?;
        let found = self.found(&conn).await?;
        // The instant is that of the first query, which BEGIN goes out with. Sorting hashes wants memory.
        conn.begin_with_the_first(format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL work_mem = '32MB'{}",
            found.settings()
        ));
        Ok(Transaction { conn, layout: self.layout.clone(), found, batch: String::new() })
    }
}

impl Transaction {
    pub(super) fn table(&self, table: TableIx) -> &MappedTable {
        &self.layout.tables[table]
    }

    /// `SELECT`s of something by subject ($1), one for every table.
    fn by_subject(&self, select: impl Fn(&MappedTable, &Way) -> (String, String)) -> Vec<String> {
        let of_table = |ix| {
            let way = Way::to_owner(&self.layout, ix);
            let (head, tail) = select(self.table(ix), &way);
            let from = way.select_of(&self.layout, "$1", self.found, &[]);
            format!("{head} {from} {tail}")
        };
        (0..self.layout.tables.len()).map(of_table).collect()
    }

    /// Selects `expressions` of the rows of `keys` that are owned by one of the subjects; the first
    /// column is the key as it was asked for. One answer a table, in the key set's order.
    async fn by_key(
        &self,
        what: &str,
        keys: &KeySet,
        subjects: &[SubjectId],
        expressions: impl Fn(&MappedTable) -> String,
    ) -> Result<Vec<(TableIx, Vec<Row>)>> {
        let ids = texts(subjects);
        let asked: Vec<(TableIx, Vec<&str>)> =
            keys.iter().map(|(ix, keys)| (*ix, keys.iter().map(|k| k.0.as_str()).collect())).collect();
        let calls: Vec<Call<'_>> = asked
            .iter()
            .map(|(ix, keys)| {
                let table = self.table(*ix);
                let way = Way::to_owner(&self.layout, *ix);
                let mine = [paths::owner_is_any(&self.layout, &way, "$2")];
                let from = way.select_keys(table, "$1", Spelt::AsAsked, &mine);
                (format!("SELECT k.j{} {from}", expressions(table)), params(&[keys, &ids]))
            })
            .collect();
        let answers = self.conn.query_all(what, &calls).await?;
        Ok(asked.iter().map(|(ix, _)| *ix).zip(answers).collect())
    }

    async fn digests_by_key(
        &self,
        keys: &KeySet,
        subjects: &[SubjectId],
    ) -> Result<BTreeMap<(TableIx, Key), String>> {
        let hash = |table: &MappedTable| format!(", encode(sha256({}), 'hex')", paths::row_bytes(table));
        let found = self.by_key("computing row digests", keys, subjects, hash).await?;
        let rows = found.into_iter().flat_map(|(ix, rows)| rows.into_iter().map(move |r| (ix, r)));
        Ok(rows.map(|(ix, row)| ((ix, Key(row.get(0))), row.get(1))).collect())
    }

    async fn counts_by_subject(&self, subjects: &[SubjectId]) -> Result<BTreeMap<(SubjectId, TableIx), u64>> {
        let select = |_: &MappedTable, way: &Way| {
            (format!("SELECT {}::text, count(*)", way.owner), format!("GROUP BY {}", way.owner))
        };
        let ids = texts(subjects);
        let calls: Vec<Call<'_>> =
            self.by_subject(select).into_iter().map(|sql| (sql, params(&[&ids]))).collect();
        let answers = self.conn.query_all("counting rows", &calls).await?;
        Ok(each(answers).map(|(ix, row)| ((SubjectId(row.get(0)), ix), count(&row, 1))).collect())
    }
}

#[async_trait]
impl Snapshot for Transaction {
    async fn changes(&mut self, subjects: &[SubjectId], limit: u32) -> Result<Vec<Change>> {
        let ids = texts(subjects);
        let sql = format!(
            "SELECT id, subject::text, tbl::text, key::text, sub FROM domicile.changed \
             WHERE subject = ANY($1::text[]::{}[]) ORDER BY id LIMIT $2",
            paths::subject_type(&self.layout)
        );
        let rows = self.conn.query("reading recorded changes", &sql, &[&ids, &i64::from(limit)]).await?;
        rows.iter().map(|row| self.change(row)).collect()
    }

    async fn expand(&mut self, changes: &[Change]) -> Result<KeySet> {
        expand::expand(&self.conn, &self.layout, changes).await
    }

    async fn owned(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<KeySet> {
        let found = self.by_key("looking keys up", keys, subjects, |_| String::new()).await?;
        let found = found.into_iter().filter(|(_, rows)| !rows.is_empty());
        Ok(found.map(|(ix, rows)| (ix, rows.iter().map(|r| Key(r.get(0))).collect())).collect())
    }

    async fn rows<'a>(
        &'a mut self,
        table: TableIx,
        pick: Pick<'a>,
        null_first: bool,
    ) -> Result<RowStream<'a>> {
        let sql = copy_out(&self.layout, table, pick, self.found, null_first);
        let what = format!("reading rows of {}", self.table(table).name);
        let stream = self.conn.copy_out(&what, &sql).await?;
        Ok(self.conn.rows(what, stream).boxed())
    }

    async fn digests(&mut self, subjects: &[SubjectId]) -> Result<Vec<TableDigest>> {
        // OFFSET 0 keeps the planner from computing each row's text twice; lengths and hashes are sorted, not texts.
        let select = |table: &MappedTable, way: &Way| {
            let head = format!(
                "SELECT o::text, count(*), sum(n)::int8, \
                 encode(sha256(string_agg(h, ''::bytea ORDER BY h)), 'hex') \
                 FROM (SELECT o, octet_length(r) AS n, sha256(r) AS h FROM (SELECT {} AS o, {} AS r",
                way.owner,
                paths::row_bytes(table)
            );
            (head, "OFFSET 0) AS row_texts OFFSET 0) AS row_hashes GROUP BY o".to_owned())
        };
        let ids = texts(subjects);
        let calls: Vec<Call<'_>> =
            self.by_subject(select).into_iter().map(|sql| (sql, params(&[&ids]))).collect();
        let answers = self.conn.query_all("computing digests", &calls).await?;
        let mut digests: Vec<TableDigest> = each(answers)
            .map(|(table, row)| TableDigest {
                subject: SubjectId(row.get(0)),
                table,
                rows: count(&row, 1),
                bytes: count(&row, 2),
                sha256: row.get(3),
            })
            .collect();
        digests.sort();
        Ok(digests)
    }

    async fn row_digests(
        &mut self,
        keys: &KeySet,
        subjects: &[SubjectId],
    ) -> Result<BTreeMap<(TableIx, Key), String>> {
        self.digests_by_key(keys, subjects).await
    }

    async fn counts(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<(SubjectId, TableIx), u64>> {
        self.counts_by_subject(subjects).await
    }

    async fn row_digests_and_counts(
        &mut self,
        keys: &KeySet,
        subjects: &[SubjectId],
        few: &[SubjectId],
    ) -> Result<RowsAndCounts> {
        // Sent together: under a fence a round trip is part of the pause.
        tokio::try_join!(self.digests_by_key(keys, subjects), self.counts_by_subject(few))
    }

    async fn objects(&mut self, subjects: &[SubjectId], keys: Option<&KeySet>) -> Result<Vec<ObjectRef>> {
        let ids = texts(subjects);
        let layout = self.layout.clone();
        let named = layout.objects.iter().enumerate().filter_map(|(rule, object)| match &object.source {
            ObjectSource::Column { table, column } => Some((rule, *table, column)),
            ObjectSource::Prefix { .. } => None,
        });
        let asked: Vec<(usize, TableIx, &String, Vec<&str>)> = named
            .map(|(rule, table, column)| {
                let of = keys.and_then(|k| k.get(&table));
                (rule, table, column, of.into_iter().flatten().map(|k| k.0.as_str()).collect::<Vec<_>>())
            })
            .filter(|(_, _, _, of)| keys.is_none() || !of.is_empty())
            .collect();
        let calls: Vec<Call<'_>> = asked
            .iter()
            .map(|(_, ix, column, of)| {
                let way = Way::to_owner(&layout, *ix);
                let column = quote::column("t0", column);
                let named = format!("{column} IS NOT NULL");
                let mut bound = params(&[&ids]);
                let from = if keys.is_some() {
                    bound.push(of);
                    let conditions = [paths::owner_is_any(&layout, &way, "$1"), named];
                    way.select_keys(self.table(*ix), "$2", Spelt::Once, &conditions)
                } else {
                    way.select_of(&layout, "$1", self.found, &[named])
                };
                (format!("SELECT {}::text, {column}::text {from}", way.owner), bound)
            })
            .collect();
        let answers = self.conn.query_all("reading object keys", &calls).await?;
        let rules = asked.iter().map(|(rule, ..)| *rule);
        let found = rules.zip(answers).flat_map(|(rule, rows)| rows.into_iter().map(move |r| (rule, r)));
        Ok(found
            .map(|(rule, row)| ObjectRef { subject: SubjectId(row.get(0)), rule, key: row.get(1) })
            .collect())
    }

    async fn close(mut self: Box<Self>) -> Result<()> {
        self.conn.end_reading().await;
        Ok(())
    }
}

impl Transaction {
    fn change(&self, row: &Row) -> Result<Change> {
        let name: String = row.get(2);
        let table = self.layout.tables.iter().position(|t| t.name.to_string() == name);
        Ok(Change {
            id: row.get(0),
            subject: SubjectId(row.get(1)),
            table: table.ok_or_else(|| Error::Schema {
                store: self.conn.store(),
                what: format!("a change was recorded for {name}, which the data map does not know"),
            })?,
            key: Key(row.get(3)),
            subtree: row.get(4),
        })
    }
}

/// `COPY (...) TO STDOUT` of the rows picked. COPY takes no parameters: keys and subjects stand in it
/// as quoted literals.
fn copy_out(layout: &Layout, ix: TableIx, pick: Pick<'_>, found: Found, null_first: bool) -> String {
    let table = &layout.tables[ix];
    let way = Way::to_owner(layout, ix);
    let (keys, subjects) = match pick {
        Pick::Subjects(subjects) => (None, subjects),
        Pick::Keys(keys, subjects) => (Some(keys), subjects),
    };
    let ids = quote::array(subjects.iter().map(|s| s.0.as_str()));
    let from = match keys {
        Some(keys) => {
            let mine = [paths::owner_is_any(layout, &way, &ids)];
            let keys = quote::array(keys.iter().map(|k| k.0.as_str()));
            way.select_keys(table, &keys, Spelt::Once, &mine)
        }
        None => way.select_of(layout, &ids, found, &[]),
    };
    let columns = table.columns.iter().map(|c| {
        let blank = table.blanked.contains(&c.name) || (null_first && table.null_first.contains(&c.name));
        if blank { "NULL".to_owned() } else { quote::column("t0", &c.name) }
    });
    let columns: Vec<_> = columns.collect();
    format!("COPY (SELECT {} {from}) TO STDOUT", columns.join(", "))
}

/// Subjects as a parameter.
pub(super) fn texts(subjects: &[SubjectId]) -> Vec<&str> {
    subjects.iter().map(|s| s.0.as_str()).collect()
}

/// Parameters as a list that can grow.
pub(super) fn params<'a>(list: &[&'a (dyn ToSql + Sync)]) -> Vec<&'a (dyn ToSql + Sync)> {
    list.to_vec()
}

/// Rows with the table they are from, where the answers stand in the layout's order.
fn each(answers: Vec<Vec<Row>>) -> impl Iterator<Item = (TableIx, Row)> {
    answers.into_iter().enumerate().flat_map(|(ix, rows)| rows.into_iter().map(move |r| (ix, r)))
}

/// A count: `bigint`, never negative.
pub(super) fn count(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or(0)
}
