//! Two waves plan the same subjects: the first has them in hand, the second leaves them alone and ends well.

use crate::trouble::service_that;
use crate::world::{Engine, Ground, World, ask};
use domicile_mover::progress::{Event, Observer};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Error, plan};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Stops its worker when a batch enters a stage.
struct StopsAt(&'static str, OnceLock<Arc<AtomicBool>>);

impl Observer for StopsAt {
    fn event(&self, event: Event) {
        if let Event::Stage { stage, .. } = event
            && stage == self.0
        {
            self.1.get().unwrap().store(true, Ordering::SeqCst);
        }
    }
}

/// Runs a plan's wave up to a stage.
async fn stopped_at(world: &World, plan: &plan::Plan, stage: &'static str) {
    let stops = Arc::new(StopsAt(stage, OnceLock::new()));
    let mut service = Arc::into_inner(world.service().await).unwrap();
    stops.1.set(service.stop.clone()).unwrap();
    service.observer = stops;
    let stopped = wave::run_plan(&Arc::new(service), plan, &Options::default()).await.unwrap_err();
    assert!(matches!(stopped, Error::Stopped), "{stopped}");
}

async fn a_subject_in_anothers_hands_is_left_alone(engine: Engine) {
    let world = World::new(engine, 3).await;
    let planning = world.service().await;
    let first = plan::stored(&planning, &ask()).await.unwrap();
    let second = plan::stored(&planning, &ask()).await.unwrap();
    stopped_at(&world, &first, "catch up").await;

    let service = world.service().await;
    let ran = wave::run_plan(&service, &second, &Options::default()).await.unwrap();
    let report = &ran.reports[0];
    assert_eq!((report.subjects, report.left.values().sum::<u64>()), (0, 3), "{:?}", report.left);
    assert!(report.left.keys().all(|why| why.contains("another wave")), "{:?}", report.left);

    let service = world.service().await;
    let report = wave::resume(&service, "w1").await.unwrap();
    assert_eq!((report.subjects, report.left.len()), (3, 0), "{:?}", report.left);
    wave::erase_wave(&service, "w1").await.unwrap();
    assert_eq!(world.dump("new").await["accounts"].len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_in_anothers_hands_is_left_alone_on_sqlite() {
    a_subject_in_anothers_hands_is_left_alone(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_in_anothers_hands_is_left_alone_on_postgres() {
    a_subject_in_anothers_hands_is_left_alone(Engine::Postgres).await;
}

/// The first wave has its batches in the journal and has begun with nobody, when the second moves them all. The first
/// does not take that for its own doing, and its erase waits for nobody's.
async fn anothers_move_is_not_its_own(engine: Engine) {
    let world = World::new(engine, 3).await;
    let planning = world.service().await;
    let first = plan::stored(&planning, &ask()).await.unwrap();
    let second = plan::stored(&planning, &ask()).await.unwrap();
    stopped_at(&world, &first, "copy").await;
    let service = world.service().await;
    let moved = wave::run_plan(&service, &second, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!(moved.subjects, 3, "{:?}", moved.left);

    let report = wave::resume(&service, "w1").await.unwrap();
    assert_eq!((report.subjects, report.left.values().sum::<u64>()), (0, 3), "{:?}", report.left);
    let (erased, _) = wave::erase_wave(&service, "w1").await.unwrap();
    assert_eq!(erased.subjects, 0);
    assert_eq!(world.dump("old").await["accounts"].len(), 5, "nothing of the second wave's was erased");
    let (erased, _) = wave::erase_wave(&service, &moved.wave).await.unwrap();
    assert_eq!(erased.subjects, 3);
    assert_eq!(world.verified(&world.receipts(&moved.wave)).header.totals.subjects_moved, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_move_is_not_its_own_on_sqlite() {
    anothers_move_is_not_its_own(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_move_is_not_its_own_on_postgres() {
    anothers_move_is_not_its_own(Engine::Postgres).await;
}

/// `guard = "wave"`: one wave has armed the triggers and marked nobody yet, when another one ends whole, its erase
/// included. The first still finds them armed, and what is written while it moves goes along; after its end they are not.
async fn an_end_leaves_the_other_waves_triggers_armed(engine: Engine) {
    let regions = &[("old", "DE"), ("new", "IN"), ("far", "FR")];
    let world = Arc::new(World::on(Ground { regions, wave_only: true, ..Ground::plain(engine) }, 4).await);
    let old = world.app("old").await;
    assert_eq!(old.exec("UPDATE accounts SET country = 'FR' WHERE id > 2 AND id < 1000").await, Ok(2));
    let mut first = plan::stored(world.service().await.as_ref(), &ask()).await.unwrap();
    let mut second = first.clone();
    second.moves = first.moves.split_off(1);
    let (there, handle) = (world.clone(), tokio::runtime::Handle::current());
    let ends = move || {
        let (there, second, handle) = (there.clone(), second.clone(), handle.clone());
        let whole = async move {
            let service = there.service().await;
            let ran = wave::run_plan(&service, &second, &Options::default()).await.unwrap();
            wave::erase_wave(&service, &ran.reports[0].wave).await.unwrap();
        };
        tokio::task::block_in_place(move || handle.block_on(whole));
    };
    let service = service_that(&world, "copy", ends).await;
    let report = wave::run_plan(&service, &first, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!(report.subjects, 2, "{:?}", report.left);
    assert_eq!(armed(&world, "old").await, "1", "somebody is away");
    wave::erase_wave(&service, &report.wave).await.unwrap();
    for (region, _) in regions {
        assert_eq!(armed(&world, region).await, "0", "{region}");
    }
    let left = old.texts("SELECT CAST(id AS TEXT) FROM accounts ORDER BY id").await;
    assert_eq!(left, ["1001", "1002"]);
}

async fn armed(world: &World, region: &str) -> String {
    match world.engine {
        Engine::Sqlite => {
            world.app(region).await.texts("SELECT CAST(waves AS TEXT) FROM domicile_region").await.remove(0)
        }
        Engine::Postgres => {
            let sql = "SELECT armed::int FROM domicile.region";
            world.cluster(region).sql(&world.database(region), sql).trim().to_owned()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_leaves_the_other_waves_triggers_armed_on_sqlite() {
    an_end_leaves_the_other_waves_triggers_armed(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_leaves_the_other_waves_triggers_armed_on_postgres() {
    an_end_leaves_the_other_waves_triggers_armed(Engine::Postgres).await;
}
