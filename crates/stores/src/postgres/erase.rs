//! Rows deleted by explicit keys, children first, and the erasing of moved subjects.
//!
//! Linear in the rows: they are listed many at a time and each is then looked up by its key. (Listing
//! some with every call would walk over the dead entries of those before, again and again. And
//! PostgreSQL itself looks for referring rows of every deleted one; where a foreign key's columns have
//! no index, that is a scan each.)

use super::paths::{self, Found, Way};
use super::pool::Conn;
use super::snapshot::{Call, count, params};
use super::writing::{begin_with_lease, borrow, counted};
use super::{Postgres, quote};
use crate::error::{Error, Result};
use crate::planted::Bug;
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
        let found = self.found(&conn).await?;
        begin_with_lease(&mut conn, &self.store_name(), lease, found).await?;
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
        let found = self.found(conn).await?;
        let tables = tables_with_rows(conn, &self.layout, found, ids).await?;
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

    async fn some_keys(&self, conn: &Conn, table: TableIx, ids: &[&str]) -> Result<Vec<Key>> {
        let found = self.found(conn).await?;
        let rows = Way::to_owner(&self.layout, table).select_of(&self.layout, "$1", found, &[]);
        let key = paths::key_text(&self.layout.tables[table], "t0");
        let sql = format!("SELECT {key} {rows} LIMIT {LISTED_MAX}");
        let keys = conn.query("listing rows to erase", &sql, &[&ids]).await?;
        Ok(keys.iter().map(|row| Key(row.get(0))).collect())
    }
}

/// The tables in which the subjects `ids` have a row, in the layout's order.
pub(super) async fn tables_with_rows(
    conn: &Conn,
    layout: &Layout,
    found: Found,
    ids: &[&str],
) -> Result<Vec<TableIx>> {
    let call = |ix| {
        let rows = Way::to_owner(layout, ix).select_of(layout, "$1", found, &[]);
        (format!("SELECT EXISTS (SELECT 1 {rows})"), params(&[&ids]))
    };
    let calls: Vec<Call<'_>> = (0..layout.tables.len()).map(call).collect();
    let answers = conn.query_all("looking for rows of subjects", &calls).await?;
    let some = answers.iter().enumerate().filter(|(_, rows)| rows[0].get(0));
    Ok(some.map(|(ix, _)| ix).collect())
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
        let mut mine = paths::owner_is_any(layout, &way, "$2");
        if Bug::DeleteOthers.is_planted() {
            mine = "$2::text[] IS NOT NULL".to_owned();
        }
        for unlink in unlink_keys(layout, *ix) {
            calls.push((unlink, params(&[keys, &ids])));
        }
        places.push((*ix, calls.len()));
        let delete = way.delete_keys(&layout.tables[*ix], "$1", &[mine]);
        calls.push((counted(&delete), params(&[keys, &ids])));
    }
    let answers = conn.query_all("deleting rows", &calls).await?;
    let deleted = places.into_iter().map(|(ix, place)| (ix, count(&answers[place][0], 0)));
    Ok(deleted.filter(|(_, n)| *n > 0).collect())
}

/// A foreign key of `from` to `to` whose rows must let go before those of `to` can be deleted.
struct Loop<'a> {
    from: &'a MappedTable,
    from_ix: TableIx,
    columns: &'a [String],
    referenced: &'a [String],
    /// The columns that are set to NULL.
    blank: Vec<&'a str>,
    /// The data map answers them `null`: they are neither moved nor in a digest, so that whoever's row it
    /// is loses them. Else `to` stands later than `from` or is `from` itself, child-first order does not
    /// settle it, and only rows that go themselves are changed.
    anyones: bool,
}

/// Loops that end at `to`.
fn loops(layout: &Layout, to: TableIx) -> Vec<Loop<'_>> {
    let mut found = Vec::new();
    for (from_ix, from) in layout.tables.iter().enumerate() {
        let stands =
            |name: &str| !layout.dropped_foreign_keys.contains(&(from.name.clone(), name.to_owned()));
        let keys = from.foreign_keys.iter().filter(|fk| stands(&fk.name));
        for fk in keys.filter(|fk| fk.references == layout.tables[to].name) {
            let (columns, referenced) = (&fk.columns[..], &fk.referenced[..]);
            let among = |pick: &dyn Fn(&String) -> bool| -> Vec<&str> {
                columns.iter().filter(|c| pick(c)).map(String::as_str).collect()
            };
            let blanked = among(&|c| from.blanked.contains(c));
            let anyones = !blanked.is_empty();
            let blank = if anyones { blanked } else { among(&|c| can_be_null(from, c)) };
            if anyones || (from_ix <= to && !blank.is_empty()) {
                found.push(Loop { from, from_ix, columns, referenced, blank, anyones });
            }
        }
    }
    found
}

