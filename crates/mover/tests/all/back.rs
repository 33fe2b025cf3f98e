//! Moving back, and on: before and after the erase, by way of a third region, two waves at once, and subjects that
//! are deleted, created or change their country in the middle.

use crate::trouble::{planned, service_that};
use crate::world::{App, Engine, Ground, World, ask};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Ask, Service, WaveReport, plan};
use domicile_stores::records::SubjectId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const THREE: &[(&str, &str)] = &[("old", "DE"), ("new", "IN"), ("far", "FR")];

/// Plans for those who live in `from` and moves them: one wave.
async fn move_from(service: &Arc<Service>, from: &str) -> WaveReport {
    let ask = Ask { from: vec![from.to_owned()], ..ask() };
    let plan = plan::stored(service, &ask).await.unwrap();
    let mut reports = wave::run_plan(service, &plan, &Options::default()).await.unwrap().reports;
    assert_eq!(reports.len(), 1, "one wave from {from}");
    reports.remove(0)
}

async fn wrote(app: &App, sql: &str) {
    assert_eq!(app.exec(sql).await, Ok(1), "{sql}");
}

/// What an application sees of subject 1 at a region.
async fn seen(world: &World, region: &str) -> Vec<String> {
    let sql = "SELECT a.country || ' ' || a.version || ' ' || o.id || ' ' || o.version FROM accounts a \
               JOIN orders o ON o.account_id = a.id WHERE a.id = 1 ORDER BY o.id";
    world.app(region).await.texts(sql).await
}

