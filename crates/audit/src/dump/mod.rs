//! What `pg_dump` wrote: plain SQL, the custom format (`-Fc`) and the folder format (`-Fd`). A tar of it (`-Ft`)
//! is a tar.
//!
//! Rows of COPY and INSERT are taken apart, so that a finding has a table, a column and a row, and values are
//! searched as the database would give them (escapes resolved, `bytea` as bytes). Everything else is searched
//! as the text that it is.

mod archive;
mod entries;
mod names;
mod plain;

use crate::{Examiner, Place};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Enough of a file to know whether it is a dump, in bytes.
pub const HEAD_BYTES: usize = 512;
/// What the custom format begins with, and the `toc.dat` of the folder format.
pub(crate) const MAGIC: &[u8] = b"PGDMP";

/// Which dump it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dump {
    /// SQL.
    Plain,
    /// The custom format.
    Archive,
}

/// What a file that begins with `head` is.
pub fn begins(head: &[u8]) -> Option<Dump> {
    if head.starts_with(MAGIC) {
        return Some(Dump::Archive);
    }
    let head = &head[..head.len().min(HEAD_BYTES)];
    let said = b"-- PostgreSQL database";
    head.windows(said.len()).any(|some| some == said).then_some(Dump::Plain)
}

/// Searches a dump to its end.
///
/// # Errors
/// The source's own. What is wrong with the dump is noted as unseen.
pub fn read(dump: Dump, place: &Place, source: impl Read, examiner: &mut Examiner<'_>) -> io::Result<()> {
    match dump {
        Dump::Plain => plain::read(place, source, examiner),
        Dump::Archive => archive::read(place, source, examiner),
    }
}

/// Is it a folder that `pg_dump -Fd` wrote?
pub fn is_folder(dir: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    let opened = open(&dir.join("toc.dat"));
    opened.and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *MAGIC
}

/// Opens a file of a folder that a stranger made: no link, which may lead anywhere, and no pipe, which would wait for ever.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(path)
}

/// Searches such a folder: its list of contents and every file that this names. Returns the names of the files
/// that were read; whatever else is in the folder is up to the caller.
///
/// # Errors
/// Where `toc.dat` can't be read.
pub fn read_folder(place: &Place, dir: &Path, examiner: &mut Examiner<'_>) -> io::Result<Vec<String>> {
    archive::read_folder(place, dir, examiner)
}
