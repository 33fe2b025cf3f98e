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

/// Which look-ups wait for the lock, as `8|hash` where they hold all connections of the directory; when the lease was renewed.
fn waiting(cluster: &Cluster) -> (String, String) {
    let waits = "SELECT count(*), md5(string_agg(pid || ' ' || query_start, ',' ORDER BY pid)) \
                 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let seen = "SELECT max(seen_ms) FROM directory_gateway";
    (cluster.sql("postgres", waits).trim().to_owned(), cluster.sql("postgres", seen).trim().to_owned())
}

/// Three renewals while the very same look-ups wait.
fn renews_beside(cluster: &Cluster) -> bool {
    let (waits, mut last) = waiting(cluster);
    if !waits.starts_with("8|") {
        std::thread::sleep(Duration::from_millis(50));
        return false;
    }
    let mut renewed = 0;
    loop {
        let (now, seen) = waiting(cluster);
        if now != waits {
            return false;
        }
        renewed += u32::from(seen != last);
        if renewed == 3 {
            return true;
        }
        last = seen;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_does_not_wait_behind_look_ups() {
    let cluster = Arc::new(Cluster::start());
    let directory = directory(&cluster).await;
    let limits = Limits { lease: Duration::from_secs(2), ..Limits::default() };
    let (old, new) = (Application::default(), Application::default());
    let (at_old, at_new) = (old.start().await, new.start().await);
    let town =
        Town::of(directory.clone(), (old, at_old), (new, at_new), These { limits, ..These::default() }, None)
            .await;
    assert_eq!(town.ask("GET", "/", "ann", "").await.0, StatusCode::OK);
    let locking = cluster.clone();
    let locked = std::thread::spawn(move || {
        locking.script(
            "postgres",
            "postgres",
            "BEGIN; LOCK TABLE directory_home IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600);",
        )
    });
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'directory_home'::regclass \
                AND mode = 'AccessExclusiveLock' AND granted";
    while cluster.sql("postgres", held).trim() != "1" {
        assert!(!locked.is_finished(), "the lock was not taken");
    }
    let look_ups: Vec<_> = (0..40)
        .map(|n| {
            let directory = directory.clone();
            tokio::spawn(async move { directory.home("shop", &id(&format!("somebody {n}"))).await })
        })
        .collect();
    let watching = cluster.clone();
    let renewed = tokio::task::spawn_blocking(move || (0..400).any(|_| renews_beside(&watching)));
    assert!(renewed.await.unwrap(), "the lease waits behind look-ups");
    // Whose home is known is served meanwhile.
    assert_eq!(town.ask("GET", "/", "ann", "").await.0, StatusCode::OK);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' \
               AND pid <> pg_backend_pid()";
    cluster.sql("postgres", end);
    locked.join().unwrap();
    for look_up in look_ups {
        assert!(look_up.await.unwrap().unwrap().is_none());
    }
}