/// The column may be NULL, and the row keeps its key and its owner without it.
fn can_be_null(table: &MappedTable, column: &String) -> bool {
    let owner = match &table.owner {
        Owner::Root { column } | Owner::Direct { column } => Some(column),
        Owner::Derived { .. } => None,
    };
    let declared = table.columns.iter().any(|m| &m.name == column && !m.not_null);
    declared && !table.key.contains(column) && owner != Some(column)
}

fn blanking(blank: &[&str]) -> String {
    blank.iter().map(|c| format!("{} = NULL", quote::ident(c))).collect::<Vec<_>>().join(", ")
}

/// Statements that blank references to the keys ($1) of `to` (owned by $2) which would stop or extend
/// their deletion.
fn unlink_keys(layout: &Layout, to: TableIx) -> Vec<String> {
    let way = Way::to_owner(layout, to);
    let mine = [paths::key_in(&layout.tables[to], "t0", "$1"), paths::owner_is_any(layout, &way, "$2")];
    let mut statements = unlink_anyones(layout, to, &mine);
    for l in loops(layout, to).into_iter().filter(|l| !l.anyones) {
        let referring = Way::to_owner_as_c(layout, l.from_ix);
        let mut conditions = l.refers();
        conditions.extend_from_slice(&mine);
        conditions.push(paths::owner_is_any(layout, &referring, "$2"));
        statements.push(referring.update(&blanking(&l.blank), Some(&way), &conditions));
    }
    statements
}

/// Statements that blank anybody's references, answered `null`, to the rows of `to` that are `mine`.
///
/// Subjects whose writers are at work own some of them. INVARIANT: no lock is waited for, so the mover is
/// in no deadlock with a writer: it gives way, and the transaction is repeated. The rows that go are locked
/// before: nobody can begin to refer to them behind the blanking.
fn unlink_anyones(layout: &Layout, to: TableIx, mine: &[String]) -> Vec<String> {
    let way = Way::to_owner(layout, to);
    let mut statements = Vec::new();
    for l in loops(layout, to).into_iter().filter(|l| l.anyones) {
        if statements.is_empty() {
            statements.push(held(&way.select(mine), "FOR UPDATE OF t0"));
        }
        let referring = Way::alone_as_c(layout, l.from_ix);
        let mut conditions = l.refers();
        conditions.extend_from_slice(mine);
        statements.push(held(&referring.select_both(&way, &conditions), &format!("{} OF c0", l.lock())));
        statements.push(referring.update(&blanking(&l.blank), Some(&way), &conditions));
    }
    statements
}

impl Loop<'_> {
    /// Row `c0` refers to row `t0`.
    fn refers(&self) -> Vec<String> {
        let pairs = self.columns.iter().zip(self.referenced);
        pairs
            .map(|(own, theirs)| format!("{} = {}", quote::column("c0", own), quote::column("t0", theirs)))
            .collect()
    }

    /// The lock that an UPDATE of the blanked columns takes.
    fn lock(&self) -> &'static str {
        let unique = |c: &&str| self.from.uniques.iter().any(|u| u.columns.iter().any(|own| own == c));
        if self.blank.iter().any(unique) { "FOR UPDATE" } else { "FOR NO KEY UPDATE" }
    }
}

/// Locks what is selected without waiting for anybody.
fn held(rows: &str, lock: &str) -> String {
    format!("WITH held AS (SELECT 1 {rows} {lock} NOWAIT) SELECT count(*) FROM held")
}

/// Statements that blank references of the subjects' ($1) rows to rows that are deleted before them, and
/// of anybody's rows where the data map says so. A self-reference needs none where all rows go in one
/// statement.
pub(super) fn unlink_owned(layout: &Layout) -> Vec<String> {
    let mut all = Vec::new();
    for to in 0..layout.tables.len() {
        let mine = paths::owner_is_any(layout, &Way::to_owner(layout, to), "$1");
        all.extend(unlink_anyones(layout, to, &[mine]));
        for l in loops(layout, to).into_iter().filter(|l| !l.anyones && l.from_ix != to) {
            let way = Way::to_owner(layout, l.from_ix);
            let set: Vec<String> =
                l.blank.iter().map(|c| format!("{} IS NOT NULL", quote::column("t0", c))).collect();
            let mine = [paths::owner_is_any(layout, &way, "$1"), format!("({})", set.join(" OR "))];
            all.push(way.update(&blanking(&l.blank), None, &mine));
        }
    }
    all
}
