//! `verify --list FILE`: who is meant by each count. Ids stay in the regions unless somebody asks for them
//! like this; the file can be read by its maker alone.

use crate::failure::{self, Failure, Result};
use domicile_directory::Wave;
use domicile_mover::{Region, Service};
use domicile_stores::records::SubjectId;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file, while it is written: a line for each subject, `kind TAB region TAB key`, and TAB a number where it is one
/// of several that belong together.
pub struct List {
    path: PathBuf,
    file: BufWriter<File>,
    /// Lines so far.
    pub lines: u64,
}

impl List {
    /// A new file of mode 0600; one that is there already is left alone.
    pub fn create(path: &Path) -> Result<Self> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(file) => Ok(Self { path: path.to_owned(), file: BufWriter::new(file), lines: 0 }),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(Failure::usage(
                "list-exists",
                format!("{} is there already", path.display()),
                "a list of subjects is not written over another file",
                format!("rm {}   # or name another file", path.display()),
            )),
            Err(e) => Err(failure::of_file("write the list", path, &e)),
        }
    }

    /// One subject. What would break the lines in a key is escaped as in JSON.
    pub fn add(&mut self, kind: &str, region: &str, subject: &SubjectId) -> Result<()> {
        self.line(kind, region, subject, "")
    }

    /// One of the subjects of group `number`.
    pub fn add_to(&mut self, number: u64, kind: &str, region: &str, subject: &SubjectId) -> Result<()> {
        self.line(kind, region, subject, &format!("\t{number}"))
    }

    fn line(&mut self, kind: &str, region: &str, subject: &SubjectId, end: &str) -> Result<()> {
        let key: String = subject
            .0
            .chars()
            .flat_map(|c| match c {
                '\\' | '\t' | '\n' | '\r' => c.escape_default().collect::<Vec<char>>(),
                other => vec![other],
            })
            .collect();
        self.lines += 1;
        writeln!(self.file, "{kind}\t{region}\t{key}{end}").map_err(|e| self.failed(&e))
    }

    /// Ends the file.
    pub fn end(mut self) -> Result<(PathBuf, u64)> {
        let done = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        done.map_err(|e| self.failed(&e))?;
        Ok((self.path, self.lines))
    }

    fn failed(&self, error: &std::io::Error) -> Box<Failure> {
        failure::of_file("write the list", &self.path, error)
    }
}

/// Who of a wave stayed, from the journal at its old home: `stayed-` and the reason's code.
pub async fn stayed(list: &mut List, service: &Service, wave: &Wave) -> Result<()> {
    let Some(from) = service.regions.get(&wave.source) else { return Ok(()) };
    let failed = |e| failure::of_store(&format!("region {}", from.id), &e);
    for id in from.records.batch_ids(&wave.id).await.map_err(failed)? {
        let Some(batch) = from.records.batch(&id).await.map_err(failed)? else { continue };
        // In the mover's own form: mover/src/record.rs.
        for (subject, note) in batch.record["subjects"].as_object().into_iter().flatten() {
            let outcome = &note["outcome"];
            if outcome["as"] == "left" {
                let kind = format!("stayed-{}", outcome["code"].as_str().unwrap_or("unknown"));
                list.add(&kind, &from.id, &SubjectId(subject.clone()))?;
            }
        }
    }
    Ok(())
}

/// Those of the subjects that have rows in the region: halves with rows are looked at again.
pub async fn with_rows(region: &Region, subjects: &[SubjectId]) -> domicile_stores::Result<Vec<SubjectId>> {
    let (mut waiting, mut found) = (vec![subjects], Vec::new());
    while let Some(some) = waiting.pop() {
        if region.records.measure(some).await?.values().all(|size| size.rows == 0) {
            continue;
        }
        match some {
            [one] => found.push(one.clone()),
            _ => {
                let (left, right) = some.split_at(some.len() / 2);
                waiting.extend([right, left]);
            }
        }
    }
    Ok(found)
}
