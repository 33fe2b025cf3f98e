//! A region's database is restored from a backup that was made before an erase: what came back is found, shut first, and
//! erased again; who lives there is not touched.

use crate::trouble::{At, planned};
use crate::world::{App, Engine, World};
use domicile_mover::missing::{self, Waves};
use domicile_mover::reconcile::{self, May, Reconciled};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Error, Service};
use domicile_stores::records::{Mode, SubjectId};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ALL: May = May { erase: true, open: true };

/// Who moved, in the guard's tables and in every table of the application.
async fn traces(app: &App, engine: Engine) -> Vec<String> {
    let home = if engine == Engine::Sqlite { "domicile_home" } else { "" };
    let mut all = Vec::new();
    for sql in [
        "SELECT 'account ' || id FROM accounts WHERE id < 1000",
        "SELECT 'order ' || id FROM orders WHERE account_id < 1000",
        "SELECT 'item ' || id FROM items WHERE id < 100000",
        "SELECT 'photo ' || id FROM photos WHERE account_id < 1000",
    ] {
        all.extend(app.texts(sql).await);
    }
    if !home.is_empty() {
        all.extend(
            app.texts("SELECT 'home ' || subject FROM domicile_home WHERE CAST(subject AS INTEGER) < 1000")
                .await,
        );
    }
    all
}

/// What the guard keeps at `old`, by a superuser's plain SQL.
fn kept(world: &World) -> String {
    let sql = "SELECT (SELECT count(*) FROM P_home WHERE CAST(subject AS bigint) < 1000) || ' ' || \
               (SELECT count(*) FROM P_batch) || ' ' || (SELECT count(*) FROM P_member) || ' ' || \
               (SELECT count(*) FROM P_lease) || ' ' || (SELECT count(*) FROM P_changed) || ' ' || \
               (SELECT count(*) FROM P_list)";
    match world.engine {
        Engine::Sqlite => {
            let db = rusqlite::Connection::open(world.sqlite("old")).unwrap();
            db.query_row(&sql.replace("P_", "domicile_"), [], |row| row.get(0)).unwrap()
        }
        Engine::Postgres => {
            let sql = sql.replace("P_", "domicile.");
            world.cluster("old").sql(&world.database("old"), &sql).trim().to_owned()
        }
    }
}

