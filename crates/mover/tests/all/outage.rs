//! A database stops as by a crash in the middle of a wave, while applications write: the wave rides it
//! out or ends with words that name the region, and what was acknowledged is there at the end.

use crate::fuse::Fuse;
use crate::pen::{Pens, all_is_there};
use crate::trouble::{At, planned};
use crate::world::{Ground, SERVICE, World, with_roles};
use domicile_directory::{WaveFilter, WaveState};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Error, Limits};
use domicile_stores::records::State;
use domicile_testbed::postgres::Cluster;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SUBJECTS: i64 = 6;

/// How long it is gone.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gone {
    /// Shorter than the mover keeps trying.
    AMoment,
    /// Until the wave has ended.
    Long,
}

/// The server of `place` stops before call number `at` of a wave. False: the wave had fewer calls.
async fn stops_at(place: &'static str, cluster: &Arc<Cluster>, at: usize, gone: Gone) -> bool {
    let what = format!("{place} stops at call {at}, gone {gone:?}");
    let world = World::on(Ground::with(place, cluster), SUBJECTS).await;
    let planning = world.service().await;
    let plan = planned(&planning).await;
    drop(planning);
    let (stopping, starter) = (cluster.clone(), Arc::new(Mutex::new(None)));
    let (kept, stopped) = (starter.clone(), Arc::new(AtomicBool::new(false)));
    let is_stopped = stopped.clone();
    let fuse = Fuse::acting(at, move || {
        stopping.crash();
        if gone == Gone::AMoment {
            let again = stopping.clone();
            let start = move || {
                std::thread::sleep(Duration::from_millis(300));
                again.up();
            };
            *kept.lock().unwrap() = Some(std::thread::spawn(start));
        }
        is_stopped.store(true, Ordering::SeqCst);
    });
    let service = world
        .service_with(Some(fuse.clone()), |limits| {
            if gone == Gone::Long {
                (limits.tries, limits.settle_wait) = (3, Duration::from_millis(300));
            }
        })
        .await;
    let pens = Pens::start(&world, 1..=SUBJECTS);
    let ran = wave::run_plan(&service, &plan, &Options::default()).await;
    drop(service);
    let blown = fuse.blown.load(Ordering::SeqCst);
    // The wave may have given up before the server has wholly stopped.
    while blown && !stopped.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if let Some(thread) = starter.lock().unwrap().take() {
        thread.join().unwrap();
    }
    if let Err(error) = &ran {
        names_the_place(error, place, &what);
    }
    if blown && gone == Gone::Long {
        cluster.up();
    }
    // A wave may not be open yet where the control store or the source was gone at its first calls.
    let service = world.service().await;
    let waves = service.directory.waves(&WaveFilter::default()).await.unwrap();
    let report = match waves.first().map(|w| (w.id.clone(), w.state)) {
        Some((id, WaveState::Open)) => {
            wave::resume(&service, &id).await.unwrap_or_else(|e| panic!("{what}: {e}"))
        }
        Some((_, WaveState::Moved)) => ran.unwrap_or_else(|e| panic!("{what}: {e}")).reports.remove(0),
        None => wave::run_plan(&service, &plan, &Options::default())
            .await
            .unwrap_or_else(|e| panic!("{what}: {e}"))
            .reports
            .remove(0),
        other => panic!("{what}: {other:?}"),
    };
    let logs = pens.stop().await;
    assert_eq!((report.subjects, report.left.len()), (SUBJECTS as u64, 0), "{what}: {:?}", report.left);
    wave::erase_wave(&service, &report.wave).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    all_is_there(&world, &logs, &what).await;
    assert!(logs.values().any(|log| log.version > 0), "{what}: somebody wrote");
    receipts_are_whole(&world, &report.wave, &what);
    let status = service.regions["old"].records.status(false).await.unwrap();
    assert!(status.subjects.keys().all(|state| *state == State::Home), "{what}: {:?}", status.subjects);
    blown
}

