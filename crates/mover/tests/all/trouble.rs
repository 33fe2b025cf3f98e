//! What goes wrong in the middle of a wave: caught, named, and nothing lost.

use crate::world::{Engine, Ground, World, ask};
use domicile_mover::plan::{self, Plan};
use domicile_mover::progress::{Event, Observer};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Error, Service};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Does something once, when a batch enters a stage.
pub struct At {
    stage: &'static str,
    done: AtomicBool,
    act: Box<dyn Fn() + Send + Sync>,
}

impl At {
    pub fn new(stage: &'static str, act: impl Fn() + Send + Sync + 'static) -> Self {
        Self { stage, done: AtomicBool::new(false), act: Box::new(act) }
    }
}

impl Observer for At {
    fn event(&self, event: Event) {
        if let Event::Stage { stage, .. } = event
            && stage == self.stage
            && !self.done.swap(true, Ordering::SeqCst)
        {
            (self.act)();
        }
    }
}

pub async fn planned(service: &Service) -> Plan {
    plan::stored(service, &ask()).await.unwrap()
}

pub async fn service_that(
    world: &World,
    stage: &'static str,
    act: impl Fn() + Send + Sync + 'static,
) -> Arc<Service> {
    let service = world.service().await;
    let mut service = Arc::into_inner(service).unwrap();
    service.observer = Arc::new(At::new(stage, act));
    Arc::new(service)
}

