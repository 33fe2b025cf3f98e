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
        consents: None,
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
    let store = opened.map_err(|e| login(e.failure(&place), &address))?;
    let catalogue = store.catalogue().await.map_err(|e| login(failure::of_store(&place, &e), &address))?;
    Ok(Seen { region, catalogue: Some(catalogue) })
}

/// A refused login says where its password was read.
pub fn login(failure: Box<Failure>, address: &Address) -> Box<Failure> {
    if failure.code != "store-login" {
        return failure;
    }
    let fix = format!(
        "{}\nis it the right one, and has the role LOGIN? then run the same command again",
        address.password_from()
    );
    failure.fix(fix)
}

impl Seen<'_> {
    /// Does the root table of the map exist here?
    pub fn has_root(&self, map: &DataMap) -> bool {
        self.catalogue.as_ref().is_some_and(|c| c.table(&map.subject.table).is_some())
    }
}

/// Which regions a command needs, so that one which is down stops only what needs it.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// These must be open, or the command fails; `None`: all of the service's.
    must: Option<Vec<String>>,
    /// What of the others.
    others: Others,
    /// Hash of the data map that a plan or a wave was made with.
    map_hash: Option<String>,
    /// One that answers must have the service's tables.
    prepared: bool,
}

/// What of the regions that are not needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Others {
    /// They are not asked.
    #[default]
    Leave,
    /// Those that answer are opened, too.
    Try,
    /// The same, where the service has objects: a late upload follows its subject to wherever it is now.
    TryForObjects,
}

impl Want {
    /// Every region of the service.
    pub fn all() -> Self {
        Self::default()
    }

