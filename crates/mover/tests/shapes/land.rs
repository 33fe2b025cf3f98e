//! Two regions with a schema of the test's own, and the way there and back.

use crate::beats::Beats;
use domicile_datamap::catalogue::TableName;
use domicile_datamap::{DataMap, Layout, check, propose};
use domicile_directory::{Directory, DirectoryKey};
use domicile_ledger::{ReceiptSecret, SigningKey};
use domicile_mover::plan::{self, Plan};
use domicile_mover::progress::{Event, Observer};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Ask, Error, Evidence, Limits, Region, Rules, Service, WaveReport};
use domicile_policy::{Latency, Policies};
use domicile_stores::control::ControlStore;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::Mode;
use domicile_testbed::postgres::Cluster;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Old and new region with their countries.
pub const REGIONS: [(&str, &str); 2] = [("old", "DE"), ("new", "IN")];

const POLICY: &str = r#"
@id("germany") @law("law of the test, 1") @reason("residents of Germany stay there")
permit (principal, action, resource) when { principal.residence == "DE" && resource.country == "DE" };
@id("india") @law("law of the test, 2") @reason("residents of India live in India")
permit (principal, action, resource) when { principal.residence == "IN" && resource.country == "IN" };
"#;

/// What the check reads with, whatever role or database say.
const PLAIN: &str = "SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'; \
    SET search_path = 'pg_catalog'; SET row_security = off;";

/// A schema with its rows. The root has a column `country`; residents of India move.
#[derive(Clone)]
pub struct Case {
    /// Made by the tables' owner at both regions.
    pub schema: String,
    /// What only a superuser may, before the schema, at both regions.
    pub admin: String,
    /// Rows at `old`, written by the owner before the guard is installed.
    pub rows: String,
    /// The root: schema, name.
    pub root: (&'static str, &'static str),
    /// Its key column, and its type.
    pub key: (&'static str, &'static str),
    /// Answers to the data map's questions; others get their first choice.
    pub answers: &'static [(&'static str, &'static str)],
}

impl Case {
    /// Tables below `users(id bigint, country text)`.
    pub fn of_users(schema: impl Into<String>, rows: impl Into<String>) -> Self {
        Self {
            schema: format!(
                "CREATE TABLE users(id bigint PRIMARY KEY, country text NOT NULL); {}",
                schema.into()
            ),
            admin: String::new(),
            rows: rows.into(),
            root: ("public", "users"),
            key: ("id", "bigint"),
            answers: &[],
        }
    }

    fn root_sql(&self) -> String {
        format!("{}.{}", quoted(self.root.0), quoted(self.root.1))
    }
}

/// An identifier in quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A cluster with the roles that every region knows.
pub fn with_roles(cluster: Cluster) -> Arc<Cluster> {
    cluster.sql(
        "postgres",
        "CREATE ROLE domicile LOGIN; CREATE ROLE owner NOLOGIN; GRANT owner TO domicile; CREATE ROLE app LOGIN",
    );
    Arc::new(cluster)
}

/// One cluster of the machine's own version serves all tests that need no other.
pub fn common() -> Arc<Cluster> {
    static CLUSTER: OnceLock<Arc<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| with_roles(Cluster::start())).clone()
}

/// Two regions with the case's schema.
pub struct Land {
    dir: tempfile::TempDir,
    number: u32,
    clusters: [Arc<Cluster>; 2],
    pub case: Case,
    keys: BTreeMap<String, String>,
}

impl Land {
    /// Regions on the common cluster; the guard is in force.
    pub async fn new(case: Case) -> Arc<Self> {
        let land = Self::unguarded(case, [common(), common()]);
        land.adopt().await;
        land
    }

