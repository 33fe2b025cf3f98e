//! One service in three regions, as its configuration would open it: by the process that sets it up and by every
//! worker.

use crate::Fallible;
use crate::points;
use domicile_datamap::{DataMap, Layout, check, propose};
use domicile_directory::{Directory, DirectoryKey};
use domicile_ledger::{ReceiptSecret, SigningKey};
use domicile_mover::progress::Observer;
use domicile_mover::{Evidence, Limits, Region, Rules, Service};
use domicile_policy::{Latency, Policies};
use domicile_stores::Records;
use domicile_stores::control::ControlStore;
use domicile_stores::objects::Objects;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::Mode;
use domicile_stores::sqlite::Sqlite;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The service's name.
pub const SERVICE: &str = "main";

/// Regions with their countries: residents of each live there.
pub const REGIONS: [(&str, &str); 3] = [("berlin", "DE"), ("delhi", "IN"), ("lyon", "FR")];

const POLICY: &str = r#"
@id("germany") @law("law of the torture, 1") @reason("residents of Germany stay there")
permit (principal, action, resource) when { principal.residence == "DE" && resource.country == "DE" };
@id("india") @law("law of the torture, 2") @reason("residents of India live in India")
permit (principal, action, resource) when { principal.residence == "IN" && resource.country == "IN" };
@id("france") @law("law of the torture, 3") @reason("residents of France live in France")
permit (principal, action, resource) when { principal.residence == "FR" && resource.country == "FR" };
"#;

/// Where everything is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Site {
    /// `records` settings by region, for the mover's role; `sqlite:FILE` or a URL.
    pub records: BTreeMap<String, String>,
    /// The control store's URL.
    pub control: String,
    /// Keys, objects, receipts; files of SQLite.
    pub dir: PathBuf,
}

impl Site {
    /// Makes keys and folders.
    pub fn prepare(&self) -> Fallible<()> {
        fs::write(self.key_file(), DirectoryKey::generate()?.to_file().as_bytes())?;
        for (region, _) in REGIONS {
            fs::create_dir_all(self.objects(region))?;
            let key = SigningKey::generate(region)?;
            fs::write(self.dir.join(format!("{region}.key")), key.to_text().as_bytes())?;
        }
        fs::write(self.file(), serde_json::to_vec(self)?)?;
        Ok(())
    }

    /// The site that [`Site::prepare`] wrote down.
    pub fn read(file: &Path) -> Fallible<Self> {
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }

    /// The file that [`Site::read`] reads.
    pub fn file(&self) -> PathBuf {
        self.dir.join("site.json")
    }

