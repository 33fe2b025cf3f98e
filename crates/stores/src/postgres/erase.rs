//! Rows deleted by explicit keys, children first, and the erasing of moved subjects.
//!
//! Linear in the rows: they are listed many at a time and each is then looked up by its key. (Listing
//! some with every call would walk over the dead entries of those before, again and again. And
//! PostgreSQL itself looks for referring rows of every deleted one; where a foreign key's columns have
//! no index, that is a scan each.)

use super::paths::{self, Way};
use super::pool::Conn;
use super::snapshot::{Call, count, params};
use super::writing::{begin_with_lease, borrow, counted};
use super::{Postgres, quote};
use crate::error::{Error, Result};
use crate::records::{Key, KeySet, Lease, SubjectId};
use domicile_datamap::layout::{Layout, MappedTable, Owner, TableIx};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::PoisonError;

/// Keys listed at once, in memory until they are erased: some 10 MB.
const LISTED_MAX: usize = 100_000;

/// How far the erasing of a batch has come: a cache, and no more. What it says is checked by every
/// DELETE, it is dropped when anything fails, and only a fresh look says that nothing is left.
pub(super) struct Erasing {
    subjects: Vec<(SubjectId, u64)>,
    /// Tables that had rows, the next one last.
    tables: Vec<TableIx>,
    /// Keys of one table that were listed and not erased yet.
    listed: (TableIx, Vec<Key>),
}

impl Postgres {
    /// CRASH: what was committed is gone and counted by the caller or not; the next call finds the rest.
    pub(super) async fn erase_up_to(
        &self,
        lease: &Lease,
        subjects: &[(SubjectId, u64)],
        limit: u32,
    ) -> Result<BTreeMap<TableIx, u64>> {
        let known = self.erasing().remove(&lease.batch).filter(|e| e.subjects == subjects);
        let mut conn = self.conn().await?;
        begin_with_lease(&mut conn, lease).await?;
        let ids: Vec<&str> = subjects.iter().map(|(s, _)| s.0.as_str()).collect();
        self.check_away(&conn, &ids, subjects).await?;
        let mut erased = BTreeMap::new();
        let resumed = known.is_some();
        let mut at = match known {
            Some(at) => at,
            None => self.look(&conn, &ids, subjects).await?,
        };
        self.erase_from(&conn, &mut at, &ids, limit, &mut erased).await?;
        if resumed && erased.is_empty() {
            at = self.look(&conn, &ids, subjects).await?;
            self.erase_from(&conn, &mut at, &ids, limit, &mut erased).await?;
        }
        conn.commit().await?;
        if !erased.is_empty() {
            self.erasing().insert(lease.batch.clone(), at);
        }
        Ok(erased)
    }

    /// A fresh look at which tables have rows.
    async fn look(&self, conn: &Conn, ids: &[&str], subjects: &[(SubjectId, u64)]) -> Result<Erasing> {
        let tables = self.tables_with_rows(conn, ids).await?;
        Ok(Erasing { subjects: subjects.to_vec(), tables, listed: (0, Vec::new()) })
    }

    async fn erase_from(
        &self,
        conn: &Conn,
        at: &mut Erasing,
        ids: &[&str],
        limit: u32,
        erased: &mut BTreeMap<TableIx, u64>,
    ) -> Result<()> {
        let mut left = limit as usize;
        while left > 0 {
            if at.listed.1.is_empty() {
                let Some(&table) = at.tables.last() else { break };
                let keys = self.some_keys(conn, table, ids).await?;
                if keys.len() < LISTED_MAX {
                    at.tables.pop();
                }
                at.listed = (table, keys);
            }
            let (table, keys) = &mut at.listed;
            let now: BTreeSet<Key> = keys.split_off(keys.len().saturating_sub(left)).into_iter().collect();
            left -= now.len();
            for (table, n) in delete_keys(conn, &self.layout, &KeySet::from([(*table, now)]), ids).await? {
                *erased.entry(table).or_default() += n;
            }
        }
        Ok(())
    }

    fn erasing(&self) -> std::sync::MutexGuard<'_, HashMap<String, Erasing>> {
        self.erasing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the subjects' rows of `domicile.home` as `away` in their epoch until the transaction ends.
    async fn check_away(&self, conn: &Conn, ids: &[&str], subjects: &[(SubjectId, u64)]) -> Result<()> {
        let epochs: Vec<i64> =
            subjects.iter().map(|(_, epoch)| i64::try_from(*epoch).unwrap_or(i64::MAX)).collect();
        let sql = format!(
            "SELECT h.subject::text FROM domicile.home AS h JOIN unnest($1::text[], $2::int8[]) AS a(id, epoch) \
             ON h.subject = a.id::{} AND h.epoch = a.epoch WHERE h.state = 'w' FOR SHARE OF h",
            paths::subject_type(&self.layout)
        );
        let held = conn.query("checking that subjects are away", &sql, &[&ids, &epochs]).await?;
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        if held.len() == distinct.len() {
            return Ok(());
        }
        Err(Error::Schema {
            store: conn.store(),
            what: format!(
                "{} of {} subjects are not `away` in the epoch of this move: nothing was erased",
                distinct.len() - held.len().min(distinct.len()),
                distinct.len()
            ),
        })
    }

    /// Tables in which these subjects have a row, in the layout's order.
    async fn tables_with_rows(&self, conn: &Conn, ids: &[&str]) -> Result<Vec<TableIx>> {
        let calls: Vec<Call<'_>> = (0..self.layout.tables.len())
            .map(|ix| {
                let way = Way::to_owner(&self.layout, ix);
                let rows = way.select(&[paths::owner_is_any(&self.layout, &way, "$1")]);
                (format!("SELECT EXISTS (SELECT 1 {rows})"), params(&[&ids]))
            })
            .collect();
        let answers = conn.query_all("looking for rows to erase", &calls).await?;
        let found = answers.iter().enumerate().filter(|(_, rows)| rows[0].get(0));
        Ok(found.map(|(ix, _)| ix).collect())
    }

