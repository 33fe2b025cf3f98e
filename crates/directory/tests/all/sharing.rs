//! Several workers on one wave: batches in hand, who is there, and a wave that belongs to who opened it.

use crate::stage::Stage;
use domicile_directory::{Asked, Directory, Error, NewWave, WaveState};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);
const OPEN: WaveState = WaveState::Open;

fn wave() -> NewWave {
    let (service, source, target, plan_hash) = ("shop".into(), "bj".into(), "or".into(), "a".into());
    let (predicate, counts, note) = (String::new(), json!({}), json!(null));
    NewWave { service, source, target, plan_hash, predicate, counts, note }
}

async fn opened(directory: &Directory) {
    directory.open_wave(&wave()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_is_in_the_hands_of_one() {
    for stage in Stage::both().await {
        opened(&stage.directory()).await;
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..8 {
            let directory = Arc::new(stage.directory());
            tasks.spawn(async move {
                let mut mine = Vec::new();
                for batch in 0..10 {
                    let (batch, holder) = (format!("w1/{batch:05}"), format!("worker {worker}"));
                    let taken = directory.take_batch("w1", &batch, &holder, LONG, OPEN).await.unwrap();
                    mine.extend(taken.map(|lease| lease.batch));
                }
                mine
            });
        }
        let mut all: Vec<String> = tasks.join_all().await.concat();
        all.sort();
        assert_eq!(all, (0..10).map(|n| format!("w1/{n:05}")).collect::<Vec<_>>());
        let in_hand = stage.directory().batches_in_hand("w1").await.unwrap();
        assert!(in_hand.iter().all(|b| b.holder.is_some() && b.left_ms > 0 && b.token == 1), "{in_hand:?}");
    }
}

/// A paused wave's batches are taken by nobody but to bring them to rest, and those of one that goes on or is to end, not
/// even for that.
#[tokio::test]
async fn a_paused_waves_batch_is_taken_to_rest_only() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        opened(&directory).await;
        let rest = |holder: &'static str| directory.take_batch_to_rest("w1", "w1/00001", holder, LONG);
        assert_eq!(rest("pause").await.unwrap(), None, "it goes on");
        let dead = directory.take_batch("w1", "w1/00001", "dead", LONG, OPEN).await.unwrap().unwrap();
        directory.pause("w1").await.unwrap();
        assert_eq!(rest("pause").await.unwrap(), None, "its lease has not run out");
        directory.renew_batch(&dead, Duration::ZERO).await.unwrap();
        assert_eq!(directory.take_batch("w1", "w1/00001", "other", LONG, OPEN).await.unwrap(), None);
        let held = rest("pause").await.unwrap().unwrap();
        assert!(held.token > dead.token);
        assert!(matches!(directory.renew_batch(&dead, LONG).await, Err(Error::BatchLost { .. })));
        directory.release_batch(&held).await.unwrap();
        directory.ask_abort("w1").await.unwrap();
        assert_eq!(rest("pause").await.unwrap(), None, "whoever aborts it does that");
    }
}

#[tokio::test]
async fn a_batch_whose_lease_ran_out_is_taken_over() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        opened(&directory).await;
        let take = |holder: &'static str| directory.take_batch("w1", "w1/00001", holder, LONG, OPEN);
        let first = take("first").await.unwrap().unwrap();
        assert_eq!(take("second").await.unwrap(), None);
        // An answer that was lost: the same worker takes it again, and only its last lease counts.
        let again = take("first").await.unwrap().unwrap();
        let lost = directory.renew_batch(&first, LONG).await.unwrap_err();
        assert!(matches!(lost, Error::BatchLost { .. }), "{lost}");
        directory.renew_batch(&again, Duration::ZERO).await.unwrap();
        let second = take("second").await.unwrap().unwrap();
        assert!(second.token > again.token);
        assert!(matches!(directory.renew_batch(&again, LONG).await, Err(Error::BatchLost { .. })));
        // What the first gives back is no longer its own.
        directory.release_batch(&again).await.unwrap();
        directory.renew_batch(&second, LONG).await.unwrap();
        directory.release_batch(&second).await.unwrap();
        let in_hand = directory.batches_in_hand("w1").await.unwrap();
        assert!(in_hand[0].is_free_for("anybody") && in_hand[0].holder.is_none(), "{in_hand:?}");
        // A store that forgot the takeover gives its token to somebody else: the holder tells them apart.
        let third = take("third").await.unwrap().unwrap();
        let forgotten = domicile_directory::BatchLease { holder: "second".into(), ..third.clone() };
        assert!(matches!(directory.renew_batch(&forgotten, LONG).await, Err(Error::BatchLost { .. })));
        let wave = directory.take_wave("w1", "third", LONG).await.unwrap();
        let forgotten = domicile_directory::WaveLease { holder: "second".into(), ..wave.clone() };
        assert!(matches!(directory.renew_wave(&forgotten, LONG).await, Err(Error::LeaseLost { .. })));
        directory.release_wave(&forgotten).await.unwrap();
        directory.renew_wave(&wave, LONG).await.unwrap();
    }
}

