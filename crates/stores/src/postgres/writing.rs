//! The mover's write transaction: rows come in, rows go out, and the lease is read first.
//!
//! READ COMMITTED, foreign keys on, deferrable constraints deferred. Nothing here needs more than the
//! documented GRANTs; the replica-role fast path is left out.

use super::homes::{HELD, not_held};
use super::paths::{self, Found, Way};
use super::pool::Conn;
use super::snapshot::{Call, Transaction, count, params, texts};
use super::{Postgres, erase, quote, upsert};
use crate::error::Result;
use crate::records::{Key, KeySet, Lease, RowStream, SubjectId, Writing};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use domicile_datamap::layout::TableIx;
use futures::{SinkExt, StreamExt};
use std::collections::{BTreeMap, BTreeSet};

/// COPY data is sent in pieces of at least this many bytes.
const COPY_PIECE_BYTES: usize = 64 * 1024;

impl Postgres {
    pub(super) async fn open_writing(&self, lease: &Lease) -> Result<Transaction> {
        let mut conn = self.conn().await?;
        let found = self.found(&conn).await?;
        begin_with_lease(&mut conn, &self.store_name(), lease, found).await?;
        Ok(Transaction { conn, layout: self.layout.clone(), found, batch: lease.batch.clone() })
    }
}

/// Begins a write transaction and reads the lease's token in it, in one round trip.
///
/// INVARIANT: whoever takes the lease over changes the token, then waits for this transaction's end (or
/// ends its backend); whoever begins after the change finds another token and writes nothing.
pub(super) async fn begin_with_lease(
    conn: &mut Conn,
    store: &str,
    lease: &Lease,
    found: Found,
) -> Result<()> {
    let sql = format!("WITH {HELD} SELECT FROM held");
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL DEFERRED";
    let begin = format!("{begin}{}", found.settings());
    match conn.begin_and_ask(&begin, "reading the lease", &sql, &[&lease.batch, &lease.token]).await? {
        Some(_) => Ok(()),
        None => Err(not_held(conn, store, lease).await),
    }
}

