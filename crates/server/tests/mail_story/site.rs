//! A messaging service in two regions, as its configuration would open it: its stores, its guard, its relays' processes.

use crate::Fallible;
use domicile_datamap::{DataMap, Layout, check, propose};
use domicile_directory::{Directory, DirectoryKey};
use domicile_ledger::ReceiptSecret;
use domicile_messaging::SigningKey;
use domicile_messaging::consent::device_of;
use domicile_messaging::wire::{Key, MailboxId};
use domicile_mover::progress::Silent;
use domicile_mover::{Evidence, Limits, Pace, Region, Rules, Service, WorkerName};
use domicile_policy::{Latency, Policies};
use domicile_stores::Records;
use domicile_stores::control::ControlStore;
use domicile_stores::mailboxes::schema;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::Mode;
use domicile_stores::sqlite::Sqlite;
use domicile_testbed::free_ports;
use domicile_testbed::postgres::Cluster;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The service's name.
pub const SERVICE: &str = "messages";
/// Regions with their countries.
pub const REGIONS: [(&str, &str); 2] = [("beijing", "CN"), ("delhi", "IN")];
/// What relays show each other.
pub const TOKEN: &str = "the-relays-of-this-test";

/// The key of a mailbox's device: no secret in a test.
pub fn device_key(mailbox: &MailboxId) -> SigningKey {
    let mut seed = [7; 32];
    seed[..16].copy_from_slice(&mailbox.0);
    SigningKey::from_bytes(&seed)
}

const POLICY: &str = r#"
@id("china") @law("law 1") @reason("residents of China stay there")
permit (principal, action, resource) when { principal.residence == "CN" && resource.country == "CN" };
@id("india") @law("law 2") @reason("residents of India stay there")
permit (principal, action, resource) when { principal.residence == "IN" && resource.country == "IN" };
"#;

/// Where everything is, for the relays' processes, too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Places {
    /// The mover's records by region.
    pub records: BTreeMap<String, String>,
    /// The same as a relay opens them.
    pub mail: BTreeMap<String, String>,
    /// The control store.
    pub control: String,
    /// Keys, files of SQLite.
    pub dir: PathBuf,
    /// Relays' ports by region.
    pub ports: BTreeMap<String, u16>,
}

/// The servers, as long as this lives.
pub struct Site {
    pub places: Places,
    pub clusters: Vec<Cluster>,
    _folder: tempfile::TempDir,
}

impl Site {
    /// Starts the databases and makes the tables, with these mailboxes at the first region.
    pub fn start(sqlite: bool, mailboxes: &[MailboxId]) -> Fallible<Self> {
        let folder = tempfile::tempdir()?;
        let dir = folder.path().to_owned();
        let (mut records, mut mail, mut clusters) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (nr, (region, country)) in REGIONS.iter().enumerate() {
            let rows = if nr == 0 { rows(mailboxes, country, sqlite) } else { String::new() };
            if sqlite {
                let file = dir.join(format!("{region}.db"));
                let sql = format!("PRAGMA journal_mode = WAL; {} {rows}", schema::SQLITE);
                rusqlite::Connection::open(&file)?.execute_batch(&sql)?;
                records.insert((*region).to_owned(), format!("sqlite:{}", file.display()));
                mail.insert((*region).to_owned(), format!("sqlite:{}", file.display()));
            } else {
                let cluster = Cluster::start_with(&["fsync=on"]);
                prepare(&cluster, &format!("{} {rows}", schema::POSTGRES));
                records.insert((*region).to_owned(), cluster.url("domicile", "messages"));
                mail.insert((*region).to_owned(), cluster.url("relay", "messages"));
                clusters.push(cluster);
            }
        }
        let control = match clusters.first() {
            Some(cluster) => {
                cluster.sql("postgres", "CREATE DATABASE control OWNER domicile");
                cluster.url("domicile", "control")
            }
            None => "sqlite:control.db".to_owned(),
        };
        let free = free_ports::<2>();
        let ports = REGIONS.iter().zip(free).map(|((region, _), port)| ((*region).to_owned(), port));
        let places = Places { records, mail, control, dir, ports: ports.collect() };
        std::fs::write(places.dir.join("directory.key"), DirectoryKey::generate()?.to_file().as_bytes())?;
        std::fs::write(places.file(), serde_json::to_vec(&places)?)?;
        Ok(Self { places, clusters, _folder: folder })
    }
}

