//! The normal case: plan, move, erase, receipts, on both engines.

use crate::world::{Engine, World, ask};
use domicile_mover::plan;
use domicile_mover::wave::{self, Options};
use domicile_stores::records::SubjectId;

async fn moves_whole(engine: Engine) {
    let world = World::new(engine, 9).await;
    let before = world.dump("old").await;
    let service = world.service().await;
    let plan = plan::stored(&service, &ask()).await.unwrap();
    assert_eq!((plan.moves.len(), plan.moves[0].subjects, plan.moves[0].objects), (1, 9, 9));
    assert_eq!(plan.stays["old"], 2);
    assert_eq!(plan.moves[0].tables.values().map(|s| s.rows).sum::<u64>(), 9 * 8);

    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!((report.subjects, report.left.len(), report.objects), (9, 0, 9));
    assert_eq!(report.pauses_us.len(), 9);
    let pending = world.verified(&report.receipts.clone().unwrap());
    assert_eq!(pending.header.totals.subjects_moved, 9);

    // A write goes on at the new home and is refused at the old one.
    let (old, new) = (world.app("old").await, world.app("new").await);
    let refused = old.exec("UPDATE orders SET version = 1 WHERE id = 10").await.unwrap_err();
    assert!(refused.contains("RS001"), "{refused}");
    assert_eq!(new.exec("UPDATE orders SET version = 1 WHERE id = 10").await, Ok(1));

    let (erased, _) = wave::erase_wave(&service, &report.wave).await.unwrap();
    assert_eq!((erased.subjects, erased.rows, erased.objects), (9, 9 * 8, 9));
    let (left, arrived) = (world.dump("old").await, world.dump("new").await);
    assert_eq!(left["accounts"].len(), 2);
    for table in ["accounts", "orders", "items", "photos"] {
        let mut both: Vec<_> = left[table].iter().chain(&arrived[table]).cloned().collect();
        both.iter_mut().for_each(|row| *row = row.replace("10|1|1", "10|1|0"));
        let mut wanted = before[table].clone();
        both.sort();
        wanted.sort();
        assert_eq!(both, wanted, "{table}");
    }
    assert!(world.object_store("old").await.head("photos/3.jpg").await.unwrap().is_none());
    assert!(world.object_store("new").await.head("photos/3.jpg").await.unwrap().is_some());
    assert!(world.object_store("old").await.head("photos/1001.jpg").await.unwrap().is_some());

    let done = world.verified(&world.receipts(&report.wave));
    assert!(
        done.summary()
            .iter()
            .any(|(label, value)| label == "erasure" && value.starts_with("logically erased"))
    );
    let home = service.directory.home("main", &SubjectId("3".into())).await.unwrap().unwrap();
    assert_eq!((home.region.as_str(), home.epoch), ("new", 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_whole_on_sqlite() {
    moves_whole(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_whole_on_postgres() {
    moves_whole(Engine::Postgres).await;
}

async fn rehearses_and_moves_a_few_first(engine: Engine) {
    let world = World::new(engine, 9).await;
    let before = world.dump("old").await;
    let service = world.service().await;
    let plan = plan::stored(&service, &ask()).await.unwrap();
    let rehearsal = Options { rehearse: true, ..Options::default() };
    wave::run_plan(&service, &plan, &rehearsal).await.unwrap();
    assert_eq!(world.dump("old").await, before);
    assert!(world.dump("new").await.values().all(Vec::is_empty), "a rehearsal leaves nothing");
    assert!(world.object_store("new").await.head("photos/3.jpg").await.unwrap().is_none());

    let first = Options { first: Some(3), ..Options::default() };
    let report = wave::run_plan(&service, &plan, &first).await.unwrap().reports.remove(0);
    assert_eq!(report.subjects, 3);
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!(report.subjects, 9, "the report is of the wave, the canary included");
    assert_eq!(world.dump("new").await["accounts"].len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearses_and_moves_a_few_first_on_sqlite() {
    rehearses_and_moves_a_few_first(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearses_and_moves_a_few_first_on_postgres() {
    rehearses_and_moves_a_few_first(Engine::Postgres).await;
}