    /// The directory's key.
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("directory.key")
    }

    /// A region's folder of objects.
    pub fn objects(&self, region: &str) -> PathBuf {
        self.dir.join(format!("{region}-objects"))
    }

    /// The service, its stores wrapped so that failpoints are met.
    pub async fn service(&self, observer: Arc<dyn Observer>) -> Fallible<Arc<Service>> {
        let layout = self.layout().await?;
        let (mut regions, mut keys, mut closed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut places = Vec::new();
        for (id, country) in REGIONS {
            let opened = self.store(id, layout.clone()).await;
            let country: domicile_policy::Country = country.parse()?;
            let (operator, site) = (country, id.to_owned());
            let place = domicile_policy::Region { id: id.into(), country, operator, opens: None, site };
            places.push(place.clone());
            let key = fs::read_to_string(self.dir.join(format!("{id}.key")))?;
            keys.insert(id.to_owned(), SigningKey::from_text(&key)?);
            let inner = match opened {
                Ok(inner) => inner,
                Err(error) => {
                    closed.insert(id.to_owned(), error.to_string());
                    continue;
                }
            };
            let records: Arc<dyn Records> = Arc::new(points::records::Pointed(inner));
            let objects = Some(Arc::new(Objects::open(&format!("file:{id}-objects"), &self.dir).await?));
            regions.insert(id.to_owned(), Arc::new(Region { id: id.into(), place, records, objects }));
        }
        let store = ControlStore::open(&self.control, &self.dir, None).await?;
        let key = DirectoryKey::from_file(&fs::read(self.key_file())?)?;
        Ok(Arc::new(Service {
            name: SERVICE.into(),
            layout,
            places,
            regions,
            closed,
            directory: Arc::new(Directory::open(points::control::Pointed(Arc::new(store)), key)),
            rules: Rules {
                policies: Policies::parse(&[("torture.cedar".into(), POLICY.into())], &[])?,
                latency: Latency::parse_csv(
                    "from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source\nuser-IN,delhi,1,2,0,user-dc,E,test\n",
                )?,
                mechanisms: BTreeMap::new(),
            },
            pace: domicile_mover::Pace::new(&limits()),
            limits: limits(),
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

    async fn store(&self, region: &str, layout: Arc<Layout>) -> Fallible<Arc<dyn Records>> {
        let url = &self.records[region];
        Ok(match url.strip_prefix("sqlite:") {
            Some(file) => Arc::new(Sqlite::open(Path::new(file), layout, false).await?),
            None => Arc::new(Postgres::open(url, None, layout).await?),
        })
    }

    /// The data map, resolved once by whoever sets the site up: a worker must not depend on a region that is
    /// down to read a catalogue.
    async fn layout(&self) -> Fallible<Arc<Layout>> {
        let mut why = None;
        for url in self.records.values() {
            let read = match url.strip_prefix("sqlite:") {
                Some(file) => Sqlite::catalogue_of(Path::new(file)).await,
                None => Postgres::catalogue_of(url, None).await,
            };
            let catalogue = match read {
                Ok(catalogue) => catalogue,
                Err(error) => {
                    why = Some(error);
                    continue;
                }
            };
            let mut map: DataMap = propose(&catalogue, None);
            map.answer("stores", "none");
            let asked: Vec<_> = map.unanswered().map(|q| (q.ask.to_string(), q.choices.clone())).collect();
            for (ask, choices) in asked {
                let object = choices.iter().find(|c| c.contains("object") || c.as_str() == "yes");
                let answer = object.or(choices.first()).ok_or("a question without choices")?.clone();
                map.answer(&ask, &answer);
            }
            return Ok(Arc::new(check(&map, &catalogue).map_err(|p| format!("the data map: {p:?}"))?));
        }
        Err(why.map_or_else(|| "no region".into(), Into::into))
    }

    /// Installs the guard in all regions, gives every subject its home, and enforces.
    pub async fn adopt(&self) -> Fallible<()> {
        let service = self.service(Arc::new(domicile_mover::progress::Silent)).await?;
        service.directory.migrate().await?;
        for region in service.regions.values() {
            region.records.install(&service.guard_spec(region)).await?;
            let found = region.records.unhomed(None, 1000).await?;
            let homes = service.directory.register(SERVICE, &region.id, &found).await?;
            let all = homes.new.into_iter().chain(homes.already).map(|(s, h)| (s, h.epoch));
            region.records.adopt(&all.collect::<Vec<_>>()).await?;
            region.records.set_mode(Mode::Enforce).await?;
        }
        Ok(())
    }
}

/// Small batches, small groups, short clocks: everything that has an end is met often.
fn limits() -> Limits {
    Limits {
        batch_subjects: 2,
        fence_subjects: 2,
        batches_in_flight: 2,
        writer_wait: Duration::from_millis(150),
        fence_deadline: Duration::from_millis(700),
        fence_tries: 6,
        catch_up_enough: 10,
        erase_rows: 40,
        grace: Duration::ZERO,
        settle_wait: Duration::from_secs(3),
        turn: Duration::from_millis(600),
        tries: 6,
        straggler_rounds: 1,
        ..Limits::default()
    }
}
