//! A streaming standby of the source: a cutover waits until it has flushed the seal, and is refused
//! while it can't; and what becomes of a lease when it takes over.

use crate::trouble::{At, planned};
use crate::world::{Ground, World, with_roles};
use domicile_mover::progress::{Event, Observer};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Error, Service};
use domicile_stores::Records;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::State;
use domicile_testbed::postgres::Cluster;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A source with one standby, which the region's setting names.
async fn with_standby() -> (World, Arc<Cluster>, Arc<Cluster>) {
    let primary = Arc::new(with_roles(Cluster::start()));
    primary.sql("postgres", "GRANT pg_monitor TO domicile");
    let standby = Arc::new(primary.standby("alpha"));
    let ground = Ground { standbys: "alpha", ..Ground::with("old", &primary) };
    (World::on(ground, 4).await, primary, standby)
}

/// Does something to the standby as the first cutover begins, when its subjects are fenced.
async fn at_cutover(world: &World, wait: Duration, act: impl Fn() + Send + Sync + 'static) -> Arc<Service> {
    let service = world.service_with(None, |limits| limits.standby_wait = wait).await;
    let mut service = Arc::into_inner(service).unwrap();
    let act = move || tokio::task::block_in_place(&act);
    service.observer = Arc::new(At::new("cutover", act));
    Arc::new(service)
}

/// What a standby has flushed it shows once that is replayed.
async fn replayed(standby: &Cluster, database: &str, sql: &str, wanted: &str) {
    let began = Instant::now();
    while standby.sql(database, sql) != wanted {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain until {sql} is {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cutover_waits_for_the_standby() {
    let (world, _primary, standby) = with_standby().await;
    let starting = standby.clone();
    let service = at_cutover(&world, Duration::from_secs(60), move || {
        starting.crash();
        let starting = starting.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            starting.up();
        });
    })
    .await;
    let report = wave::run_plan(&service, &planned(&service).await, &Options::default())
        .await
        .unwrap()
        .reports
        .remove(0);
    assert_eq!((report.subjects, report.left.len()), (4, 0));
    let pending = world.verified(&report.receipts.clone().unwrap());
    assert_eq!(pending.header.wave.standbys.names().len(), 1, "the receipt names it");
    // All of them were sealed before the standby had it, so it has their seal in its own copy.
    let sealed = "SELECT count(*) FROM domicile.home WHERE state IN ('s', 'w')";
    replayed(&standby, &world.database("old"), sealed, "4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_standby_refuses_the_cutover() {
    let (world, _primary, standby) = with_standby().await;
    let stopping = standby.clone();
    let service = at_cutover(&world, Duration::from_secs(1), move || stopping.crash()).await;
    let plan = planned(&service).await;
    let error = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Region { region, .. } if region == "old"), "{error}");
    let text = error.to_string();
    assert!(text.contains("alpha") && text.contains("standby"), "{text}");
    // No swap was sent: everybody is at home at the source and can be written.
    let status = service.regions["old"].records.status(false).await.unwrap();
    let sealed = [State::Sealed, State::Away].map(|s| status.subjects.get(&s).copied().unwrap_or(0));
    assert_eq!(sealed, [0, 0], "{:?}", status.subjects);
    drop(service);
    let app = world.app("old").await;
    for id in 1..=4 {
        let sql = format!("UPDATE accounts SET version = 1 WHERE id = {id}");
        let write = app.exec(&sql);
        assert_eq!(tokio::time::timeout(Duration::from_secs(30), write).await.unwrap(), Ok(1));
    }
    assert_eq!(world.service().await.directory.wave("w1").await.unwrap().unwrap().state.to_string(), "open");

    // Still stopped: refused again, and this time nobody is fenced for it.
    let service =
        at_cutover(&world, Duration::from_millis(200), || panic!("it is noticed before the fence")).await;
    let error = wave::resume(&service, "w1").await.unwrap_err();
    assert!(error.to_string().contains("alpha"), "{error}");
    drop(service);

    standby.up();
    let service = world.service_with(None, |l| l.standby_wait = Duration::from_secs(60)).await;
    let report = wave::resume(&service, "w1").await.unwrap();
    assert_eq!((report.subjects, report.left.len()), (4, 0), "{:?}", report.left);
    let moved = world.dump("new").await;
    assert!(moved["accounts"].iter().all(|row| row.ends_with("|1")), "{:?}", moved["accounts"]);

    // Nothing is erased, either, before a fail-over could no longer forget the move.
    standby.crash();
    let service = world.service_with(None, |l| l.standby_wait = Duration::from_millis(200)).await;
    let before = world.dump("old").await;
    let error = wave::erase_wave(&service, "w1").await.unwrap_err();
    assert!(error.to_string().contains("alpha"), "{error}");
    assert_eq!(world.dump("old").await, before);
    standby.up();
    let service = world.service_with(None, |l| l.standby_wait = Duration::from_secs(60)).await;
    let (erased, _) = wave::erase_wave(&service, "w1").await.unwrap();
    assert_eq!(erased.subjects, 4);
}

