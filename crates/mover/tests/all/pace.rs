//! Ceilings: on rows and bytes a second, over all batches in flight together, and on what the servers are at
//! besides. What is measured is a ratio, and how much is too fast, never how long something takes.

use crate::trouble::planned;
use crate::world::{Engine, Ground, World, with_roles};
use domicile_mover::progress::{Event, Observer};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Error, Limits, Service};
use domicile_testbed::postgres::Cluster;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

/// Every event, with its time.
#[derive(Default)]
struct Story(Mutex<Vec<(Instant, Event)>>);

impl Observer for Story {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push((Instant::now(), event));
    }
}

impl Story {
    fn at(&self, which: impl Fn(&Event) -> bool) -> Option<usize> {
        self.0.lock().unwrap().iter().position(|(_, event)| which(event))
    }
}

async fn heard(world: &World, change: impl FnOnce(&mut Limits), observer: Arc<dyn Observer>) -> Arc<Service> {
    let service = world.service_with(None, change).await;
    let mut service = Arc::into_inner(service).unwrap();
    service.observer = observer;
    Arc::new(service)
}

/// Rows and bytes a second from the wave's beginning until the last of them had arrived.
fn rates(story: &Story) -> (f64, f64) {
    let events = story.0.lock().unwrap();
    let began = events.iter().find(|(_, e)| matches!(e, Event::Wave { .. })).unwrap().0;
    let (mut rows, mut bytes, mut last) = (0, 0, began);
    for (at, event) in events.iter() {
        match event {
            Event::Copied { rows: r, bytes: b } => (rows, bytes, last) = (rows + r, bytes + b, *at),
            Event::Objects { bytes: b, .. } => (bytes, last) = (bytes + b, *at),
            _ => {}
        }
    }
    let over = last.duration_since(began).as_secs_f64();
    (rows as f64 / over, bytes as f64 / over)
}

/// 40 subjects of 8 rows and an object in ten batches, three at a time.
async fn a_ceiling_is_kept(engine: Engine, change: impl FnOnce(&mut Limits)) -> (f64, f64) {
    let world = World::new(engine, 40).await;
    for id in 1..=40 {
        world.put_object("old", &format!("photos/{id}.jpg"), &vec![7; 40_000]).await;
    }
    let story = Arc::new(Story::default());
    let more = |limits: &mut Limits| {
        limits.batches_in_flight = 3;
        change(limits);
    };
    let service = heard(&world, more, story.clone()).await;
    let ran = wave::run_plan(&service, &planned(&service).await, &Options::default()).await.unwrap();
    assert_eq!((ran.reports[0].subjects, ran.reports[0].left.len()), (40, 0));
    rates(&story)
}

async fn rows_a_second(engine: Engine) {
    let ceiling = 80;
    let (rows, _) = a_ceiling_is_kept(engine, |limits| limits.rows_per_s = Some(ceiling)).await;
    assert!(rows <= ceiling as f64 * 1.2, "{rows} rows/s at a ceiling of {ceiling}");
}