    /// The same on clusters for `old` and `new`, without the guard.
    pub fn unguarded(case: Case, clusters: [Arc<Cluster>; 2]) -> Arc<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().unwrap();
        let key = DirectoryKey::generate().unwrap();
        std::fs::write(dir.path().join("directory.key"), key.to_file().as_bytes()).unwrap();
        let signing = |r: &str| SigningKey::generate(r).unwrap().to_text().to_string();
        let keys = REGIONS.iter().map(|(r, _)| ((*r).to_owned(), signing(r))).collect();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let land = Self { dir, number, clusters, case, keys };
        for (region, _) in REGIONS {
            let (cluster, name) = (land.cluster(region), land.database(region));
            cluster.sql("postgres", &format!("CREATE DATABASE {name} OWNER owner"));
            cluster.sql(&name, &format!("GRANT ALL ON SCHEMA public TO owner; {}", land.case.admin));
            land.owner(region, &format!("{}; {}", land.case.schema, land.beats_table()));
            cluster.sql(&name, GRANTS);
        }
        land.owner("old", &land.case.rows);
        land.owner(
            "old",
            &format!("INSERT INTO public.beats SELECT {} FROM {}", land.key(), land.case.root_sql()),
        );
        Arc::new(land)
    }

    /// Where each subject's acknowledged writes are counted.
    fn beats_table(&self) -> String {
        let (key, root) = (self.key(), self.case.root_sql());
        format!(
            "CREATE TABLE public.beats(subject {} PRIMARY KEY REFERENCES {root}({key}) ON DELETE CASCADE, \
             n bigint NOT NULL DEFAULT 0);",
            self.case.key.1
        )
    }

    pub fn key(&self) -> String {
        quoted(self.case.key.0)
    }

    pub fn database(&self, region: &str) -> String {
        format!("s{}_{region}", self.number)
    }

    pub fn cluster(&self, region: &str) -> &Cluster {
        &self.clusters[usize::from(region == "new")]
    }

    pub fn url(&self, region: &str, role: &str) -> String {
        self.cluster(region).url(role, &self.database(region))
    }

    /// SQL as the tables' owner.
    pub fn owner(&self, region: &str, sql: &str) -> String {
        self.cluster(region).sql(&self.database(region), &format!("SET ROLE owner; {sql}"))
    }

    /// SQL as the superuser.
    pub fn admin(&self, region: &str, sql: &str) -> String {
        self.cluster(region).sql(&self.database(region), sql)
    }

    /// The application's own connection.
    pub async fn app(&self, region: &str) -> tokio_postgres::Client {
        self.connect(region, "app").await
    }

    async fn connect(&self, region: &str, role: &str) -> tokio_postgres::Client {
        let url = self.url(region, role);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub async fn layout(&self) -> Result<Arc<Layout>, String> {
        let catalogue = Postgres::catalogue_of(&self.url("old", "domicile"), None).await.unwrap();
        let root = TableName::new(self.case.root.0, self.case.root.1);
        let mut map: DataMap = propose(&catalogue, Some(&root));
        map.answer("stores", "none");
        let asked: Vec<(String, Vec<String>)> =
            map.unanswered().map(|q| (q.ask.to_string(), q.choices.clone())).collect();
        for (id, choices) in asked {
            let said = self.case.answers.iter().find(|(ask, _)| *ask == id).map(|(_, answer)| *answer);
            let first = choices.first().map_or("country", String::as_str);
            assert!(map.answer(&id, said.unwrap_or(first)), "{id}: {choices:?}");
        }
        match check(&map, &catalogue) {
            Ok(layout) => Ok(Arc::new(layout)),
            Err(problems) => Err(format!("{problems:#?}")),
        }
    }

    pub async fn service(&self, observer: Arc<dyn Observer>) -> Arc<Service> {
        let layout = self.layout().await.unwrap_or_else(|problems| panic!("{problems}"));
        let mut regions = BTreeMap::new();
        for (id, country) in REGIONS {
            let records = Postgres::open(&self.url(id, "domicile"), None, layout.clone()).await.unwrap();
            let country: domicile_policy::Country = country.parse().unwrap();
            let place = domicile_policy::Region {
                id: id.into(),
                country,
                operator: country,
                opens: None,
                site: id.into(),
            };
            let region = Region { id: id.into(), place, records: Arc::new(records), objects: None };
            regions.insert(id.to_owned(), Arc::new(region));
        }
        let file = std::fs::read(self.dir.path().join("directory.key")).unwrap();
        let store = ControlStore::open("sqlite:control.db", self.dir.path(), None).await.unwrap();
        let directory = Directory::open(store, DirectoryKey::from_file(&file).unwrap());
        directory.migrate().await.unwrap();
        let signing = |k: &String| SigningKey::from_text(k).unwrap();
        Arc::new(Service {
            name: "main".into(),
            layout,
            places: regions.values().map(|r: &Arc<Region>| r.place.clone()).collect(),
            regions,
            closed: BTreeMap::new(),
            directory: Arc::new(directory),
            rules: Rules {
                policies: Policies::parse(&[("test.cedar".into(), POLICY.into())], &[]).unwrap(),
                latency: Latency::default(),
                mechanisms: BTreeMap::new(),
            },
            pace: domicile_mover::Pace::new(&Limits::default()),
            limits: Limits {
                grace: Duration::ZERO,
                turn: Duration::from_millis(200),
                fence_tries: 30,
                ..Limits::default()
            },
            observer,
            stop: Arc::default(),
            evidence: Evidence {
                folder: self.dir.path().join("receipts"),
                keys: self.keys.iter().map(|(r, k)| (r.clone(), signing(k))).collect(),
                secret: ReceiptSecret::from_bytes(&[7; 32]),
                retention: BTreeMap::new(),
            },
            guard_wave_only: false,
            worker: domicile_mover::WorkerName::new().unwrap(),
        })
    }

    /// Installs the guard at both regions, gives everybody a home, enforces.
    pub async fn adopt(&self) {
        let service = self.service(Arc::new(Hooks::none())).await;
        for region in service.regions.values() {
            region.records.install(&service.guard_spec(region)).await.unwrap();
            loop {
                let found = region.records.unhomed(None, 10_000).await.unwrap();
                if found.is_empty() {
                    break;
                }
                let said = service.directory.register("main", &region.id, &found).await.unwrap();
                let all = said.new.into_iter().chain(said.already).map(|(s, h)| (s, h.epoch));
                region.records.adopt(&all.collect::<Vec<_>>()).await.unwrap();
            }
            region.records.set_mode(Mode::Enforce).await.unwrap();
        }
    }

    pub async fn planned(&self, service: &Service) -> Plan {
        let ask = Ask { today: jiff::civil::date(2026, 11, 22), for_latency: false, from: vec![] };
        plan::stored(service, &ask).await.unwrap()
    }

    /// Plans and runs: who belongs elsewhere goes there.
    pub async fn run(&self, service: &Arc<Service>) -> Result<WaveReport, Error> {
        let plan = self.planned(service).await;
        assert_eq!(plan.moves.len(), 1, "{plan:?}");
        Ok(wave::run_plan(service, &plan, &Options::default()).await?.reports.remove(0))
    }

    /// Moves under writers, erases, and compares every row of both regions with what they were.
    pub async fn move_from(self: &Arc<Self>, from: &'static str, subjects: u64) {
        let before = self.rows_of_both();
        let touches = self.touches(from);
        let (land, handle) = (self.clone(), tokio::runtime::Handle::current());
        // Every row of every table is written while it moves, with the values that it has: so each goes by
        // the copy and by its key.
        let touch = move || {
            for sql in &touches {
                let (land, sql) = (land.clone(), sql.clone());
                let write =
                    async move { land.app(from).await.batch_execute(&sql).await.map_err(|e| said(&e)) };
                tokio::task::block_in_place(|| handle.block_on(write)).unwrap();
            }
        };
        let service = self.service(Arc::new(Hooks::at(&["catch up", "verify"], touch))).await;
        let report = self.run(&service).await.unwrap();
        assert!(report.left.is_empty(), "{:?}", report.left);
        assert_eq!(report.subjects, subjects);
        let (erased, _) = wave::erase_wave(&service, &report.wave).await.unwrap();
        assert_eq!(erased.subjects, subjects);
        assert_same(&before, &self.rows_of_both());
    }

    /// Everybody of India goes to `new`, and back once they live in Germany.
    pub async fn there_and_back(self: &Arc<Self>, subjects: u64) {
        let beats = Beats::start(self).await;
        self.move_from("old", subjects).await;
        let relocate = format!("UPDATE {} SET country = 'DE'", self.case.root_sql());
        self.app("new").await.batch_execute(&relocate).await.unwrap();
        self.move_from("new", subjects).await;
        beats.check(self).await;
        assert_eq!(self.rows("new"), Vec::<String>::new());
        for (region, _) in REGIONS {
            assert_eq!(self.admin(region, "SELECT count(*) FROM domicile.changed"), "0", "{region}");
        }
    }

    /// The whole of it.
    pub async fn round_trip(case: Case, subjects: u64) -> Arc<Self> {
        let land = Self::new(case).await;
        land.there_and_back(subjects).await;
        land
    }

    /// Tables with rows of their own, as `schema.name` in quotes, but for `beats`.
    fn tables(&self, region: &str) -> Vec<String> {
        let sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' \
            AND n.nspname NOT IN ('information_schema', 'domicile') AND c.relname <> 'beats' ORDER BY 1";
        self.admin(region, sql).lines().map(str::to_owned).collect()
    }

    /// Every row of every table but `beats` as its text, a long one as its digest.
    pub fn rows(&self, region: &str) -> Vec<String> {
        let mut all = Vec::new();
        for table in self.tables(region) {
            let name = table.replace('\'', "''");
            let sql = format!(
                "{PLAIN} SELECT replace('{name} ' || CASE WHEN length(t::text) < 100000 THEN t::text \
                 ELSE length(t::text) || ' ' || encode(sha256(convert_to(t::text, 'UTF8')), 'hex') END, \
                 E'\\n', '<LF>') FROM ONLY {table} AS t"
            );
            all.extend(self.admin(region, &sql).split('\n').filter(|l| !l.is_empty()).map(str::to_owned));
        }
        all.sort();
        all
    }

    pub fn rows_of_both(&self) -> Vec<String> {
        let mut all: Vec<String> = REGIONS.iter().flat_map(|(region, _)| self.rows(region)).collect();
        all.sort();
        all
    }

    /// An UPDATE of each table that leaves its rows as they are.
    fn touches(&self, region: &str) -> Vec<String> {
        let sql = "SELECT format('UPDATE %s SET %I = %2$I', c.oid::regclass, \
              (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
               AND a.attgenerated = '' AND a.attidentity <> 'a' ORDER BY EXISTS (SELECT FROM pg_index i \
               WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)), a.attnum LIMIT 1)) \
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') \
            AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'domicile') \
            AND c.relname <> 'beats' AND has_table_privilege('app', c.oid, 'UPDATE') ORDER BY 1";
        let sql = format!("SET search_path = 'pg_catalog'; {sql}");
        self.admin(region, &sql).lines().map(str::to_owned).collect()
    }
}

