//! A gateway that can't reach its directory: it routes for as long as its lease holds, then nothing, and comes back by itself.

use crate::town::{Application, These, Town, id};
use domicile_directory::{Directory, DirectoryKey};
use domicile_server::gateway::Limits;
use domicile_stores::control::ControlStore;
use domicile_testbed::postgres::Cluster;
use http::StatusCode;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

async fn directory(cluster: &Cluster) -> Arc<Directory> {
    let store = ControlStore::open(&cluster.url("postgres", "postgres"), Path::new("."), None).await.unwrap();
    let directory = Arc::new(Directory::open(store, DirectoryKey::generate().unwrap()));
    directory.migrate().await.unwrap();
    directory.register("shop", "old", &[id("ann"), id("bob")]).await.unwrap();
    directory
}

/// Asks until this status comes.
async fn until(town: &Town, subject: &str, wanted: StatusCode) -> String {
    let mut last = String::new();
    for _ in 0..3000 {
        let (status, body) = town.ask("GET", "/", subject, "").await;
        if status == wanted {
            return body;
        }
        last = format!("{status} {body}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never {wanted}: {last}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gateway_without_its_directory_stops_and_comes_back() {
    let cluster = Cluster::start();
    let directory = directory(&cluster).await;
    let limits =
        Limits { lease: Duration::from_secs(2), lease_wait: Duration::from_millis(100), ..Limits::default() };
    let (old, new) = (Application::default(), Application::default());
    let (at_old, at_new) = (old.start().await, new.start().await);
    let town =
        Town::of(directory.clone(), (old, at_old), (new, at_new), These { limits, ..These::default() }, None)
            .await;
    assert_eq!(town.ask("GET", "/", "ann", "").await.0, StatusCode::OK);
    cluster.crash();
    let body = until(&town, "ann", StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(body.contains("no-lease") || body.contains("directory"), "{body}");
    let body = until(&town, "ann", StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(body.contains("no-lease"), "{body}");
    let before = town.old.count();
    assert_eq!(town.ask("POST", "/w", "bob", "x").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(town.old.count(), before, "nothing is routed");
    cluster.up();
    until(&town, "ann", StatusCode::OK).await;
    // What moves from now on is followed as before.
    town.move_to("ann", "old", "new").await;
    let came = town.new.count();
    for _ in 0..1000 {
        town.ask("GET", "/", "ann", "").await;
        if town.new.count() > came {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the move was never heard of");
}