async fn move_all(service: &Arc<Service>) -> String {
    let plan = planned(service).await;
    let report = wave::run_plan(service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert!(report.left.is_empty(), "{:?}", report.left);
    report.wave
}

/// Everybody of India moved to `new` and was erased at `old`, which is then restored.
async fn restored(world: &World, backup: &Path) {
    let service = world.service().await;
    let waves = service.directory.waves(&Default::default()).await.unwrap();
    let wave = match waves.first() {
        Some(wave) => wave.id.clone(),
        None => move_all(&service).await,
    };
    wave::erase_wave(&service, &wave).await.unwrap();
    drop(service);
    world.restore("old", backup);
    for id in 1..=3 {
        world.put_object("old", &format!("photos/{id}.jpg"), b"restored, too").await;
    }
}

async fn look(world: &World, erase: bool) -> Reconciled {
    reconcile::run(world.service().await.as_ref(), "old", May { erase, open: false }).await.unwrap()
}

async fn refuses(world: &World, ids: std::ops::RangeInclusive<i64>) {
    let old = world.app("old").await;
    for id in ids {
        for sql in [
            format!("UPDATE accounts SET version = 9 WHERE id = {id}"),
            format!("INSERT INTO orders VALUES ({}, {id}, 0)", 900 + id),
            format!("UPDATE items SET version = 9 WHERE id = {}", id * 100),
        ] {
            let refused = old.exec(&sql).await.unwrap_err();
            assert!(refused.contains("RS001"), "{sql}: {refused}");
        }
    }
}

/// After `--erase`: nothing of the moved, who lives here is whole and writes, and the new home is as it was.
async fn is_gone(world: &World, new_before: &std::collections::BTreeMap<String, Vec<String>>) {
    let old = world.app("old").await;
    assert_eq!(traces(&old, world.engine).await, [""; 0]);
    assert_eq!(kept(world), "0 0 0 0 0 0");
    for id in 1..=3 {
        let key = format!("photos/{id}.jpg");
        assert!(world.object_store("old").await.head(&key).await.unwrap().is_none(), "{key}");
        assert!(world.object_store("new").await.head(&key).await.unwrap().is_some(), "{key}");
    }
    let dump = world.dump("old").await;
    assert_eq!((dump["accounts"].len(), dump["orders"].len(), dump["items"].len()), (2, 4, 8));
    assert_eq!(old.exec("UPDATE accounts SET version = version + 1 WHERE id IN (1001, 1002)").await, Ok(2));
    assert!(world.object_store("old").await.head("photos/1001.jpg").await.unwrap().is_some());
    assert_eq!(&world.dump("new").await, new_before);
    let again = look(world, true).await;
    assert!(again.is_clean() && again.came_back == 0, "{again:?}");
}

/// A backup made while everybody was at home at `old`, in the guard's eyes and everybody's.
async fn from_before_the_wave(engine: Engine) {
    let world = World::new(engine, 3).await;
    let clean = look(&world, false).await;
    assert_eq!((clean.is_clean(), clean.looked_at), (true, 5), "{clean:?}");
    let backup = world.back_up("old");
    restored(&world, &backup).await;
    let new_before = world.dump("new").await;
    // The danger: the revived copy takes writes.
    assert_eq!(world.app("old").await.exec("UPDATE accounts SET version = 1 WHERE id = 1").await, Ok(1));

    let found = look(&world, false).await;
    assert_eq!((found.came_back, found.still_written, found.lost, found.stale), (3, 0, 0, 0), "{found:?}");
    assert_eq!(found.rows.values().sum::<u64>(), 3 * 8, "{found:?}");
    assert_eq!(found.erased.subjects, 0);
    refuses(&world, 1..=3).await;
    assert_eq!(look(&world, false).await.came_back, 3, "looking again finds the same");
    refuses(&world, 1..=3).await;
    let erased = look(&world, true).await;
    assert_eq!((erased.came_back, erased.erased.subjects, erased.erased.rows), (3, 3, 3 * 8), "{erased:?}");
    assert_eq!((erased.erased.objects, erased.is_clean()), (3, true), "{erased:?}");
    is_gone(&world, &new_before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_before_the_wave_on_sqlite() {
    from_before_the_wave(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_before_the_wave_on_postgres() {
    from_before_the_wave(Engine::Postgres).await;
}

/// Backups made in the middle of the wave, at every stage, and between its move and its erase: journal, leases, recorded
/// changes and states of a wave that is over came back, too.
async fn from_the_middle(engine: Engine) {
    for stage in ["copy", "catch up", "verify", "fence", "cutover", "activate", "activated", "moved"] {
        let world = Arc::new(World::new(engine, 3).await);
        let made: Arc<std::sync::Mutex<Option<PathBuf>>> = Arc::default();
        let (there, file) = (world.clone(), made.clone());
        let back_up = move || {
            tokio::task::block_in_place(|| *file.lock().unwrap() = Some(there.back_up("old")));
        };
        let service = crate::trouble::service_that(&world, stage, back_up).await;
        let old = world.app("old").await;
        move_all(&service).await;
        drop((service, old));
        let backup = made.lock().unwrap().take().unwrap_or_else(|| world.back_up("old"));
        restored(&world, &backup).await;
        let new_before = world.dump("new").await;
        let found = look(&world, false).await;
        assert_eq!((found.came_back, found.still_written, found.in_wave), (3, 0, 0), "{stage}: {found:?}");
        refuses(&world, 1..=3).await;
        let erased = look(&world, true).await;
        assert_eq!((erased.erased.subjects, erased.is_clean()), (3, true), "{stage}: {erased:?}");
        is_gone(&world, &new_before).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_middle_on_sqlite() {
    from_the_middle(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_middle_on_postgres() {
    from_the_middle(Engine::Postgres).await;
}

/// Who moved in after the backup was made is missing: said, and never made up. And what came back of one whose home has
/// been restored from an older backup itself may be the only copy: it is shut, and kept.
async fn what_is_lost_is_said(engine: Engine) {
    let world = World::new(engine, 3).await;
    let (empty, full) = (world.back_up("new"), world.back_up("old"));
    restored(&world, &full).await;
    world.restore("new", &empty);
    let lost = reconcile::run(world.service().await.as_ref(), "new", May::default()).await.unwrap();
    assert_eq!((lost.lost, lost.came_back, lost.is_clean()), (3, 0, false), "{lost:?}");
    assert_eq!(world.dump("new").await["accounts"].len(), 0, "nothing is made up");
    assert_eq!((missing(&world, "new").await, missing(&world, "old").await), (3, 0));
    let found = look(&world, true).await;
    assert_eq!((found.came_back, found.kept, found.erased.subjects), (3, 3, 0), "{found:?}");
    assert!(!found.is_clean());
    refuses(&world, 1..=3).await;
    assert_eq!(world.dump("old").await["accounts"].len(), 5, "their only copy stands");
}

async fn missing(world: &World, region: &str) -> u64 {
    let service = world.service().await;
    let waves = Waves::of(&service).await.unwrap();
    missing::count(&service, service.region(region).unwrap(), &waves).await.unwrap()
}

/// Nobody is missing in a wave under way, at no stage; who was deleted is not; who was registered and never signed up is.
/// Catches: a look that counts, and takes the two sides of a cutover for one.
async fn who_is_missing(engine: Engine) {
    for stage in ["copy", "fence", "cutover", "activate", "activated"] {
        let world = Arc::new(World::new(engine, 3).await);
        let (there, handle) = (world.clone(), tokio::runtime::Handle::current());
        let service = crate::trouble::service_that(&world, stage, move || {
            let (there, handle) = (there.clone(), handle.clone());
            let looks = async move {
                assert_eq!((missing(&there, "old").await, missing(&there, "new").await), (0, 0), "{stage}");
            };
            tokio::task::block_in_place(move || handle.block_on(looks));
        })
        .await;
        move_all(&service).await;
        if stage != "activated" {
            continue;
        }
        let new = world.app("new").await;
        for table in [
            "photos WHERE account_id",
            "items WHERE order_id IN (SELECT id FROM orders WHERE account_id",
            "orders WHERE account_id",
            "accounts WHERE id",
        ] {
            let end = if table.contains('(') { ")" } else { "" };
            new.exec(&format!("DELETE FROM {table} = 1{end}")).await.unwrap();
        }
        assert_eq!(missing(&world, "new").await, 0, "deleted by the application");
        service.directory.register(&service.name, "new", &[SubjectId("77".into())]).await.unwrap();
        assert_eq!((missing(&world, "new").await, missing(&world, "old").await), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_missing_on_sqlite() {
    who_is_missing(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_missing_on_postgres() {
    who_is_missing(Engine::Postgres).await;
}

/// The new home is restored from the middle of the wave: half copies that nobody goes on with. Where the old copies stand they
/// are cleared out of the way; where those are erased they are all there is, and are opened when somebody says so.
async fn half_copies_are_settled(engine: Engine) {
    for (stage, erased) in
        [("catch up", false), ("fence", true), ("cutover", false), ("activate", true), ("copy", true)]
    {
        let world = Arc::new(World::new(engine, 3).await);
        let made: Arc<std::sync::Mutex<Option<PathBuf>>> = Arc::default();
        let (there, file) = (world.clone(), made.clone());
        let service = crate::trouble::service_that(&world, stage, move || {
            tokio::task::block_in_place(|| *file.lock().unwrap() = Some(there.back_up("new")));
        })
        .await;
        let wave = move_all(&service).await;
        if erased {
            wave::erase_wave(&service, &wave).await.unwrap();
        }
        drop(service);
        world.restore("new", &made.lock().unwrap().take().unwrap());
        let arriving = if stage == "copy" { 0 } else { 3 };
        let what = format!("{engine:?}, {stage}, erased {erased}");
        let new = world.app("new").await;
        let write = "UPDATE accounts SET version = version + 1 WHERE id < 1000";
        if arriving > 0 {
            assert!(new.exec(write).await.unwrap_err().contains("RS001"), "{what}: nobody can write them");
        }
        let look = async |may: May| reconcile::run(world.service().await.as_ref(), "new", may).await.unwrap();
        let found = look(May::default()).await;
        let counted = if erased { (0, arriving, 3 - arriving) } else { (arriving, 0, 3 - arriving) };
        assert_eq!((found.half, found.half_last, found.lost), counted, "{what}: {found:?}");
        assert!(!found.is_clean(), "{what}");
        if erased {
            let opened = look(May { erase: true, open: true }).await;
            assert_eq!((opened.half_opened, opened.half_removed), (arriving, 0), "{what}: {opened:?}");
            assert_eq!(new.exec(write).await, Ok(arriving), "{what}");
            assert_eq!(opened.is_clean(), arriving == 3, "{what}: {opened:?}");
        } else {
            let removed = look(May { erase: true, open: true }).await;
            assert_eq!(
                (removed.half_removed, removed.half_opened, removed.lost),
                (3, 0, 3),
                "{what}: {removed:?}"
            );
            assert_eq!(missing(&world, "new").await, 3, "{what}");
            // Nothing bars the way back.
            let epoch = 2;
            for id in 1..=3 {
                let sign_up = match engine {
                    Engine::Sqlite => {
                        format!("INSERT INTO domicile_signup(subject, epoch) VALUES ({id}, {epoch})")
                    }
                    Engine::Postgres => format!("SELECT domicile.sign_up({id}, {epoch})"),
                };
                new.exec(&sign_up).await.unwrap_or_else(|e| panic!("{what}: {e}"));
                let row = format!("INSERT INTO accounts VALUES ({id}, 'IN', 'a{id}@example', 0)");
                assert_eq!(new.exec(&row).await, Ok(1), "{what}");
            }
            assert_eq!(missing(&world, "new").await, 0, "{what}");
            assert!(look(May::default()).await.is_clean(), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_copies_are_settled_on_sqlite() {
    half_copies_are_settled(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_copies_are_settled_on_postgres() {
    half_copies_are_settled(Engine::Postgres).await;
}

/// The new home is restored from before the move, and then the old copies are to be erased: they are the only ones.
/// Catches: an erase that believes the journal and the directory.
async fn the_last_copy_is_not_erased(engine: Engine) {
    let world = World::new(engine, 3).await;
    let (made, empty) = (world.back_up("new"), world.dir.path().join("empty.backup"));
    std::fs::rename(made, &empty).unwrap();
    let service = world.service().await;
    let wave = move_all(&service).await;
    let (old, new) = (world.dump("old").await, world.back_up("new"));
    drop(service);
    world.restore("new", &empty);
    let refused = wave::erase_wave(&world.service().await, &wave).await.unwrap_err().to_string();
    assert!(refused.contains("may be the only ones"), "{refused}");
    assert_eq!(world.dump("old").await, old, "not a row is gone");
    for id in 1..=3 {
        let photo = world.object_store("old").await.head(&format!("photos/{id}.jpg")).await.unwrap();
        assert!(photo.is_some(), "nor an object");
    }

    world.restore("new", &new);
    let (erased, _) = wave::erase_wave(&world.service().await, &wave).await.unwrap();
    assert_eq!(erased.subjects, 3);
    assert_eq!(traces(&world.app("old").await, engine).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_copy_is_not_erased_on_sqlite() {
    the_last_copy_is_not_erased(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_copy_is_not_erased_on_postgres() {
    the_last_copy_is_not_erased(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_said_on_sqlite() {
    what_is_lost_is_said(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_said_on_postgres() {
    what_is_lost_is_said(Engine::Postgres).await;
}

/// A wave is under way: those in its hands are left alone, and it ends well.
async fn a_wave_under_way_is_left_alone(engine: Engine) {
    let world = Arc::new(World::new(engine, 3).await);
    let (there, handle) = (world.clone(), tokio::runtime::Handle::current());
    let service = crate::trouble::service_that(&world, "fence", move || {
        let (there, handle) = (there.clone(), handle.clone());
        let looks = async move {
            for region in ["old", "new"] {
                let found = reconcile::run(there.service().await.as_ref(), region, ALL).await.unwrap();
                assert_eq!((found.in_wave, found.came_back, found.lost), (3, 0, 0), "{region}: {found:?}");
            }
        };
        tokio::task::block_in_place(move || handle.block_on(looks));
    })
    .await;
    let wave = move_all(&service).await;
    let waits = look(&world, true).await;
    assert_eq!((waits.waiting, waits.came_back, waits.is_clean()), (3, 0, true), "{waits:?}");
    assert_eq!(wave::erase_wave(&service, &wave).await.unwrap().0.subjects, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_under_way_is_left_alone_on_sqlite() {
    a_wave_under_way_is_left_alone(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_under_way_is_left_alone_on_postgres() {
    a_wave_under_way_is_left_alone(Engine::Postgres).await;
}

/// The backup is older than the guard: that is said, and nothing done. Once it is installed again, those who live
/// elsewhere are shut although the guard only observes, which makes way for its `enforce`.
async fn an_older_backup_than_the_guard(engine: Engine) {
    let world = World::new(engine, 3).await;
    let service = world.service().await;
    let wave = move_all(&service).await;
    wave::erase_wave(&service, &wave).await.unwrap();
    let (region, old) = (&service.regions["old"], world.app("old").await);
    region.records.remove().await.unwrap();
    for row in ["accounts VALUES (1, 'IN', 'a1@example', 0)", "orders VALUES (10, 1, 0)"] {
        old.exec(&format!("INSERT INTO {row}")).await.unwrap();
    }
    let refused = reconcile::run(&service, "old", ALL).await.unwrap_err();
    assert!(matches!(refused, Error::NoGuard { .. }), "{refused}");

    region.records.install(&world.spec(&service, region)).await.unwrap();
    let stays: Vec<_> = [1001, 1002].map(|id| (SubjectId(id.to_string()), 1)).into();
    region.records.adopt(&stays).await.unwrap();
    assert!(region.records.set_mode(Mode::Enforce).await.is_err(), "one has no home there");
    let found = look(&world, false).await;
    assert_eq!((found.came_back, found.observing, found.is_clean()), (1, true, false), "{found:?}");
    region.records.set_mode(Mode::Enforce).await.unwrap();
    assert!(old.exec("UPDATE accounts SET version = 1 WHERE id = 1").await.unwrap_err().contains("RS001"));
    let erased = look(&world, true).await;
    assert_eq!((erased.erased.subjects, erased.erased.rows, erased.is_clean()), (1, 2, true), "{erased:?}");
    assert_eq!(kept(&world), "0 0 0 0 0 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_than_the_guard_on_sqlite() {
    an_older_backup_than_the_guard(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_than_the_guard_on_postgres() {
    an_older_backup_than_the_guard(Engine::Postgres).await;
}

/// The backup is of the middle of a wave that was aborted afterwards: who lives here is at home again, and no rest of the
/// wave is left. Nothing of it came back.
async fn an_aborted_waves_middle_is_ended(engine: Engine) {
    let world = Arc::new(World::new(engine, 3).await);
    let made: Arc<std::sync::Mutex<Option<PathBuf>>> = Arc::default();
    let mut service = Arc::into_inner(world.service().await).unwrap();
    let (there, file, stop) = (world.clone(), made.clone(), service.stop.clone());
    service.observer = Arc::new(At::new("catch up", move || {
        tokio::task::block_in_place(|| *file.lock().unwrap() = Some(there.back_up("old")));
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    }));
    let service = Arc::new(service);
    let plan = planned(&service).await;
    wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    drop(service);
    let service = world.service().await;
    wave::abort(&service, "w1").await.unwrap();
    drop(service);
    world.restore("old", &made.lock().unwrap().take().unwrap());
    assert_ne!(kept(&world), "3 0 0 0 0 0", "the wave came back");
    let found = look(&world, false).await;
    assert_eq!((found.put_back, found.came_back, found.lost, found.is_clean()), (3, 0, 0, true), "{found:?}");
    assert_eq!(kept(&world), "3 0 0 0 0 0");
    let old = world.app("old").await;
    assert_eq!(old.exec("UPDATE accounts SET version = 1 WHERE id < 1000").await, Ok(3));
    assert_eq!(kept(&world), "3 0 0 0 0 0", "nothing is recorded any more");
    let service = world.service().await;
    move_all(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_waves_middle_is_ended_on_sqlite() {
    an_aborted_waves_middle_is_ended(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_waves_middle_is_ended_on_postgres() {
    an_aborted_waves_middle_is_ended(Engine::Postgres).await;
}

/// Who left and came back after the backup lives here; the rows are of the earlier stay. Said, and left alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_stay_is_said() {
    let world = World::new(Engine::Sqlite, 3).await;
    let backup = world.back_up("old");
    let service = world.service().await;
    move_all(&service).await;
    let new = world.app("new").await;
    assert_eq!(new.exec("UPDATE accounts SET country = 'DE' WHERE id = 1").await, Ok(1));
    move_all(&service).await;
    drop((service, new));
    world.restore("old", &backup);
    let found = look(&world, true).await;
    assert_eq!((found.stale, found.came_back, found.erased.subjects, found.lost), (1, 2, 2, 0), "{found:?}");
    assert!(!found.is_clean());
    let left = world.app("old").await.texts("SELECT CAST(id AS TEXT) FROM accounts ORDER BY id").await;
    assert_eq!(left, ["1", "1001", "1002"]);
}