/// The standby takes over; the region as whoever connects from now on finds it.
async fn fail_over(world: &World, standby: &Cluster, before: &Arc<dyn Records>) -> Postgres {
    standby.sql("postgres", "SELECT pg_promote()");
    let url = standby.url("domicile", &world.database("old"));
    Postgres::open(&url, None, before.layout().clone()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_a_fail_over_forgot_is_not_given_twice() {
    let (world, primary, standby) = with_standby().await;
    let before = world.service().await.regions["old"].records.clone();
    standby.crash();
    let forgotten = before.take_lease("w1/1").await.unwrap();
    before.forget(&forgotten, &[]).await.unwrap();
    // Without a primary to follow it stays as it was.
    primary.crash();
    standby.up();
    let after = fail_over(&world, &standby, &before).await;
    let given = after.take_lease("w1/1").await.unwrap();
    let lost = |e: &domicile_stores::Error| matches!(e, domicile_stores::Error::LeaseLost { batch } if batch == "w1/1");
    assert!(after.forget(&forgotten, &[]).await.is_err_and(|e| lost(&e)), "two workers hold it");
    assert!(after.begin(&forgotten).await.is_err_and(|e| lost(&e)));
    after.forget(&given, &[]).await.unwrap();
    after.begin(&given).await.unwrap().commit().await.unwrap();
}

/// It says what its holder did at a server that is gone; the one that has taken its place may know less.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_does_not_outlive_the_server_that_gave_it() {
    let (world, primary, standby) = with_standby().await;
    let before = world.service().await.regions["old"].records.clone();
    let lease = before.take_lease("w1/1").await.unwrap();
    before.wait_for_standbys(Duration::from_secs(60)).await.unwrap();
    primary.crash();
    let after = fail_over(&world, &standby, &before).await;
    // Not lost to anybody: who had it begins again, by itself.
    assert!(after.forget(&lease, &[]).await.is_err_and(|e| e.is_unreachable()));
    assert!(after.begin(&lease).await.is_err_and(|e| e.is_unreachable()));
    assert!(after.close_batch(&lease).await.is_err_and(|e| e.is_unreachable()));
    let again = after.take_lease("w1/1").await.unwrap();
    after.forget(&again, &[]).await.unwrap();
    after.close_batch(&again).await.unwrap();
    after.close_batch(&again).await.unwrap();
}

/// Stops the standby when a batch is erased.
struct AtErased(Arc<Cluster>);

impl Observer for AtErased {
    fn event(&self, event: Event) {
        if matches!(event, Event::Erased { .. }) {
            tokio::task::block_in_place(|| self.0.crash());
        }
    }
}

/// A standby that takes over would bring the rows back to where they may not be, and nobody would look again.
#[tokio::test(flavor = "multi_thread")]
async fn an_erase_is_said_only_when_the_standby_has_it() {
    let (world, _primary, standby) = with_standby().await;
    let service = world.service_with(None, |l| l.standby_wait = Duration::from_secs(60)).await;
    wave::run_plan(&service, &planned(&service).await, &Options::default()).await.unwrap();
    drop(service);
    let service = world.service_with(None, |l| l.standby_wait = Duration::from_secs(3)).await;
    let mut service = Arc::into_inner(service).unwrap();
    service.observer = Arc::new(AtErased(standby.clone()));
    let error = wave::erase_wave(&Arc::new(service), "w1").await.unwrap_err();
    assert!(error.to_string().contains("alpha"), "{error}");
    let state = world.service().await.directory.wave("w1").await.unwrap().unwrap().state;
    assert_eq!(state.to_string(), "moved");
    standby.up();
    let service = world.service_with(None, |l| l.standby_wait = Duration::from_secs(60)).await;
    let (_, report) = wave::erase_wave(&service, "w1").await.unwrap();
    assert!(report.receipts.is_some());
    let left = "SELECT count(*) FROM accounts WHERE country = 'IN'";
    replayed(&standby, &world.database("old"), left, "0").await;
}