    /// These and no other.
    pub fn only<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> Self {
        Self { must: Some(ids.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// These, and of the others those that answer.
    pub fn at_least<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> Self {
        Self { others: Others::Try, ..Self::only(ids) }
    }

    /// Those that answer.
    pub fn reachable() -> Self {
        Self::at_least(Vec::<String>::new())
    }

    /// The two regions of a wave, read with the data map that the wave was planned with.
    pub fn of_wave(wave: &domicile_directory::Wave) -> Self {
        let map_hash = wave.note.get("map_hash").and_then(|hash| hash.as_str()).map(str::to_owned);
        Self { map_hash, ..Self::only([wave.source.as_str(), wave.target.as_str()]) }
    }

    /// The same, to erase it.
    pub fn to_erase(wave: &domicile_directory::Wave) -> Self {
        Self { others: Others::TryForObjects, ..Self::of_wave(wave) }
    }

    /// The regions of a plan's moves; all that answer where it has none.
    pub fn of_plan(plan: &domicile_mover::Plan) -> Self {
        if plan.moves.is_empty() {
            return Self::reachable();
        }
        let ids = plan.moves.iter().flat_map(|m| [m.from.as_str(), m.to.as_str()]);
        Self { map_hash: Some(plan.map_hash.clone()), ..Self::only(ids) }
    }

    /// One that answers and has no tables yet is an error, too.
    pub fn prepared(self) -> Self {
        Self { prepared: true, ..self }
    }

    fn must(&self, id: &str) -> bool {
        self.must.as_ref().is_none_or(|ids| ids.iter().any(|one| one == id))
    }
}

/// A service with its data map resolved, before its stores are opened for work.
pub struct Mapped<'c> {
    /// The configuration.
    pub config: &'c Config,
    /// The service.
    pub service: &'c Service,
    /// The resolved data map; of no tables where no region could be read, and none had to be.
    pub layout: Arc<Layout>,
    /// The regions that were read.
    pub seen: Vec<Seen<'c>>,
    /// Those that should have been, and don't answer.
    pub down: Vec<(&'c Region, Box<Failure>)>,
    /// The map as written.
    pub map: DataMap,
}

/// Reads the catalogues of the regions wanted and resolves the data map against the first that has its
/// root table; where a hash is known, against the first that gives it.
pub async fn mapped<'c>(config: &'c Config, service: &'c Service, want: &Want) -> Result<Mapped<'c>> {
    for id in want.must.iter().flatten() {
        config.chosen(service, Some(id))?;
    }
    let map = failure::read_map(&service.map)?;
    let asked = |r: &&Region| want.must(r.id()) || want.others == Others::Try;
    let (mut seen, mut down) = (Vec::new(), Vec::new());
    read(config, service, want, config.regions_of(service).filter(asked), &mut seen, &mut down).await?;
    let layout = match resolve(service, &map, &seen, want)? {
        Some(layout) => layout,
        None => {
            // A region without tables yet; or a plan that was made at a region whose columns stand in
            // another order. The others are looked at for their catalogue alone.
            let (mut others, mut silent) = (Vec::new(), Vec::new());
            let rest = config.regions_of(service).filter(|r| !asked(r));
            read(config, service, want, rest, &mut others, &mut silent).await?;
            let whole = resolve(service, &map, &others, want)?;
            match whole.or(first_layout(service, &map, &seen)?).or(first_layout(service, &map, &others)?) {
                Some(layout) => layout,
                None => no_layout_of(&map, service, want, down.iter().chain(&silent))?,
            }
        }
    };
    if want.others == Others::TryForObjects && !layout.objects.is_empty() {
        let rest = config.regions_of(service).filter(|r| !want.must(r.id()));
        read(config, service, want, rest, &mut seen, &mut down).await?;
    }
    Ok(Mapped { config, service, layout: Arc::new(layout), seen, down, map })
}

/// Looks at regions side by side. One that must be there and does not answer is the error.
async fn read<'c>(
    config: &Config,
    service: &Service,
    want: &Want,
    regions: impl Iterator<Item = &'c Region>,
    seen: &mut Vec<Seen<'c>>,
    down: &mut Vec<(&'c Region, Box<Failure>)>,
) -> Result<()> {
    let looks = regions.map(|region| async move { (region, look(config, service, region).await) });
    for (region, looked) in futures::future::join_all(looks).await {
        match looked {
            Ok(one) => seen.push(one),
            Err(failure) if want.must(region.id()) => return Err(failure),
            Err(failure) => down.push((region, failure)),
        }
    }
    Ok(())
}

/// The layout to work with: the one that has the hash asked for, else the first. `None`: no region read
/// gives it.
fn resolve(service: &Service, map: &DataMap, seen: &[Seen<'_>], want: &Want) -> Result<Option<Layout>> {
    let Some(hash) = &want.map_hash else { return first_layout(service, map, seen) };
    for catalogue in catalogues(map, seen) {
        let layout = check(service, map, catalogue)?;
        if layout.hash != *hash {
            continue;
        }
        // A column that one of the regions has besides was added since: its own layout says so.
        let altered = catalogues(map, seen).find(|c| !domicile_datamap::diff(c, c, &layout).is_empty());
        return altered.map_or(Ok(Some(layout)), |c| check(service, map, c).map(Some));
    }
    Ok(None)
}

fn first_layout(service: &Service, map: &DataMap, seen: &[Seen<'_>]) -> Result<Option<Layout>> {
    catalogues(map, seen).next().map(|catalogue| check(service, map, catalogue)).transpose()
}

fn catalogues<'s>(map: &DataMap, seen: &'s [Seen<'_>]) -> impl Iterator<Item = &'s Catalogue> {
    seen.iter().filter(|s| s.has_root(map)).filter_map(|s| s.catalogue.as_ref())
}

fn check(service: &Service, map: &DataMap, catalogue: &Catalogue) -> Result<Layout> {
    domicile_datamap::check(map, catalogue).map_err(|p| failure::of_problems(&service.map, &p))
}

/// No region that answers has the tables. Where none of them had to, what the control store knows can
/// still be shown.
fn no_layout_of<'d, 'c: 'd>(
    map: &DataMap,
    service: &Service,
    want: &Want,
    mut down: impl Iterator<Item = &'d (&'c Region, Box<Failure>)>,
) -> Result<Layout> {
    match (down.next(), want.others) {
        (None, _) => Err(no_root(map, service)),
        (Some(_), Others::Try) => Ok(Arc::unwrap_or_clone(no_layout(map.engine))),
        (Some((_, failure)), _) => Err(failure.clone()),
    }
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
    let store = store.map_err(|e| login(failure::of_store("the control store", &e), &config.control))?;
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

/// Opens what `want` names of the service, for the mover.
pub async fn service(
    app: &App,
    day: Date,
    observer: Arc<dyn Observer>,
    want: &Want,
) -> Result<Arc<domicile_mover::Service>> {
    let config = app.config()?;
    service_of(app, &config, app.service(&config)?, day, observer, want).await
}

/// The same, with the configuration read already.
pub async fn service_of(
    app: &App,
    config: &Config,
    service: &Service,
    day: Date,
    observer: Arc<dyn Observer>,
    want: &Want,
) -> Result<Arc<domicile_mover::Service>> {
    let rules = rules(config, service, day)?;
    let directory = directory(config).await?;
    let mapped = mapped(config, service, want).await?;
    let (regions, closed) = open_all(&mapped, &directory, want).await?;
    let ids: Vec<&str> = config.regions_of(service).map(Region::id).collect();
    let evidence = Evidence {
        folder: config.receipts.clone(),
        keys: keys::signing(config, &ids)?,
        secret: keys::receipts(config)?,
        retention: config.regions_of(service).map(|r| (r.id().to_owned(), r.retention)).collect(),
    };
    let mut places: Vec<_> = config.regions_of(service).map(|r| r.place.clone()).collect();
    places.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Arc::new(domicile_mover::Service {
        name: service.name.clone(),
        layout: mapped.layout.clone(),
        places,
        regions,
        closed,
        directory,
        rules,
        pace: domicile_mover::Pace::new(&config.limits),
        limits: config.limits.clone(),
        observer,
        worker: app.worker()?,
        stop: app.signals.flag(),
        evidence,
        guard_wave_only: service.guard == Guard::Wave,
    }))
}

/// Regions by id, and why others are not among them.
type Opened = (BTreeMap<String, Arc<domicile_mover::Region>>, BTreeMap<String, String>);

/// Opens the regions that were read. One without tables is an error where it is needed, and shown as
/// closed where it is not.
async fn open_all(mapped: &Mapped<'_>, directory: &Directory, want: &Want) -> Result<Opened> {
    let mut closed: BTreeMap<String, String> =
        mapped.down.iter().map(|(region, failure)| (region.id().to_owned(), in_a_line(failure))).collect();
    for region in mapped.unprepared() {
        let failure = without_tables(mapped, directory, region).await?;
        if want.must(region.id()) || want.prepared && failure.code == "region-unprepared" {
            return Err(failure);
        }
        closed.insert(region.id().to_owned(), in_a_line(&failure));
    }
    let opens = mapped.prepared().map(|region| async move { (region, mapped.open(region).await) });
    let mut regions = BTreeMap::new();
    for (region, opened) in futures::future::join_all(opens).await {
        match opened {
            Ok(opened) => drop(regions.insert(region.id().to_owned(), opened)),
            Err(failure) if want.must(region.id()) => return Err(failure),
            Err(failure) => drop(closed.insert(region.id().to_owned(), in_a_line(&failure))),
        }
    }
    Ok((regions, closed))
}

/// A region without the root table: a new one, or one whose database is gone. The directory knows.
async fn without_tables(mapped: &Mapped<'_>, directory: &Directory, region: &Region) -> Result<Box<Failure>> {
    let homes = match directory.counts(&mapped.service.name).await {
        Ok(homes) => homes.get(region.id()).copied().unwrap_or(0),
        // Nobody has a home before the guard is installed.
        Err(domicile_directory::Error::Absent { .. }) => 0,
        Err(error) => return Err(failure::of_directory(&error)),
    };
    Ok(if homes == 0 { unprepared(region.id()) } else { gone(mapped, region, homes) })
}

fn gone(mapped: &Mapped<'_>, region: &Region, homes: u64) -> Box<Failure> {
    let address = region.records.of(&mapped.service.name);
    let found = mapped.seen.iter().find(|s| s.region.id() == region.id());
    let why = match found.and_then(|s| s.catalogue.as_ref()) {
        None => format!("{} does not exist", address.text()),
        Some(_) => format!("its database has no table {}", mapped.map.subject.table),
    };
    let lives = crate::figures::counted(homes, "subject");
    Failure::new(
        "store-unreachable",
        format!("region {} can't be reached", region.id()),
        format!("{why}, and it is the home of {lives}"),
        "bring the database back (a mount, a backup), then: domicile check",
    )
}

/// Why a region is closed in which nothing of the service can be.
pub const NO_TABLES: &str = "it has no tables yet";

/// A failure as the reason in a table's row or in a sentence.
pub fn in_a_line(failure: &Failure) -> String {
    match failure.code {
        "store-unreachable" => failure.why.replace('\n', " "),
        "region-unprepared" => NO_TABLES.to_owned(),
        // Without its place: whoever shows it names the region. With where the password was read.
        "store-login" => {
            format!("it refused the user or the password; {}", failure.fix.lines().next().unwrap_or_default())
        }
        _ => failure.what.replace('\n', " "),
    }
}
