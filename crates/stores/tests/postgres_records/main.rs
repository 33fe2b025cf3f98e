//! What only PostgreSQL has: its types, its catalogue, its ways to fail.

mod catalogue;
mod extremes;
mod failures;
#[path = "../layouts/mod.rs"]
mod layouts;
mod links;
mod numbers;
mod schema;
mod tls;

use domicile_datamap::layout::Layout;
use domicile_stores::Records;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::{GuardSpec, Lease, SubjectId};
use domicile_testbed::postgres::Cluster;
use layouts::Way;
use std::sync::{Arc, OnceLock};

/// One cluster for the binary; a mover that is no superuser, an owner, an application.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::start();
        cluster.sql("postgres", "create role owner; create role mover login in role owner");
        cluster.sql("postgres", "create role nobody login");
        cluster
    })
}

/// A database of that name with a schema made by the owner; the mover's URL.
fn database(name: &str, schema: &str) -> String {
    cluster().sql("postgres", &format!("create database {name} owner owner"));
    cluster().sql(name, &format!("set role owner; {schema}"));
    cluster().url("mover", name)
}

/// Opens a database with a layout made of its own catalogue.
async fn open(url: &str, tables: &[(&str, Way<'_>)], country: &str) -> Postgres {
    let catalogue = Postgres::catalogue_of(url, None).await.expect("catalogue");
    let layout = layouts::layout(&catalogue, tables, country);
    open_with(url, layout).await
}

async fn open_with(url: &str, layout: Layout) -> Postgres {
    Postgres::open(url, None, Arc::new(layout)).await.expect("open")
}

/// Installs the guard (observing) and takes a lease.
async fn leased(store: &dyn Records) -> Lease {
    let spec = GuardSpec {
        region: "here".to_owned(),
        service: "shop".to_owned(),
        wave_only: false,
        admission: vec![],
    };
    store.install(&spec).await.expect("install");
    store.take_lease("w1/1").await.expect("lease")
}

fn ids(list: &[&str]) -> Vec<SubjectId> {
    list.iter().map(|s| SubjectId((*s).to_owned())).collect()
}
