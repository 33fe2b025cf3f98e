//! Two waves plan the same subjects: the first has them in hand, the second leaves them alone and ends well.

use crate::world::{Engine, World, ask};
use domicile_mover::progress::{Event, Observer};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Error, plan};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Stops its worker once a copy stands at the target.
#[derive(Default)]
struct StopsAfterCopy(OnceLock<Arc<AtomicBool>>);

impl Observer for StopsAfterCopy {
    fn event(&self, event: Event) {
        if let Event::Stage { stage: "catch up", .. } = event {
            self.0.get().unwrap().store(true, Ordering::SeqCst);
        }
    }
}

async fn a_subject_in_anothers_hands_is_left_alone(engine: Engine) {
    let world = World::new(engine, 3).await;
    let planning = world.service().await;
    let first = plan::stored(&planning, &ask()).await.unwrap();
    let second = plan::stored(&planning, &ask()).await.unwrap();
    let stops = Arc::new(StopsAfterCopy::default());
    let mut service = Arc::into_inner(world.service().await).unwrap();
    stops.0.set(service.stop.clone()).unwrap();
    service.observer = stops;
    let stopped = wave::run_plan(&Arc::new(service), &first, &Options::default()).await.unwrap_err();
    assert!(matches!(stopped, Error::Stopped), "{stopped}");

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
