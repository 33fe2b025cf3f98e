//! Erasing what has moved away, and making it hard to find in the file.

use super::Sqlite;
use super::deleting::{self, Scope};
use super::fault::Fault;
use super::guard::installed;
use super::paths::{self, subjects_json};
use crate::records::{Lease, SubjectId};
use crate::{Error, Result};
use domicile_datamap::layout::{Layout, TableIx};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest wait for each of the locks that scrubbing needs.
const SCRUB_WAIT_MAX: Duration = Duration::from_secs(15);

impl Sqlite {
    /// See [`crate::Records::erase_some`].
    ///
    /// CRASH: one transaction; rows of a call that did not return are all there or all gone, and the
    /// next call finds what is left.
    pub(super) async fn erase_rows(
        &self,
        lease: &Lease,
        subjects: &[(SubjectId, u64)],
        limit: u32,
    ) -> Result<BTreeMap<TableIx, u64>> {
        let (layout, subjects, name) = (self.layout.clone(), subjects.to_vec(), self.cell.name().to_owned());
        self.write("erase rows", Some(lease), move |conn| {
            conn.execute_batch("PRAGMA defer_foreign_keys = ON")?;
            check_away(conn, &layout, &subjects, &name)?;
            let subjects: Vec<_> = subjects.into_iter().map(|(subject, _)| subject).collect();
            erase(conn, &layout, &subjects_json(&subjects), limit as usize)
        })
        .await
    }

    /// See [`crate::Records::scrub`]. Needs a moment without other transactions; else [`Error::Again`].
    pub(super) async fn scrub_file(&self) -> Result<String> {
        self.scrub_within(SCRUB_WAIT_MAX).await
    }

    /// [`Sqlite::scrub_file`] that waits at most so long for each lock.
    pub(super) async fn scrub_within(&self, wait: Duration) -> Result<String> {
        self.cell.waiting_at_most(wait).with_connection("scrub", scrub).await
    }
}

fn scrub(conn: &mut Connection) -> Result<String, Fault> {
    truncate_wal(conn)?;
    let samples = drop_samples(conn)?;
    // VACUUM writes the file anew without free pages and without the rests in used ones. It counts as a
    // change of the schema, which the guard must not take for somebody else's.
    let before = installed::schema_version(conn)?;
    conn.execute_batch("VACUUM")?;
    installed::after_vacuum(conn, before)?;
    truncate_wal(conn)?;
    Ok(format!(
        "secure_delete, wal_checkpoint(TRUNCATE), VACUUM{}; not seen: blocks the file system freed, its \
         snapshots and backups",
        if samples { ", statistics' samples dropped (run ANALYZE)" } else { "" }
    ))
}

/// INVARIANT: nothing of a subject is erased unless its row here says `away` at that epoch, read under
/// the write lock of the transaction that erases.
fn check_away(
    conn: &Connection,
    layout: &Layout,
    subjects: &[(SubjectId, u64)],
    name: &str,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM domicile_home WHERE {} AND state = 'w' AND epoch = ?2)",
        paths::in_subjects("subject", paths::subject_type(layout))
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut others = 0;
    for (subject, epoch) in subjects {
        let one = subjects_json(std::slice::from_ref(subject));
        let away: bool = statement.query_row(rusqlite::params![one, *epoch as i64], |row| row.get(0))?;
        others += u64::from(!away);
    }
    if others == 0 {
        return Ok(());
    }
    let what = format!(
        "{others} of {} subjects are not `away` at the epoch of their move: nothing was erased",
        subjects.len()
    );
    Err(Error::Schema { store: name.into(), what }.into())
}

fn erase(
    conn: &Connection,
    layout: &Layout,
    subjects: &str,
    limit: usize,
) -> Result<BTreeMap<TableIx, u64>, Fault> {
    let (mut all, mut left) = (BTreeMap::new(), limit);
    for ix in (0..layout.tables.len()).rev() {
        while left > 0 {
            let keys = deleting::keys_of(conn, layout, ix, subjects, left)?;
            if keys.is_empty() {
                break;
            }
            let erased = deleting::remove(conn, layout, ix, &keys, Scope::Subjects(subjects))?;
            *all.entry(ix).or_default() += erased;
            left = left.saturating_sub(keys.len());
        }
    }
    Ok(all)
}

/// Writes the log back and empties it.
fn truncate_wal(conn: &Connection) -> Result<(), Fault> {
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        let (code, why) = (rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), "the log is being read");
        return Err(rusqlite::Error::SqliteFailure(code, Some(why.into())).into());
    }
    Ok(())
}

/// ANALYZE of an SQLite built with STAT4 keeps sample values of indexed columns, erased ones too.
fn drop_samples(conn: &Connection) -> Result<bool, Fault> {
    let exists: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat4')",
        [],
        |row| row.get(0),
    )?;
    if exists {
        conn.execute_batch("DELETE FROM sqlite_stat4")?;
    }
    Ok(exists)
}
