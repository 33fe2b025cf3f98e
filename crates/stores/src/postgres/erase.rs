//! Rows deleted by explicit keys, children first, and the erasing of moved subjects.
//!
//! Linear in the rows: keys are looked up by index, each once. (PostgreSQL itself looks for referring
//! rows of every deleted one; where a foreign key's columns have no index, that is its own scan.)

use super::paths::{self, Way};
use super::pool::Conn;
use super::snapshot::{Call, count, params};
use super::writing::{begin_with_lease, borrow, counted};
use super::{Postgres, quote};
use crate::error::{Error, Result};
use crate::records::{Key, KeySet, Lease, SubjectId};
use domicile_datamap::layout::{Layout, MappedTable, Owner, TableIx};
use std::collections::{BTreeMap, BTreeSet};

impl Postgres {
    /// CRASH: what was committed is gone and counted by the caller or not; the next call finds the rest.
    pub(super) async fn erase_up_to(
        &self,
        lease: &Lease,
        subjects: &[(SubjectId, u64)],
        limit: u32,
    ) -> Result<BTreeMap<TableIx, u64>> {
        let mut conn = self.conn().await?;
        begin_with_lease(&mut conn, lease).await?;
        let ids: Vec<&str> = subjects.iter().map(|(s, _)| s.0.as_str()).collect();
        self.check_away(&conn, &ids, subjects).await?;
        let mut erased = BTreeMap::new();
        let mut left = u64::from(limit);
        for table in self.tables_with_rows(&conn, &ids).await?.into_iter().rev() {
            if left == 0 {
                break;
            }
            let keys = self.some_keys(&conn, table, &ids, left).await?;
            if keys.is_empty() {
                continue;
            }
            let found = KeySet::from([(table, keys)]);
            for (table, n) in delete_keys(&conn, &self.layout, &found, &ids).await? {
                left = left.saturating_sub(n);
                *erased.entry(table).or_default() += n;
            }
        }
        conn.commit().await?;
        Ok(erased)
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

    async fn some_keys(
        &self,
        conn: &Conn,
        table: TableIx,
        ids: &[&str],
        limit: u64,
    ) -> Result<BTreeSet<Key>> {
        let way = Way::to_owner(&self.layout, table);
        let rows = way.select(&[paths::owner_is_any(&self.layout, &way, "$1")]);
        let key = paths::key_text(&self.layout.tables[table], "t0");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let keys = conn
            .query("listing rows to erase", &format!("SELECT {key} {rows} LIMIT $2"), &[&ids, &limit])
            .await?;
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
