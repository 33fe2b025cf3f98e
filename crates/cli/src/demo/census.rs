//! How much is where, counted by plain SQL and by listing files.

use super::case::{Case, ServiceName};
use super::folder::Folder;
use super::tables;
use super::world;
use std::fs;
use std::io;
use std::path::Path;

/// What one region holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Accounts of the cloud.
    pub people: u64,
    /// Rows in all tables of all services.
    pub rows: u64,
    pub objects: u64,
    /// Bytes of all files: databases, their logs, objects.
    pub bytes: u64,
}

/// Every region of the case, in its order.
pub fn count(case: &Case, folder: &Folder) -> rusqlite::Result<Vec<Held>> {
    let mut all = vec![Held::default(); case.regions.len()];
    for service in case.services {
        for id in service.regions {
            let Some(at) = case.region(id) else { continue };
            let conn = world::open(folder, id, service.name)?;
            for (table, described) in service.name.tables() {
                let sql = format!("SELECT count(*) FROM {}", described.name);
                let rows = conn.query_row(&sql, [], |row| row.get::<_, i64>(0))? as u64;
                all[at].rows += rows;
                if table == tables::ACCOUNTS {
                    all[at].people = rows;
                }
            }
        }
    }
    for (held, region) in all.iter_mut().zip(case.regions) {
        held.bytes = files(&folder.region(region.id)).map_or(0, |(_, bytes)| bytes);
        if case.has(ServiceName::Cloud) {
            held.objects = files(&folder.object(region.id, "photos")).map_or(0, |(files, _)| files);
        }
    }
    Ok(all)
}

/// Files below a folder, and their bytes.
fn files(folder: &Path) -> io::Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (more, size) = match entry.file_type()? {
            kind if kind.is_dir() => files(&entry.path())?,
            _ => (1, entry.metadata()?.len()),
        };
        (count, bytes) = (count + more, bytes + size);
    }
    Ok((count, bytes))
}
