//! What is asked for from another terminal, asked for twice, or too late.

use crate::trouble::At;
use crate::world::{Engine, World, ask};
use domicile_directory::{WaveFilter, WaveState};
use domicile_mover::plan;
use domicile_mover::wave::{self, Options, WaveNote};
use domicile_mover::{Error, Plan, Service};
use domicile_stores::records::State;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

type Worker = JoinHandle<domicile_mover::Result<wave::Ran>>;

async fn planned(service: &Arc<Service>) -> Plan {
    plan::stored(service, &ask()).await.unwrap()
}

/// A worker that is in the middle of the wave, for four seconds, when this returns; its turn outlasts what a busy machine may
/// make of a renewal.
pub async fn worker(world: &World, plan: &Plan) -> Worker {
    let (at_it, mut is_there) = tokio::sync::mpsc::unbounded_channel();
    let slow = world.service_with(None, |limits| limits.turn = Duration::from_secs(2)).await;
    let mut slow = Arc::into_inner(slow).unwrap();
    slow.observer = Arc::new(At::new("verify", move || {
        let _ = at_it.send(());
        // The other tasks of this thread go on elsewhere: the renewal is one, and a turn that is lost is another story.
        tokio::task::block_in_place(|| std::thread::sleep(Duration::from_secs(4)));
    }));
    let (slow, plan) = (Arc::new(slow), plan.clone());
    let worker = tokio::spawn(async move { wave::run_plan(&slow, &plan, &Options::default()).await });
    is_there.recv().await.expect("the worker comes to its first comparison");
    worker
}

async fn state(service: &Service) -> WaveState {
    service.directory.waves(&WaveFilter::default()).await.unwrap()[0].state
}

async fn nobody_moved(world: &World, before: &std::collections::BTreeMap<String, Vec<String>>) {
    assert_eq!(&world.dump("old").await, before);
    assert!(world.dump("new").await.values().all(Vec::is_empty), "the target is empty of them");
    let status = world.service().await.regions["old"].records.status(false).await.unwrap();
    assert!(status.subjects.keys().all(|s| *s == State::Home), "{:?}", status.subjects);
}

/// `abort` from another terminal: the worker hears of it in the middle of a batch, and abort waits for it.
async fn an_abort_ends_a_wave_under_its_worker(engine: Engine) {
    let world = World::new(engine, 4).await;
    let before = world.dump("old").await;
    let service = world.service().await;
    let worker = worker(&world, &planned(&service).await).await;
    let report = wave::abort(&service, "w1").await.unwrap();
    assert_eq!((report.subjects, report.left.values().sum::<u64>()), (0, 4));
    let stopped = worker.await.unwrap().unwrap_err();
    assert!(matches!(stopped, Error::AbortAsked { .. }), "{stopped}");
    assert_eq!(state(&service).await, WaveState::Aborted);
    nobody_moved(&world, &before).await;
    let again = planned(&service).await;
    let report = wave::run_plan(&service, &again, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!(report.subjects, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_a_wave_under_its_worker_on_sqlite() {
    an_abort_ends_a_wave_under_its_worker(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_a_wave_under_its_worker_on_postgres() {
    an_abort_ends_a_wave_under_its_worker(Engine::Postgres).await;
}

/// A transaction of the application holds a subject's row while the abort puts it back: it is tried again, or
/// the journal would say that it stayed while the guard recorded its changes for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_waits_for_rows_that_are_held() {
    let world = Arc::new(World::new(Engine::Postgres, 4).await);
    let before = world.dump("old").await;
    let service = world.service().await;
    let worker = worker(&world, &planned(&service).await).await;
    let holding = world.clone();
    let held = std::thread::spawn(move || {
        // One simple query is one transaction.
        holding.tamper("old", "SELECT 1 FROM domicile.home FOR UPDATE; SELECT pg_sleep(3)");
    });
    let report = wave::abort(&service, "w1").await.unwrap();
    assert_eq!((report.subjects, report.left.values().sum::<u64>()), (0, 4));
    held.join().unwrap();
    drop(worker.await);
    nobody_moved(&world, &before).await;
}

/// Whoever asked for the abort went away: `resume` carries it out instead of stopping for ever.
#[tokio::test(flavor = "multi_thread")]
async fn resume_carries_out_an_abort_that_was_asked_for() {
    let world = World::new(Engine::Sqlite, 4).await;
    let before = world.dump("old").await;
    let service = world.service().await;
    let worker = worker(&world, &planned(&service).await).await;
    service.directory.ask_abort("w1").await.unwrap();
    let stopped = worker.await.unwrap().unwrap_err();
    assert!(matches!(stopped, Error::AbortAsked { .. }), "{stopped}");
    assert_eq!(state(&service).await, WaveState::Open);
    let report = wave::resume(&service, "w1").await.unwrap();
    assert_eq!(report.subjects, 0);
    assert_eq!(state(&service).await, WaveState::Aborted);
    nobody_moved(&world, &before).await;
}

/// A script repeats `move`; and once the journal is gone the wave's note still says who moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_done_is_passed_over() {
    let world = World::new(Engine::Sqlite, 4).await;
    let service = world.service().await;
    let plan = planned(&service).await;
    wave::run_plan(&service, &plan, &Options::default()).await.unwrap();
    let again = wave::run_plan(&service, &plan, &Options::default()).await.unwrap();
    assert_eq!((again.reports.len(), again.over), (0, vec![("w1".to_owned(), WaveState::Moved)]));

    wave::erase_wave(&service, "w1").await.unwrap();
    let row = service.directory.wave("w1").await.unwrap().unwrap();
    let note: WaveNote = serde_json::from_value(row.note).unwrap();
    assert_eq!(note.ended.map(|e| (e.moved, e.stayed)), Some((4, 0)));
    assert_eq!(note.standbys.map(|s| s.len()), Some(0), "none is listed");
}

/// The canary's wave is open: a rehearsal of the same plan would meet its copies.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_under_way_is_not_rehearsed() {
    let world = World::new(Engine::Sqlite, 4).await;
    let service = world.service().await;
    let plan = planned(&service).await;
    let first = Options { first: Some(1), ..Options::default() };
    let report = wave::run_plan(&service, &plan, &first).await.unwrap().reports.remove(0);
    assert!(report.unfinished);
    let rehearsal = Options { rehearse: true, ..Options::default() };
    let error = wave::run_plan(&service, &plan, &rehearsal).await.unwrap_err();
    assert!(error.to_string().contains("rehearsed again"), "{error}");
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!((report.subjects, report.unfinished), (4, false));
}