#[async_trait]
impl Writing for Transaction {
    async fn clear(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, u64>> {
        let ids = texts(subjects);
        // As a rule there are none: looking costs far less than statements that would delete.
        if erase::tables_with_rows(&self.conn, &self.layout, self.found, &ids).await?.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut calls: Vec<Call<'_>> =
            erase::unlink_owned(&self.layout).into_iter().map(|sql| (sql, params(&[&ids]))).collect();
        let unlinked = calls.len();
        for ix in (0..self.layout.tables.len()).rev() {
            let way = Way::to_owner(&self.layout, ix);
            let delete = way.delete(None, &[paths::owner_is_any(&self.layout, &way, "$1")]);
            calls.push((counted(&delete), params(&[&ids])));
        }
        let answers = self.conn.query_all("clearing subjects", &calls).await?;
        let order = (0..self.layout.tables.len()).rev();
        let deleted = order.zip(&answers[unlinked..]).map(|(ix, rows)| (ix, count(&rows[0], 0)));
        Ok(deleted.filter(|(_, n)| *n > 0).collect())
    }

    async fn drop_arriving(&mut self, subjects: &[SubjectId]) -> Result<u64> {
        let (ids, ty) = (texts(subjects), paths::subject_type(&self.layout));
        let sql = format!(
            "WITH h AS (DELETE FROM domicile.home WHERE subject = ANY($1::text[]::{ty}[]) AND state = 'a' \
               AND batch = $2 RETURNING subject), \
             m AS (DELETE FROM domicile.misplaced USING h WHERE misplaced.subject = h.subject) \
             SELECT count(*) FROM h"
        );
        let row = self.conn.query_one("dropping homes", &sql, &[&ids, &self.batch]).await?;
        Ok(count(&row, 0))
    }

    async fn load(&mut self, table: TableIx, mut rows: RowStream<'_>) -> Result<u64> {
        let to = self.table(table);
        let what = format!("loading rows into {}", to.name);
        let columns: Vec<_> = to.columns.iter().map(|c| quote::ident(&c.name)).collect();
        let sql = format!("COPY {} ({}) FROM STDIN", quote::table(&to.name), columns.join(", "));
        // A table without rows costs no round trip at the target.
        let Some(first) = rows.next().await else { return Ok(0) };
        let mut piece = BytesMut::from(first?.as_ref());
        let (mut sink, mut loaded) = (self.conn.copy_in(&what, &sql).await?, 0);
        loop {
            let next = rows.next().await.transpose()?;
            let is_due = next.is_none() || piece.len() >= COPY_PIECE_BYTES;
            if is_due && !piece.is_empty() {
                let full = piece.split().freeze();
                loaded += count_rows(&full);
                self.conn.answered(&what, sink.feed(full)).await?;
            }
            let Some(row) = next else { break };
            piece.extend_from_slice(&row);
        }
        // The next table's COPY begins behind it, so that a table costs one round trip and not two.
        self.conn.finish_with_the_next(what, sink);
        Ok(loaded)
    }

    async fn upsert(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64> {
        let into = upsert::Destination::mapped(&self.layout, table, &self.batch);
        upsert::upsert(&self.conn, &into, rows).await
    }

    async fn delete(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<u64> {
        let ids = texts(subjects);
        let deleted = erase::delete_keys(&self.conn, &self.layout, keys, &ids).await?;
        Ok(deleted.values().sum())
    }

    async fn push_aside(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        let ids = texts(subjects);
        let asked: Vec<(TableIx, Vec<&str>)> =
            keys.iter().map(|(ix, keys)| (*ix, borrow(keys))).rev().collect();
        let calls: Vec<Call<'_>> = asked
            .iter()
            .map(|(ix, keys)| {
                let way = Way::to_owner(&self.layout, *ix);
                let conditions = [
                    paths::key_in(self.table(*ix), "t0", "$1"),
                    format!("h.subject = {}", way.owner),
                    "h.state IN ('a', 'w')".to_owned(),
                    format!("NOT ({})", paths::owner_is_any(&self.layout, &way, "$2")),
                ];
                let delete = way.delete(Some("domicile.home AS h"), &conditions);
                (format!("{delete} RETURNING h.subject::text"), params(&[keys, &ids]))
            })
            .collect();
        let answers = self.conn.query_all("pushing rows aside", &calls).await?;
        let whose: BTreeSet<_> = answers.iter().flatten().map(|row| SubjectId(row.get(0))).collect();
        if !whose.is_empty() {
            let whose: Vec<SubjectId> = whose.iter().cloned().collect();
            let bump = format!(
                "UPDATE domicile.home SET gen = gen + 1 \
                 WHERE subject = ANY($1::text[]::{}[]) AND state IN ('a', 'w') RETURNING gen",
                paths::subject_type(&self.layout)
            );
            let whose = texts(&whose);
            self.conn.query_all("marking whose rows were pushed aside", &[(bump, params(&[&whose]))]).await?;
        }
        Ok(whose.into_iter().collect())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        // CRASH: the server has committed or it has not; the caller repeats what is idempotent.
        self.conn.commit().await
    }
}

/// Rows in COPY's text form: a line feed ends each, and in a value it is written as `\n`.
fn count_rows(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A DELETE or UPDATE as a query for the number of rows it touched.
pub(super) fn counted(change: &str) -> String {
    format!("WITH touched AS ({change} RETURNING 1) SELECT count(*) FROM touched")
}

pub(super) fn borrow(keys: &BTreeSet<Key>) -> Vec<&str> {
    keys.iter().map(|k| k.0.as_str()).collect()
}

/// One row's text, as COPY gives it, for callers that have whole rows in memory.
pub(super) fn stream(rows: Vec<Bytes>) -> RowStream<'static> {
    futures::stream::iter(rows.into_iter().map(Ok)).boxed()
}