async fn bytes_a_second(engine: Engine) {
    let ceiling = 400_000;
    let (_, bytes) = a_ceiling_is_kept(engine, |limits| limits.bytes_per_s = Some(ceiling)).await;
    assert!(bytes <= ceiling as f64 * 1.2, "{bytes} bytes/s at a ceiling of {ceiling}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_a_second_postgres() {
    rows_a_second(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_a_second_sqlite() {
    rows_a_second(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_a_second_postgres() {
    bytes_a_second(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_a_second_sqlite() {
    bytes_a_second(Engine::Sqlite).await;
}

/// Asks the process to stop as soon as a batch copies.
struct StopsAtCopy(Arc<AtomicBool>);

impl Observer for StopsAtCopy {
    fn event(&self, event: Event) {
        if matches!(event, Event::Stage { stage: "copy", .. }) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// At a ceiling of one row a second a batch would take half a minute: it stops in the middle, nothing of it is
/// left at the target, and another run brings everybody over.
async fn a_paced_copy_stops(engine: Engine) {
    let world = World::new(engine, 4).await;
    let service = world.service_with(None, |limits| limits.rows_per_s = Some(1)).await;
    let mut service = Arc::into_inner(service).unwrap();
    service.observer = Arc::new(StopsAtCopy(service.stop.clone()));
    let service = Arc::new(service);
    let stopped = wave::run_plan(&service, &planned(&service).await, &Options::default()).await;
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    let arrived = world.app("new").await.texts("SELECT CAST(id AS TEXT) FROM accounts").await;
    assert_eq!(arrived, Vec::<String>::new());
    drop(service);
    let report = wave::resume(&world.service().await, "w1").await.unwrap();
    assert_eq!((report.subjects, report.left.len()), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_copy_stops_postgres() {
    a_paced_copy_stops(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_copy_stops_sqlite() {
    a_paced_copy_stops(Engine::Sqlite).await;
}

/// A cluster of its own, since a ceiling on sessions counts those of all databases.
async fn busy_cluster() -> (World, Arc<Cluster>) {
    let cluster = Arc::new(with_roles(Cluster::start()));
    let clusters = ["old", "new"].map(|place| (place, cluster.clone())).into();
    (World::on(Ground { clusters, ..Ground::plain(Engine::Postgres) }, 6).await, cluster)
}

/// A session of the application that is at a statement until it is told to end.
async fn session_at_work(world: &World) -> tokio_postgres::CancelToken {
    let (client, connection) = tokio_postgres::connect(&world.url("old", "app"), NoTls).await.unwrap();
    tokio::spawn(connection);
    let end = client.cancel_token();
    tokio::spawn(async move { client.execute("SELECT pg_sleep(3600)", &[]).await });
    end
}

async fn once(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..2_400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_while_too_many_sessions_are_at_work() {
    let (world, cluster) = busy_cluster().await;
    cluster.sql("postgres", "GRANT pg_read_all_stats TO domicile");
    let ends = [session_at_work(&world).await, session_at_work(&world).await];
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'";
    once("both are at work", async || cluster.sql("postgres", at_work) == "2").await;
    let story = Arc::new(Story::default());
    let service = heard(&world, |limits| limits.active_sessions = Some(1), story.clone()).await;
    let plan = planned(&service).await;
    let running = service.clone();
    let run = tokio::spawn(async move { wave::run_plan(&running, &plan, &Options::default()).await });
    // Told to whoever looks from elsewhere, in words that name the ceiling.
    once("it says that it waits", async || {
        let waiting = service.directory.waiting("w1").await.unwrap();
        waiting.iter().any(|(_, why)| why == "active sessions at old are 2, ceiling 1")
    })
    .await;
    assert_eq!(story.at(|e| matches!(e, Event::Stage { .. })), None, "a batch began");
    assert!(!run.is_finished());
    for end in ends {
        end.cancel_query(NoTls).await.unwrap();
    }
    let ran = run.await.unwrap().unwrap();
    assert_eq!((ran.reports[0].subjects, ran.reports[0].left.len()), (6, 0));
    let clear = story.at(|e| matches!(e, Event::CeilingClear { .. })).expect("it goes on, and says so");
    let began = story.at(|e| matches!(e, Event::Stage { .. })).unwrap();
    assert!(clear < began, "a batch began before the sessions had ended");
    assert_eq!(service.directory.waiting("w1").await.unwrap(), []);
}

/// A standby that does not get on: nothing begins until it does, by the bytes and by the clock.
async fn nothing_begins_while_a_standby_is_behind(change: fn(&mut Limits), said: &str) {
    let (world, cluster) = busy_cluster().await;
    cluster.sql("postgres", "GRANT pg_read_all_stats TO domicile");
    let standby = cluster.standby("alpha");
    let behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn < pg_current_wal_lsn()";
    standby.sql("postgres", "SELECT pg_wal_replay_pause()");
    cluster.sql("postgres", "CREATE TABLE ballast AS SELECT i FROM generate_series(1, 20000) AS i");
    once("it is behind", async || cluster.sql("postgres", behind) == "1").await;
    let story = Arc::new(Story::default());
    let service = heard(&world, change, story.clone()).await;
    let plan = planned(&service).await;
    // By the clock it is behind from the first look on, and by how much the second tells.
    let over = async || {
        let waiting = service.directory.waiting("w1").await.unwrap();
        waiting.iter().any(|(_, why)| why.starts_with("replication lag of old is ") && why.ends_with(said))
    };
    once("a look at it", async || {
        let pressure = service.regions["old"].records.pressure().await.unwrap();
        pressure.lag >= Duration::from_millis(300) && pressure.lag_bytes > 100_000
    })
    .await;
    let running = service.clone();
    let run = tokio::spawn(async move { wave::run_plan(&running, &plan, &Options::default()).await });
    once("it says that it waits", over).await;
    assert_eq!(story.at(|e| matches!(e, Event::Stage { .. })), None, "a batch began");
    standby.sql("postgres", "SELECT pg_wal_replay_resume()");
    let ran = run.await.unwrap().unwrap();
    assert_eq!((ran.reports[0].subjects, ran.reports[0].left.len()), (6, 0));
    assert!(story.at(|e| matches!(e, Event::CeilingClear { .. })).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_behind_by_bytes() {
    let change = |limits: &mut Limits| limits.replication_lag_bytes = Some(100_000);
    nothing_begins_while_a_standby_is_behind(change, "bytes, ceiling 100000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_behind_by_the_clock() {
    let change = |limits: &mut Limits| limits.replication_lag = Some(Duration::from_millis(200));
    nothing_begins_while_a_standby_is_behind(change, " s, ceiling 0.2 s").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_sees_no_other_sessions_is_named_before_the_wave() {
    let (world, cluster) = busy_cluster().await;
    let service = world.service_with(None, |limits| limits.active_sessions = Some(100)).await;
    let plan = planned(&service).await;
    let refused = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("old: a ceiling of [limits]"), "{said}");
    assert!(said.contains("run: GRANT pg_read_all_stats TO \"domicile\""), "{said}");
    assert!(said.contains("new: a ceiling of [limits]"), "{said}");
    cluster.sql("postgres", "GRANT pg_monitor TO domicile");
    let ran = wave::run_plan(&service, &plan, &Options::default()).await.unwrap();
    assert_eq!(ran.reports[0].subjects, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_no_sessions() {
    let world = World::new(Engine::Sqlite, 2).await;
    let service = world.service_with(None, |limits| limits.replication_lag_bytes = Some(1)).await;
    let refused = wave::run_plan(&service, &planned(&service).await, &Options::default()).await.unwrap_err();
    assert!(refused.to_string().contains("SQLite has neither replication nor sessions"), "{refused}");
}

/// Rows a second of an erase, from its first transaction on, which nothing waits for.
fn erased_a_second(story: &Story) -> (u64, f64) {
    let events = story.0.lock().unwrap();
    let erased = events.iter().filter_map(|(at, e)| match e {
        Event::RowsErased { rows } => Some((*at, *rows)),
        _ => None,
    });
    let erased: Vec<_> = erased.collect();
    let ((first, before), (last, _)) = (erased[0], erased[erased.len() - 1]);
    let all = erased.iter().map(|(_, rows)| rows).sum::<u64>();
    (all, (all - before) as f64 / last.duration_since(first).as_secs_f64())
}

/// A wave whose subjects have moved, at full speed.
async fn moved(world: &World) {
    let service = world.service().await;
    let ran = wave::run_plan(&service, &planned(&service).await, &Options::default()).await.unwrap();
    assert_eq!(ran.reports[0].left.len(), 0);
}

async fn rows_an_erase_removes_a_second(engine: Engine) {
    let (world, ceiling, story) = (World::new(engine, 40).await, 80, Arc::new(Story::default()));
    moved(&world).await;
    let service = heard(&world, |limits| limits.rows_per_s = Some(ceiling), story.clone()).await;
    let (erased, _) = wave::erase_wave(&service, "w1").await.unwrap();
    let (rows, rate) = erased_a_second(&story);
    assert_eq!((erased.subjects, erased.rows), (40, rows));
    assert!(rate <= ceiling as f64 * 1.2, "{rate} rows/s at a ceiling of {ceiling}");
    let begins = story.at(|e| matches!(e, Event::Erases { batches: 10, .. }));
    assert!(begins.is_some() && begins < story.at(|e| matches!(e, Event::RowsErased { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_an_erase_removes_a_second_postgres() {
    rows_an_erase_removes_a_second(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_an_erase_removes_a_second_sqlite() {
    rows_an_erase_removes_a_second(Engine::Sqlite).await;
}

/// Asks the process to stop as soon as rows are gone.
struct StopsAtErase(Arc<AtomicBool>);

impl Observer for StopsAtErase {
    fn event(&self, event: Event) {
        if matches!(event, Event::RowsErased { .. }) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

/// Between two transactions it stops; another run goes on, and nothing is left.
async fn a_paced_erase_stops(engine: Engine) {
    let world = World::new(engine, 4).await;
    moved(&world).await;
    let service = world.service_with(None, |limits| limits.rows_per_s = Some(1)).await;
    let mut service = Arc::into_inner(service).unwrap();
    service.observer = Arc::new(StopsAtErase(service.stop.clone()));
    let service = Arc::new(service);
    let stopped = wave::erase_wave(&service, "w1").await;
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    let moved_ids = "SELECT CAST(id AS TEXT) FROM accounts WHERE id <= 4";
    let left = async || world.app("old").await.texts(moved_ids).await;
    assert!(!left().await.is_empty(), "it was not stopped in the middle");
    drop(service);
    let (erased, _) = wave::erase_wave(&world.service().await, "w1").await.unwrap();
    assert_eq!((erased.subjects, left().await.len()), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_erase_stops_postgres() {
    a_paced_erase_stops(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_erase_stops_sqlite() {
    a_paced_erase_stops(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_erased_while_too_many_sessions_are_at_work() {
    let (world, cluster) = busy_cluster().await;
    moved(&world).await;
    cluster.sql("postgres", "GRANT pg_read_all_stats TO domicile");
    let ends = [session_at_work(&world).await, session_at_work(&world).await];
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'";
    once("both are at work", async || cluster.sql("postgres", at_work) == "2").await;
    let story = Arc::new(Story::default());
    let service = heard(&world, |limits| limits.active_sessions = Some(1), story.clone()).await;
    let running = service.clone();
    let run = tokio::spawn(async move { wave::erase_wave(&running, "w1").await });
    once("it says that it waits", async || !service.directory.waiting("w1").await.unwrap().is_empty()).await;
    assert_eq!(story.at(|e| matches!(e, Event::RowsErased { .. })), None, "rows were erased");
    for end in ends {
        end.cancel_query(NoTls).await.unwrap();
    }
    assert_eq!(run.await.unwrap().unwrap().0.subjects, 6);
    let clear = story.at(|e| matches!(e, Event::CeilingClear { .. })).expect("it goes on, and says so");
    assert!(clear < story.at(|e| matches!(e, Event::RowsErased { .. })).unwrap());
    assert_eq!(service.directory.waiting("w1").await.unwrap(), []);
}
