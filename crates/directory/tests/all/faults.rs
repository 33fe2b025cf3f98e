//! Every durable step fails twice: not done, and done but reported as failed.

use crate::stage::{Fault, Stage, home, id, swap};
use domicile_directory::{Error, NewWave, Settled, WaveFilter, WaveState};
use serde_json::json;
use std::time::Duration;

const UNKNOWN: [Fault; 2] = [Fault::NotDone, Fault::Lost];

#[tokio::test]
async fn what_was_certainly_not_done_is_tried_again() {
    for stage in Stage::both().await {
        let (directory, faulty) = stage.faulty();
        faulty.spoil(&[Fault::Again, Fault::Again, Fault::Again]);
        assert_eq!(directory.register("shop", "bj", &[id(1)]).await.unwrap().new.len(), 1);
        faulty.spoil(&[Fault::Again, Fault::Again]);
        assert_eq!(directory.cutover("shop", &[swap(1, "bj", 1, 0)], "or").await.unwrap(), [id(1)]);
        assert_eq!(faulty.left(), 0);
    }
}

#[tokio::test]
async fn repeatable_calls_outlive_a_lost_answer() {
    for stage in Stage::both().await {
        for fault in UNKNOWN {
            let (directory, faulty) = stage.faulty();
            let service = format!("{fault:?}");
            faulty.spoil(&[fault]);
            let registered = directory.register(&service, "bj", &[id(1), id(2)]).await.unwrap();
            assert_eq!(registered.new.len() + registered.already.len(), 2);
            assert_eq!(registered.elsewhere, []);
            faulty.spoil(&[fault]);
            directory.remove(&service, "bj", &[id(2)]).await.unwrap();
            assert_eq!(directory.home(&service, &id(2)).await.unwrap(), None);
            faulty.spoil(&[fault, fault]);
            let settled = directory.settle(&service, &swap(1, "bj", 1, 0), "or").await.unwrap();
            assert_eq!(settled, Settled::Cancelled { attempt: 1 });
            assert_eq!(faulty.left(), 0);
        }
    }
}

#[tokio::test]
async fn a_cutover_with_a_lost_answer_is_never_repeated_and_settles_to_the_truth() {
    for stage in Stage::both().await {
        for (n, fault) in UNKNOWN.into_iter().enumerate() {
            let (directory, faulty) = stage.faulty();
            directory.register("shop", "bj", &[id(n)]).await.unwrap();
            faulty.spoil(&[fault, Fault::NotDone]);
            let error = directory.cutover("shop", &[swap(n, "bj", 1, 0)], "or").await.unwrap_err();
            assert!(error.is_unreachable(), "{error}");
            assert_eq!(faulty.left(), 1, "it was tried once");
            let settled = directory.settle("shop", &swap(n, "bj", 1, 0), "or").await.unwrap();
            let home_now = directory.home("shop", &id(n)).await.unwrap().unwrap();
            match fault {
                Fault::Lost => assert_eq!((settled, home_now), (Settled::Moved, home("or", 2, 0))),
                _ => assert_eq!((settled, home_now), (Settled::Cancelled { attempt: 1 }, home("bj", 1, 1))),
            }
        }
    }
}

#[tokio::test]
async fn a_directory_that_stays_away_is_an_error_in_bounded_time() {
    for stage in Stage::both().await {
        let (directory, faulty) = stage.faulty();
        faulty.spoil(&[Fault::NotDone; 40]);
        let error = directory.register("shop", "bj", &[id(1)]).await.unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        assert!(faulty.left() > 30);
    }
}

#[tokio::test]
async fn waves_and_leases_outlive_a_lost_answer() {
    for stage in Stage::both().await {
        for fault in UNKNOWN {
            let (directory, faulty) = stage.faulty();
            let new = NewWave {
                service: format!("{fault:?}"),
                source: "bj".into(),
                target: "or".into(),
                plan_hash: "p".into(),
                predicate: "all".into(),
                counts: json!({}),
                note: json!(null),
            };
            faulty.spoil(&[fault]);
            let wave = directory.open_wave(&new).await.unwrap();
            let filter = WaveFilter { service: Some(new.service.clone()), unfinished: false };
            assert_eq!(directory.waves(&filter).await.unwrap().len(), 1, "opened once");
            faulty.spoil(&[fault]);
            let lease = directory.take_wave(&wave.id, "me", Duration::from_secs(60)).await.unwrap();
            faulty.spoil(&[fault, fault]);
            directory.renew_wave(&lease, Duration::from_secs(60)).await.unwrap();
            faulty.spoil(&[fault]);
            directory.set_wave_state(&lease, &[WaveState::Open], WaveState::Moved, None).await.unwrap();
            faulty.spoil(&[fault]);
            directory.pause(&wave.id).await.unwrap();
            faulty.spoil(&[fault]);
            directory.release_wave(&lease).await.unwrap();
            let wave = directory.wave(&wave.id).await.unwrap().unwrap();
            assert_eq!((wave.state, wave.holder), (WaveState::Moved, None));
            let lost = directory.renew_wave(&lease, Duration::from_secs(60)).await.unwrap_err();
            assert!(matches!(lost, Error::LeaseLost { .. }), "{lost}");
        }
    }
}
