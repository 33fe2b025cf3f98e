//! `domicile.toml`: what it means. [`typed`] is what was typed, [`meaning`] makes the one of the other.
//!
//! Secrets are not read with the file: an [`Address`] knows where its password is, and asks for it when
//! a store is opened. So `receipt verify` and `policy check` work without any.

mod address;
mod audit;
mod edge;
mod fault;
mod files;
mod genuine;
mod limits;
mod meaning;
mod messaging;
mod served;
mod service;
mod typed;

pub use address::Address;
pub use audit::{Audit, IdentifierColumn};
pub use edge::Edge;
pub use files::policy_files;
pub use genuine::Genuine;
pub use messaging::{Generation, Messaging, RelayDoors, SmsTo};
pub use served::{DirectoryDoors, Doors, Gateway, Jwt, Login, SubjectIn};

use crate::failure::{self, Failure, Result};
use domicile_datamap::TableName;
use domicile_directory::ClaimKind;
use domicile_mover::Limits;
use domicile_policy::Mechanism;
use std::path::{Path, PathBuf};

/// The file looked for where neither `--config` nor `DOMICILE_CONFIG` names one.
pub const FILE: &str = "domicile.toml";
/// What a service is called where the file has one and does not name it.
pub const ONLY_SERVICE: &str = "main";

/// The configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file, as named by the user.
    pub file: PathBuf,
    /// Its folder: relative paths stand on it.
    pub base: PathBuf,
    /// Where homes, epochs and waves are kept.
    pub control: Address,
    /// The folder of keys.
    pub keys: PathBuf,
    /// The folder of receipts.
    pub receipts: PathBuf,
    /// Regions in the file's order.
    pub regions: Vec<Region>,
    /// Services in the file's order; never empty.
    pub services: Vec<Service>,
    /// Bounds and pace.
    pub limits: Limits,
    /// Where a process that moves serves its metrics.
    pub metrics: Metrics,
    /// What is public, and how much of it a gateway keeps.
    pub edge: Edge,
    /// What the manifest of genuine endpoints says.
    pub genuine: Option<Genuine>,
    /// What `serve --gateway` is told.
    pub gateway: Option<Gateway>,
    /// What `serve --directory` is told.
    pub directory: Option<DirectoryDoors>,
    /// What `serve --messaging` is told.
    pub messaging: Option<Messaging>,
    /// Where a serving process shows how it is.
    pub admin: Option<std::net::SocketAddr>,
    /// What `audit` looks for, and where hosts stand.
    pub audit: Audit,
}

/// `[metrics]`.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// An address, or a port of loopback; looked at when it is served.
    pub listen: Option<String>,
    /// It may be one that other machines reach.
    pub off_loopback: bool,
}

/// A region.
#[derive(Debug, Clone)]
pub struct Region {
    /// Country, operator, opening day and latency name.
    pub place: domicile_policy::Region,
    /// Its record store, perhaps with `{service}` in it.
    pub records: Address,
    /// Its object store, perhaps with `{service}` in it.
    pub objects: Option<Address>,
    /// Where applications reach it; shown by `locate`.
    pub endpoint: Option<String>,
    /// Standbys that must have flushed the seal before a cutover.
    pub standbys: Vec<String>,
    /// How long old bytes live on, for receipts.
    pub retention: domicile_mover::Retention,
}

impl Region {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.place.id
    }
}

/// How long the guard's triggers are armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// For good.
    Always,
    /// Only while a wave is open.
    Wave,
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its data map.
    pub map: PathBuf,
    /// Its policy files, globs not yet resolved.
    pub policies: Vec<String>,
    /// The regions it may use, in the order of the file's regions.
    pub regions: Vec<String>,
    /// When its triggers are armed.
    pub guard: Guard,
    /// Its latency table.
    pub latency: Option<PathBuf>,
    /// Transfer mechanisms on file.
    pub mechanisms: Vec<Mechanism>,
    /// Where its existing subjects' claims stand.
    pub claims: Vec<ClaimColumn>,
}

