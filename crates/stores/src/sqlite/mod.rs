//! A region's records in a SQLite file.
//!
//! SQLite blocks, so every call runs on Tokio's blocking threads with a connection of a small pool
//! ([`connect`]). One file has one writer at a time: the mover's write transactions are kept short by
//! whoever calls (bounded batches), since the application's writers wait meanwhile.
//!
//! The file is used in WAL mode. In rollback-journal mode a reader would make the application's
//! writers wait; [`Sqlite::enter_wal`] converts the file before the guard is installed.
//!
//! What an application beside it must do: begin with `BEGIN IMMEDIATE` whatever will write (a deferred
//! transaction that has read fails at once after somebody else's commit, ATTACKS S13), and set a busy
//! timeout of some seconds. What the mover's file must not rely on: hidden rowids, since `scrub` runs
//! VACUUM, which may renumber them.

mod adoption;
mod catalogue;
mod column;
mod comparing;
mod connect;
mod deleting;
mod erase;
mod fault;
mod guard;
mod homes;
mod journal;
mod known;
mod numbers;
mod paths;
mod quote;
mod reading;
mod records;
mod reference;
mod rows;
mod schema;
mod session;
mod snapshot;
mod storing;
mod tied;
mod tokens;
mod writing;

#[cfg(test)]
mod tests;

pub(crate) use connect::Cell;
pub(crate) use fault::Fault;
pub(crate) use rows::frames_in;

use crate::records::{Size, SubjectId};
use crate::{Error, Result};
use domicile_datamap::layout::{Layout, TableIx};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A connection that can only read.
///
/// # Errors
/// [`Error::Setting`] where there is no such file, else SQLite's.
pub fn connect(path: &Path) -> Result<rusqlite::Connection> {
    let name = format!("sqlite:{}", path.display());
    if !path.is_file() {
        return Err(Error::Setting { what: format!("{name} does not exist") });
    }
    connect::to_read(path).map_err(|error| Fault::from(error).named(&name, "open"))
}

/// A region's record database in a SQLite file.
pub struct Sqlite {
    cell: Cell,
    layout: Arc<Layout>,
}

impl Sqlite {
    /// Opens the file at `path` for a service with that layout. With `create` an absent file is
    /// made; without it that is [`Error::Setting`].
    pub async fn open(path: &Path, layout: Arc<Layout>, create: bool) -> Result<Self> {
        Ok(Self { cell: Cell::open(path, create).await?, layout })
    }

    /// The file of a `sqlite:PATH` URL; a relative path stands on `base`.
    ///
    /// # Errors
    /// [`Error::Setting`] where the URL is not of that form.
    pub fn path_of(url: &str, base: &Path) -> Result<PathBuf> {
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(base.join(path)),
            _ => Err(Error::Setting { what: format!("`{url}` is not of the form `sqlite:PATH`") }),
        }
    }

    /// Puts the file into WAL mode for good, so that readers and writers do not wait for each other.
    ///
    /// # Errors
    /// [`Error::Again`] while somebody else uses the file.
    pub async fn enter_wal(&self) -> Result<()> {
        self.cell.with_connection("change to WAL mode", |conn| snapshot::enter_wal(conn).map(drop)).await
    }

    /// What tells this file from any other: the id the guard keeps, or its path before the guard.
    async fn file_identity(&self) -> Result<String> {
        let path = self.cell.path().to_owned();
        self.read("read the identity", move |conn| {
            let guarded: bool = conn.query_row(
                "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'domicile_region')",
                [],
                |row| row.get(0),
            )?;
            let id: Option<String> = match guarded {
                true => conn.query_row("SELECT max(identity) FROM domicile_region", [], |row| row.get(0))?,
                false => None,
            };
            Ok(id.unwrap_or_else(|| path.canonicalize().unwrap_or(path).display().to_string()))
        })
        .await
    }

    /// Rows and bytes by table for these subjects.
    async fn measure_rows(&self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, Size>> {
        let (layout, subjects) = (self.layout.clone(), subjects.to_vec());
        self.read("measure rows", move |conn| comparing::measure(conn, &layout, &subjects)).await
    }

    /// Reads in one transaction: everything `f` asks shows the same instant.
    pub(crate) async fn read<T, F>(&self, what: &'static str, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.cell.read(what, f).await
    }

    /// Writes in one transaction (`BEGIN IMMEDIATE`). With a lease the token is checked first
    /// ([`Error::LeaseLost`]) and the guard's triggers let this transaction pass.
    pub(crate) async fn write<T, F>(
        &self,
        what: &'static str,
        lease: Option<&crate::records::Lease>,
        f: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.cell.write(what, lease, f).await
    }
}
