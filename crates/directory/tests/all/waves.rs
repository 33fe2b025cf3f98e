//! The journal of waves and the leases on them.

use crate::stage::Stage;
use domicile_directory::{Asked, Directory, Error, NewWave, Wave, WaveFilter, WaveState};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);

fn new(plan_hash: &str) -> NewWave {
    NewWave {
        service: "shop".into(),
        source: "bj".into(),
        target: "or".into(),
        plan_hash: plan_hash.into(),
        predicate: "country = 'US'".into(),
        counts: json!({"subjects": 12}),
        note: json!({"first": 3}),
    }
}

async fn open(directory: &Directory, plan_hash: &str) -> Wave {
    directory.open_wave(&new(plan_hash)).await.unwrap()
}

#[tokio::test]
async fn a_wave_is_found_again_as_it_was_opened() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        let wave = open(&directory, "a").await;
        assert_eq!((wave.id.as_str(), wave.state, wave.asked), ("w1", WaveState::Open, Asked::Run));
        assert_eq!((&wave.counts, &wave.note), (&json!({"subjects": 12}), &json!({"first": 3})));
        assert_eq!(wave.created, wave.updated);
        assert_eq!(directory.wave("w1").await.unwrap(), Some(wave));
        assert_eq!(directory.wave("w2").await.unwrap(), None);
        assert_eq!(open(&directory, "b").await.id, "w2");
        let ids = |waves: Vec<Wave>| waves.into_iter().map(|w| w.id).collect::<Vec<_>>();
        assert_eq!(ids(directory.waves(&WaveFilter::default()).await.unwrap()), ["w1", "w2"]);
        let other = WaveFilter { service: Some("cloud".into()), unfinished: false };
        assert_eq!(ids(directory.waves(&other).await.unwrap()), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plan_opens_one_wave_however_many_ask() {
    for stage in Stage::both().await {
        let directory = Arc::new(stage.directory());
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..24 {
            let directory = Arc::clone(&directory);
            tasks.spawn(async move { (n % 3, open(&directory, &format!("plan {}", n % 3)).await.id) });
        }
        let mut ids: Vec<_> = tasks.join_all().await;
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3, "{ids:?}");
        assert_eq!(directory.waves(&WaveFilter::default()).await.unwrap().len(), 3);
        // Once it is over, the same plan may begin again.
        let lease = directory.take_wave(&ids[0].1, "me", LONG).await.unwrap();
        let aborted = directory.set_wave_state(&lease, &[WaveState::Open], WaveState::Aborted, None).await;
        aborted.unwrap();
        assert_ne!(open(&directory, "plan 0").await.id, ids[0].1);
    }
}

#[tokio::test]
async fn a_second_worker_is_refused_until_the_lease_runs_out() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        open(&directory, "a").await;
        let first = directory.take_wave("w1", "first", LONG).await.unwrap();
        let held = directory.take_wave("w1", "second", LONG).await.unwrap_err();
        let Error::Held { wave, holder, left_ms } = held else { panic!("{held}") };
        assert_eq!((wave.as_str(), holder.as_str()), ("w1", "first"));
        assert!((1..=600_000).contains(&left_ms), "{left_ms}");
        let seen = directory.wave("w1").await.unwrap().unwrap();
        assert_eq!(seen.holder.as_deref(), Some("first"));
        assert!(seen.lease_left > Duration::ZERO && seen.lease_left <= LONG, "{:?}", seen.lease_left);
        // The clock is the store's, so a lease of no length is over at once.
        directory.renew_wave(&first, Duration::ZERO).await.unwrap();
        let over = directory.wave("w1").await.unwrap().unwrap();
        assert_eq!((over.holder.as_deref(), over.lease_left), (Some("first"), Duration::ZERO));
        let second = directory.take_wave("w1", "second", LONG).await.unwrap();
        assert!(second.token > first.token);
        for lost in [
            directory.renew_wave(&first, LONG).await,
            directory.set_wave_state(&first, &[WaveState::Open], WaveState::Moved, None).await,
        ] {
            assert!(matches!(lost, Err(Error::LeaseLost { .. })), "{lost:?}");
        }
        // What the first gives back is no longer its own.
        directory.release_wave(&first).await.unwrap();
        directory.renew_wave(&second, LONG).await.unwrap();
        directory.release_wave(&second).await.unwrap();
        directory.take_wave("w1", "third", LONG).await.unwrap();
        let unknown = directory.take_wave("w9", "third", LONG).await.unwrap_err();
        assert!(matches!(unknown, Error::UnknownWave { .. }), "{unknown}");
    }
}

#[tokio::test]
async fn states_change_in_order_only() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        open(&directory, "a").await;
        let lease = directory.take_wave("w1", "me", LONG).await.unwrap();
        let set = |from: &'static [WaveState], to, note: Option<serde_json::Value>| {
            let (directory, lease) = (&directory, &lease);
            async move { directory.set_wave_state(lease, from, to, note.as_ref()).await }
        };
        let wrong = set(&[WaveState::Moved], WaveState::Erased, None).await.unwrap_err();
        assert_eq!(wrong.to_string(), "wave `w1` is open and cannot become erased");
        set(&[WaveState::Open], WaveState::Moved, Some(json!({"batches": 4}))).await.unwrap();
        set(&[WaveState::Open], WaveState::Moved, None).await.unwrap();
        let wave = directory.wave("w1").await.unwrap().unwrap();
        assert_eq!((wave.state, wave.note), (WaveState::Moved, json!({"batches": 4})));
        set(&[WaveState::Moved], WaveState::Erased, None).await.unwrap();
        let unfinished = WaveFilter { service: None, unfinished: true };
        assert_eq!(directory.waves(&unfinished).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_pause_is_taken_back_and_an_abort_is_not() {
    for stage in Stage::both().await {
        let directory = stage.directory();
        open(&directory, "a").await;
        assert!(!directory.is_paused("w1").await.unwrap());
        directory.pause("w1").await.unwrap();
        assert!(directory.is_paused("w1").await.unwrap());
        directory.resume("w1").await.unwrap();
        assert_eq!(directory.asked("w1").await.unwrap(), Asked::Run);
        directory.ask_abort("w1").await.unwrap();
        directory.resume("w1").await.unwrap();
        assert_eq!(directory.asked("w1").await.unwrap(), Asked::Abort);
        assert!(matches!(directory.pause("w7").await, Err(Error::UnknownWave { .. })));
    }
}
