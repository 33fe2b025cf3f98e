//! Where is looked: from a word of the command line to an open connection, a store, or a path.

use crate::app::App;
use crate::config::{Address, Config};
use crate::failure::{self, Failure, Result};
use domicile_audit::objects::{Objects, OldVersion};
use domicile_audit::{Place, Step};
use domicile_stores::objects::{Objects as Store, Versions, Whole};
use domicile_stores::{postgres, sqlite};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One target, open.
pub enum Target {
    /// A file or a folder.
    Path(PathBuf),
    /// A PostgreSQL database.
    Postgres(tokio_postgres::Client, String),
    /// A SQLite file.
    Sqlite(rusqlite::Connection, String),
    /// An object store.
    Objects(Objects),
}

impl Target {
    /// Where what can't be said of a part of it is said.
    pub fn place(&self) -> Place {
        let name = self.name();
        match self {
            Target::Path(_) => Step::File(name),
            Target::Postgres(..) | Target::Sqlite(..) => Step::Database(name),
            Target::Objects(_) => Step::Object(name),
        }
        .into()
    }

    /// As it is shown.
    pub fn name(&self) -> String {
        match self {
            Target::Path(path) => path.display().to_string(),
            Target::Postgres(_, name) | Target::Sqlite(_, name) => name.clone(),
            Target::Objects(objects) => objects.name.clone(),
        }
    }
}

/// Opens what was typed.
pub async fn open(app: &App, typed: &str) -> Result<Vec<Target>> {
    if let Some(region) = typed.strip_prefix("region:") {
        return of_region(app, &app.config()?, region).await;
    }
    let scheme = |all: &[&str]| all.iter().any(|scheme| typed.starts_with(scheme));
    if scheme(&["postgres://", "postgresql://", "sqlite:"]) {
        let opened = records("the target", &Address::typed(typed)?, Path::new("")).await;
        return Ok(vec![opened.map_err(as_typed)?]);
    }
    if scheme(&["s3://", "gs://", "az://", "file:"]) {
        let opened = objects(&Address::typed(typed)?, Path::new(""), "the target").await;
        return Ok(vec![opened.map_err(as_typed)?]);
    }
    if typed.contains("://") {
        let begin = typed.split("://").next().unwrap_or_default();
        return Err(Failure::usage(
            "audit-target",
            format!("`{begin}://` is nothing that can be searched"),
            "a target is a path, postgres://, sqlite:, s3://, gs://, az:// or region:ID",
            "domicile audit --help   # has examples",
        ));
    }
    paths(&[PathBuf::from(typed)])
}

/// What is wrong with an address on the command line is not mended in the configuration.
fn as_typed(failure: Box<Failure>) -> Box<Failure> {
    let fix = match failure.code {
        "config-store" => "correct the target, then run the same command again",
        "store-unreachable" => "run the same command again once it answers",
        "store-login" => {
            "write postgres://USER:${VARIABLE}@HOST/DATABASE in single quotes, and export that variable"
        }
        _ => return failure,
    };
    let mut failure = failure.fix(fix);
    if failure.code == "config-store" {
        failure.why = "nothing is there that could be opened to be read".to_owned();
    }
    failure
}

/// Files and folders, which must be there and open: what is named and can't be read at all is no search that found
/// nothing.
pub fn paths(paths: &[PathBuf]) -> Result<Vec<Target>> {
    let open = |path: &PathBuf| match opens(path) {
        Ok(()) => Ok(Target::Path(path.clone())),
        Err(error) => Err(failure::of_file("read", path, &error)),
    };
    paths.iter().map(open).collect()
}

/// Pipes and devices are not opened: one would wait, the other never end.
fn opens(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return fs::read_dir(path).map(drop);
    }
    if metadata.is_file() {
        return fs::File::open(path).map(drop);
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "it is a pipe, a socket or a device, which are not searched",
    ))
}

/// A region's records and objects.
pub async fn of_region(app: &App, config: &Config, id: &str) -> Result<Vec<Target>> {
    let service = app.service(config)?;
    let region = config.chosen(service, Some(id))?[0];
    let place = format!("region {id}");
    let mut all = vec![records(&place, &region.records.of(&service.name), &config.base).await?];
    if let Some(address) = &region.objects {
        let place = format!("objects of region {id}");
        all.push(objects(&address.of(&service.name), &config.base, &place).await?);
    }
    Ok(all)
}

async fn records(place: &str, address: &Address, base: &Path) -> Result<Target> {
    let opening = address.open()?;
    let failed =
        |error: domicile_stores::Error| crate::open::login(failure::of_store(place, &error), address);
    if address.is_sqlite() {
        let path = sqlite::Sqlite::path_of(&opening.url, base).map_err(failed)?;
        let connection = sqlite::connect(&path).map_err(failed)?;
        return Ok(Target::Sqlite(connection, format!("sqlite:{}", path.display())));
    }
    let (client, name) = postgres::connect(&opening.url, opening.secret).await.map_err(failed)?;
    Ok(Target::Postgres(client, name))
}

async fn objects(address: &Address, base: &Path, place: &str) -> Result<Target> {
    let opening = address.open()?;
    let failed = |error: domicile_stores::Error| failure::of_store(place, &error);
    let store = Store::open(&opening.url, base).await.map_err(failed)?;
    let (bucket, prefix) = match store.whole() {
        // A folder that is not there holds no object; one that can't be read may.
        Whole::Folder(path) if path.exists() => return Ok(paths(&[path])?.remove(0)),
        Whole::Folder(path) => return Ok(Target::Path(path)),
        Whole::Bucket { store, prefix } => (store, prefix),
    };
    let versions = match store.versions("").await.map_err(failed)? {
        Versions::None => Some(Vec::new()),
        Versions::Unlisted => None,
        Versions::Listed(all) => {
            let old = all.into_iter().filter(|version| !version.latest || version.marker);
            let one = |v: domicile_stores::objects::Version| OldVersion {
                key: format!("{prefix}{}", v.key),
                id: v.id,
                marker: v.marker,
            };
            Some(old.map(one).collect())
        }
    };
    let name = opening.url.split('?').next().unwrap_or_default();
    let name = name.strip_suffix('/').unwrap_or(name);
    let bare = name.strip_suffix(prefix.trim_end_matches('/')).unwrap_or(name).trim_end_matches('/');
    Ok(Target::Objects(Objects { store: bucket, name: bare.to_owned(), prefix, versions }))
}
