//! The databases: a PostgreSQL cluster for each region and one for the control store, or files of SQLite.

use crate::Fallible;
use crate::site::{REGIONS, Site};
use domicile_testbed::postgres::Cluster;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Sqlite,
}

/// Five tables and a path of four; `parts` hang on `items` by a key without an action, so that whoever deletes
/// an item has to delete them first.
const SCHEMA: &str = "
CREATE TABLE accounts(id BIGINT NOT NULL PRIMARY KEY, country TEXT NOT NULL, email TEXT NOT NULL UNIQUE, value BIGINT NOT NULL);
CREATE TABLE orders(id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, value BIGINT NOT NULL);
CREATE TABLE items(id BIGINT NOT NULL PRIMARY KEY, order_id BIGINT NOT NULL REFERENCES orders(id) ON DELETE CASCADE, value BIGINT NOT NULL);
CREATE TABLE parts(id BIGINT NOT NULL PRIMARY KEY, item_id BIGINT NOT NULL REFERENCES items(id), value BIGINT NOT NULL);
CREATE TABLE photos(id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, object_key TEXT NOT NULL, value BIGINT NOT NULL);
CREATE INDEX orders_account ON orders(account_id);
CREATE INDEX items_order ON items(order_id);
CREATE INDEX parts_item ON parts(item_id);
CREATE INDEX photos_account ON photos(account_id);
";

const GRANTS: &str = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app";

/// The place of the control store among the clusters.
pub const CONTROL: &str = "control";

/// Everything that runs or lies somewhere.
pub struct Ground {
    pub engine: Engine,
    pub site: Site,
    /// By region, and [`CONTROL`]. Empty for SQLite.
    pub clusters: BTreeMap<&'static str, Arc<Cluster>>,
    _folder: tempfile::TempDir,
}

impl Ground {
    /// Starts the servers and makes the tables; `rows` gives a region's first rows.
    pub async fn start(engine: Engine, rows: impl Fn(&str) -> String) -> Fallible<Self> {
        let folder = tempfile::tempdir()?;
        let dir = folder.path().to_owned();
        let mut clusters = BTreeMap::new();
        let mut records = BTreeMap::new();
        for (region, _) in REGIONS {
            let sql = format!("{SCHEMA} {}", rows(region));
            let setting = match engine {
                Engine::Postgres => {
                    let cluster = Arc::new(Cluster::start());
                    prepare(&cluster, &sql);
                    let url = cluster.url("domicile", "shop");
                    clusters.insert(region, cluster);
                    url
                }
                Engine::Sqlite => {
                    let file = dir.join(format!("{region}.db"));
                    rusqlite::Connection::open(&file)?.execute_batch(&sql)?;
                    format!("sqlite:{}", file.display())
                }
            };
            records.insert(region.to_owned(), setting);
        }
        let control = match engine {
            Engine::Postgres => {
                let cluster = Arc::new(Cluster::start());
                cluster.sql("postgres", "CREATE ROLE domicile LOGIN");
                cluster.sql("postgres", "CREATE DATABASE control OWNER domicile");
                let url = cluster.url("domicile", "control");
                clusters.insert(CONTROL, cluster);
                url
            }
            Engine::Sqlite => "sqlite:control.db".to_owned(),
        };
        let site = Site { records, control, dir };
        site.prepare()?;
        Ok(Self { engine, site, clusters, _folder: folder })
    }

    /// Where the application of a region connects to.
    pub fn application(&self, region: &str) -> Place {
        match self.clusters.get(region) {
            Some(cluster) => Place::Postgres(cluster.url("app", "shop")),
            None => Place::Sqlite(self.site.dir.join(format!("{region}.db"))),
        }
    }

    /// Where a reader that may see everything connects to; [`CONTROL`] is the control store.
    pub fn reader(&self, place: &str) -> Place {
        let database = if place == CONTROL { "control" } else { "shop" };
        match self.clusters.get(place) {
            Some(cluster) => Place::Postgres(cluster.url("postgres", database)),
            None => Place::Sqlite(self.site.dir.join(format!("{place}.db"))),
        }
    }
}

fn prepare(cluster: &Cluster, sql: &str) {
    let roles = "CREATE ROLE domicile LOGIN; CREATE ROLE owner NOLOGIN; GRANT owner TO domicile; CREATE ROLE app LOGIN";
    cluster.sql("postgres", roles);
    cluster.sql("postgres", "CREATE DATABASE shop OWNER owner");
    cluster.sql("shop", "GRANT ALL ON SCHEMA public TO owner; GRANT USAGE ON SCHEMA public TO app");
    cluster.sql("shop", &format!("SET ROLE owner; {sql} {GRANTS}"));
}

/// A database to connect to.
#[derive(Debug, Clone)]
pub enum Place {
    Postgres(String),
    Sqlite(std::path::PathBuf),
}
