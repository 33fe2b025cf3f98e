//! From the configuration to open stores: one region, or a whole service as the mover sees it.
//!
//! A data map is resolved against a catalogue, and a store is opened with what comes out. So regions
//! are opened twice: bare, for their catalogue, and then with the layout.

use crate::app::App;
use crate::config::{Address, Config, Guard, Region, Service, policy_files};
use crate::failure::{self, Failure, Result};
use crate::keys;
use crate::screen::Exit;
use domicile_datamap::layout::AttributePath;
use domicile_datamap::{Catalogue, DataMap, Engine, Layout};
use domicile_directory::Directory;
use domicile_mover::progress::Observer;
use domicile_mover::{Evidence, Rules};
use domicile_policy::{Latency, Policies, in_force};
use domicile_stores::control::ControlStore;
use domicile_stores::objects::Objects;
use domicile_stores::postgres::Postgres;
use domicile_stores::sqlite::Sqlite;
use domicile_stores::{Error as StoreError, Records};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Today, where this program runs.
pub fn today() -> Date {
    jiff::Zoned::now().date()
}

/// A layout of nothing: enough to read a catalogue and a schema.
pub fn no_layout(engine: Engine) -> Arc<Layout> {
    Arc::new(Layout {
        engine,
        tables: Vec::new(),
        country: AttributePath { hops: Vec::new(), column: String::new() },
        citizenship: None,
        flags: None,
        references: Vec::new(),
        excluded: Vec::new(),
        dropped_foreign_keys: Vec::new(),
        objects: Vec::new(),
        declared: Vec::new(),
        safe_triggers: Vec::new(),
        hash: String::new(),
    })
}

/// The engine an address speaks.
pub fn engine_of(address: &Address) -> Engine {
    if address.is_sqlite() { Engine::Sqlite } else { Engine::Postgres }
}

/// Opens a record store. `standbys` are those a cutover waits for.
pub async fn records(
    config: &Config,
    address: &Address,
    standbys: &[String],
    layout: Arc<Layout>,
    create: bool,
) -> Result<Arc<dyn Records>, OpenError> {
    let opening = address.open()?;
    if address.is_sqlite() {
        let path = Sqlite::path_of(&opening.url, &config.base)?;
        return Ok(Arc::new(Sqlite::open(&path, layout, create).await?));
    }
    let mut url = opening.url;
    if !standbys.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&format!("standbys={}", standbys.join(",")));
    }
    Ok(Arc::new(Postgres::open(&url, opening.secret, layout).await?))
}

/// Why a store did not open.
#[derive(Debug)]
pub enum OpenError {
    /// The configuration, the environment.
    Before(Box<Failure>),
    /// The store.
    Store(StoreError),
}

impl From<Box<Failure>> for OpenError {
    fn from(failure: Box<Failure>) -> Self {
        OpenError::Before(failure)
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        OpenError::Store(error)
    }
}

impl OpenError {
    /// In words, for the store of `place`.
    pub fn failure(self, place: &str) -> Box<Failure> {
        match self {
            OpenError::Before(failure) => failure,
            OpenError::Store(error) => failure::of_store(place, &error),
        }
    }
}

/// A region of the service, with its catalogue. `records` has no layout yet.
pub struct Seen<'c> {
    /// The region.
    pub region: &'c Region,
    /// Its catalogue; `None`: a SQLite file that does not exist yet.
    pub catalogue: Option<Catalogue>,
}

/// Reads the catalogue of one region.
pub async fn look<'c>(config: &Config, service: &Service, region: &'c Region) -> Result<Seen<'c>> {
    let place = format!("region {}", region.id());
    let address = region.records.of(&service.name);
    if address.is_sqlite() {
        let opening = address.open()?;
        let path = Sqlite::path_of(&opening.url, &config.base).map_err(|e| failure::of_store(&place, &e))?;
        if !path.exists() {
            return Ok(Seen { region, catalogue: None });
        }
    }
    let opened = records(config, &address, &[], no_layout(engine_of(&address)), false).await;
    let store = opened.map_err(|e| e.failure(&place))?;
    let catalogue = store.catalogue().await.map_err(|e| failure::of_store(&place, &e))?;
    Ok(Seen { region, catalogue: Some(catalogue) })
}

