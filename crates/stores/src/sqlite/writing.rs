//! The mover's write transaction.
//!
//! INVARIANT: it holds the file's write lock from its first statement and has checked the lease under
//! it, so nobody can take the lease over before it ends. The application's writers wait meanwhile
//! (their busy timeout bounds it): callers keep a batch to what loads in a fraction of a second, since
//! one [`Writing`] is one transaction and can't be cut here.

use super::connect::{Cell, begin_write, commit_write};
use super::deleting::{self, KEYS_AT_ONCE, Scope};
use super::fault::Fault;
use super::homes;
use super::paths::{self, keys_json, subjects_json};
use super::reading;
use super::session::Session;
use super::snapshot::Open;
use super::storing;
use crate::planted::Bug;
use crate::records::{Key, KeySet, Lease, RowStream, State, SubjectId, Writing};
use crate::{Error, Result};
use async_trait::async_trait;
use domicile_datamap::TableName;
use domicile_datamap::layout::{Layout, TableIx};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Open {
    /// A write transaction under that lease. Foreign keys are checked at the commit.
    pub(crate) async fn writing(cell: &Cell, layout: &Arc<Layout>, lease: &Lease) -> Result<Self> {
        let held = lease.clone();
        let session = Session::open(cell, "begin a write transaction", move |conn| {
            begin_write(conn, Some(&held))?;
            conn.execute_batch("PRAGMA defer_foreign_keys = ON")?;
            Ok(())
        })
        .await?;
        cell.remember(&lease.batch, session.seat());
        Ok(Self {
            session,
            layout: layout.clone(),
            batch: lease.batch.clone(),
            late: KeySet::new(),
            late_of: BTreeSet::new(),
        })
    }
}

