//! The mover's open transactions: reading ([`Snapshot`]) and, in `writing`, changing.

use super::comparing;
use super::connect::Cell;
use super::fault::Fault;
use super::reading::{self, Picked};
use super::session::Session;
use crate::records::{Change, Key, KeySet, ObjectRef, Pick, RowStream, Snapshot, SubjectId, TableDigest};
use crate::{Error, Result};
use async_trait::async_trait;
use domicile_datamap::layout::{Layout, TableIx};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An open transaction over the data map's tables.
pub(crate) struct Open {
    pub(crate) session: Session,
    pub(crate) layout: Arc<Layout>,
    /// The batch whose lease a write transaction holds; empty for a snapshot.
    pub(crate) batch: String,
    /// Keys whose deletion waits for the commit, see `deleting`.
    pub(crate) late: KeySet,
    /// The subjects those keys belonged to.
    pub(crate) late_of: BTreeSet<SubjectId>,
}

impl Open {
    /// A read transaction. Its instant is fixed here, not at its first question.
    pub(crate) async fn reading(cell: &Cell, layout: &Arc<Layout>) -> Result<Self> {
        let name = cell.name().to_owned();
        let session = Session::open(cell, "open a snapshot", move |conn| {
            if !enter_wal(conn)? {
                let what = "it is not in WAL mode, where a long read would make the application's writers \
                            wait; run `PRAGMA journal_mode = WAL` on it while nobody uses it";
                return Err(Error::Schema { store: name, what: what.into() }.into());
            }
            conn.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master;")?;
            Ok(())
        })
        .await?;
        Ok(Self {
            session,
            layout: layout.clone(),
            batch: String::new(),
            late: KeySet::new(),
            late_of: BTreeSet::new(),
        })
    }

    async fn ask<T, F>(&mut self, what: &'static str, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &Layout) -> Result<T, Fault> + Send + 'static,
    {
        let layout = self.layout.clone();
        self.session.run(what, move |conn| f(conn, &layout)).await
    }
}

/// Puts the file into WAL mode, which stays; `false` where it can't be (somebody reads it right now, or
/// the file system has no shared memory).
pub(crate) fn enter_wal(conn: &Connection) -> Result<bool, Fault> {
    // A connection learns of another's change of mode when it reads the file.
    conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode == "wal" {
        return Ok(true);
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    Ok(mode == "wal")
}

#[async_trait]
impl Snapshot for Open {
    async fn changes(&mut self, subjects: &[SubjectId], limit: u32) -> Result<Vec<Change>> {
        let subjects = subjects.to_vec();
        self.ask("read recorded changes", move |conn, layout| {
            reading::changes(conn, layout, &subjects, limit)
        })
        .await
    }

    async fn expand(&mut self, changes: &[Change]) -> Result<KeySet> {
        let changes = changes.to_vec();
        self.ask("expand changed rows", move |conn, layout| reading::expand(conn, layout, &changes)).await
    }

    async fn owned(&mut self, keys: &KeySet, subjects: &[SubjectId]) -> Result<KeySet> {
        let (keys, subjects) = (keys.clone(), subjects.to_vec());
        self.ask("look rows' owners up", move |conn, layout| reading::owned(conn, layout, &keys, &subjects))
            .await
    }

    async fn rows<'a>(
        &'a mut self,
        table: TableIx,
        pick: Pick<'a>,
        null_first: bool,
    ) -> Result<RowStream<'a>> {
        let layout = self.layout.clone();
        let picked = match pick {
            Pick::Subjects(subjects) => Picked::Subjects(subjects.to_vec()),
            Pick::Keys(keys, subjects) => Picked::Keys(keys.clone(), subjects.to_vec()),
        };
        self.session
            .stream("read rows", move |conn, send| {
                reading::rows(conn, &layout, table, &picked, null_first, send)
            })
            .await
    }

    async fn digests(&mut self, subjects: &[SubjectId]) -> Result<Vec<TableDigest>> {
        let subjects = subjects.to_vec();
        self.ask("digest rows", move |conn, layout| comparing::digests(conn, layout, &subjects)).await
    }

    async fn row_digests(
        &mut self,
        keys: &KeySet,
        subjects: &[SubjectId],
    ) -> Result<BTreeMap<(TableIx, Key), String>> {
        let (keys, subjects) = (keys.clone(), subjects.to_vec());
        self.ask("digest rows", move |conn, layout| comparing::row_digests(conn, layout, &keys, &subjects))
            .await
    }

    async fn counts(&mut self, subjects: &[SubjectId]) -> Result<BTreeMap<(SubjectId, TableIx), u64>> {
        let subjects = subjects.to_vec();
        self.ask("count rows", move |conn, layout| comparing::counts(conn, layout, &subjects)).await
    }

    async fn objects(&mut self, subjects: &[SubjectId], keys: Option<&KeySet>) -> Result<Vec<ObjectRef>> {
        let (keys, subjects) = (keys.cloned(), subjects.to_vec());
        self.ask("read object keys", move |conn, layout| {
            reading::objects(conn, layout, &subjects, keys.as_ref())
        })
        .await
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let end = |conn: &Connection| conn.execute_batch("ROLLBACK").map_err(Fault::from);
        self.session.close("close a transaction", end).await
    }
}
