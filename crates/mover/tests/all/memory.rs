//! The mover's memory does not grow with a wave: of many batches it holds the records of those in flight.

use crate::fuse::Fuse;
use crate::world::{Engine, World, ask};
use domicile_mover::plan;
use domicile_mover::wave::{self, Options};

/// Subjects, each a batch of its own; the list has two pages of them.
const SUBJECTS: usize = 12;
const IN_FLIGHT: usize = 2;

async fn holds_what_is_in_flight(engine: Engine) {
    let world = World::new(engine, SUBJECTS as i64).await;
    let watch = Fuse::watching();
    let service = world
        .service_with(Some(watch.clone()), |limits| {
            (limits.batch_subjects, limits.batches_in_flight) = (1, IN_FLIGHT);
        })
        .await;
    let plan = plan::stored(&service, &ask()).await.unwrap();

    let rehearse = Options { rehearse: true, ..Options::default() };
    wave::run_plan(&service, &plan, &rehearse).await.unwrap();
    let (most, ended) = watch.in_hand.told();
    assert_eq!(ended, SUBJECTS, "rehearsed");
    assert!((1..=IN_FLIGHT).contains(&most), "{most} records at once in a rehearsal");

    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!((report.subjects, report.objects), (SUBJECTS as u64, SUBJECTS as u64));
    assert_eq!(report.pauses_us.len(), SUBJECTS);
    let (most, ended) = watch.in_hand.told();
    assert_eq!(ended, SUBJECTS, "moved");
    assert!((1..=IN_FLIGHT).contains(&most), "{most} records at once in a move");
    let totals = world.verified(&report.receipts.unwrap()).header.totals;
    assert_eq!((totals.subjects_moved, totals.rows), (SUBJECTS as u64, SUBJECTS as u64 * 8));

    let (erased, report) = wave::erase_wave(&service, &report.wave).await.unwrap();
    assert_eq!((erased.subjects, report.subjects), (SUBJECTS as u64, SUBJECTS as u64));
    let (most, ended) = watch.in_hand.told();
    assert_eq!((ended, most), (SUBJECTS, 1), "erased, one batch after the other");
    assert!(service.regions["old"].records.batch_ids(&report.wave).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_holds_the_records_in_flight() {
    holds_what_is_in_flight(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_holds_the_records_in_flight() {
    holds_what_is_in_flight(Engine::Postgres).await;
}