fn rows(mailboxes: &[MailboxId], country: &str, sqlite: bool) -> String {
    let bytes = |bytes: &[u8]| match (hex::encode(bytes), sqlite) {
        (hex, true) => format!("x'{hex}'"),
        (hex, false) => format!("'\\x{hex}'"),
    };
    let mut sql = String::new();
    for id in mailboxes {
        let public = Key(device_key(id).verifying_key().to_bytes());
        let (device, key, sealed, record) =
            (device_of(&public), bytes(&public.0), bytes(b"sealed"), bytes(b""));
        sql.push_str(&format!(
            "INSERT INTO mailbox(id, country, device, device_key, number_sealed, discoverable, created_ms) \
             VALUES ('{id}', '{country}', '{device}', {key}, {sealed}, true, 0); \
             INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) \
             VALUES ('{id}', 'cloud_messaging', 1, 'given', {record}), ('{id}', 'presence', 1, 'given', {record});"
        ));
    }
    sql
}

fn prepare(cluster: &Cluster, sql: &str) {
    for statement in [
        "CREATE ROLE owner",
        "CREATE ROLE domicile LOGIN IN ROLE owner",
        "CREATE ROLE relay LOGIN",
        "CREATE DATABASE messages OWNER owner",
    ] {
        cluster.sql("postgres", statement);
    }
    cluster.sql(
        "messages",
        "GRANT CREATE ON DATABASE messages TO domicile; GRANT CREATE ON SCHEMA public TO owner",
    );
    cluster.sql("messages", &format!("SET ROLE owner; {sql}"));
    cluster.sql("messages", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO relay");
}

impl Places {
    /// The file that a relay's process reads.
    pub fn file(&self) -> PathBuf {
        self.dir.join("places.json")
    }

    #[allow(dead_code, reason = "the tests without processes share this file")]
    pub fn read(file: &Path) -> Fallible<Self> {
        Ok(serde_json::from_slice(&std::fs::read(file)?)?)
    }

    /// Where a region's relay is reached.
    pub fn endpoint(&self, region: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports[region])
    }

    pub async fn directory(&self) -> Fallible<Arc<Directory>> {
        let store = ControlStore::open(&self.control, &self.dir, None).await?;
        let key = DirectoryKey::from_file(&std::fs::read(self.dir.join("directory.key"))?)?;
        let directory = Arc::new(Directory::open(store, key));
        directory.migrate().await?;
        Ok(directory)
    }

    /// The service as the mover sees it.
    pub async fn service(&self) -> Fallible<Arc<Service>> {
        let layout = self.layout().await?;
        let (mut regions, mut keys, mut places) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (id, country) in REGIONS {
            let country: domicile_policy::Country = country.parse()?;
            let (operator, site) = (country, id.to_owned());
            let place = domicile_policy::Region { id: id.into(), country, operator, opens: None, site };
            places.push(place.clone());
            keys.insert(id.to_owned(), domicile_ledger::SigningKey::generate(id)?);
            let records = self.store(id, layout.clone()).await?;
            regions.insert(id.to_owned(), Arc::new(Region { id: id.into(), place, records, objects: None }));
        }
        let limits = limits();
        Ok(Arc::new(Service {
            name: SERVICE.into(),
            layout,
            places,
            regions,
            closed: BTreeMap::new(),
            directory: self.directory().await?,
            rules: Rules {
                policies: Policies::parse(&[("rules.cedar".into(), POLICY.into())], &[])?,
                latency: Latency::default(),
                mechanisms: BTreeMap::new(),
            },
            pace: Pace::new(&limits),
            limits,
            observer: Arc::new(Silent),
            worker: WorkerName::new()?,
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

    async fn layout(&self) -> Fallible<Arc<Layout>> {
        let url = &self.records[REGIONS[0].0];
        let catalogue = match url.strip_prefix("sqlite:") {
            Some(file) => Sqlite::catalogue_of(Path::new(file)).await?,
            None => Postgres::catalogue_of(url, None).await?,
        };
        let mut map: DataMap = propose(&catalogue, None);
        map.answer("stores", "none");
        map.subject.consents = Some("consents".parse()?);
        let asked: Vec<_> = map.unanswered().map(|q| (q.ask.to_string(), q.choices.clone())).collect();
        for (ask, choices) in asked {
            let answer = choices.first().ok_or("a question without choices")?.clone();
            map.answer(&ask, &answer);
        }
        Ok(Arc::new(check(&map, &catalogue).map_err(|p| format!("the data map: {p:?}"))?))
    }

    /// Installs the guard everywhere, gives every mailbox its home, and enforces.
    pub async fn adopt(&self, service: &Service) -> Fallible<()> {
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

/// Small groups and short clocks: every state is met often.
fn limits() -> Limits {
    Limits {
        batch_subjects: 4,
        fence_subjects: 2,
        batches_in_flight: 2,
        fence_tries: 8,
        grace: Duration::ZERO,
        tries: 8,
        straggler_rounds: 2,
        ..Limits::default()
    }
}
