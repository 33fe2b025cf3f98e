//! The journal of batches and the lists of plans, which name real subjects and so stay in the region;
//! and the leases.

use super::{Fault, Sqlite};
use crate::planted::Bug;
use crate::records::{BatchRow, Lease, SubjectId};
use crate::{Error, Result};
use rusqlite::{Connection, OptionalExtension};

/// Subjects of a list written in one transaction: some tens of milliseconds of the file's write lock.
const LIST_AT_ONCE: usize = 10_000;

impl Sqlite {
    /// See [`crate::Records::extend_list`]. Long lists are written in several transactions, so that the
    /// application's writers get their turn.
    pub(super) async fn extend_list(&self, list: &str, subjects: &[SubjectId]) -> Result<()> {
        // CRASH: a part of the list is there. The plan holds the whole list's hash, so a part is refused;
        // planning again makes a list of another name.
        for part in subjects.chunks(LIST_AT_ONCE) {
            let (list, part) = (list.to_owned(), part.to_vec());
            self.write("extend a list", None, move |conn| {
                let mut put = conn.prepare_cached(
                    "INSERT INTO domicile_list(list, subject) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                )?;
                for subject in part {
                    put.execute((&list, subject.0))?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// See [`crate::Records::list`].
    pub(super) async fn list(
        &self,
        list: &str,
        after: Option<&SubjectId>,
        limit: u32,
    ) -> Result<Vec<SubjectId>> {
        let (list, after) = (list.to_owned(), after.cloned());
        self.read("read a list", move |conn| {
            let beyond = if after.is_some() { "AND subject > ?2" } else { "" };
            let sql = format!(
                "SELECT CAST(subject AS TEXT) FROM domicile_list WHERE list = ?1 {beyond} ORDER BY subject LIMIT {limit}"
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let params: Vec<String> = std::iter::once(list).chain(after.map(|s| s.0)).collect();
            let rows = statement.query_map(rusqlite::params_from_iter(params), |r| Ok(SubjectId(r.get(0)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// See [`crate::Records::drop_list`].
    pub(super) async fn drop_list(&self, list: &str) -> Result<()> {
        let list = list.to_owned();
        self.write("drop a list", None, move |conn| {
            conn.prepare_cached("DELETE FROM domicile_list WHERE list = ?1")?.execute([list])?;
            Ok(())
        })
        .await
    }

    /// See [`crate::Records::open_batches`].
    pub(super) async fn open_batches(&self, batches: &[BatchRow]) -> Result<()> {
        let batches = batches.to_vec();
        // CRASH: all batches of the call are there or none; the call may be repeated.
        self.write("open batches", None, move |conn| batches.iter().try_for_each(|b| open_batch(conn, b)))
            .await
    }

    /// See [`crate::Records::put_batch`].
    pub(super) async fn put_batch(&self, lease: &Lease, record: &serde_json::Value) -> Result<()> {
        let (name, batch, record) = (self.cell.name().to_owned(), lease.batch.clone(), record.to_string());
        // CRASH: the record before or this one; resume goes on from the one it finds.
        self.write("write a batch's record", Some(lease), move |conn| {
            let n = conn
                .prepare_cached("UPDATE domicile_batch SET record = ?2 WHERE batch = ?1")?
                .execute((&batch, record))?;
            if n == 0 {
                let what = format!("batch `{batch}` is not in the journal");
                return Err(Error::Schema { store: name, what }.into());
            }
            Ok(())
        })
        .await
    }

    /// See [`crate::Records::batch_ids`].
    pub(super) async fn batch_ids(&self, wave: &str) -> Result<Vec<String>> {
        let wave = wave.to_owned();
        self.read("list batches", move |conn| {
            let mut statement = conn
                .prepare_cached("SELECT batch FROM domicile_batch WHERE wave = ?1 ORDER BY number, batch")?;
            Ok(statement.query_map([wave], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// See [`crate::Records::known_batches`].
    pub(super) async fn known_batches(&self) -> Result<Vec<String>> {
        self.read("list all batches", move |conn| {
            let sql = "SELECT batch FROM domicile_batch UNION SELECT batch FROM domicile_lease";
            let mut statement = conn.prepare_cached(sql)?;
            Ok(statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// See [`crate::Records::batch`].
    pub(super) async fn batch(&self, batch: &str) -> Result<Option<BatchRow>> {
        let (name, batch) = (self.cell.name().to_owned(), batch.to_owned());
        self.read("read a batch", move |conn| {
            let mut statement =
                conn.prepare_cached("SELECT wave, record FROM domicile_batch WHERE batch = ?1")?;
            let found: Option<(String, String)> =
                statement.query_row([&batch], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let Some((wave, record)) = found else { return Ok(None) };
            let subjects = members(conn, &batch)?;
            let record = serde_json::from_str(&record).map_err(|e| Error::Failed {
                store: name,
                what: format!("read the record of batch `{batch}`"),
                why: e.to_string(),
            })?;
            Ok(Some(BatchRow { batch, wave, subjects, record }))
        })
        .await
    }

    /// See [`crate::Records::members`].
    pub(super) async fn members(&self, wave: &str, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        let (wave, subjects) = (wave.to_owned(), subjects.to_vec());
        self.read("look up members of batches", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT 1 FROM domicile_member m JOIN domicile_batch b ON b.batch = m.batch
                 WHERE m.subject = ?2 AND b.wave = ?1",
            )?;
            let mut found = Vec::new();
            for subject in subjects {
                if statement.exists((&wave, &subject.0))? {
                    found.push(subject);
                }
            }
            Ok(found)
        })
        .await
    }

    /// See [`crate::Records::count_members`].
    pub(super) async fn count_members(&self, wave: &str) -> Result<u64> {
        let wave = wave.to_owned();
        self.read("count members of batches", move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT count(*) FROM domicile_member m JOIN domicile_batch b ON b.batch = m.batch WHERE b.wave = ?1",
            )?;
            Ok(statement.query_row([wave], |row| row.get::<_, i64>(0))?.unsigned_abs())
        })
        .await
    }

    /// See [`crate::Records::take_lease`]. SQLite can't end another process's transaction: one of the
    /// holder before us that is in progress keeps the file's lock for its short time, then the
    /// token it has is worth nothing.
    pub(super) async fn take_lease(&self, batch: &str) -> Result<Lease> {
        let batch = batch.to_owned();
        let drawn = Lease::draw(self.cell.name())?;
        // CRASH: the token is ours or unchanged; a token nobody knows of is replaced by the next taker.
        self.write("take a lease", None, move |conn| {
            let token = conn
                .prepare_cached(
                    "INSERT INTO domicile_lease(batch, token, pid, started) VALUES (?1, ?4, ?2, datetime('now'))
                     ON CONFLICT (batch) DO UPDATE SET token = iif(?3, excluded.token, token), pid = excluded.pid, started = excluded.started
                     RETURNING token",
                )?
                .query_row((&batch, std::process::id(), !Bug::NoToken.is_planted(), drawn), |r| r.get(0))?;
            Ok(Lease { batch, token })
        })
        .await
    }

    /// See [`crate::Records::close_batch`].
    pub(super) async fn close_batch(&self, lease: &Lease) -> Result<()> {
        let batch = lease.batch.clone();
        self.write("close a batch", Some(lease), move |conn| {
            for table in ["domicile_member", "domicile_batch", "domicile_lease"] {
                conn.execute(&format!("DELETE FROM {table} WHERE batch = ?1"), [&batch])?;
            }
            Ok(())
        })
        .await
    }
}

fn open_batch(conn: &Connection, row: &BatchRow) -> Result<(), Fault> {
    // `wave/number`
    let number: i64 = row.batch.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let opened = conn
        .prepare_cached(
            "INSERT INTO domicile_batch(batch, wave, number, record) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (batch) DO NOTHING",
        )?
        .execute((&row.batch, &row.wave, number, row.record.to_string()))?;
    if opened == 0 {
        return Ok(());
    }
    let mut put = conn.prepare_cached(
        "INSERT INTO domicile_member(batch, subject) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?;
    for subject in &row.subjects {
        put.execute((&row.batch, &subject.0))?;
    }
    Ok(())
}

fn members(conn: &Connection, batch: &str) -> Result<Vec<SubjectId>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT CAST(subject AS TEXT) FROM domicile_member WHERE batch = ?1 ORDER BY rowid",
    )?;
    let rows = statement.query_map([batch], |r| Ok(SubjectId(r.get(0)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