/// A row changed at the target before it is compared: the subject stays home, and the table is named.
async fn a_corrupted_row_is_caught(engine: Engine) {
    let world = Arc::new(World::new(engine, 4).await);
    let tampering = world.clone();
    let service = service_that(&world, "verify", move || {
        let tampering = tampering.clone();
        std::thread::spawn(move || tampering.tamper("new", "UPDATE items SET version = 77 WHERE id = 100"))
            .join()
            .unwrap();
    })
    .await;
    let plan = planned(&service).await;
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!(report.subjects, 3);
    let why = report.left.keys().next().unwrap();
    assert!(why.contains("items") && why.contains("differ"), "{why}");
    assert_eq!(world.dump("new").await["accounts"].len(), 3, "the target is empty of it");
    let app = world.app("old").await;
    assert_eq!(
        app.exec("UPDATE items SET version = 1 WHERE id = 100").await,
        Ok(1),
        "it is writable at home"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_row_is_caught_on_sqlite() {
    a_corrupted_row_is_caught(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_row_is_caught_on_postgres() {
    a_corrupted_row_is_caught(Engine::Postgres).await;
}

/// An object changed at the target before it is compared.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_object_is_caught() {
    let world = World::new(Engine::Sqlite, 3).await;
    let file = world.dir.path().join("new-objects/photos/2.jpg");
    let service =
        service_that(&world, "catch up", move || std::fs::write(&file, "picture of X").unwrap()).await;
    let plan = planned(&service).await;
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!(report.subjects, 2);
    assert!(report.left.keys().next().unwrap().contains("object"), "{:?}", report.left);
}

/// An upload that replaces an object in every stage: the new home has the last bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_in_any_stage_arrives() {
    for stage in ["copy", "catch up", "verify", "fence", "cutover", "activate", "activated"] {
        let world = World::new(Engine::Sqlite, 2).await;
        let file = world.dir.path().join("old-objects/photos/2.jpg");
        let service = service_that(&world, stage, move || {
            let draft = file.with_extension("draft");
            std::fs::write(&draft, "the last picture of 2").unwrap();
            std::fs::rename(&draft, &file).unwrap();
        })
        .await;
        let plan = planned(&service).await;
        let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
        assert_eq!(report.subjects, 2, "{stage}: {:?}", report.left);
        wave::erase_wave(&service, &report.wave).await.unwrap();
        let there = std::fs::read_to_string(world.dir.path().join("new-objects/photos/2.jpg")).unwrap();
        assert_eq!(there, "the last picture of 2", "{stage}");
        assert!(!world.dir.path().join("old-objects/photos/2.jpg").exists(), "{stage}");
    }
}

/// A unique value of one subject is taken at the target: that one stays, the others move.
async fn a_taken_value_keeps_one_subject(engine: Engine) {
    let world = World::new(engine, 5).await;
    world.tamper("new", "INSERT INTO accounts VALUES (900, 'IN', 'a3@example', 0)");
    let service = world.service().await;
    let plan = planned(&service).await;
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!(report.subjects, 4);
    assert!(report.left.keys().next().unwrap().contains("accounts"), "{:?}", report.left);
    let app = world.app("old").await;
    assert_eq!(app.exec("UPDATE accounts SET version = 1 WHERE id = 3").await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_value_keeps_one_subject_on_sqlite() {
    a_taken_value_keeps_one_subject(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_value_keeps_one_subject_on_postgres() {
    a_taken_value_keeps_one_subject(Engine::Postgres).await;
}

/// A mapped table is altered, or its guard switched off, while a wave is open: the wave stops.
async fn a_changed_schema_stops_the_wave(engine: Engine) {
    let world = Arc::new(World::new(engine, 3).await);
    let altering = world.clone();
    let service = service_that(&world, "verify", move || {
        let altering = altering.clone();
        let alter = move || match engine {
            Engine::Sqlite => altering.tamper("old", "ALTER TABLE items ADD COLUMN note TEXT"),
            Engine::Postgres => altering.owner("old", "ALTER TABLE items DISABLE TRIGGER \"00_domicile\""),
        };
        std::thread::spawn(alter).join().unwrap();
    })
    .await;
    let plan = planned(&service).await;
    let error = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::SchemaChanged(_)), "{error}");
    assert!(error.to_string().contains("old"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_schema_stops_the_wave_on_sqlite() {
    a_changed_schema_stops_the_wave(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_schema_stops_the_wave_on_postgres() {
    a_changed_schema_stops_the_wave(Engine::Postgres).await;
}

/// A plan made before the policies or the list changed is refused, and one wave runs once at a time.
#[tokio::test(flavor = "multi_thread")]
async fn stale_plans_and_second_workers_are_refused() {
    let world = World::new(Engine::Sqlite, 3).await;
    let service = world.service().await;
    let plan = planned(&service).await;
    let other = Plan { policy_hash: "0".repeat(64), ..plan.clone() };
    let error = wave::run_plan(&service, &other, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::Stale(_)), "{error}");
    let records = &service.regions["old"].records;
    let one = [domicile_stores::records::SubjectId("1".into())];
    records.drop_list(&plan.moves[0].list).await.unwrap();
    records.extend_list(&plan.moves[0].list, &one).await.unwrap();
    let error = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::Stale(_)), "{error}");

    let plan = planned(&service).await;
    // The first worker is in the middle, with its lease renewed, when the second comes.
    let second = world.service().await;
    let first = crate::asked::worker(&world, &plan).await;
    let error = wave::run_plan(&second, &plan, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::Directory(domicile_directory::Error::Held { .. })), "{error}");
    assert_eq!(first.await.unwrap().unwrap().reports.remove(0).subjects, 3);
}

/// Grace: nothing is erased before every stale route has ended.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_erased_before_the_grace_ends() {
    let world = World::new(Engine::Sqlite, 2).await;
    let service = world.service_with(None, |l| l.grace = std::time::Duration::from_secs(3600)).await;
    let plan = planned(&service).await;
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    let before = world.dump("old").await;
    let error = wave::erase_wave(&service, &report.wave).await.unwrap_err();
    assert!(error.to_string().contains("grace"), "{error}");
    assert_eq!(world.dump("old").await, before);
}

/// The guard's trigger is switched off for a moment, a row is written unseen, and it is switched on again,
/// all between the comparison and the fence.
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_off_and_on_again_stops_the_wave() {
    let world = Arc::new(World::new(Engine::Postgres, 3).await);
    let sneaking = world.clone();
    let service = service_that(&world, "fence", move || {
        let sneaking = sneaking.clone();
        let sql = "ALTER TABLE items DISABLE TRIGGER \"00_domicile\"; UPDATE items SET version = 5 WHERE id = 100; \
                   ALTER TABLE items ENABLE ALWAYS TRIGGER \"00_domicile\"";
        std::thread::spawn(move || sneaking.owner("old", sql)).join().unwrap();
    })
    .await;
    let plan = planned(&service).await;
    let error = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::SchemaChanged(_)), "{error}");
    // Resume compares everything again, so the row written unseen goes along or its subject stays.
    let service = world.service().await;
    let report = wave::resume(&service, "w1").await.unwrap();
    let (old, new) = (world.dump("old").await, world.dump("new").await);
    let here = |side: &std::collections::BTreeMap<String, Vec<String>>| {
        side["items"].contains(&"100|10|1|5".to_owned())
    };
    assert!(here(&old), "not erased yet");
    assert_eq!(here(&new), report.left.is_empty(), "{:?}", report.left);
}

/// A worker dies after it copied an object and before the row that names it arrived; the application
/// deletes that row meanwhile. Nothing of it stays at the target.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_a_deleted_row_leaves_nothing_behind() {
    use crate::fuse::{Dies, Fuse};
    let mut deaths_with_an_object = 0;
    for at in (2..140).step_by(9) {
        let world = World::new(Engine::Sqlite, 2).await;
        let doomed = world.service_with(Some(Fuse::new(at, Dies::BeforeDone)), |_| {}).await;
        let ran = async {
            let plan = plan::stored(&doomed, &ask()).await?;
            wave::run_plan(&doomed, &plan, &Options::default()).await
        };
        if ran.await.is_ok() {
            break;
        }
        let copied = world.dir.path().join("new-objects/photos/2.jpg");
        let app = world.app("old").await;
        if app.exec("DELETE FROM photos WHERE id = 2").await != Ok(1) {
            continue;
        }
        deaths_with_an_object += u32::from(copied.exists());
        let service = world.service().await;
        let waves = service.directory.waves(&domicile_directory::WaveFilter::default()).await.unwrap();
        let Some(w) = waves.first() else { continue };
        wave::resume(&service, &w.id).await.unwrap();
        assert!(!copied.exists(), "death at call {at}");
    }
    assert!(deaths_with_an_object > 0, "the sweep met the case");
}

/// A column is added at both sides between two batches: the data map does not know it.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_altered_between_batches_stops_the_wave() {
    let world = Arc::new(World::new(Engine::Postgres, 9).await);
    let altering = world.clone();
    let service = world.service_with(None, |l| l.batches_in_flight = 1).await;
    let mut service = Arc::into_inner(service).unwrap();
    let act = move || {
        let altering = altering.clone();
        let alter =
            move || ["old", "new"].map(|r| altering.owner(r, "ALTER TABLE orders ADD COLUMN note text"));
        std::thread::spawn(alter).join().unwrap();
    };
    service.observer = Arc::new(At::new("activated", act));
    let service = Arc::new(service);
    let plan = planned(&service).await;
    let error = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::SchemaChanged(_)), "{error}");
    let error = wave::resume(&world.service().await, "w1").await.unwrap_err();
    assert!(error.to_string().contains("map"), "{error}");
}