    async fn some_keys(&self, conn: &Conn, table: TableIx, ids: &[&str]) -> Result<Vec<Key>> {
        let way = Way::to_owner(&self.layout, table);
        let rows = way.select(&[paths::owner_is_any(&self.layout, &way, "$1")]);
        let key = paths::key_text(&self.layout.tables[table], "t0");
        let sql = format!("SELECT {key} {rows} LIMIT {LISTED_MAX}");
        let keys = conn.query("listing rows to erase", &sql, &[&ids]).await?;
        Ok(keys.iter().map(|row| Key(row.get(0))).collect())
    }
}

/// Deletes those of the keys whose owner here is one of `ids`, children first, all in one round trip.
/// Returns rows by table.
pub(super) async fn delete_keys(
    conn: &Conn,
    layout: &Layout,
    keys: &KeySet,
    ids: &[&str],
) -> Result<BTreeMap<TableIx, u64>> {
    let asked: Vec<(TableIx, Vec<&str>)> = keys.iter().map(|(ix, keys)| (*ix, borrow(keys))).rev().collect();
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut places = Vec::new();
    for (ix, keys) in &asked {
        let way = Way::to_owner(layout, *ix);
        let mine = [paths::key_in(&layout.tables[*ix], "t0", "$1"), paths::owner_is_any(layout, &way, "$2")];
        for unlink in unlink_keys(layout, *ix) {
            calls.push((unlink, params(&[keys, &ids])));
        }
        places.push((*ix, calls.len()));
        calls.push((counted(&way.delete(None, &mine)), params(&[keys, &ids])));
    }
    let answers = conn.query_all("deleting rows", &calls).await?;
    let deleted = places.into_iter().map(|(ix, place)| (ix, count(&answers[place][0], 0)));
    Ok(deleted.filter(|(_, n)| *n > 0).collect())
}

/// A foreign key of `from` to `to` that child-first order does not settle: `to` stands later, or is
/// `from` itself. `blank` are its columns that can be NULL.
struct Loop<'a> {
    from: &'a MappedTable,
    from_ix: TableIx,
    columns: &'a [String],
    referenced: &'a [String],
    blank: Vec<&'a str>,
}

/// Loops that end at `to`.
fn loops(layout: &Layout, to: TableIx) -> Vec<Loop<'_>> {
    let mut found = Vec::new();
    for (ix, from) in layout.tables.iter().enumerate().take(to + 1) {
        let owner = match &from.owner {
            Owner::Root { column } | Owner::Direct { column } => Some(column),
            Owner::Derived { .. } => None,
        };
        let stands =
            |name: &str| !layout.dropped_foreign_keys.contains(&(from.name.clone(), name.to_owned()));
        let keys = from.foreign_keys.iter().filter(|fk| stands(&fk.name));
        for fk in keys.filter(|fk| fk.references == layout.tables[to].name) {
            let nullable = |c: &&String| {
                let declared = from.columns.iter().any(|m| &m.name == *c && !m.not_null);
                declared && !from.key.contains(c) && owner != Some(*c)
            };
            let blank: Vec<&str> = fk.columns.iter().filter(nullable).map(String::as_str).collect();
            if !blank.is_empty() {
                let (columns, referenced) = (&fk.columns[..], &fk.referenced[..]);
                found.push(Loop { from, from_ix: ix, columns, referenced, blank });
            }
        }
    }
    found
}

fn blanking(blank: &[&str]) -> String {
    blank.iter().map(|c| format!("{} = NULL", quote::ident(c))).collect::<Vec<_>>().join(", ")
}

/// Statements that blank references to the keys ($1) of `to` (owned by $2) which would stop or extend
/// their deletion.
fn unlink_keys(layout: &Layout, to: TableIx) -> Vec<String> {
    let statement = |l: Loop<'_>| {
        let (way, referring) = (Way::to_owner(layout, to), Way::to_owner_as_c(layout, l.from_ix));
        let referred = l.columns.iter().zip(l.referenced);
        let mut conditions: Vec<String> = referred
            .map(|(own, theirs)| format!("{} = {}", quote::column("c0", own), quote::column("t0", theirs)))
            .collect();
        conditions.push(paths::key_in(&layout.tables[to], "t0", "$1"));
        conditions.push(paths::owner_is_any(layout, &way, "$2"));
        // Another subject's row is blanked only where the data map says that it may be.
        if !l.blank.iter().any(|c| l.from.blanked.iter().any(|b| b == c)) {
            conditions.push(paths::owner_is_any(layout, &referring, "$2"));
        }
        referring.update(&blanking(&l.blank), Some(&way), &conditions)
    };
    loops(layout, to).into_iter().map(statement).collect()
}

/// Statements that blank references of the subjects' ($1) rows to rows that are deleted before them.
/// A self-reference needs none where all rows go in one statement.
pub(super) fn unlink_owned(layout: &Layout) -> Vec<String> {
    let all = (0..layout.tables.len()).flat_map(|to| {
        loops(layout, to).into_iter().filter(move |l| l.from_ix != to).map(|l| {
            let way = Way::to_owner(layout, l.from_ix);
            let set: Vec<String> =
                l.blank.iter().map(|c| format!("{} IS NOT NULL", quote::column("t0", c))).collect();
            let mine = [paths::owner_is_any(layout, &way, "$1"), format!("({})", set.join(" OR "))];
            way.update(&blanking(&l.blank), None, &mine)
        })
    });
    all.collect()
}
