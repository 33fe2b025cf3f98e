//! PostgreSQL's fixture: two databases of one cluster, a mover that is no superuser.

use crate::suite::{self, Fixture, Pair, Run, Side};
use async_trait::async_trait;
use domicile_stores::postgres::Postgres;
use domicile_testbed::postgres::Cluster;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

struct OnPostgres;

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::start();
        cluster.sql("postgres", "create role owner; create role mover login in role owner");
        cluster.sql("postgres", "create role app login");
        cluster
    })
}

#[async_trait]
impl Fixture for OnPostgres {
    async fn pair(&self, test: &str) -> Pair {
        let source = side(&format!("{test}_source")).await;
        (source.app)(suite::ROWS).expect("rows");
        Pair { source, target: side(&format!("{test}_target")).await }
    }
}

async fn side(database: &str) -> Side {
    let database: &'static str = database.to_owned().leak();
    cluster().sql("postgres", &format!("create database {database} owner owner"));
    cluster().sql(database, &format!("set role owner; {}", suite::SCHEMA));
    cluster().sql(database, "grant select, insert, update, delete on all tables in schema public to app");
    let url = cluster().url("mover", database);
    let catalogue = Postgres::catalogue_of(&url, None).await.expect("catalogue");
    let layout = Arc::new(suite::layout(&catalogue, "public"));
    let records = Arc::new(Postgres::open(&url, None, layout).await.expect("open"));
    Side { records, app: as_role("app", database), tamper: as_role("mover", database) }
}

/// The guard exempts by session_user; so does this.
fn as_role(role: &'static str, database: &'static str) -> Run {
    Box::new(move |sql| {
        let sql = format!("set session authorization {role}; {sql}");
        let done = catch_unwind(AssertUnwindSafe(|| cluster().sql(database, &sql)));
        done.map(|_| ()).map_err(|e| e.downcast_ref::<String>().cloned().unwrap_or_default())
    })
}

crate::conformance!(OnPostgres);
