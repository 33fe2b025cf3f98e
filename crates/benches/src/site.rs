//! One service in two regions, as its configuration would open it; another process can open it, too.

use crate::Fallible;
use domicile_datamap::{DataMap, Layout, check, propose};
use domicile_directory::{Directory, DirectoryKey};
use domicile_ledger::{ReceiptSecret, SigningKey};
use domicile_mover::progress::Observer;
use domicile_mover::{Ask, Evidence, Limits, Region, Rules, Service, WaveReport, plan, wave};
use domicile_policy::{Latency, Policies};
use domicile_stores::Records;
use domicile_stores::control::ControlStore;
use domicile_stores::objects::Objects;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The service.
pub const SERVICE: &str = "main";
/// The regions' ids.
pub const REGIONS: [&str; 2] = ["old", "new"];

const POLICY: &str = r#"
@id("germany") @law("law of the benchmark, 1") @reason("residents of Germany stay there")
permit (principal, action, resource) when { principal.residence == "DE" && resource.country == "DE" };
@id("india") @law("law of the benchmark, 2") @reason("residents of India live in India")
permit (principal, action, resource) when { principal.residence == "IN" && resource.country == "IN" };
"#;

/// Where everything is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Site {
    urls: [String; 2],
    /// The databases' name.
    pub database: String,
    dir: PathBuf,
    /// The regions' object stores.
    objects: [String; 2],
    /// What object stores would find in the environment.
    environment: BTreeMap<String, String>,
    /// Removes the folder with the last clone; the process that made it holds it.
    #[serde(skip)]
    _folder: Option<Arc<tempfile::TempDir>>,
}

impl Site {
    /// Makes keys and folders for two databases.
    pub fn create(old: String, new: String, database: &str) -> Fallible<Self> {
        let folder = tempfile::tempdir()?;
        let dir = folder.path().to_owned();
        fs::write(dir.join("directory.key"), DirectoryKey::generate()?.to_file().as_bytes())?;
        for region in REGIONS {
            fs::create_dir_all(dir.join(format!("{region}-objects")))?;
            fs::write(dir.join(format!("{region}.key")), SigningKey::generate(region)?.to_text().as_bytes())?;
        }
        let _folder = Some(Arc::new(folder));
        let objects = REGIONS.map(|region| format!("file:{region}-objects"));
        let environment = BTreeMap::new();
        Ok(Self { urls: [old, new], database: database.to_owned(), dir, objects, environment, _folder })
    }

    /// The same with other object stores than two folders, and the credentials for them.
    pub fn with_objects(mut self, objects: [String; 2], environment: BTreeMap<String, String>) -> Self {
        (self.objects, self.environment) = (objects, environment);
        self
    }

    /// The same with another URL of the new home from now on.
    pub fn reached_by(mut self, new: Option<String>) -> Self {
        if let Some(new) = new {
            self.urls[1] = new;
        }
        self
    }

    /// Opens one region's object store.
    pub async fn store(&self, region: usize) -> Fallible<Objects> {
        let environment = |name: &str| self.environment.get(name).cloned();
        Ok(Objects::open_with(&self.objects[region], &self.dir, &environment).await?)
    }

