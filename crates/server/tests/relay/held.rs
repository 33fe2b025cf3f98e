//! A database that somebody else holds: who asks is told in time, and asks again.

use crate::phone::Phone;
use crate::stage::{Stage, limits};
use domicile_server::messaging::MessagingLimits;
use serde_json::json;
use std::time::Duration;

/// Far beyond the relay's bound, and below what SQLite's own waits add up to for one request.
const OTHERS_WAIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn who_meets_a_held_file_is_answered_while_others_wait_on() {
    let bounds = MessagingLimits { answer: Duration::from_secs(2), ..limits() };
    let stage = Stage::with(false, bounds).await;
    let (phone, _) = Phone::registered(&stage, 0, "+8613912345678").await;
    let file = stage.site.places.dir.join("beijing.db");
    let holder = rusqlite::Connection::open(&file).unwrap();
    holder.busy_timeout(Duration::from_secs(20)).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let other = tokio::task::spawn_blocking(move || {
        let other = rusqlite::Connection::open(file).unwrap();
        other.busy_timeout(OTHERS_WAIT).unwrap();
        other.execute_batch("BEGIN IMMEDIATE")
    });
    let acknowledged = json!({ "ids": [domicile_messaging::wire::MessageId::random()] });
    let answer = phone.post("messages/ack", acknowledged.clone()).await;
    assert_eq!(answer.no(), (503, "busy".into()));
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!other.is_finished(), "the relay was not told in time: whoever waited had given up before");
    holder.execute_batch("ROLLBACK").unwrap();
    other.await.unwrap().unwrap();
    phone.post("messages/ack", acknowledged).await.ok();
}