/// Where, in words, without a password and without asking the reader to guess.
fn names_the_place(error: &Error, place: &str, what: &str) {
    let text = error.to_string();
    let named = match error {
        Error::Region { region, source } => region == place && source.is_unreachable(),
        Error::Directory(source) => place == "control" && source.is_unreachable(),
        _ => false,
    };
    assert!(named && text.contains("cannot be reached"), "{what}: {text}");
}

/// Every subject has its digests, also where a worker began again after the stop.
fn receipts_are_whole(world: &World, wave: &str, what: &str) {
    let totals = world.verified(&world.receipts(wave)).header.totals;
    assert_eq!(totals.subjects_moved, SUBJECTS as u64, "{what}");
    assert_eq!(totals.objects, SUBJECTS as u64, "{what}: {totals:?}");
    for (table, least) in [("accounts", 1), ("orders", 2), ("items", 4), ("photos", 1)] {
        let found = totals.tables.iter().find(|(name, _)| name.ends_with(table)).map_or(0, |(_, s)| s.rows);
        assert!(found >= SUBJECTS as u64 * least, "{what}: {table} in {totals:?}");
    }
}

/// Every `step`th call, gone for a moment and for long in turns; the whole sweep is `DOMICILE_TORTURE=1`.
async fn stops_everywhere(place: &'static str, first: usize, step: usize) {
    let cluster = Arc::new(with_roles(Cluster::start()));
    let torture = std::env::var_os("DOMICILE_TORTURE").is_some();
    let step = if torture { 1 } else { step };
    let (mut at, mut gone) = (if torture { 0 } else { first }, Gone::AMoment);
    loop {
        let both = [Gone::AMoment, Gone::Long];
        let tried: &[Gone] = if torture { &both } else { &[gone] };
        for gone in tried {
            if !stops_at(place, &cluster, at, *gone).await {
                assert!(at > 60, "the run has many calls, and the sweep reached its end after {at}");
                return;
            }
        }
        gone = if gone == Gone::Long { Gone::AMoment } else { Gone::Long };
        at += step;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_stops_in_mid_wave() {
    stops_everywhere("old", 11, 97).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_stops_in_mid_wave() {
    stops_everywhere("new", 29, 97).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_store_stops_in_mid_wave() {
    stops_everywhere("control", 47, 97).await;
}

/// The control store is gone from the seal on: those sealed stay so, bounded and said, and writable
/// again by `resume`.
#[tokio::test(flavor = "multi_thread")]
async fn sealed_subjects_wait_for_the_control_store() {
    let cluster = Arc::new(with_roles(Cluster::start()));
    let world = World::on(Ground::with("control", &cluster), 2).await;
    let limits = |l: &mut Limits| {
        (l.tries, l.settle_wait) = (2, Duration::from_millis(300));
        // The server takes its time to stop; until then nobody's fence may end.
        l.fence_deadline = Duration::from_secs(60);
    };
    let service = world.service_with(None, limits).await;
    let mut service = Arc::into_inner(service).unwrap();
    let stopping = cluster.clone();
    let act = move || tokio::task::block_in_place(|| stopping.crash());
    service.observer = Arc::new(At::new("cutover", act));
    let service = Arc::new(service);
    let plan = planned(&service).await;
    let error = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    names_the_place(&error, "control", "sealed");
    let status = service.regions["old"].records.status(false).await.unwrap();
    assert_eq!(status.subjects.get(&State::Sealed), Some(&2), "{:?}", status.subjects);
    let app = world.app("old").await;
    let refused = app.exec("UPDATE accounts SET version = 1 WHERE id = 1").await.unwrap_err();
    assert!(refused.contains("RS001"), "{refused}");
    drop(service);
    cluster.up();
    let service = world.service().await;
    let report = wave::resume(&service, "w1").await.unwrap();
    assert_eq!(report.subjects, 2);
    let home = service.directory.home(SERVICE, &domicile_stores::records::SubjectId("1".into())).await;
    assert_eq!(home.unwrap().unwrap().region, "new");
    assert_eq!(world.app("new").await.exec("UPDATE accounts SET version = 1 WHERE id = 1").await, Ok(1));
}
