//! Digests, counts and sizes: what is compared between two regions, computed where the rows are.

use super::fault::Fault;
use super::paths::{self, keys_json, subjects_json};
use super::quote::column;
use super::rows::ROW_HASH;
use crate::records::{Key, KeySet, Size, SubjectId, TableDigest};
use domicile_datamap::layout::{Layout, MappedTable, TableIx};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The call that hashes a row: all moved columns but `blanked` ones.
fn row_hash(table: &MappedTable) -> String {
    let columns: Vec<_> = table
        .columns
        .iter()
        .filter(|c| !table.blanked.contains(&c.name))
        .map(|c| column("a0", &c.name))
        .collect();
    format!("{ROW_HASH}({})", columns.join(", "))
}

/// Digest of every subject in every table. SQLite sorts the hashes (spilling to disk), so memory stays
/// the same however many rows a subject has.
pub(crate) fn digests(
    conn: &Connection,
    layout: &Layout,
    subjects: &[SubjectId],
) -> Result<Vec<TableDigest>, Fault> {
    let subjects = subjects_json(subjects);
    let mut all: Vec<TableDigest> = Vec::new();
    for (ix, table) in layout.tables.iter().enumerate() {
        let sql = format!(
            "SELECT s.value, {} FROM {} ORDER BY 1, 2",
            row_hash(table),
            paths::from_subjects(layout, ix)
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([&subjects])?;
        let mut running: Option<(TableDigest, Sha256)> = None;
        while let Some(row) = rows.next()? {
            let subject = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            let hash = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            if running.as_ref().is_none_or(|(digest, _)| digest.subject.0 != subject) {
                all.extend(running.take().map(finished));
                let subject = SubjectId(subject.to_owned());
                let digest = TableDigest { subject, table: ix, rows: 0, bytes: 0, sha256: String::new() };
                running = Some((digest, Sha256::new()));
            }
            let (Some((digest, hasher)), Some((sha, length))) =
                (&mut running, hash.split_first_chunk::<32>())
            else {
                continue;
            };
            digest.rows += 1;
            digest.bytes += length.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
            hasher.update(sha);
        }
        all.extend(running.take().map(finished));
    }
    all.sort();
    Ok(all)
}

fn finished((mut digest, hasher): (TableDigest, Sha256)) -> TableDigest {
    digest.sha256 = hex::encode(hasher.finalize());
    digest
}

/// SHA-256 of single rows, where they exist and belong to one of the subjects.
pub(crate) fn row_digests(
    conn: &Connection,
    layout: &Layout,
    keys: &KeySet,
    subjects: &[SubjectId],
) -> Result<BTreeMap<(TableIx, Key), String>, Fault> {
    let subjects = subjects_json(subjects);
    let mut all = BTreeMap::new();
    for (&ix, keys) in keys {
        let sql = format!(
            "SELECT k.value, {} FROM {} WHERE {}",
            row_hash(&layout.tables[ix]),
            paths::from_keys(layout, ix),
            paths::owner_in_subjects(layout, ix)
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([&subjects, &keys_json(keys)])?;
        while let Some(row) = rows.next()? {
            let hash = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            all.insert((ix, Key(row.get(0)?)), hex::encode(&hash[..32.min(hash.len())]));
        }
    }
    Ok(all)
}

/// Rows by subject and table; zero counts are left out.
pub(crate) fn counts(
    conn: &Connection,
    layout: &Layout,
    subjects: &[SubjectId],
) -> Result<BTreeMap<(SubjectId, TableIx), u64>, Fault> {
    let subjects = subjects_json(subjects);
    let mut all = BTreeMap::new();
    for ix in 0..layout.tables.len() {
        let sql = format!("SELECT s.value, count(*) FROM {} GROUP BY 1", paths::from_subjects(layout, ix));
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([&subjects])?;
        while let Some(row) = rows.next()? {
            all.insert((SubjectId(row.get(0)?), ix), number(row, 1)?);
        }
    }
    Ok(all)
}

/// A count: never negative.
fn number(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::unsigned_abs)
}

/// Rows and bytes of text by table; tables without a row are left out.
pub(crate) fn measure(
    conn: &Connection,
    layout: &Layout,
    subjects: &[SubjectId],
) -> Result<BTreeMap<TableIx, Size>, Fault> {
    let subjects = subjects_json(subjects);
    let mut all = BTreeMap::new();
    for (ix, table) in layout.tables.iter().enumerate() {
        let lengths: Vec<_> = table
            .columns
            .iter()
            .map(|c| format!("coalesce(octet_length({}), 0)", column("a0", &c.name)))
            .collect();
        let sql = format!(
            "SELECT count(*), coalesce(sum({}), 0) FROM {}",
            lengths.join(" + "),
            paths::from_subjects(layout, ix)
        );
        let size = conn
            .prepare_cached(&sql)?
            .query_row([&subjects], |row| Ok(Size { rows: number(row, 0)?, bytes: number(row, 1)? }))?;
        if size.rows > 0 {
            all.insert(ix, size);
        }
    }
    Ok(all)
}
