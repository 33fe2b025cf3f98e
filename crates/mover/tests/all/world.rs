//! Two regions and a control store on a real engine, an application that writes to them, and a check
//! that shares nothing with the mover.

use crate::fuse::{Faulty, FaultyControl, Fuse};
use domicile_datamap::{DataMap, Layout, check, propose};
use domicile_directory::{Directory, DirectoryKey};
use domicile_ledger::{ReceiptSecret, SigningKey};
use domicile_mover::progress::Silent;
use domicile_mover::{Ask, Evidence, Limits, Region, Rules, Service};
use domicile_policy::{Latency, Policies};
use domicile_stores::Records;
use domicile_stores::control::ControlStore;
use domicile_stores::objects::Objects;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::{GuardSpec, Mode};
use domicile_stores::sqlite::Sqlite;
use domicile_testbed::postgres::Cluster;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub const SERVICE: &str = "main";

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

const SCHEMA: &str = "
CREATE TABLE products(id BIGINT NOT NULL PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE accounts(id BIGINT NOT NULL PRIMARY KEY, country TEXT NOT NULL, email TEXT UNIQUE, version BIGINT NOT NULL DEFAULT 0);
CREATE TABLE orders(id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, version BIGINT NOT NULL DEFAULT 0);
CREATE TABLE items(id BIGINT NOT NULL PRIMARY KEY, order_id BIGINT NOT NULL REFERENCES orders(id) ON DELETE CASCADE, product_id BIGINT REFERENCES products(id), version BIGINT NOT NULL DEFAULT 0);
CREATE TABLE photos(id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, object_key TEXT);
CREATE INDEX orders_account ON orders(account_id);
CREATE INDEX items_order ON items(order_id);
CREATE INDEX photos_account ON photos(account_id);
INSERT INTO products VALUES (1, 'tea'), (2, 'rice');
";

const POLICY: &str = r#"
@id("germany") @law("law of the test, 1") @reason("residents of Germany stay there")
permit (principal, action, resource) when { principal.residence == "DE" && resource.country == "DE" };
@id("india") @law("law of the test, 2") @reason("residents of India live in India")
permit (principal, action, resource) when { principal.residence == "IN" && resource.country == "IN" };
@id("france") @law("law of the test, 3") @reason("residents of France live in France")
permit (principal, action, resource) when { principal.residence == "FR" && resource.country == "FR" };
"#;

/// One cluster serves all tests of the binary that do not stop theirs, a database a region.
fn common() -> &'static Arc<Cluster> {
    static CLUSTER: OnceLock<Arc<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| Arc::new(with_roles(Cluster::start())))
}

/// The roles every region's database knows.
pub fn with_roles(cluster: Cluster) -> Cluster {
    cluster.sql("postgres", "CREATE ROLE domicile LOGIN; CREATE ROLE owner NOLOGIN; GRANT owner TO domicile; CREATE ROLE app LOGIN");
    cluster
}

/// Where a world's databases stand.
#[derive(Clone)]
pub struct Ground {
    pub engine: Engine,
    /// Regions with their countries.
    pub regions: &'static [(&'static str, &'static str)],
    /// Clusters of their own, by region; `control` is the control store, else a SQLite file.
    pub clusters: BTreeMap<&'static str, Arc<Cluster>>,
    /// What stands behind `CREATE DATABASE` at `new`.
    pub create_new: &'static str,
    /// Where the file of `new` lies (SQLite), if elsewhere.
    pub new_folder: Option<std::path::PathBuf>,
    /// Standbys of `old` that its `records` setting names.
    pub standbys: &'static str,
    /// Further tables at every region, made after the rows above.
    pub more: &'static str,
    /// Their rows at `old`.
    pub rows: &'static str,
    /// Answers to questions of the data map by their name without the schema; others get their first choice.
    pub answers: &'static [(&'static str, &'static str)],
    /// `guard = "wave"`.
    pub wave_only: bool,
}

impl Ground {
    /// The old and the new region on the common cluster or in files, the control store in a file.
    pub fn plain(engine: Engine) -> Self {
        let regions = &[("old", "DE"), ("new", "IN")];
        Self {
            engine,
            regions,
            clusters: BTreeMap::new(),
            create_new: "",
            new_folder: None,
            standbys: "",
            more: "",
            rows: "",
            answers: &[],
            wave_only: false,
        }
    }