/// A column with claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimColumn {
    /// What stands in it.
    pub kind: ClaimKind,
    /// Its table, which must be a mapped one.
    pub table: TableName,
    /// Its name.
    pub column: String,
}

impl std::fmt::Display for ClaimColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.table.with(&self.column))
    }
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(missing(path)),
            Err(e) => return Err(failure::of_file("read the configuration", path, &e)),
        };
        Self::parse(&text, path)
    }

    /// Reads the text of a file that stands at `path`.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let typed = typed::read(text).map_err(|f| f.failure(text, path))?;
        meaning::of(typed, path).map_err(|f| f.failure(text, path))
    }

    /// The region of that id.
    pub fn region(&self, id: &str) -> Option<&Region> {
        self.regions.iter().find(|r| r.id() == id)
    }

    /// The service that a command is about: the one named, or the only one.
    ///
    /// # Errors
    /// No service of that name, or several and none named.
    pub fn service(&self, name: Option<&str>) -> Result<&Service> {
        let names = || self.services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>();
        match (name, self.services.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(Failure::usage(
                "service-which",
                format!("which service? the configuration has {}", names().join(", ")),
                "each service has its own data map, policies and homes",
                format!("add: --service {}", names().first().copied().unwrap_or_default()),
            )),
            (Some(name), all) => all.iter().find(|s| s.name == name).ok_or_else(|| {
                Failure::usage(
                    "service-unknown",
                    format!("{} has no service `{name}`", self.file.display()),
                    format!("it has: {}", names().join(", ")),
                    format!("--service {}", nearest(name, &names()).unwrap_or(names()[0])),
                )
            }),
        }
    }

    /// The service's regions.
    pub fn regions_of<'c>(&'c self, service: &'c Service) -> impl Iterator<Item = &'c Region> {
        self.regions.iter().filter(|r| service.regions.iter().any(|id| id == r.id()))
    }

    /// Those of the service's regions that `--region` asks for: the one, or all.
    ///
    /// # Errors
    /// The service has no such region.
    pub fn chosen<'c>(&'c self, service: &'c Service, region: Option<&str>) -> Result<Vec<&'c Region>> {
        let all: Vec<&Region> = self.regions_of(service).collect();
        let Some(wanted) = region else { return Ok(all) };
        match all.iter().find(|r| r.id() == wanted) {
            Some(one) => Ok(vec![*one]),
            None => {
                let ids: Vec<&str> = all.iter().map(|r| r.id()).collect();
                Err(Failure::usage(
                    "region-unknown",
                    format!("service `{}` has no region `{wanted}`", service.name),
                    format!("it may use: {}", ids.join(", ")),
                    match nearest(wanted, &ids) {
                        _ if self.region(wanted).is_some() => self.of_another(service, wanted),
                        Some(id) => format!("did you mean {id}?"),
                        None => format!("add a [[region]] with id = \"{wanted}\" to {}", self.file.display()),
                    },
                ))
            }
        }
    }

    /// The region is there, and the service may not use it.
    fn of_another(&self, service: &Service, region: &str) -> String {
        let uses = |s: &&Service| s.name != service.name && s.regions.iter().any(|id| id == region);
        let adds = format!(
            "add \"{region}\" to the `regions` of service `{}` in {}",
            service.name,
            self.file.display()
        );
        match self.services.iter().find(uses) {
            Some(other) => format!("--service {}   # which uses it; or {adds}", other.name),
            None => adds,
        }
    }
}

fn missing(path: &Path) -> Box<Failure> {
    Failure::usage(
        "config-missing",
        format!("there is no configuration at {}", path.display()),
        "regions, services and policies are written there",
        "domicile init --from postgres://USER@HOST/DATABASE --country CC   # writes one from your database\n\
         domicile --config PATH ...                                        # or name the file",
    )
}

/// The one of `all` that was likely meant.
pub fn nearest<'a>(typed: &str, all: &[&'a str]) -> Option<&'a str> {
    all.iter()
        .map(|one| (strsim::normalized_damerau_levenshtein(typed, one), *one))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, one)| one)
}

#[cfg(test)]
mod tests;