/// A photo that came between the comparison and the fence is deleted at the new home before the old one is
/// erased: erase does not take it for a late upload.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_new_home_deleted_is_not_forwarded() {
    let world = World::new(Engine::Sqlite, 2).await;
    let (file, db) = (world.dir.path().join("old-objects/photos/77.jpg"), world.sqlite("old"));
    let service = service_that(&world, "fence", move || {
        std::fs::write(&file, "late picture").unwrap();
        let app = rusqlite::Connection::open(&db).unwrap();
        app.execute("INSERT INTO photos VALUES (77, 1, 'photos/77.jpg')", []).unwrap();
    })
    .await;
    let plan = planned(&service).await;
    let report = wave::run_plan(&service, &plan, &Options::default()).await.unwrap().reports.remove(0);
    assert_eq!((report.subjects, report.objects), (2, 3));
    let there = world.dir.path().join("new-objects/photos/77.jpg");
    assert!(there.exists());
    let app = world.app("new").await;
    assert_eq!(app.exec("DELETE FROM photos WHERE id = 77").await, Ok(1));
    std::fs::remove_file(&there).unwrap();
    wave::erase_wave(&service, &report.wave).await.unwrap();
    assert!(!there.exists());
}

/// Calls a function with the name of every stage a batch enters.
struct EachStage(Box<dyn Fn(&str) + Send + Sync>);

impl Observer for EachStage {
    fn event(&self, event: Event) {
        if let Event::Stage { stage, .. } = event {
            (self.0)(stage);
        }
    }
}