/// There and back at once; the first wave is erased in the middle or only at the end. What was written, deleted and
/// added at the new home is at the old one afterwards, also after every erase has been asked for.
async fn back_loses_nothing(engine: Engine, erased_between: bool) {
    let world = World::new(engine, 3).await;
    let service = world.service().await;
    let there = move_from(&service, "old").await;
    assert_eq!(there.subjects, 3);
    if erased_between {
        wave::erase_wave(&service, &there.wave).await.unwrap();
    }
    let new = world.app("new").await;
    wrote(&new, "UPDATE accounts SET version = 7, country = 'DE' WHERE id = 1").await;
    wrote(&new, "UPDATE orders SET version = 8 WHERE id = 10").await;
    wrote(&new, "DELETE FROM orders WHERE id = 11").await;
    wrote(&new, "INSERT INTO orders VALUES (19, 1, 9)").await;
    world.put_object("new", "photos/1.jpg", b"a newer picture of 1").await;
    wrote(&new, "UPDATE orders SET version = 5 WHERE id = 20").await;

    let back = move_from(&service, "new").await;
    assert_eq!((back.subjects, back.to.as_str()), (1, "old"), "{:?}", back.left);
    let whole = ["DE 7 10 8", "DE 7 19 9"];
    assert_eq!(seen(&world, "old").await, whole);
    let old = world.app("old").await;
    wrote(&old, "UPDATE accounts SET version = version + 1 WHERE id = 1").await;
    assert!(new.exec("UPDATE accounts SET version = 0 WHERE id = 1").await.is_err(), "it is away there");

    // Each erase takes its own old copies, and never what came back.
    if !erased_between {
        let (erased, _) = wave::erase_wave(&service, &there.wave).await.unwrap();
        assert_eq!(erased.subjects, 2, "the one that came back stays");
    }
    wave::erase_wave(&service, &back.wave).await.unwrap();
    assert_eq!(seen(&world, "old").await, ["DE 8 10 8", "DE 8 19 9"]);
    assert_eq!(seen(&world, "new").await, [""; 0]);
    let picture = std::fs::read_to_string(world.dir.path().join("old-objects/photos/1.jpg")).unwrap();
    assert_eq!(picture, "a newer picture of 1");
    let others = new.texts("SELECT id || ' ' || version FROM orders ORDER BY id").await;
    assert_eq!(others, ["20 5", "21 0", "30 0", "31 0"]);
    let left = old.texts("SELECT CAST(id AS TEXT) FROM accounts ORDER BY id").await;
    assert_eq!(left, ["1", "1001", "1002"]);
    wrote(&old, "UPDATE accounts SET version = version + 1 WHERE id = 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_before_the_erase_loses_nothing_on_sqlite() {
    back_loses_nothing(Engine::Sqlite, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_before_the_erase_loses_nothing_on_postgres() {
    back_loses_nothing(Engine::Postgres, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_after_the_erase_loses_nothing_on_sqlite() {
    back_loses_nothing(Engine::Sqlite, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_after_the_erase_loses_nothing_on_postgres() {
    back_loses_nothing(Engine::Postgres, true).await;
}

/// From the first region by the second to the third, and from there to the first again, with a write at each, and
/// not one erase before the end. The erases come in the order of `order`.
async fn a_round_trip_loses_nothing(engine: Engine, order: [usize; 3]) {
    let world = World::on(Ground { regions: THREE, ..Ground::plain(engine) }, 2).await;
    let service = world.service().await;
    let mut waves = Vec::new();
    for (from, to, next) in [("old", "new", "FR"), ("new", "far", "DE"), ("far", "old", "DE")] {
        let report = move_from(&service, from).await;
        assert_eq!(report.to, to);
        let app = world.app(to).await;
        let sql = format!("UPDATE accounts SET version = version + 1, country = '{next}' WHERE id = 1");
        wrote(&app, &sql).await;
        waves.push(report.wave);
    }
    let mut erased = Vec::new();
    for wave in order {
        erased.push(wave::erase_wave(&service, &waves[wave]).await.unwrap().0.subjects);
    }
    let mut wanted = [1, 1, 1];
    // The first wave also moved subject 2; subject 1's old copy of it was replaced when it came back.
    wanted[order.iter().position(|w| *w == 0).unwrap()] = 1;
    assert_eq!(erased, wanted);
    assert_eq!(seen(&world, "old").await, ["DE 3 10 0", "DE 3 11 0"]);
    for gone in ["new", "far"] {
        assert_eq!(seen(&world, gone).await, [""; 0], "{gone}");
    }
    assert_eq!(world.dump("new").await["accounts"].len(), 1, "subject 2 stays where it went");
    wrote(&world.app("old").await, "UPDATE accounts SET version = 4 WHERE id = 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_loses_nothing_on_sqlite() {
    a_round_trip_loses_nothing(Engine::Sqlite, [0, 1, 2]).await;
    a_round_trip_loses_nothing(Engine::Sqlite, [2, 1, 0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_loses_nothing_on_postgres() {
    a_round_trip_loses_nothing(Engine::Postgres, [0, 1, 2]).await;
    a_round_trip_loses_nothing(Engine::Postgres, [2, 1, 0]).await;
}

/// Writes one account's version wherever it is accepted, until told to stop; the last one acknowledged.
async fn writes(apps: BTreeMap<&'static str, App>, id: i64, stop: Arc<AtomicBool>) -> i64 {
    let mut acknowledged = 0;
    let mut at = 0;
    let regions: Vec<&str> = apps.keys().copied().collect();
    while !stop.load(Ordering::Relaxed) {
        let sql = format!("UPDATE accounts SET version = {} WHERE id = {id}", acknowledged + 1);
        match apps[regions[at]].exec(&sql).await {
            Ok(1) => acknowledged += 1,
            _ => at = (at + 1) % regions.len(),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    acknowledged
}

/// Two waves at once, from the same region to two others and with nobody in both, under one writer a subject.
async fn two_waves_at_once(engine: Engine) {
    let world = Arc::new(World::on(Ground { regions: THREE, ..Ground::plain(engine) }, 6).await);
    let old = world.app("old").await;
    for id in 4..=6 {
        wrote(&old, &format!("UPDATE accounts SET country = 'FR' WHERE id = {id}")).await;
    }
    let service = world.service().await;
    let mut plan = planned(&service).await;
    assert_eq!(plan.moves.len(), 2);
    let mut second = plan.clone();
    second.moves = plan.moves.split_off(1);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for id in 1..=6 {
        let mut apps = BTreeMap::new();
        for (region, _) in THREE {
            apps.insert(*region, world.app(region).await);
        }
        writers.push(tokio::spawn(writes(apps, id, stop.clone())));
    }
    let (one, other) = (world.service().await, world.service().await);
    let options = Options::default();
    let (first, second) =
        tokio::join!(wave::run_plan(&one, &plan, &options), wave::run_plan(&other, &second, &options));
    let reports = [first.unwrap().reports.remove(0), second.unwrap().reports.remove(0)];
    for report in &reports {
        wave::erase_wave(&service, &report.wave).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.push(writer.await.unwrap());
    }
    let mut found: BTreeMap<i64, Vec<(String, i64)>> = BTreeMap::new();
    for (region, _) in THREE {
        let sql = "SELECT id || ' ' || version FROM accounts WHERE id < 1000";
        for row in world.app(region).await.texts(sql).await {
            let (id, version) = row.split_once(' ').unwrap();
            found
                .entry(id.parse().unwrap())
                .or_default()
                .push(((*region).to_owned(), version.parse().unwrap()));
        }
    }
    for (id, last) in (1..=6).zip(acknowledged) {
        let home = service.directory.home("main", &SubjectId(id.to_string())).await.unwrap().unwrap();
        assert_eq!(found[&id], [(home.region, last)], "account {id}: once, at its home, as acknowledged");
        assert!(last > 0, "its writer came through");
    }
    assert!(reports.iter().map(|r| r.subjects).sum::<u64>() >= 4, "most of them moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_waves_at_once_on_sqlite() {
    two_waves_at_once(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_waves_at_once_on_postgres() {
    two_waves_at_once(Engine::Postgres).await;
}

/// Stages in which the application writes while its subject is on its way, up to the fence.
const STAGES: [&str; 4] = ["copy", "catch up", "verify", "fence"];

/// A service whose batches do these statements at the old home as they enter `stage`; all are acknowledged.
async fn service_that_writes(world: &Arc<World>, stage: &'static str, sql: &'static [&str]) -> Arc<Service> {
    let (there, handle) = (world.clone(), tokio::runtime::Handle::current());
    service_that(world, stage, move || {
        let (there, handle) = (there.clone(), handle.clone());
        let write = async move {
            let app = there.app("old").await;
            for one in sql {
                assert_eq!(app.exec(one).await, Ok(1), "{one}");
            }
        };
        tokio::task::block_in_place(move || handle.block_on(write));
    })
    .await
}

/// A subject is deleted in the middle of its move: it is nowhere afterwards, and the others moved.
async fn deleted_in_the_middle(engine: Engine) {
    for stage in STAGES {
        let world = Arc::new(World::new(engine, 3).await);
        let delete = &["DELETE FROM photos WHERE id = 2", "DELETE FROM accounts WHERE id = 2"];
        let service = service_that_writes(&world, stage, delete).await;
        let plan = planned(&service).await;
        let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
        wave::erase_wave(&service, &report.wave).await.unwrap();
        for (region, wanted) in [("old", vec!["1001", "1002"]), ("new", vec!["1", "3"])] {
            let app = world.app(region).await;
            let accounts = app.texts("SELECT CAST(id AS TEXT) FROM accounts ORDER BY id").await;
            assert_eq!(accounts, wanted, "{stage}: {region}");
            for (table, column) in [("orders", "account_id = 2"), ("items", "order_id IN (20, 21)")] {
                let sql = format!("SELECT CAST(id AS TEXT) FROM {table} WHERE {column}");
                assert_eq!(app.texts(&sql).await, [""; 0], "{stage}: {table} at {region}");
            }
        }
        assert_eq!(world.dump("new").await["items"].len(), 8, "{stage}: the others have all of theirs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_in_the_middle_on_sqlite() {
    deleted_in_the_middle(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_in_the_middle_on_postgres() {
    deleted_in_the_middle(Engine::Postgres).await;
}

/// A subject changes its country in the middle of its move, so that policy no longer sends it there: it has one
/// home afterwards with its last word, and the next plan brings it where it belongs.
async fn another_country_in_the_middle(engine: Engine) {
    for stage in STAGES {
        let world = Arc::new(World::new(engine, 3).await);
        let change = &["UPDATE accounts SET country = 'DE', version = 5 WHERE id = 2"];
        let service = service_that_writes(&world, stage, change).await;
        let plan = planned(&service).await;
        let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
        let home = service.directory.home("main", &SubjectId("2".into())).await.unwrap().unwrap();
        if home.region == "new" {
            let back = move_from(&world.service().await, "new").await;
            assert_eq!((back.subjects, back.to.as_str()), (1, "old"), "{stage}");
            wave::erase_wave(&service, &back.wave).await.unwrap();
        }
        wave::erase_wave(&service, &report.wave).await.unwrap();
        let account = "SELECT country || ' ' || version FROM accounts WHERE id = 2";
        let old = world.app("old").await;
        assert_eq!(old.texts(account).await, ["DE 5"], "{stage}");
        assert_eq!(world.app("new").await.texts(account).await, [""; 0], "{stage}");
        let items = old.texts("SELECT CAST(id AS TEXT) FROM items WHERE order_id IN (20, 21)").await;
        assert_eq!(items.len(), 4, "{stage}");
        wrote(&old, "UPDATE accounts SET version = 6 WHERE id = 2").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_country_in_the_middle_on_sqlite() {
    another_country_in_the_middle(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_country_in_the_middle_on_postgres() {
    another_country_in_the_middle(Engine::Postgres).await;
}

/// Somebody signs up at each region in the middle of a wave: at home there afterwards, and no erase takes them.
async fn created_in_the_middle(engine: Engine) {
    for stage in STAGES {
        let world = Arc::new(World::new(engine, 2).await);
        let (there, handle) = (world.clone(), tokio::runtime::Handle::current());
        let service = service_that(&world, stage, move || {
            let (there, handle) = (there.clone(), handle.clone());
            let both = async move {
                sign_up(&there, "old", 1003, "DE").await;
                sign_up(&there, "new", 3, "IN").await;
            };
            tokio::task::block_in_place(move || handle.block_on(both));
        })
        .await;
        let plan = planned(&service).await;
        let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
        assert_eq!(report.subjects, 2, "{stage}: {:?}", report.left);
        wave::erase_wave(&service, &report.wave).await.unwrap();
        for (region, id, all) in [("old", 1003, ["1001", "1002", "1003"]), ("new", 3, ["1", "2", "3"])] {
            let app = world.app(region).await;
            assert_eq!(app.texts("SELECT CAST(id AS TEXT) FROM accounts ORDER BY id").await, all, "{stage}");
            wrote(&app, &format!("UPDATE accounts SET version = 1 WHERE id = {id}")).await;
        }
    }
}

/// The claim in the directory, then the row with its door in one transaction.
async fn sign_up(world: &World, region: &str, id: i64, country: &str) {
    let service = world.service().await;
    service.directory.register("main", region, &[SubjectId(id.to_string())]).await.unwrap();
    let app = world.app(region).await;
    app.exec("BEGIN").await.unwrap();
    match world.engine {
        Engine::Sqlite => {
            app.exec(&format!("INSERT INTO domicile_signup(subject, epoch) VALUES ({id}, 1)")).await.unwrap();
        }
        Engine::Postgres => {
            app.exec(&format!("SELECT domicile.sign_up({id}, 1)")).await.unwrap();
        }
    }
    wrote(&app, &format!("INSERT INTO accounts VALUES ({id}, '{country}', 'a{id}@example', 0)")).await;
    app.exec("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn created_in_the_middle_on_sqlite() {
    created_in_the_middle(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn created_in_the_middle_on_postgres() {
    created_in_the_middle(Engine::Postgres).await;
}
