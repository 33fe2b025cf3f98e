//! No space left at the target: the wave ends with words that say so, the source is as it was and writable,
//! and once there is space `resume` goes on, or `abort` undoes it.

use crate::trouble::planned;
use crate::world::{Engine, Ground, World, with_roles};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Error, Service};
use domicile_testbed::disk::SmallDisk;
use domicile_testbed::postgres::Cluster;
use std::io::Write;
use std::sync::Arc;

/// How the target's space is kept small.
enum Space {
    /// Its files lie on a disk that is really full.
    Disk(SmallDisk),
    /// Its files may not grow: the server gets a short write, as of a full disk. For where nothing may be mounted.
    Files(Arc<Cluster>),
}

/// The bound on files of the fallback, and rows that do not fit under it; one page must be cut.
const FILE_KIB: u32 = 16 * 1024 + 4;
const ROWS_TOO_MANY: u64 = 400_000;
/// Rows that do not fit into what is left on the disk.
const ROWS_FOR_DISK: u64 = 20_000;
const DISK_SPARE_KIB: usize = 400;

impl Space {
    fn take(&self) {
        match self {
            Space::Disk(disk) => disk.fill(DISK_SPARE_KIB),
            Space::Files(cluster) => cluster.bound_files(Some(FILE_KIB)),
        }
    }

    fn make(&self) {
        match self {
            Space::Disk(disk) => disk.ease(),
            Space::Files(cluster) => cluster.bound_files(None),
        }
    }

    fn rows(&self) -> u64 {
        match self {
            Space::Disk(_) => ROWS_FOR_DISK,
            Space::Files(_) => ROWS_TOO_MANY,
        }
    }
}

/// What a test that can't do what it is for says, whatever the harness captures.
fn loudly(words: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** {words} ***\n");
}

async fn small(engine: Engine) -> Option<(World, Space)> {
    let disk = SmallDisk::mount(48);
    if disk.is_none() {
        loudly("a full disk: this process may not mount a small tmpfs, so something else stands in for it");
    }
    match (engine, disk) {
        (Engine::Sqlite, None) => {
            loudly("SQLite on a full disk: left to the test of SQLITE_FULL in domicile-stores");
            None
        }
        (Engine::Sqlite, Some(disk)) => {
            let ground = Ground { new_folder: Some(disk.folder("new")), ..Ground::plain(engine) };
            Some((World::on(ground, 3).await, Space::Disk(disk)))
        }
        (Engine::Postgres, Some(disk)) => {
            let cluster = Arc::new(with_roles(Cluster::start()));
            let folder = disk.folder("tablespace");
            cluster.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", folder.display()));
            let ground = Ground { create_new: "TABLESPACE small", ..Ground::with("new", &cluster) };
            Some((World::on(ground, 3).await, Space::Disk(disk)))
        }
        (Engine::Postgres, None) => {
            let cluster = Arc::new(with_roles(Cluster::start()));
            let world = World::on(Ground::with("new", &cluster), 3).await;
            Some((world, Space::Files(cluster)))
        }
    }
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Region { region, source: domicile_stores::Error::Full { .. } } if region == "new")
}

/// Everybody lives at the source and can be written there.
async fn source_is_alive(world: &World, version: i64) {
    let app = world.app("old").await;
    for id in 1..=3 {
        let write = app.exec(&format!("UPDATE accounts SET version = {version} WHERE id = {id}")).await;
        assert_eq!(write, Ok(1), "account {id}");
    }
}

/// A wave that ended because the target was full.
async fn stopped_for_want_of_space(engine: Engine) -> Option<(World, Space)> {
    let (world, space) = small(engine).await?;
    let app = world.app("old").await;
    let many = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
         INSERT INTO items SELECT 5000000 + i, 20, 1, 0 FROM n",
        space.rows()
    );
    app.exec(&many).await.unwrap();
    let service = world.service().await;
    let plan = planned(&service).await;
    drop(service);
    space.take();
    let service = world.service().await;
    let error = wave::run_plan(&service, &plan, &Options::default()).await.unwrap_err();
    assert!(is_full(&error), "{error}");
    assert!(error.to_string().contains("region new") && error.to_string().contains("full"), "{error}");
    nobody_is_blamed(&service).await;
    source_is_alive(&world, 1).await;
    // Still full: said again, not tried for ever.
    let error = wave::resume(&service, "w1").await.unwrap_err();
    assert!(is_full(&error), "{error}");
    nobody_is_blamed(&service).await;
    source_is_alive(&world, 2).await;
    Some((world, space))
}

/// No subject left its batch: nothing is wrong with any of them.
async fn nobody_is_blamed(service: &Service) {
    let records = &service.regions["old"].records;
    for id in records.batch_ids("w1").await.unwrap() {
        let batch = records.batch(&id).await.unwrap().unwrap();
        assert!(!batch.record.to_string().contains("\"left\""), "{}", batch.record);
    }
}

async fn a_full_target_is_resumed(engine: Engine) {
    let Some((world, space)) = stopped_for_want_of_space(engine).await else { return };
    space.make();
    let service = world.service().await;
    let report = wave::resume(&service, "w1").await.unwrap();
    assert_eq!((report.subjects, report.left.len()), (3, 0), "{:?}", report.left);
    assert_eq!(report.tables.iter().find(|(t, _)| t.ends_with("items")).unwrap().1.rows, 12 + space.rows());
    wave::erase_wave(&service, "w1").await.unwrap();
    let moved = world.dump("new").await;
    assert_eq!(moved["items"].len() as u64, 12 + space.rows());
    assert!(moved["accounts"].iter().all(|row| row.ends_with("|2")), "{:?}", moved["accounts"]);
    world.verified(&world.receipts("w1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_is_resumed_on_sqlite() {
    a_full_target_is_resumed(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_is_resumed_on_postgres() {
    a_full_target_is_resumed(Engine::Postgres).await;
}

async fn a_full_target_is_aborted(engine: Engine) {
    let Some((world, space)) = stopped_for_want_of_space(engine).await else { return };
    let before = world.dump("old").await;
    // Undoing may need a page, too: done, or refused for the same reason and nothing else.
    let service = world.service().await;
    let aborted = match wave::abort(&service, "w1").await {
        Ok(report) => Some(report),
        Err(error) => {
            assert!(is_full(&error), "{error}");
            None
        }
    };
    space.make();
    if aborted.is_none() {
        wave::abort(&service, "w1").await.unwrap();
    }
    assert_eq!(world.dump("old").await, before);
    assert!(world.dump("new").await.values().all(Vec::is_empty), "the target is empty of them");
    source_is_alive(&world, 3).await;
    assert_eq!(service.directory.wave("w1").await.unwrap().unwrap().state.to_string(), "aborted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_is_aborted_on_sqlite() {
    a_full_target_is_aborted(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_is_aborted_on_postgres() {
    a_full_target_is_aborted(Engine::Postgres).await;
}
