//! The worker dies at every call it makes, before it is done and after; another one resumes.

use crate::fuse::{Dies, Fuse};
use crate::world::{Engine, World, ask};
use domicile_directory::WaveFilter;
use domicile_mover::plan;
use domicile_mover::wave::{self, Options};
use std::sync::atomic::Ordering;

/// One life and death. Returns false once the fuse was never reached: the run had fewer calls.
async fn dies_at(engine: Engine, at: usize, dies: Dies, abort: bool) -> bool {
    let world = World::new(engine, 3).await;
    let fuse = Fuse::new(at, dies);
    let doomed = world.service_with(Some(fuse.clone()), |_| {}).await;
    let outcome = async {
        let plan = plan::stored(&doomed, &ask()).await?;
        let report = wave::run_plan(&doomed, &plan, &Options::default()).await?.reports.remove(0);
        wave::erase_wave(&doomed, &report.wave).await
    };
    let outcome = outcome.await;
    let survived = outcome.is_ok();
    if !fuse.blown.load(Ordering::SeqCst) {
        // Or the sweep would go on for ever over a run that fails by itself.
        assert!(survived, "{engine:?}, call {at} was not reached: {}", outcome.unwrap_err());
    }
    drop(doomed);
    if survived && !fuse.blown.load(Ordering::SeqCst) {
        return false;
    }
    // The application goes on meanwhile: wherever a write is acknowledged, it must be found at the end.
    let mut acknowledged = Vec::new();
    for region in ["old", "new"] {
        let app = world.app(region).await;
        for id in 1..=3 {
            let (account, order) =
                (format!("UPDATE accounts SET version = version + 1 WHERE id = {id}"), id * 10);
            acknowledged.push((id, app.exec(&account).await.unwrap_or(0)));
            let _ = app.exec(&format!("DELETE FROM orders WHERE id = {order}")).await;
        }
    }
    let service = world.service().await;
    let what = format!("{engine:?}, call {at}, {dies:?}, abort {abort}");
    let waves = service.directory.waves(&WaveFilter::default()).await.unwrap();
    let unfinished = waves.iter().find(|w| !w.state.is_final());
    let state = unfinished.map(|w| w.state);
    match unfinished {
        Some(w) if w.state == domicile_directory::WaveState::Moved => {}
        Some(w) if abort => {
            drop(wave::abort(&service, &w.id).await.unwrap_or_else(|e| panic!("{what}: {e}")))
        }
        Some(w) => drop(wave::resume(&service, &w.id).await.unwrap_or_else(|e| panic!("{what}: {e}"))),
        None => {}
    }
    if !abort && waves.is_empty() {
        let plan = plan::stored(&service, &ask()).await.unwrap();
        wave::run_plan(&service, &plan, &Options::default()).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    let waves = service.directory.waves(&WaveFilter::default()).await.unwrap();
    for w in waves.iter().filter(|w| {
        matches!(w.state, domicile_directory::WaveState::Moved | domicile_directory::WaveState::Erased)
    }) {
        wave::erase_wave(&service, &w.id).await.unwrap_or_else(|e| panic!("{what}, {state:?}: {e}"));
        world.verified(&world.receipts(&w.id));
    }
    check(&world, &acknowledged, abort, &what).await;
    true
}

async fn check(world: &World, acknowledged: &[(i64, u64)], abort: bool, what: &str) {
    let (old, new) = (world.dump("old").await, world.dump("new").await);
    let service = world.service().await;
    for id in 1..=3 {
        let writes: u64 = acknowledged.iter().filter(|(i, _)| *i == id).map(|(_, n)| n).sum();
        let row = format!("{id}|IN|a{id}@example|{writes}");
        let places = [&old, &new].map(|side| side["accounts"].iter().filter(|r| **r == row).count());
        assert_eq!(
            places.iter().sum::<usize>(),
            1,
            "{what}: account {id} with {writes} write(s): {places:?}"
        );
        let home = service.directory.home("main", &domicile_stores::records::SubjectId(id.to_string())).await;
        let home = home.unwrap().unwrap();
        assert_eq!(home.region == "new", places[1] == 1, "{what}: the directory and the rows agree");
        if !abort {
            assert_eq!(home.region, "new", "{what}");
        }
        // No row of the subject stands at the other region, whatever its version.
        let other = if home.region == "new" { &old } else { &new };
        assert!(!other["accounts"].iter().any(|r| r.starts_with(&format!("{id}|"))), "{what}: {id} twice");
        let here = if home.region == "new" { &new } else { &old };
        let count =
            |table: &str| here[table].iter().filter(|r| r.split('|').nth(1) == Some(&id.to_string())).count();
        let orders = count("orders");
        assert!((1..=2).contains(&orders), "{what}: {orders} orders");
        assert_eq!(count("photos"), 1, "{what}");
        let app = world.app(&home.region).await;
        let write = app.exec(&format!("UPDATE accounts SET version = version + 1 WHERE id = {id}")).await;
        assert_eq!(write, Ok(1), "{what}: the home accepts writes");
    }
    // Each order deleted meanwhile took its items along, and nobody brought one back.
    for side in [&old, &new] {
        assert_eq!(side["items"].len(), side["orders"].len() * 2, "{what}: items follow their orders");
    }
    let status = service.regions["old"].records.status(false).await.unwrap();
    let moving: u64 = status
        .subjects
        .iter()
        .filter(|(s, _)| **s != domicile_stores::records::State::Home)
        .map(|(_, n)| n)
        .sum();
    assert_eq!((moving, status.changed), (0, 0), "{what}: nothing of the wave stays in the guard's tables");
}

/// Every `step`th call, in both ways of dying; the whole sweep is `DOMICILE_TORTURE=1`.
async fn dies_everywhere(engine: Engine, step: usize, abort: bool) {
    let step = if std::env::var_os("DOMICILE_TORTURE").is_some() { 1 } else { step };
    for dies in [Dies::BeforeDone, Dies::AfterDone] {
        let mut at = 0;
        while dies_at(engine, at, dies, abort).await {
            at += step;
        }
        assert!(at > 40, "the run has many calls, and the sweep reached its end after {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resumes_after_death_at_any_call_on_sqlite() {
    dies_everywhere(Engine::Sqlite, 7, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborts_after_death_at_any_call_on_sqlite() {
    dies_everywhere(Engine::Sqlite, 13, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resumes_after_death_at_any_call_on_postgres() {
    dies_everywhere(Engine::Postgres, 17, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborts_after_death_at_any_call_on_postgres() {
    dies_everywhere(Engine::Postgres, 23, true).await;
}