/// A photo comes after the comparison; its worker brings it, swaps the homes and dies before it has noted
/// that. The one that resumes reads it again at the new home: receipt and erase count it.
async fn an_object_brought_before_a_death_stands_on_the_receipt(engine: Engine) {
    let world = World::new(engine, 2).await;
    let file = world.dir.path().join("old-objects/photos/77.jpg");
    let app = Arc::new(tokio::sync::Mutex::new(world.app("old").await));
    let mut service = Arc::into_inner(world.service().await).unwrap();
    let came = AtomicBool::new(false);
    let at_stage = move |stage: &str| match stage {
        "fence" if !came.swap(true, Ordering::SeqCst) => {
            std::fs::write(&file, "late picture").unwrap();
            let app = app.clone();
            let inserted = async move {
                app.lock().await.exec("INSERT INTO photos VALUES (77, 1, 'photos/77.jpg')").await
            };
            let inserted =
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(inserted));
            assert_eq!(inserted, Ok(1));
        }
        "activate" => panic!("the worker dies here, as the test wants"),
        _ => {}
    };
    service.observer = Arc::new(EachStage(Box::new(at_stage)));
    let service = Arc::new(service);
    let plan = planned(&service).await;
    wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    drop(service);

    let service = world.service().await;
    let report = wave::resume(&service, "w1").await.unwrap();
    assert_eq!((report.subjects, report.objects), (2, 3));
    let late = "late picture".len() as u64;
    let given = "picture of 1".len() as u64 * 2;
    assert_eq!(report.object_bytes, given + late);
    assert_eq!(world.verified(&world.receipts("w1")).header.totals.objects, 3);
    let (erased, _) = wave::erase_wave(&service, "w1").await.unwrap();
    assert_eq!(erased.objects, 3);
    assert_eq!(world.verified(&world.receipts("w1")).header.totals.object_bytes, given + late);
    assert!(world.object_store("new").await.head("photos/77.jpg").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_brought_before_a_death_stands_on_the_receipt_on_sqlite() {
    an_object_brought_before_a_death_stands_on_the_receipt(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_brought_before_a_death_stands_on_the_receipt_on_postgres() {
    an_object_brought_before_a_death_stands_on_the_receipt(Engine::Postgres).await;
}

/// A subject moved on, from the second region to a third; what is uploaded late at the first follows it
/// there, and not to the second, whether the second is erased already or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_upload_follows_who_moved_on() {
    for second_is_erased in [false, true] {
        let regions = &[("old", "DE"), ("new", "IN"), ("far", "FR")];
        let world = World::on(Ground { regions, ..Ground::plain(Engine::Sqlite) }, 2).await;
        let service = world.service().await;
        let first =
            wave::run_plan(&service, &planned(&service).await, &Options::default()).await.unwrap().reports;
        assert_eq!(first[0].subjects, 2);
        let app = world.app("new").await;
        assert_eq!(app.exec("UPDATE accounts SET country = 'FR' WHERE id = 1").await, Ok(1));
        let ask = domicile_mover::Ask { from: vec!["new".into()], ..ask() };
        let onwards = plan::stored(&service, &ask).await.unwrap();
        let second = wave::run_plan(&service, &onwards, &Options::default()).await.unwrap().reports;
        assert_eq!((second[0].subjects, second[0].to.as_str()), (1, "far"));

        world.put_object("old", "photos/1.jpg", b"late picture of 1").await;
        world.put_object("old", "photos/2.jpg", b"late picture of 2").await;
        if second_is_erased {
            wave::erase_wave(&service, &second[0].wave).await.unwrap();
        }
        wave::erase_wave(&service, &first[0].wave).await.unwrap();
        let read = |region: &str, key: &str| {
            std::fs::read_to_string(world.dir.path().join(format!("{region}-objects/{key}"))).ok()
        };
        assert_eq!(read("far", "photos/1.jpg").as_deref(), Some("late picture of 1"));
        assert_eq!(read("new", "photos/2.jpg").as_deref(), Some("late picture of 2"));
        let at_new = (!second_is_erased).then_some("picture of 1");
        assert_eq!(read("new", "photos/1.jpg").as_deref(), at_new);
        assert!(["photos/1.jpg", "photos/2.jpg"].iter().all(|key| read("old", key).is_none()));
        if !second_is_erased {
            wave::erase_wave(&service, &second[0].wave).await.unwrap();
        }
        assert_eq!(read("far", "photos/1.jpg").as_deref(), Some("late picture of 1"));
        assert_eq!(read("new", "photos/1.jpg"), None);
    }
}