    /// PostgreSQL, one place (a region or `control`) on a cluster of its own.
    pub fn with(place: &'static str, cluster: &Arc<Cluster>) -> Self {
        Self { clusters: [(place, cluster.clone())].into(), ..Self::plain(Engine::Postgres) }
    }
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub engine: Engine,
    ground: Ground,
    number: u32,
    keys: BTreeMap<String, String>,
}

impl World {
    /// Regions `old` (DE) and `new` (IN) with the schema; `old` holds accounts 1..=`indians` of India, and
    /// 1001, 1002 of Germany, each with two orders of two items and a photo. The guard is in force.
    pub async fn new(engine: Engine, indians: i64) -> Self {
        Self::on(Ground::plain(engine), indians).await
    }

    /// The same on another ground.
    pub async fn on(ground: Ground, indians: i64) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let keys = ground.regions.iter();
        let keys =
            keys.map(|(r, _)| ((*r).to_owned(), SigningKey::generate(r).unwrap().to_text().to_string()));
        let world = Self { dir, engine: ground.engine, number, keys: keys.collect(), ground };
        std::fs::write(
            world.dir.path().join("directory.key"),
            DirectoryKey::generate().unwrap().to_file().as_bytes(),
        )
        .unwrap();
        for (region, _) in world.ground.regions {
            world.create(region).await;
        }
        if let Some(control) = world.ground.clusters.get("control") {
            let name = world.database("control");
            control.sql("postgres", &format!("CREATE DATABASE {name} OWNER domicile"));
        }
        world.fill(indians).await;
        world.extend().await;
        let service = world.service().await;
        service.directory.migrate().await.unwrap();
        world.adopt(&service).await;
        world
    }

    async fn create(&self, region: &str) {
        std::fs::create_dir_all(self.objects(region)).unwrap();
        match self.engine {
            Engine::Sqlite => {
                let db = rusqlite::Connection::open(self.sqlite(region)).unwrap();
                db.execute_batch(SCHEMA).unwrap();
            }
            Engine::Postgres => {
                let (name, cluster) = (self.database(region), self.cluster(region));
                let how = if region == "new" { self.ground.create_new } else { "" };
                cluster.sql("postgres", &format!("CREATE DATABASE {name} OWNER owner {how}"));
                cluster
                    .sql(&name, "GRANT ALL ON SCHEMA public TO owner; GRANT USAGE ON SCHEMA public TO app");
                cluster.sql(&name, &format!("SET ROLE owner; {SCHEMA} GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app"));
            }
        }
    }

    async fn fill(&self, indians: i64) {
        let app = self.app("old").await;
        for id in (1..=indians).chain([1001, 1002]) {
            let country = if id > 1000 { "DE" } else { "IN" };
            app.exec(&format!("INSERT INTO accounts VALUES ({id}, '{country}', 'a{id}@example', 0)"))
                .await
                .unwrap();
            for order in [id * 10, id * 10 + 1] {
                app.exec(&format!("INSERT INTO orders VALUES ({order}, {id}, 0)")).await.unwrap();
                for item in [order * 10, order * 10 + 1] {
                    app.exec(&format!("INSERT INTO items VALUES ({item}, {order}, 1, 0)")).await.unwrap();
                }
            }
            self.put_object("old", &format!("photos/{id}.jpg"), format!("picture of {id}").as_bytes()).await;
            app.exec(&format!("INSERT INTO photos VALUES ({id}, {id}, 'photos/{id}.jpg')")).await.unwrap();
        }
    }

    async fn extend(&self) {
        for (region, _) in self.ground.regions {
            match self.engine {
                Engine::Sqlite => {
                    let db = rusqlite::Connection::open(self.sqlite(region)).unwrap();
                    db.execute_batch(self.ground.more).unwrap();
                }
                Engine::Postgres => self.owner(
                    region,
                    &format!(
                        "{} GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app",
                        self.ground.more
                    ),
                ),
            }
        }
        let app = self.app("old").await;
        for row in self.ground.rows.split(';').map(str::trim).filter(|row| !row.is_empty()) {
            app.exec(row).await.unwrap();
        }
    }

    /// How the guard is installed at a region.
    pub fn spec(&self, service: &Service, region: &Region) -> GuardSpec {
        GuardSpec { wave_only: self.ground.wave_only, ..service.guard_spec(region) }
    }

    async fn adopt(&self, service: &Service) {
        for region in service.regions.values() {
            let spec = self.spec(service, region);
            region.records.install(&spec).await.unwrap();
            loop {
                let found = region.records.unhomed(None, 1000).await.unwrap();
                if found.is_empty() {
                    break;
                }
                let registered = service.directory.register(SERVICE, &region.id, &found).await.unwrap();
                let all: Vec<_> =
                    registered.new.into_iter().chain(registered.already).map(|(s, h)| (s, h.epoch)).collect();
                region.records.adopt(&all).await.unwrap();
            }
            let mode = if self.ground.wave_only { Mode::Wave } else { Mode::Enforce };
            region.records.set_mode(mode).await.unwrap();
        }
    }

    pub fn sqlite(&self, region: &str) -> std::path::PathBuf {
        if let Some(folder) = self.ground.new_folder.as_ref().filter(|_| region == "new") {
            return folder.join("new.db");
        }
        self.dir.path().join(format!("{region}.db"))
    }

    fn objects(&self, region: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("{region}-objects"))
    }

    pub fn database(&self, region: &str) -> String {
        format!("w{}_{region}", self.number)
    }

    /// The cluster a region's database stands on.
    pub fn cluster(&self, region: &str) -> &Cluster {
        self.ground.clusters.get(region).unwrap_or_else(|| common())
    }

    pub fn url(&self, region: &str, role: &str) -> String {
        self.cluster(region).url(role, &self.database(region))
    }

    /// The `records` setting of a region.
    fn setting(&self, region: &str) -> String {
        let mut url = self.url(region, "domicile");
        if region == "old" && !self.ground.standbys.is_empty() {
            url.push_str(&format!("?standbys={}", self.ground.standbys));
        }
        url
    }

    /// SQL as the mover, whom the guard lets pass: for tampering.
    pub fn tamper(&self, region: &str, sql: &str) {
        match self.engine {
            // The superuser stands outside the guard only by leaving it: as the mover's own role it passes.
            Engine::Postgres => {
                let url = self.url(region, "domicile");
                domicile_testbed::run(std::process::Command::new("psql").args([
                    "-X",
                    "-q",
                    "-v",
                    "ON_ERROR_STOP=1",
                    "-d",
                    &url,
                    "-c",
                    sql,
                ]));
            }
            Engine::Sqlite => {
                let db = rusqlite::Connection::open(self.sqlite(region)).unwrap();
                db.busy_timeout(Duration::from_secs(10)).unwrap();
                db.execute_batch(&format!("BEGIN IMMEDIATE; INSERT INTO domicile_exempt(one) VALUES (1); {sql}; DELETE FROM domicile_exempt; COMMIT")).unwrap();
            }
        }
    }

    /// SQL as the tables' owner (PostgreSQL only).
    pub fn owner(&self, region: &str, sql: &str) {
        self.cluster(region).sql(&self.database(region), &format!("SET ROLE owner; {sql}"));
    }

    /// A backup of a region's database as it is now: a dump, or a copy of the file.
    pub fn back_up(&self, region: &str) -> std::path::PathBuf {
        let file = self.dir.path().join(format!("{region}.backup"));
        let _ = std::fs::remove_file(&file);
        match self.engine {
            Engine::Postgres => {
                let url = self.url(region, "postgres");
                let mut dump = std::process::Command::new("pg_dump");
                domicile_testbed::run(dump.args(["-Fc", "-f"]).arg(&file).args(["-d", &url]));
            }
            Engine::Sqlite => {
                let db = rusqlite::Connection::open(self.sqlite(region)).unwrap();
                db.execute("VACUUM INTO ?1", [file.to_str().unwrap()]).unwrap();
            }
        }
        file
    }

    /// The region's database is what it was when the backup was made. Nobody may be connected by a service of before.
    pub fn restore(&self, region: &str, backup: &Path) {
        match self.engine {
            Engine::Postgres => {
                let (name, cluster) = (self.database(region), self.cluster(region));
                cluster.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
                cluster.sql("postgres", &format!("CREATE DATABASE {name} OWNER owner"));
                let url = self.url(region, "postgres");
                domicile_testbed::run(
                    std::process::Command::new("pg_restore")
                        .args(["--exit-on-error", "-d", &url])
                        .arg(backup),
                );
            }
            Engine::Sqlite => {
                // A service that was dropped closes its files a moment later, and would write into the new one. SQLite
                // leaves WAL mode only where nobody else is connected.
                let alone = || {
                    let db = rusqlite::Connection::open(self.sqlite(region)).unwrap();
                    let mode = db.query_row("PRAGMA journal_mode = DELETE", [], |r| r.get::<_, String>(0));
                    mode.is_ok_and(|mode| mode == "delete")
                };
                let began = std::time::Instant::now();
                while !alone() {
                    assert!(
                        began.elapsed() < Duration::from_secs(60),
                        "somebody stays connected to {region}"
                    );
                    std::thread::sleep(Duration::from_millis(10));
                }
                for also in ["-wal", "-shm"] {
                    let mut path = self.sqlite(region).into_os_string();
                    path.push(also);
                    let _ = std::fs::remove_file(path);
                }
                std::fs::copy(backup, self.sqlite(region)).unwrap();
            }
        }
    }

    pub async fn put_object(&self, region: &str, key: &str, bytes: &[u8]) {
        let store = self.object_store(region).await;
        store.put(key, bytes.to_vec().into()).await.unwrap();
    }

    pub async fn object_store(&self, region: &str) -> Objects {
        Objects::open(&format!("file:{region}-objects"), self.dir.path()).await.unwrap()
    }

    async fn layout(&self) -> Arc<Layout> {
        let catalogue = match self.engine {
            Engine::Sqlite => Sqlite::catalogue_of(&self.sqlite("old")).await.unwrap(),
            Engine::Postgres => Postgres::catalogue_of(&self.url("old", "domicile"), None).await.unwrap(),
        };
        let mut map: DataMap = propose(&catalogue, None);
        map.answer("stores", "none");
        let unanswered: Vec<(String, Vec<String>)> =
            map.unanswered().map(|q| (q.ask.to_string(), q.choices.clone())).collect();
        for (id, choices) in unanswered {
            let plain = id.replace("public.", "").replace("main.", "");
            let wanted = self.ground.answers.iter().find(|(ask, _)| *ask == plain).map(|(_, answer)| *answer);
            let answer = choices
                .iter()
                .find(|c| wanted.map_or(c.contains("object") || c.as_str() == "yes", |w| w == c.as_str()))
                .unwrap_or(&choices[0])
                .clone();
            assert!(map.answer(&id, &answer), "{id}: {choices:?}");
        }
        Arc::new(check(&map, &catalogue).unwrap_or_else(|p| panic!("{p:#?}")))
    }

    /// A new worker process, as far as it goes inside one: nothing is shared with the one before.
    pub async fn service(&self) -> Arc<Service> {
        self.service_with(None, |_| {}).await
    }

    pub async fn service_with(
        &self,
        fuse: Option<Arc<Fuse>>,
        change: impl FnOnce(&mut Limits),
    ) -> Arc<Service> {
        let layout = self.layout().await;
        let mut regions = BTreeMap::new();
        for &(id, country) in self.ground.regions {
            let records: Arc<dyn Records> = match self.engine {
                Engine::Sqlite => {
                    Arc::new(Sqlite::open(&self.sqlite(id), layout.clone(), false).await.unwrap())
                }
                Engine::Postgres => {
                    Arc::new(Postgres::open(&self.setting(id), None, layout.clone()).await.unwrap())
                }
            };
            let records = match &fuse {
                Some(fuse) => Arc::new(Faulty { inner: records, fuse: fuse.clone() }),
                None => records,
            };
            let country: domicile_policy::Country = country.parse().unwrap();
            let place = domicile_policy::Region {
                id: id.into(),
                country,
                operator: country,
                opens: None,
                site: id.into(),
            };
            let objects = Some(Arc::new(self.object_store(id).await));
            regions.insert(id.to_owned(), Arc::new(Region { id: id.into(), place, records, objects }));
        }
        let mut limits = Limits {
            batch_subjects: 4,
            fence_subjects: 2,
            grace: Duration::ZERO,
            turn: Duration::from_millis(200),
            ..Limits::default()
        };
        if fuse.as_ref().is_some_and(|fuse| fuse.kills()) {
            (limits.tries, limits.settle_wait) = (0, Duration::ZERO);
        }
        change(&mut limits);
        Arc::new(Service {
            name: SERVICE.into(),
            layout,
            places: regions.values().map(|r: &Arc<Region>| r.place.clone()).collect(),
            regions,
            closed: BTreeMap::new(),
            directory: Arc::new(self.directory(fuse).await),
            rules: Rules {
                policies: Policies::parse(&[("test.cedar".into(), POLICY.into())], &[]).unwrap(),
                latency: Latency::parse_csv("from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source\nuser-IN,new,1,2,0,user-dc,E,test\n").unwrap(),
                mechanisms: BTreeMap::new(),
            },
            pace: domicile_mover::Pace::new(&limits),
            limits,
            observer: Arc::new(Silent),
            worker: domicile_mover::WorkerName::new().unwrap(),
            stop: Arc::default(),
            evidence: Evidence {
                folder: self.dir.path().join("receipts"),
                keys: self.keys.iter().map(|(r, k)| (r.clone(), SigningKey::from_text(k).unwrap())).collect(),
                secret: ReceiptSecret::from_bytes(&[7; 32]),
                retention: BTreeMap::new(),
            },
            guard_wave_only: self.ground.wave_only,
        })
    }

    async fn directory(&self, fuse: Option<Arc<Fuse>>) -> Directory {
        let url = match self.ground.clusters.get("control") {
            Some(control) => control.url("domicile", &self.database("control")),
            None => "sqlite:control.db".to_owned(),
        };
        let store = ControlStore::open(&url, self.dir.path(), None).await.unwrap();
        let key =
            DirectoryKey::from_file(&std::fs::read(self.dir.path().join("directory.key")).unwrap()).unwrap();
        match fuse {
            Some(fuse) => Directory::open(FaultyControl { inner: store, fuse }, key),
            None => Directory::open(store, key),
        }
    }

    pub async fn app(&self, region: &str) -> App {
        match self.engine {
            Engine::Sqlite => {
                let db = rusqlite::Connection::open(self.sqlite(region)).unwrap();
                db.pragma_update(None, "foreign_keys", true).unwrap();
                db.busy_timeout(Duration::from_secs(10)).unwrap();
                App::Sqlite(std::sync::Mutex::new(db))
            }
            Engine::Postgres => {
                let (client, connection) =
                    tokio_postgres::connect(&self.url(region, "app"), tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                App::Postgres(client)
            }
        }
    }

    pub fn receipts(&self, wave: &str) -> std::path::PathBuf {
        self.dir.path().join("receipts").join(format!("{wave}.receipts"))
    }

    /// Verifies a receipts file with the ledger alone, trusting the regions' keys.
    pub fn verified(&self, path: &Path) -> domicile_ledger::Verified {
        let keys: Vec<_> =
            self.keys.values().map(|k| SigningKey::from_text(k).unwrap().verifying_key().clone()).collect();
        domicile_ledger::verify(std::fs::File::open(path).unwrap(), &keys).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Every row of every mapped table at a region as text, read by a plain connection.
    pub async fn dump(&self, region: &str) -> BTreeMap<String, Vec<String>> {
        let app = self.app(region).await;
        let mut all = BTreeMap::new();
        for (table, columns) in [
            ("accounts", "id || '|' || country || '|' || coalesce(email, '') || '|' || version"),
            ("orders", "id || '|' || account_id || '|' || version"),
            ("items", "id || '|' || order_id || '|' || coalesce(product_id, 0) || '|' || version"),
            ("photos", "id || '|' || account_id || '|' || coalesce(object_key, '')"),
        ] {
            all.insert(
                table.to_owned(),
                app.texts(&format!("SELECT {columns} FROM {table} ORDER BY id")).await,
            );
        }
        all
    }
}

/// The application's own connection.
pub enum App {
    Sqlite(std::sync::Mutex<rusqlite::Connection>),
    Postgres(tokio_postgres::Client),
}

impl App {
    /// Rows affected, or the refusal's words.
    pub async fn exec(&self, sql: &str) -> Result<u64, String> {
        match self {
            // In place: waiting for the file's lock must not hold up the mover's own tasks.
            App::Sqlite(db) => tokio::task::block_in_place(|| {
                db.lock().unwrap().execute(sql, []).map(|n| n as u64).map_err(|e| e.to_string())
            }),
            App::Postgres(client) => client.execute(sql, &[]).await.map_err(|e| match e.as_db_error() {
                Some(db) => format!("{}: {}", db.code().code(), db.message()),
                None => e.to_string(),
            }),
        }
    }

    pub async fn texts(&self, sql: &str) -> Vec<String> {
        match self {
            App::Sqlite(db) => {
                let db = db.lock().unwrap();
                let mut statement = db.prepare(sql).unwrap();
                let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
                rows.map(Result::unwrap).collect()
            }
            App::Postgres(client) => {
                client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

pub fn ask() -> Ask {
    Ask { today: jiff::civil::date(2026, 11, 22), for_latency: false, from: vec![] }
}