#[tokio::test]
async fn batches_are_taken_only_while_the_wave_is_for_it() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        opened(&directory).await;
        let take = |batch: &'static str, during| directory.take_batch("w1", batch, "me", LONG, during);
        assert_eq!(take("w9/00001", WaveState::Moved).await.unwrap(), None);
        directory.pause("w1").await.unwrap();
        assert_eq!(take("w1/00001", OPEN).await.unwrap(), None);
        directory.resume("w1").await.unwrap();
        let held = take("w1/00001", OPEN).await.unwrap().unwrap();
        directory.ask_abort("w1").await.unwrap();
        assert_eq!(take("w1/00002", OPEN).await.unwrap(), None);
        // What is in hand stays so until it is given back.
        directory.renew_batch(&held, LONG).await.unwrap();
        let turn = directory.take_wave("w1", "aborter", LONG).await.unwrap();
        directory.set_wave_state(&turn, &[OPEN], WaveState::Aborting, None).await.unwrap();
        assert_eq!(take("w1/00002", OPEN).await.unwrap(), None);
        assert!(take("w1/00002", WaveState::Aborting).await.unwrap().is_some());
        assert_eq!(directory.batches_in_hand("w1").await.unwrap().len(), 2);
        directory.set_wave_state(&turn, &[WaveState::Aborting], WaveState::Aborted, None).await.unwrap();
        assert_eq!(directory.batches_in_hand("w1").await.unwrap(), []);
        assert!(matches!(directory.renew_batch(&held, LONG).await, Err(Error::BatchLost { .. })));
    }
}

#[tokio::test]
async fn who_opens_a_wave_has_its_turn_from_the_first_moment() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        let mine = directory.open_wave_for(&wave(), Some(("me", LONG))).await.unwrap();
        assert_eq!((mine.holder.as_deref(), mine.asked), (Some("me"), Asked::Run));
        assert!(mine.lease_left > Duration::ZERO);
        let theirs = directory.open_wave_for(&wave(), Some(("you", LONG))).await.unwrap();
        assert_eq!((theirs.id.as_str(), theirs.holder.as_deref()), ("w1", Some("me")));
        assert!(matches!(directory.take_wave("w1", "you", LONG).await, Err(Error::Held { .. })));
        let lease = directory.take_wave("w1", "me", LONG).await.unwrap();
        directory.release_wave(&lease).await.unwrap();
        // Taken and given back: whoever opens it again takes its turn like everybody else.
        let again = directory.open_wave_for(&wave(), Some(("you", LONG))).await.unwrap();
        assert_eq!(again.holder, None);
    }
}

#[tokio::test]
async fn workers_are_seen_until_they_leave() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        directory.present("b", LONG).await.unwrap();
        directory.present("a", Duration::ZERO).await.unwrap();
        let seen = directory.workers().await.unwrap();
        let silent: Vec<(&str, bool)> = seen.iter().map(|w| (w.worker.as_str(), w.silent)).collect();
        assert_eq!(silent, [("a", true), ("b", false)]);
        directory.present("a", LONG).await.unwrap();
        directory.absent("b").await.unwrap();
        let seen = directory.workers().await.unwrap();
        assert_eq!((seen.len(), seen[0].silent), (1, false));
    }
}
