//! Writes while their subject moves: held, sent on in order, repeated only where nothing was done.

use crate::town::{Town, id};
use domicile_server::gateway::Limits;
use domicile_server::listen::ConnectionLimits;
use http::StatusCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

/// The whole barrier: a write under way is waited for, those that come wait, reads go on, and all go on at the new home in
/// their order.
#[tokio::test]
async fn writes_wait_for_a_fence_and_go_on_at_the_new_home() {
    let town = Town::new().await;
    let held = town.old.hold.clone().write_owned().await;
    let (first, moved) = tokio::join!(town.ask("POST", "/0", "ann", "first"), async {
        town.until("the first write", || town.old.under_way.load(Ordering::SeqCst) == 1).await;
        let (number, gateways) = town.directory.park("shop", &[town.hash("ann")], LONG).await.unwrap();
        assert_eq!(gateways.len(), 1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let unseen = || async { town.directory.park_unseen("shop", number).await.unwrap().len() };
        assert_eq!(unseen().await, 1, "a write is still under way");
        drop(held);
        while unseen().await > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        number
    });
    assert_eq!(first, (StatusCode::OK, "first".into()));
    let writes = futures::future::join_all((1..=5).map(|n| {
        let town = &town;
        async move {
            // One after the other, so that they have an order.
            while (town.gateway.gauges()[1].2 as usize) < n - 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            town.ask("POST", &format!("/{n}"), "ann", "later").await
        }
    }));
    let (writes, ()) = tokio::join!(writes, async {
        town.until("five that wait", || town.gateway.gauges()[1].2 == 5).await;
        assert_eq!(town.ask("GET", "/read", "ann", "").await.0, StatusCode::OK, "reads go on");
        assert_eq!(town.ask("POST", "/other", "bob", "x").await.0, StatusCode::OK, "so do others");
        town.move_to("ann", "old", "new").await;
        town.directory.unpark("shop", moved).await.unwrap();
    });
    assert!(writes.iter().all(|w| *w == (StatusCode::OK, "later".into())), "{writes:?}");
    let paths: Vec<String> = town.new.seen.lock().unwrap().iter().map(|s| s.path.clone()).collect();
    assert_eq!(paths, ["/1", "/2", "/3", "/4", "/5"]);
    assert_eq!(town.old.count(), 3);
    assert_eq!(town.total("refused"), 0);
}

/// A write that the guard refused is sent again, whole, once the home is another.
#[tokio::test]
async fn a_refused_write_is_repeated_at_the_new_home() {
    let town = Town::new().await;
    town.ask("GET", "/warm", "ann", "").await;
    town.old.refuse.store(usize::MAX, Ordering::SeqCst);
    let (answer, ()) = tokio::join!(town.ask("POST", "/w", "ann", "body"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        town.move_to("ann", "old", "new").await;
    });
    assert_eq!(answer, (StatusCode::OK, "body".into()));
    assert_eq!(town.new.count(), 1);
    assert_eq!(&town.new.seen.lock().unwrap()[0].body[..], b"body");
}

/// A refusal that ends (a mark, a fence that was given up) is repeated at the same home.
#[tokio::test]
async fn a_refused_write_is_repeated_at_the_same_home() {
    let town = Town::new().await;
    town.old.refuse.store(3, Ordering::SeqCst);
    assert_eq!(town.ask("POST", "/w", "ann", "body").await, (StatusCode::OK, "body".into()));
    assert_eq!(town.old.count(), 1);
}

/// What is longer than is kept can't be repeated, and the client is told that nothing was done.
#[tokio::test]
async fn a_refused_write_that_is_too_long_is_not_repeated() {
    let limits = Limits { repeat_bytes: 1000, ..Limits::default() };
    let town = Town::with(limits, ConnectionLimits::default()).await;
    town.old.refuse.store(1, Ordering::SeqCst);
    let answer = town.answer("POST", "/w", "ann", &"x".repeat(5000)).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(town.old.count(), 0);
}

/// A write that nobody lets go is given up with 503, and so is one too many.
#[tokio::test]
async fn parking_has_its_bounds() {
    let limits = Limits { park: Duration::from_secs(3), parked_per_subject: 2, ..Limits::default() };
    let town = Town::with(limits, ConnectionLimits::default()).await;
    let (number, _) = town.directory.park("shop", &[town.hash("ann")], LONG).await.unwrap();
    while !town.directory.park_unseen("shop", number).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let all = futures::future::join_all((0..5).map(|_| town.ask("POST", "/w", "ann", "x"))).await;
    assert!(all.iter().all(|(status, body)| *status == 503 && body.contains("parked")), "{all:?}");
    assert_eq!(town.total("park-full"), 3);
    assert_eq!(town.total("park-too-long"), 2);
    town.old.refuse.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(town.ask("POST", "/w", "bob", "x").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(town.old.count(), 0);
}

/// A move that nobody told the gateway of beforehand is in its memory at once afterwards.
#[tokio::test]
async fn memory_follows_the_feed() {
    let town = Town::new().await;
    town.ask("GET", "/", "ann", "").await;
    town.move_to("ann", "old", "new").await;
    for _ in 0..12_000 {
        town.ask("GET", "/", "ann", "").await;
        if town.new.count() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(town.new.count() > 0);
    town.directory.remove("shop", "new", &[id("ann")]).await.unwrap();
    let mut status = StatusCode::OK;
    for _ in 0..12_000 {
        status = town.ask("GET", "/", "ann", "").await.0;
        if status == StatusCode::NOT_FOUND {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// Without a lease nothing is routed, whatever is in memory.
#[tokio::test]
async fn a_gateway_without_a_lease_routes_nothing() {
    let town = Town::new().await;
    assert_eq!(town.ask("GET", "/", "ann", "").await.0, StatusCode::OK);
    assert!(town.gateway.is_ready());
    town.gateway.end().await;
    let (status, body) = town.ask("GET", "/", "ann", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("no-lease"), "{body}");
    assert!(town.directory.gateways("shop").await.unwrap().is_empty());
}