impl Seen<'_> {
    /// Does the root table of the map exist here?
    pub fn has_root(&self, map: &DataMap) -> bool {
        self.catalogue.as_ref().is_some_and(|c| c.table(&map.subject.table).is_some())
    }
}

/// A service with its data map resolved, before its stores are opened for work.
pub struct Mapped<'c> {
    /// The configuration.
    pub config: &'c Config,
    /// The service.
    pub service: &'c Service,
    /// The resolved data map.
    pub layout: Arc<Layout>,
    /// Its regions as they were found.
    pub seen: Vec<Seen<'c>>,
    /// The map as written.
    pub map: DataMap,
}

/// Reads every region's catalogue and resolves the data map against the first that has its root table.
pub async fn mapped<'c>(config: &'c Config, service: &'c Service) -> Result<Mapped<'c>> {
    let map = failure::read_map(&service.map)?;
    let looks = config.regions_of(service).map(|region| look(config, service, region));
    let seen: Vec<Seen<'c>> = futures::future::try_join_all(looks).await?;
    let Some(first) = seen.iter().find(|s| s.has_root(&map)) else {
        return Err(no_root(&map, service));
    };
    let Some(catalogue) = &first.catalogue else { return Err(no_root(&map, service)) };
    let layout =
        domicile_datamap::check(&map, catalogue).map_err(|p| failure::of_problems(&service.map, &p))?;
    Ok(Mapped { config, service, layout: Arc::new(layout), seen, map })
}

fn no_root(map: &DataMap, service: &Service) -> Box<Failure> {
    Failure::new(
        "map-root-gone",
        format!("no region of service `{}` has the table {}", service.name, map.subject.table),
        "the data map calls it the root: one row of it is one subject",
        "domicile check   # shows the regions; is this the right database?",
    )
    .exit(Exit::No)
}

impl<'c> Mapped<'c> {
    /// Opens one region's records with the layout.
    pub async fn records(&self, region: &Region) -> Result<Arc<dyn Records>> {
        let address = region.records.of(&self.service.name);
        let opened = records(self.config, &address, &region.standbys, self.layout.clone(), false).await;
        opened.map_err(|e| e.failure(&format!("region {}", region.id())))
    }

    /// Opens one region.
    pub async fn open(&self, region: &Region) -> Result<Arc<domicile_mover::Region>> {
        let objects = match &region.objects {
            Some(address) if !self.layout.objects.is_empty() => {
                Some(Arc::new(objects(self.config, region, &address.of(&self.service.name)).await?))
            }
            _ => None,
        };
        let records = self.records(region).await?;
        Ok(Arc::new(domicile_mover::Region {
            id: region.id().to_owned(),
            place: region.place.clone(),
            records,
            objects,
        }))
    }

    /// Those of the regions that have the service's tables.
    pub fn prepared(&self) -> impl Iterator<Item = &'c Region> {
        self.seen.iter().filter(|s| s.has_root(&self.map)).map(|s| s.region)
    }

    /// Those that have not.
    pub fn unprepared(&self) -> impl Iterator<Item = &'c Region> {
        self.seen.iter().filter(|s| !s.has_root(&self.map)).map(|s| s.region)
    }

    /// [`Failure`] where a region can't be worked with yet.
    fn check_prepared(&self) -> Result<()> {
        match self.unprepared().next() {
            None => Ok(()),
            Some(region) => Err(unprepared(region.id())),
        }
    }
}

