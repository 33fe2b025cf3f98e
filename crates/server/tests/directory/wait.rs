//! Long polls: held until the epoch is another, few questions for many who wait.

use crate::stage::Stage;
use domicile_server::directory::DirectoryLimits;
use http::{Method, StatusCode};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

async fn ready(limits: DirectoryLimits) -> Arc<Stage> {
    with_two(Stage::with(limits, BTreeMap::new()).await).await
}

async fn with_two(stage: Stage) -> Arc<Stage> {
    let stage = Arc::new(stage);
    for subject in ["ann", "bob"] {
        stage.post("/v1/services/shop/homes", json!({ "subject": subject, "country": "FR" })).await;
    }
    stage
}

/// Waits as somebody who knows this epoch; the status, and the tag or the problem's code.
async fn waited(stage: Arc<Stage>, subject: &'static str, epoch: u64) -> (StatusCode, String) {
    let (path, tag) = (format!("/v1/services/shop/homes/{subject}?wait=60"), format!("\"{epoch}\""));
    let answer = stage.ask(Method::GET, &path, &[("if-none-match", &tag)], None).await;
    let tag = answer.headers.get("etag").map(|t| t.to_str().unwrap().to_owned());
    (answer.status, tag.unwrap_or_else(|| answer.code()))
}

fn wait(
    stage: &Arc<Stage>,
    subject: &'static str,
    epoch: u64,
) -> tokio::task::JoinHandle<(StatusCode, String)> {
    tokio::spawn(waited(stage.clone(), subject, epoch))
}

/// Whoever waits is told of each move, however the wait and the move interleave; nobody else is disturbed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wait_ends_with_the_move() {
    for stage in Stage::both().await {
        told_of_each_move(&with_two(stage).await).await;
    }
}

async fn told_of_each_move(stage: &Arc<Stage>) {
    let bob = wait(stage, "bob", 1);
    let regions = ["frankfurt", "mumbai"];
    for epoch in 1..=20 {
        let waiting: Vec<_> = (0..10).map(|_| wait(stage, "ann", epoch)).collect();
        let here = (epoch as usize + 1) % 2;
        stage.swap("ann", regions[here], epoch, regions[1 - here]).await;
        for one in waiting {
            assert_eq!(one.await.unwrap(), (StatusCode::OK, format!("\"{}\"", epoch + 1)));
        }
    }
    assert!(!bob.is_finished(), "bob did not move");
    stage.swap("bob", "frankfurt", 1, "mumbai").await;
    assert_eq!(bob.await.unwrap(), (StatusCode::OK, "\"2\"".into()));
}

/// Nobody has waited yet, the follower asks where the feed is, and the answer is slow: meanwhile the subject moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_one_who_waits_misses_nothing() {
    let (gate, held) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let stage = with_two(Stage::held(gate.clone(), held.clone()).await).await;
    let waiting = wait(&stage, "ann", 1);
    held.acquire().await.unwrap().forget();
    stage.swap("ann", "frankfurt", 1, "mumbai").await;
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap(), (StatusCode::OK, "\"2\"".into()));
}

#[tokio::test]
async fn a_wait_ends_where_the_subject_is_removed() {
    let stage = ready(DirectoryLimits::default()).await;
    let waiting = wait(&stage, "ann", 1);
    tokio::task::yield_now().await;
    let removed = stage.ask(Method::DELETE, "/v1/services/shop/homes/ann?region=frankfurt", &[], None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(waiting.await.unwrap(), (StatusCode::NOT_FOUND, "unknown-home".into()));
}

#[tokio::test]
async fn a_wait_without_a_change_ends_with_its_time() {
    let stage = ready(DirectoryLimits::default()).await;
    let path = "/v1/services/shop/homes/ann?wait=1";
    let answer = stage.ask(Method::GET, path, &[("if-none-match", "\"1\"")], None).await;
    assert_eq!((answer.status, answer.tag()), (StatusCode::NOT_MODIFIED, "\"1\""));
    // Nothing is known: nothing to wait for.
    assert_eq!(stage.get(path).await.status, StatusCode::OK);
    let other = stage.ask(Method::GET, path, &[("if-none-match", "\"9\"")], None).await;
    assert_eq!((other.status, other.tag()), (StatusCode::OK, "\"1\""));
}

/// Beyond the bound the answer is to come again; who goes away makes room.
#[tokio::test]
async fn so_many_wait_and_no_more() {
    let stage = ready(DirectoryLimits { waiters: 2, ..DirectoryLimits::default() }).await;
    let path = "/v1/services/shop/homes/ann?wait=60";
    let mut three = JoinSet::new();
    for _ in 0..3 {
        three.spawn(waited(stage.clone(), "ann", 1));
    }
    // Two are held for a minute: the first that is answered is the one there was no room for.
    let first = three.join_next().await.unwrap().unwrap();
    assert_eq!(first, (StatusCode::SERVICE_UNAVAILABLE, "too-many-waiters".into()));
    let beyond = stage.ask(Method::GET, path, &[("if-none-match", "\"1\"")], None).await;
    assert_eq!(beyond.headers["retry-after"], "1");
    // Others are answered all the while.
    assert_eq!(stage.get("/v1/services/shop/homes/ann").await.status, StatusCode::OK);
    assert_eq!(three.len(), 2);
    three.shutdown().await;
    // Their connections are gone: sooner or later the server sees it.
    let answer = loop {
        let tag = [("if-none-match", "\"1\"")];
        let answer = stage.ask(Method::GET, "/v1/services/shop/homes/ann?wait=1", &tag, None).await;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            break answer;
        }
    };
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
}

/// A process that is asked to end answers those who wait, and ends.
#[tokio::test]
async fn waits_end_with_the_process() {
    let (gate, held) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let stage = with_two(Stage::held(gate.clone(), held.clone()).await).await;
    let waiting = wait(&stage, "ann", 1);
    held.acquire().await.unwrap().forget();
    gate.add_permits(1);
    stage.stop.stop();
    assert_eq!(waiting.await.unwrap(), (StatusCode::NOT_MODIFIED, "\"1\"".into()));
    let mut stage = Arc::try_unwrap(stage).unwrap_or_else(|_| panic!("nobody else has it"));
    stage.server.take().unwrap().await.unwrap();
}
