//! The worker stands still at a call it makes, another one ends its wave meanwhile, and then it goes on: it
//! must find that nothing is its own any more, and leave nothing behind.

use crate::fuse::Fuse;
use crate::world::{Engine, World, ask};
use domicile_directory::{WaveFilter, WaveState};
use domicile_mover::plan;
use domicile_mover::wave::{self, Options};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// On threads of its own.
fn apart<T: Send>(threads: usize, work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let run = || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads).enable_all().build().unwrap().block_on(work)
        };
        // As much as a process's first thread has.
        let thread = std::thread::Builder::new().stack_size(8 << 20).spawn_scoped(scope, run);
        thread.unwrap().join().unwrap()
    })
}

/// Ends every wave as another process would: resumed, erased. It waits until the turn of the one that stands still is over.
async fn end(world: &World, what: &str) {
    let service = world.service().await;
    for w in service.directory.waves(&WaveFilter::default()).await.unwrap() {
        if w.state == WaveState::Open {
            wave::resume(&service, &w.id).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        }
        wave::erase_wave(&service, &w.id).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

/// One freeze before call number `at`. False: the run had fewer calls.
fn thaws_at(engine: Engine, at: usize) -> bool {
    let what = format!("{engine:?}, thawed at call {at}");
    let world = Arc::new(apart(2, World::new(engine, 2)));
    let (other, whose) = (world.clone(), what.clone());
    let fuse = Fuse::freezing(at, move || apart(2, end(&other, &whose)));
    let ours = fuse.clone();
    // On one thread, which stands still: none of its renewals goes on.
    let outcome = apart(1, async {
        let service = world.service_with(Some(ours), |_| {}).await;
        tokio::spawn(async move {
            let plan = plan::stored(&service, &ask()).await?;
            let report = wave::run_plan(&service, &plan, &Options::default()).await?.reports.remove(0);
            wave::erase_wave(&service, &report.wave).await.map(drop)
        })
        .await
        .unwrap()
    });
    if !fuse.blown.load(Ordering::SeqCst) {
        outcome.unwrap_or_else(|e| panic!("{what}: it was not reached: {e}"));
        return false;
    }
    apart(2, async {
        // What it had not begun yet is begun, and what it could do after all is ended.
        end(&world, &what).await;
        let service = world.service().await;
        if service.directory.waves(&WaveFilter::default()).await.unwrap().is_empty() {
            let plan = plan::stored(&service, &ask()).await.unwrap();
            wave::run_plan(&service, &plan, &Options::default()).await.unwrap();
            end(&world, &what).await;
        }
        check(&world, &what).await;
    });
    true
}

async fn check(world: &World, what: &str) {
    let (old, new) = (world.dump("old").await, world.dump("new").await);
    for id in 1..=2 {
        let count = |side: &std::collections::BTreeMap<String, Vec<String>>| {
            side["accounts"].iter().filter(|r| r.starts_with(&format!("{id}|"))).count()
        };
        assert_eq!((count(&old), count(&new)), (0, 1), "{what}: account {id} is at its new home");
        let app = world.app("new").await;
        let write = app.exec(&format!("UPDATE accounts SET version = version + 1 WHERE id = {id}")).await;
        assert_eq!(write, Ok(1), "{what}: the home accepts writes");
    }
    let service = world.service().await;
    for region in ["old", "new"] {
        let records = &service.regions[region].records;
        assert_eq!(records.known_batches().await.unwrap(), Vec::<String>::new(), "{what}: left at {region}");
        let status = records.status(false).await.unwrap();
        assert_eq!(status.changed, 0, "{what}: recorded changes at {region}");
    }
}

/// Every `step`th call; all of them with `DOMICILE_TORTURE=1`.
fn thaws_everywhere(engine: Engine, step: usize) {
    let step = if std::env::var_os("DOMICILE_TORTURE").is_some() { 1 } else { step };
    let mut at = 0;
    while thaws_at(engine, at) {
        at += step;
    }
    assert!(at > 40, "the run has many calls, and the sweep reached its end after {at}");
}

#[test]
fn leaves_nothing_after_it_stood_still_at_any_call_on_postgres() {
    thaws_everywhere(Engine::Postgres, 9);
}