    /// The folder of keys, control store, objects and receipts.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The service, with the defaults of everything but the grace before erase.
    pub async fn service(&self, observer: Arc<dyn Observer>) -> Fallible<Arc<Service>> {
        let layout = self.layout().await?;
        let mut regions = BTreeMap::new();
        let mut keys = BTreeMap::new();
        let places = REGIONS.into_iter().zip(["DE", "IN"]).zip(&self.urls).enumerate();
        for (index, ((id, country), url)) in places {
            let records: Arc<dyn Records> = Arc::new(Postgres::open(url, None, layout.clone()).await?);
            let country: domicile_policy::Country = country.parse()?;
            let place = domicile_policy::Region {
                id: id.into(),
                country,
                operator: country,
                opens: None,
                site: id.into(),
            };
            let objects = Some(Arc::new(self.store(index).await?));
            regions.insert(id.to_owned(), Arc::new(Region { id: id.into(), place, records, objects }));
            let key = SigningKey::from_text(&fs::read_to_string(self.dir.join(format!("{id}.key")))?)?;
            keys.insert(id.to_owned(), key);
        }
        let store = ControlStore::open("sqlite:control.db", &self.dir, None).await?;
        let key = DirectoryKey::from_file(&fs::read(self.dir.join("directory.key"))?)?;
        Ok(Arc::new(Service {
            name: SERVICE.into(),
            layout,
            places: regions.values().map(|r: &Arc<Region>| r.place.clone()).collect(),
            regions,
            closed: BTreeMap::new(),
            directory: Arc::new(Directory::open(store, key)),
            rules: Rules {
                policies: Policies::parse(&[("bench.cedar".into(), POLICY.into())], &[])?,
                latency: Latency::parse_csv(
                    "from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source\nuser-IN,new,1,2,0,user-dc,E,test\n",
                )?,
                mechanisms: BTreeMap::new(),
            },
            limits: Limits { grace: Duration::ZERO, ..Limits::default() },
            pace: domicile_mover::Pace::new(&Limits::default()),
            observer,
            worker: domicile_mover::WorkerName::new()?,
            stop: Arc::default(),
            evidence: Evidence {
                folder: self.dir.join("receipts"),
                keys,
                secret: ReceiptSecret::from_bytes(&[7; 32]),
                retention: BTreeMap::new(),
            },
            guard_wave_only: false,
        }))
    }

    async fn layout(&self) -> Fallible<Arc<Layout>> {
        let catalogue = Postgres::catalogue_of(&self.urls[0], None).await?;
        let mut map: DataMap = propose(&catalogue, None);
        map.answer("stores", "none");
        let questions: Vec<_> = map.unanswered().map(|q| (q.ask.to_string(), q.choices.clone())).collect();
        for (ask, choices) in questions {
            let object = choices.iter().find(|c| c.contains("object") || c.as_str() == "yes");
            let answer = object.or(choices.first()).ok_or("a question without choices")?.clone();
            map.answer(&ask, &answer);
        }
        Ok(Arc::new(check(&map, &catalogue).map_err(|problems| format!("the data map: {problems:?}"))?))
    }

    /// Installs the guard in both regions, gives every subject its home, and enforces.
    pub async fn adopt(&self) -> Fallible<()> {
        let service = self.service(Arc::new(domicile_mover::progress::Silent)).await?;
        service.directory.migrate().await?;
        for region in service.regions.values() {
            region.records.install(&service.guard_spec(region)).await?;
            loop {
                let found = region.records.unhomed(None, 5_000).await?;
                if found.is_empty() {
                    break;
                }
                let homes = service.directory.register(SERVICE, &region.id, &found).await?;
                let all: Vec<_> =
                    homes.new.into_iter().chain(homes.already).map(|(s, h)| (s, h.epoch)).collect();
                region.records.adopt(&all).await?;
            }
            region.records.set_mode(Mode::Enforce).await?;
        }
        Ok(())
    }
}

/// Plans for everybody of India.
pub async fn planned(service: &Arc<Service>) -> Fallible<plan::Plan> {
    let ask = Ask { today: jiff::civil::date(2026, 11, 22), for_latency: false, from: vec![] };
    Ok(plan::stored(service, &ask).await?)
}

/// Runs the plan's one move, and insists that everybody moved who was planned.
pub async fn moved(service: &Arc<Service>, plan: &plan::Plan) -> Fallible<WaveReport> {
    let mut reports = wave::run_plan(service, plan, &wave::Options::default()).await?.reports;
    let report = reports.pop().ok_or("the plan moves nobody")?;
    if report.subjects != plan.moves[0].subjects {
        return Err(format!(
            "{} of {} subjects moved: {:?}",
            report.subjects, plan.moves[0].subjects, report.left
        )
        .into());
    }
    Ok(report)
}
