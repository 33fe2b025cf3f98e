//! Gateways and parks: who must have seen one before a fence begins, and that nothing of it stays.

use crate::stage::{Fault, Stage};
use domicile_directory::{Directory, SubjectHash};
use domicile_stores::records::SubjectId;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

fn hashes(directory: &Directory, names: &[&str]) -> Vec<SubjectHash> {
    let mut all: Vec<_> =
        names.iter().map(|name| directory.hash("shop", &SubjectId((*name).into()))).collect();
    all.sort();
    all
}

async fn unseen(directory: &Directory, number: u64) -> Vec<String> {
    directory.park_unseen("shop", number).await.unwrap().into_iter().map(|g| g.gateway).collect()
}

#[tokio::test]
async fn a_park_waits_for_every_live_gateway() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        for gateway in ["a", "b"] {
            directory.renew_gateway("shop", gateway, LONG).await.unwrap();
        }
        directory.renew_gateway("shop", "dead", Duration::ZERO).await.unwrap();
        directory.renew_gateway("mail", "of another service", LONG).await.unwrap();
        let before = directory.heads("shop").await.unwrap();
        let people = hashes(&directory, &["ann", "bob"]);
        let (number, gateways) = directory.park("shop", &people, LONG).await.unwrap();
        assert_eq!(gateways.iter().filter(|g| g.is_live).count(), 2, "{gateways:?}");
        assert_eq!(unseen(&directory, number).await, ["a", "b"]);
        let heads = directory.heads("shop").await.unwrap();
        assert!(heads.parks > before.parks && heads.homes == before.homes && !heads.is_moving);
        let parks = directory.parks("shop").await.unwrap();
        assert_eq!((parks.len(), parks[0].number, &parks[0].subjects), (1, number, &people));
        assert!(parks[0].left > LONG / 2);
        directory.seen_park("shop", number, "a").await.unwrap();
        directory.seen_park("shop", number, "a").await.unwrap();
        assert_eq!(unseen(&directory, number).await, ["b"]);
        directory.end_gateway("shop", "b").await.unwrap();
        assert_eq!(unseen(&directory, number).await, [""; 0]);
        directory.unpark("shop", number).await.unwrap();
        assert!(directory.parks("shop").await.unwrap().is_empty());
        assert!(directory.heads("shop").await.unwrap().parks > heads.parks);
    }
}

/// What a gateway says of a park that is over is not kept, and a park ends by itself.
#[tokio::test]
async fn nothing_stays_of_a_park() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.renew_gateway("shop", "a", LONG).await.unwrap();
        let (first, _) = directory.park("shop", &hashes(&directory, &["ann"]), Duration::ZERO).await.unwrap();
        assert!(directory.parks("shop").await.unwrap().is_empty(), "it has ended by itself");
        directory.seen_park("shop", first, "a").await.unwrap();
        let (second, _) = directory.park("shop", &hashes(&directory, &["bob"]), LONG).await.unwrap();
        assert!(second > first);
        directory.unpark("shop", second).await.unwrap();
        directory.seen_park("shop", second, "a").await.unwrap();
        assert_eq!(unseen(&directory, second).await, ["a"], "nobody listens to it any more");
        assert_eq!(unseen(&directory, first).await, ["a"], "it went with the other");
    }
}

/// A park whose answer was lost is asked for again; the one that nobody lifts ends by itself.
#[tokio::test]
async fn a_lost_answer_parks_twice_at_most() {
    let stage = Stage::sqlite().await;
    stage.directory().migrate().await.unwrap();
    let (directory, faulty) = stage.faulty();
    let people = hashes(&directory, &["ann"]);
    directory.heads("shop").await.unwrap();
    faulty.spoil(&[Fault::Lost]);
    let (number, _) = directory.park("shop", &people, LONG).await.unwrap();
    let parks = directory.parks("shop").await.unwrap();
    assert_eq!(parks.last().map(|park| park.number), Some(number));
    assert_eq!(parks.len(), 2);
    faulty.spoil(&[Fault::Lost]);
    directory.unpark("shop", number).await.unwrap();
    assert_eq!(directory.parks("shop").await.unwrap().len(), 1);
}
