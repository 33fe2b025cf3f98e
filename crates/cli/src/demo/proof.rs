//! The demo's own check. It shares no code with the mover: it opens every region's databases as files,
//! reads every row, and compares with the journal of what was acknowledged.

use super::case::{Case, ServiceName};
use super::folder::Folder;
use super::journal::{self, Fate, Journal, RowKey};
use super::tables;
use super::world::{self, sha256};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

/// Where each subject's home is: service and subject to the region's place in the case.
pub type Homes = HashMap<(ServiceName, i64), usize>;

/// A row as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sighting {
    region: usize,
    value: u64,
    subject: i64,
}

/// What was found, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Rows compared.
    pub rows: u64,
    /// Objects read and compared with their hash.
    pub objects: u64,
    /// Acknowledged and nowhere.
    pub lost: u64,
    /// In more than one region.
    pub doubled: u64,
    /// There, with an older value or one that nobody wrote.
    pub stale: u64,
    /// There, but not at its subject's home.
    pub misplaced: u64,
    /// Deleted, and there again.
    pub resurrected: u64,
    /// There, and nobody ever wrote it.
    pub invented: u64,
    /// Objects that a row names and that are absent, or not the bytes the row says.
    pub objects_wrong: u64,
    /// Objects at a region that is not the home of whom they belong to.
    pub objects_left: u64,
    /// Tables of the first rows that are wrong, for people.
    pub examples: Vec<String>,
}

impl Findings {
    /// Nothing is wrong.
    pub fn are_clean(&self) -> bool {
        self.wrong() == 0
    }

    /// How much is wrong.
    pub fn wrong(&self) -> u64 {
        self.lost
            + self.doubled
            + self.stale
            + self.misplaced
            + self.resurrected
            + self.invented
            + self.objects_wrong
            + self.objects_left
    }

    fn example(&mut self, what: &str, row: RowKey) {
        if self.examples.len() < 5 {
            self.examples.push(format!("{what}: {} {}", journal::table_name(row), row.1));
        }
    }
}

/// Compares all regions with the journal.
pub fn check(case: &Case, folder: &Folder, journal: &Journal, homes: &Homes) -> rusqlite::Result<Findings> {
    let mut seen: HashMap<RowKey, Vec<Sighting>> = HashMap::with_capacity(journal.rows.len());
    for service in case.services {
        for id in service.regions {
            let Some(region) = case.region(id) else { continue };
            let conn = world::open(folder, id, service.name)?;
            journal::each_row(&conn, service.name, |row, subject, value| {
                seen.entry(row).or_default().push(Sighting { region, value, subject });
            })?;
        }
    }
    let mut findings = Findings { rows: seen.values().map(|s| s.len() as u64).sum(), ..Findings::default() };
    for (row, fate) in &journal.rows {
        let sightings = seen.get(row).map_or(&[][..], Vec::as_slice);
        judge(*row, fate, sightings, homes, &mut findings);
    }
    for row in seen.keys().filter(|row| !journal.rows.contains_key(row)) {
        findings.invented += 1;
        findings.example("nobody wrote", *row);
    }
    Ok(findings)
}

fn judge(row: RowKey, fate: &Fate, seen: &[Sighting], homes: &Homes, findings: &mut Findings) {
    let Some(value) = fate.now else {
        if !seen.is_empty() {
            findings.resurrected += 1;
            findings.example("deleted, and there again", row);
        }
        return;
    };
    let [one] = seen else {
        let (count, what) = match seen.is_empty() {
            true => (&mut findings.lost, "lost"),
            false => (&mut findings.doubled, "in two regions"),
        };
        *count += 1;
        return findings.example(what, row);
    };
    let service = tables::ALL[usize::from(row.0)].service;
    if one.value != value || one.subject != fate.subject {
        findings.stale += 1;
        let old = fate.before.contains(&one.value);
        findings.example(if old { "an older value" } else { "a value nobody wrote" }, row);
    }
    if homes.get(&(service, fate.subject)) != Some(&one.region) {
        findings.misplaced += 1;
        findings.example("not at its subject's home", row);
    }
}

/// Reads every photo that a row names, and lists every object there is.
pub fn check_objects(case: &Case, folder: &Folder, homes: &Homes, findings: &mut Findings) -> io::Result<()> {
    if !case.has(ServiceName::Cloud) {
        return Ok(());
    }
    for (region, place) in case.regions.iter().enumerate() {
        if let Ok(named) = photos(folder, place.id) {
            for (key, hash) in named {
                findings.objects += 1;
                let read = fs::read(folder.object(place.id, &key));
                findings.objects_wrong += u64::from(!read.is_ok_and(|bytes| sha256(&bytes) == hash));
            }
        } else if folder.database(place.id, ServiceName::Cloud).exists() {
            return Err(io::Error::other(format!("the photos of {} can't be read", place.id)));
        }
        for subject in owners_of_objects(&folder.object(place.id, "photos"))? {
            let home = homes.get(&(ServiceName::Cloud, subject));
            findings.objects_left += u64::from(home != Some(&region));
        }
    }
    Ok(())
}

fn photos(folder: &Folder, region: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let path = folder.database(region, ServiceName::Cloud);
    let conn = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut statement = conn.prepare("SELECT object, sha256 FROM photos")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Whose objects lie in `photos/`: one entry for each file.
fn owners_of_objects(photos: &Path) -> io::Result<Vec<i64>> {
    let mut owners = Vec::new();
    if !photos.exists() {
        return Ok(owners);
    }
    for entry in fs::read_dir(photos)? {
        let entry = entry?;
        let files = fs::read_dir(entry.path())?.count();
        let owner = entry.file_name().to_string_lossy().parse().unwrap_or(-1);
        owners.extend(std::iter::repeat_n(owner, files));
    }
    Ok(owners)
}