/// The server's words.
pub fn said(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |db| format!("{}: {}", db.code().code(), db.message()))
}

/// The application's privileges on whatever the owner made.
const GRANTS: &str = "DO $$ DECLARE s text; BEGIN \
    FOR s IN SELECT nspname FROM pg_namespace WHERE pg_get_userbyid(nspowner) IN ('owner', 'pg_database_owner') LOOP \
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO app; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO app; \
      GRANT USAGE ON ALL SEQUENCES IN SCHEMA %1$I TO app', s); END LOOP; END $$";

/// Named by the first row that differs: a whole dump would not be read.
pub fn assert_same(before: &[String], after: &[String]) {
    for (was, is) in before.iter().zip(after) {
        assert_eq!(was, is);
    }
    assert_eq!(before.len(), after.len(), "rows");
}

/// Does something when a batch first enters one of the stages, once for each.
pub struct Hooks {
    stages: std::sync::Mutex<Vec<&'static str>>,
    act: Box<dyn Fn() + Send + Sync>,
}

impl Hooks {
    pub fn at(stages: &[&'static str], act: impl Fn() + Send + Sync + 'static) -> Self {
        Self { stages: stages.to_vec().into(), act: Box::new(act) }
    }

    pub fn none() -> Self {
        Self::at(&[], || {})
    }
}

impl Observer for Hooks {
    fn event(&self, event: Event) {
        let Event::Stage { stage, .. } = event else { return };
        let mut stages = self.stages.lock().unwrap();
        let Some(at) = stages.iter().position(|s| *s == stage) else { return };
        stages.remove(at);
        drop(stages);
        (self.act)();
    }
}