/// A region has no schema yet.
pub fn unprepared(id: &str) -> Box<Failure> {
    Failure::new(
        "region-unprepared",
        format!("region {id} does not have the service's tables yet"),
        "a region needs the schema, the shared tables' rows and the guard before anybody can live there",
        format!("domicile region prepare {id}\ndomicile guard install --region {id}"),
    )
    .exit(Exit::No)
}

async fn objects(config: &Config, region: &Region, address: &Address) -> Result<Objects> {
    let opening = address.open()?;
    let opened = Objects::open(&opening.url, &config.base).await;
    opened.map_err(|e| failure::of_store(&format!("objects of region {}", region.id()), &e))
}

/// Opens the directory.
pub async fn directory(config: &Config) -> Result<Arc<Directory>> {
    let key = keys::directory(config)?;
    let opening = config.control.open()?;
    let store = ControlStore::open(&opening.url, &config.base, opening.secret).await;
    let store = store.map_err(|e| failure::of_store("the control store", &e))?;
    Ok(Arc::new(Directory::open(store, key)))
}

/// Reads the policies.
pub fn policies(config: &Config, service: &Service) -> Result<Policies> {
    let files = policy_files(&config.base, &service.policies)?;
    let mechanisms: Vec<String> = service.mechanisms.iter().map(|m| m.name.clone()).collect();
    Policies::parse(&files, &mechanisms).map_err(|faults| {
        let n = faults.0.len();
        let what = format!("the policies have {n} fault{}:\n{faults}", if n == 1 { "" } else { "s" });
        let why = "nothing is decided by a set of policies with a fault in it";
        Failure::usage("policy-invalid", what, why, "domicile policy check   # after correcting them")
    })
}

/// Policies, latency and what mechanisms are in force on `day`.
pub fn rules(config: &Config, service: &Service, day: Date) -> Result<Rules> {
    let latency = match &service.latency {
        None => Latency::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| failure::of_file("read the latency table", path, &e))?;
            Latency::parse_csv(&text).map_err(|e| {
                let why = "homes are chosen by it among the regions that policy permits";
                Failure::usage("latency-invalid", format!("{}: {e}", path.display()), why, "correct the line")
            })?
        }
    };
    let mechanisms: BTreeMap<String, bool> = in_force(&service.mechanisms, day);
    Ok(Rules { policies: policies(config, service)?, latency, mechanisms })
}

/// Opens the whole service for the mover.
pub async fn service(
    app: &App,
    day: Date,
    observer: Arc<dyn Observer>,
) -> Result<Arc<domicile_mover::Service>> {
    let config = app.config()?;
    service_of(app, &config, app.service(&config)?, day, observer).await
}

/// The same, with the configuration read already.
pub async fn service_of(
    app: &App,
    config: &Config,
    service: &Service,
    day: Date,
    observer: Arc<dyn Observer>,
) -> Result<Arc<domicile_mover::Service>> {
    let rules = rules(config, service, day)?;
    let directory = directory(config).await?;
    let mapped = mapped(config, service).await?;
    mapped.check_prepared()?;
    let ids: Vec<&str> = config.regions_of(service).map(Region::id).collect();
    let evidence = Evidence {
        folder: config.receipts.clone(),
        keys: keys::signing(config, &ids)?,
        secret: keys::receipts(config)?,
        retention: config.regions_of(service).map(|r| (r.id().to_owned(), r.retention)).collect(),
    };
    let opened = futures::future::try_join_all(mapped.seen.iter().map(|s| mapped.open(s.region))).await?;
    Ok(Arc::new(domicile_mover::Service {
        name: service.name.clone(),
        layout: mapped.layout.clone(),
        regions: opened.into_iter().map(|r| (r.id.clone(), r)).collect(),
        directory,
        rules,
        limits: config.limits.clone(),
        observer,
        stop: app.signals.flag(),
        evidence,
        guard_wave_only: service.guard == Guard::Wave,
    }))
}
