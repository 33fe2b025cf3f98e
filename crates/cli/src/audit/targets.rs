//! Where is looked: from a word of the command line to an open connection, a store, or a path.

use crate::app::App;
use crate::config::{Address, Config};
use crate::failure::{self, Failure, Result};
use crate::screen::Exit;
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
        return Ok(vec![opened.map_err(|failure| as_typed(failure, typed))?]);
    }
    if scheme(&["s3://", "gs://", "az://", "file:"]) {
        let opened = objects(&Address::typed(typed)?, Path::new(""), "the target").await;
        return Ok(vec![opened.map_err(|failure| as_typed(failure, typed))?]);
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

/// What is wrong with an address on the command line is not mended in the configuration, nor by who owns the store.
fn as_typed(failure: Box<Failure>, typed: &str) -> Box<Failure> {
    let file = typed.strip_prefix("sqlite:");
    let bytes =
        |path: &str| format!("domicile audit {path} --identifiers FILE   # the file's bytes, as they stand");
    let fix = match (failure.code, file) {
        ("config-store" | "store-failed", Some(path)) if Path::new(path).is_file() => bytes(path),
        ("config-store", _) => "correct the target, then run the same command again".to_owned(),
        ("store-busy", Some(path)) => {
            format!("fuser -v {path}   # who writes it? Once it is let go: the same command again")
        }
        ("store-unreachable" | "store-busy", _) => "run the same command again once it answers".to_owned(),
        ("store-login", _) => {
            "write postgres://USER:${VARIABLE}@HOST/DATABASE in single quotes, and export that variable".to_owned()
        }
        ("store-denied", None) if !typed.starts_with("postgres") => {
            "allow to list the bucket and its versions, and to read them (S3: s3:ListBucket, s3:ListBucketVersions, \
             s3:GetObject, s3:GetObjectVersion), or check the credentials in the environment"
                .to_owned()
        }
        _ => return failure,
    };
    let mut failure = failure.fix(fix);
    match failure.code {
        "config-store" => failure.why = "nothing is there that could be opened to be read".to_owned(),
        "store-denied" => failure.why = "a search only reads, and needs no other right".to_owned(),
        "store-busy" => failure.why = "others kept it locked for longer than Domicile waits".to_owned(),
        _ => {}
    }
    failure
}

/// 3 says that something was found: a store that refuses to be looked at is no finding.
fn unread(failure: Box<Failure>) -> Box<Failure> {
    if failure.exit == Exit::No { failure.exit(Exit::Failed) } else { failure }
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
        |error: domicile_stores::Error| unread(crate::open::login(failure::of_store(place, &error), address));
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
    let failed = |error: domicile_stores::Error| unread(failure::of_store(place, &error));
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

#[cfg(test)]
mod tests {
    use super::{Exit, Failure, as_typed, unread};

    #[test]
    fn a_store_that_refuses_is_no_finding_and_asked_for_reading_only() {
        let denied = Failure::new("store-denied", "no", "why", "allow everything").exit(Exit::No);
        let failure = as_typed(unread(denied), "s3://photos/people");
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.fix.contains("GetObjectVersion"), "{}", failure.fix);
        assert!(!failure.fix.contains("Put") && !failure.fix.contains("Delete"), "{}", failure.fix);
    }
}