#[async_trait]
impl Writing for Open {
    async fn clear(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, u64>> {
        let (layout, subjects) = (self.layout.clone(), subjects_json(subjects));
        self.session.run("clear rows", move |conn| clear(conn, &layout, &subjects)).await
    }

    async fn drop_arriving(&mut self, subjects: &[SubjectId]) -> Result<u64> {
        let (subjects, batch) = (subjects.to_vec(), self.batch.clone());
        let drop = move |conn: &Connection| homes::drop_homes(conn, &subjects, State::Arriving, &batch);
        self.session.run("drop homes", drop).await
    }

    async fn load(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64> {
        // After a postponed deletion the key's old row is still there, to be replaced by the new one.
        if self.late.contains_key(&table) {
            return self.upsert(table, rows).await;
        }
        let layout = self.layout.clone();
        let load = move |conn: &Connection, feed| storing::load(conn, &layout.tables[table], feed);
        self.session.run_fed("load rows", rows, load).await
    }

    async fn upsert(&mut self, table: TableIx, rows: RowStream<'_>) -> Result<u64> {
        let (layout, batch) = (self.layout.clone(), self.batch.clone());
        let late = self.late.remove(&table).unwrap_or_default();
        let upsert = move |conn: &Connection, feed| storing::upsert(conn, &layout, table, &batch, feed, late);
        let (written, late) = self.session.run_fed("upsert rows", rows, upsert).await?;
        if !late.is_empty() {
            self.late.insert(table, late);
        }
        Ok(written)
    }

    async fn delete(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<u64> {
        let (layout, keys, of) = (self.layout.clone(), keys.clone(), subjects_json(subjects));
        let (deleted, late) =
            self.session.run("delete rows", move |conn| delete(conn, &layout, &keys, &of)).await?;
        for (table, keys) in late {
            self.late.entry(table).or_default().extend(keys);
            self.late_of.extend(subjects.iter().cloned());
        }
        Ok(deleted)
    }

    async fn push_aside(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        let (layout, keys, of) = (self.layout.clone(), keys.clone(), subjects_json(subjects));
        self.session.run("push rows aside", move |conn| push_aside(conn, &layout, &keys, &of)).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let Open { session, layout, late, late_of, .. } = *self;
        let of = subjects_json(&late_of.into_iter().collect::<Vec<_>>());
        session
            .close("commit", move |conn| {
                deleting::remove_late(conn, &layout, &late, Scope::Subjects(&of))?;
                commit_write(conn, true).map_err(|fault| name_broken_key(conn, fault))
            })
            .await
    }
}

/// Deletes all rows of the subjects, child-first.
fn clear(conn: &Connection, layout: &Layout, subjects: &str) -> Result<BTreeMap<TableIx, u64>, Fault> {
    let mut all = BTreeMap::new();
    for ix in (0..layout.tables.len()).rev() {
        loop {
            let keys = deleting::keys_of(conn, layout, ix, subjects, KEYS_AT_ONCE)?;
            if keys.is_empty() {
                break;
            }
            *all.entry(ix).or_default() +=
                deleting::remove(conn, layout, ix, &keys, Scope::Subjects(subjects))?;
        }
    }
    Ok(all)
}

/// Deletes those keys that the subjects own here; returns how many go, and which of them only at the commit.
fn delete(conn: &Connection, layout: &Layout, keys: &KeySet, subjects: &str) -> Result<(u64, KeySet), Fault> {
    // INVARIANT: owners are looked up before anything is deleted, while every path still stands.
    let mut going = KeySet::new();
    for (&ix, keys) in keys {
        let owned = if Bug::DeleteOthers.is_planted() {
            keys.clone()
        } else {
            reading::owned_of(conn, layout, ix, keys, subjects)?
        };
        going.insert(ix, owned);
    }
    let (mut deleted, mut late) = (0, KeySet::new());
    for (&ix, keys) in going.iter().rev().filter(|(_, keys)| !keys.is_empty()) {
        deleting::detach(conn, layout, ix, &keys_json(keys), Scope::Subjects(subjects), false)?;
        let (waiting, _) = deleting::postponed(conn, layout, ix, keys, &going)?;
        let now: BTreeSet<Key> = keys.difference(&waiting).cloned().collect();
        deleting::delete_keys(conn, &layout.tables[ix], &keys_json(&now))?;
        deleted += keys.len() as u64;
        if !waiting.is_empty() {
            late.insert(ix, waiting);
        }
    }
    Ok((deleted, late))
}

/// Deletes rows that were re-owned: their owner here is `arriving` or `away` and not in the batch.
fn push_aside(
    conn: &Connection,
    layout: &Layout,
    keys: &KeySet,
    subjects: &str,
) -> Result<Vec<SubjectId>, Fault> {
    let (mut pushed, mut whose) = (KeySet::new(), BTreeSet::new());
    for (&ix, keys) in keys {
        let owner = paths::owner(layout, ix);
        let sql = format!(
            "SELECT k.value, CAST({owner} AS TEXT) FROM {} CROSS JOIN domicile_home AS h ON h.subject = {owner} \
             WHERE h.state IN ('a', 'w') AND NOT {}",
            paths::from_keys(layout, ix),
            paths::owner_in_subjects(layout, ix)
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([subjects, &keys_json(keys)])?;
        while let Some(row) = rows.next()? {
            pushed.entry(ix).or_default().insert(Key(row.get(0)?));
            whose.insert(SubjectId(row.get(1)?));
        }
    }
    for (&ix, keys) in pushed.iter().rev() {
        deleting::remove(conn, layout, ix, keys, Scope::DeadBut(subjects))?;
    }
    for subject in &whose {
        conn.execute(
            "UPDATE domicile_home SET gen = gen + 1 WHERE subject = ?1 AND state IN ('a', 'w')",
            [&subject.0],
        )?;
    }
    Ok(whose.into_iter().collect())
}

/// SQLite says only `FOREIGN KEY constraint failed`. The transaction is still open then, so it can be
/// asked which table's rows refer to what is not there. Reads every table, but only on this way out.
fn name_broken_key(conn: &Connection, fault: Fault) -> Fault {
    let is_foreign_key = matches!(&fault, Fault::Sql(rusqlite::Error::SqliteFailure(code, _))
        if code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY);
    if !is_foreign_key {
        return fault;
    }
    let named = conn.query_row("SELECT \"table\", fkid FROM pragma_foreign_key_check LIMIT 1", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    });
    match named {
        Ok((table, id)) => Fault::Store(Error::Referred {
            store: String::new(),
            table: TableName::new("main", table).to_string(),
            constraint: format!("fk_{id}"),
        }),
        Err(_) => fault,
    }
}
