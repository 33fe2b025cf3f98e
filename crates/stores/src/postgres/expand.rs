//! From recorded changes to all keys they may concern.
//!
//! A `subtree` entry stands for a row that was deleted, re-owned or re-keyed, with everything that may
//! have gone or changed with it: its descendants by path, and rows of other mapped tables that refer
//! to one of them. (A target that deletes such a row to write it anew would blank or remove those by
//! ON DELETE actions; they have to be written anew, too.)

use super::paths::{self, Way};
use super::pool::Conn;
use super::quote;
use super::snapshot::{Call, params};
use crate::error::Result;
use crate::records::{Change, Key, KeySet};
use domicile_datamap::layout::{Layout, Owner, TableIx};
use std::collections::BTreeSet;

/// Rounds at most. Each follows references off the paths one step further; what is deeper (a thread
/// of a thousand replies) is found by the next catch-up, since those rows record their own changes.
const ROUNDS_MAX: usize = 1_000;

/// The keys of the entries and of what hangs on the `subtree` ones, as this transaction sees it.
pub(super) async fn expand(conn: &Conn, layout: &Layout, changes: &[Change]) -> Result<KeySet> {
    let mut all = KeySet::new();
    let mut next = Next::default();
    for change in changes {
        all.entry(change.table).or_default().insert(change.key.clone());
        if change.subtree {
            next.tops.entry(change.table).or_default().insert(change.key.clone());
        }
    }
    let (mut tops_seen, mut below_seen) = (next.tops.clone(), KeySet::new());
    for _ in 0..ROUNDS_MAX {
        let found = round(conn, layout, &next).await?;
        next = Next::default();
        for Found { table, key, by_path } in found {
            all.entry(table).or_default().insert(key.clone());
            let above = tops_seen.get(&table).is_some_and(|keys| keys.contains(&key));
            if by_path && !above && below_seen.entry(table).or_default().insert(key.clone()) {
                next.below.entry(table).or_default().insert(key);
            } else if !by_path && tops_seen.entry(table).or_default().insert(key.clone()) {
                next.tops.entry(table).or_default().insert(key);
            }
        }
        next.below.retain(|table, _| !referrers(layout, *table).is_empty());
        if next.tops.is_empty() && next.below.is_empty() {
            break;
        }
    }
    Ok(all)
}

/// What the next round asks about.
#[derive(Default)]
struct Next {
    /// Tops of subtrees: their descendants by path, and what refers to them.
    tops: KeySet,
    /// Found by path, so their own descendants were found with them: only what refers to them.
    below: KeySet,
}

/// A row found.
struct Found {
    table: TableIx,
    key: Key,
    by_path: bool,
}

/// All questions of one round, sent at once.
async fn round(conn: &Conn, layout: &Layout, next: &Next) -> Result<Vec<Found>> {
    let (tops, below) = (borrowed(&next.tops), borrowed(&next.below));
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut asked = Vec::new();
    for (ix, keys) in &tops {
        for (table, sql) in descendants(layout, *ix) {
            calls.push((sql, params(&[keys])));
            asked.push((table, true));
        }
    }
    for (ix, keys) in tops.iter().chain(&below) {
        for (table, sql) in referrers(layout, *ix) {
            calls.push((sql, params(&[keys])));
            asked.push((table, false));
        }
    }
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let answers = conn.query_all("expanding changed keys", &calls).await?;
    let rows = asked.into_iter().zip(answers);
    let found = rows.flat_map(|((table, by_path), rows)| {
        rows.into_iter().map(move |row| Found { table, key: Key(row.get(0)), by_path })
    });
    Ok(found.collect())
}

fn borrowed(keys: &KeySet) -> Vec<(TableIx, Vec<&str>)> {
    keys.iter().map(|(ix, keys)| (*ix, keys.iter().map(|k| k.0.as_str()).collect())).collect()
}

/// Queries for descendants of rows of `ancestor` by path.
fn descendants(layout: &Layout, ancestor: TableIx) -> Vec<(TableIx, String)> {
    let below = ancestor + 1..layout.tables.len();
    below
        .filter_map(|ix| {
            let (way, alias) = Way::to_ancestor(layout, ix, ancestor)?;
            let found = paths::key_in(&layout.tables[ancestor], &alias, "$1");
            let key = paths::key_text(&layout.tables[ix], "t0");
            Some((ix, format!("SELECT {key} {}", way.select(&[found]))))
        })
        .collect()
}

/// Queries for rows of mapped tables that refer to rows of `table` by a key that is not their path.
fn referrers(layout: &Layout, table: TableIx) -> Vec<(TableIx, String)> {
    let referred = &layout.tables[table];
    let mut queries = Vec::new();
    for (ix, other) in layout.tables.iter().enumerate() {
        let path: BTreeSet<(&str, &str)> = match &other.owner {
            Owner::Derived { parent, link, .. } if *parent == table => {
                link.iter().map(|(own, theirs)| (own.as_str(), theirs.as_str())).collect()
            }
            _ => BTreeSet::new(),
        };
        for fk in other.foreign_keys.iter().filter(|fk| fk.references == referred.name) {
            let pairs: Vec<_> = fk.columns.iter().zip(&fk.referenced).collect();
            let is_path =
                pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<BTreeSet<_>>() == path;
            let is_dropped = layout.dropped_foreign_keys.contains(&(other.name.clone(), fk.name.clone()));
            if is_path || is_dropped {
                continue;
            }
            let joined = pairs
                .iter()
                .map(|(own, theirs)| format!("{} = {}", quote::column("c", own), quote::column("p", theirs)))
                .chain([paths::key_in(referred, "p", "$1")]);
            let sql = format!(
                "SELECT {} FROM {} AS c, {} AS p WHERE {}",
                paths::key_text(other, "c"),
                paths::relation(other),
                paths::relation(referred),
                joined.collect::<Vec<_>>().join(" AND ")
            );
            queries.push((ix, sql));
        }
    }
    queries
}
