//! Beside an application that writes: who waits for whom, and what an application must do.

use super::*;
use crate::Error;
use std::time::Duration;

const ONE: &str = "INSERT INTO users VALUES (1, 'IN', 'a@x', NULL);";

/// The mover's transactions and the application's take turns; nobody fails and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn writers_take_turns() {
    let region = Region::with(ONE).await;
    let path = region.path();
    let application = tokio::task::spawn_blocking(move || {
        let conn = Connection::open(path).unwrap();
        conn.busy_timeout(Duration::from_secs(30)).unwrap();
        for i in 0..300 {
            conn.execute_batch("BEGIN IMMEDIATE").unwrap();
            conn.execute("INSERT INTO messages VALUES (?1, 1, NULL, 'x')", [i]).unwrap();
            conn.execute_batch("COMMIT").unwrap();
        }
    });
    for i in 0..100 {
        region
            .store
            .write("count", Some(&lease()), move |conn| {
                Ok(conn.execute("INSERT INTO orders VALUES (?1, 1, NULL, ?1, NULL)", [i])?)
            })
            .await
            .unwrap();
    }
    application.await.unwrap();
    assert_eq!(
        region.one::<i64>("SELECT (SELECT count(*) FROM messages) * 1000 + (SELECT count(*) FROM orders)"),
        300_100
    );
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_again() {
    let region = Region::with(ONE).await;
    let app = region.app();
    app.execute_batch("BEGIN IMMEDIATE; UPDATE users SET country = 'ID'").unwrap();
    let refused =
        region.store.cell.waiting_at_most(Duration::from_millis(100)).write("try", None, |_| Ok(())).await;
    assert!(refused.as_ref().is_err_and(Error::is_again), "{refused:?}");
    app.execute_batch("COMMIT").unwrap();
    region.store.write("try", None, |_| Ok(())).await.unwrap();
}

/// ATTACKS S13, for the documentation: an application that reads in a deferred transaction and then
/// writes fails at once after somebody else's commit, whatever its busy timeout. It must begin with
/// BEGIN IMMEDIATE. The mover can't spare it that; this test only says that it is so.
#[tokio::test]
async fn a_deferred_transaction_that_writes_late_fails_at_once() {
    let region = Region::with(ONE).await;
    let app = region.app();
    app.busy_timeout(Duration::from_secs(60)).unwrap();
    app.execute_batch("BEGIN").unwrap();
    app.query_row("SELECT country FROM users", [], |r| r.get::<_, String>(0)).unwrap();
    region
        .store
        .write("move", None, |c| Ok(c.execute("UPDATE users SET country = 'ID'", [])?))
        .await
        .unwrap();
    let error = app.execute("UPDATE users SET country = 'SG'", []).unwrap_err();
    let Error::Again { why, .. } = crate::sqlite::Fault::from(error).named("sqlite:x", "write") else {
        panic!()
    };
    assert!(why.contains("locked"), "{why}");
}

/// A snapshot shows one instant, and a long one makes no writer wait.
#[tokio::test]
async fn a_snapshot_stands_still_while_others_write() {
    let region = Region::with(ONE).await;
    let mut snapshot = region.snapshot().await;
    let app = region.app();
    app.busy_timeout(Duration::ZERO).unwrap();
    app.execute_batch("INSERT INTO messages VALUES (1, 1, NULL, 'x')").unwrap();
    assert_eq!(snapshot.counts(&ids(&["1"])).await.unwrap().len(), 1, "begun before the insert");
    snapshot.close().await.unwrap();
    assert_eq!(region.snapshot().await.counts(&ids(&["1"])).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_in_rollback_mode_is_converted() {
    let Region { folder, store } = Region::with(ONE).await;
    let (path, layout) = (folder.path().join("region.db"), store.layout.clone());
    drop(store);
    let mode = |statement: &str| {
        let app = Connection::open(&path).unwrap();
        app.busy_timeout(Duration::ZERO).unwrap();
        app.query_row("SELECT count(*) FROM users", [], |_| Ok(())).unwrap();
        app.query_row(statement, [], |row| row.get::<_, String>(0))
    };
    assert_eq!(mode("PRAGMA journal_mode = DELETE").unwrap(), "delete");
    let store = Sqlite::open(&path, layout, false).await.unwrap();
    assert_eq!(mode("PRAGMA journal_mode").unwrap(), "delete", "opening changes nothing");
    drop(Open::reading(&store.cell, &store.layout).await.unwrap());
    assert_eq!(mode("PRAGMA journal_mode").unwrap(), "wal");
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_and_frees_the_lock() {
    let region = Region::with(ONE).await;
    let mut target = region.writing().await;
    target.clear(&ids(&["1"])).await.unwrap();
    drop(target);
    region.store.write("after", Some(&lease()), |_| Ok(())).await.unwrap();
    assert_eq!(region.one::<i64>("SELECT count(*) FROM users"), 1);
    assert_eq!(region.one::<i64>("SELECT count(*) FROM domicile_exempt"), 0);
}

#[tokio::test]
async fn what_is_not_there_or_no_database_is_said() {
    let region = Region::new().await;
    let layout = region.store.layout.clone();
    let folder = tempfile::tempdir().unwrap();
    let absent = Sqlite::open(&folder.path().join("absent.db"), layout.clone(), false).await.map(drop);
    assert!(matches!(&absent, Err(Error::Setting { what }) if what.contains("does not exist")), "{absent:?}");
    let text = folder.path().join("text.db");
    std::fs::write(&text, "not a database, though it is long enough to be looked at ".repeat(20)).unwrap();
    let noise = Sqlite::open(&text, layout.clone(), false).await.map(drop);
    assert!(
        matches!(&noise, Err(Error::Setting { what }) if what.contains("not a SQLite database")),
        "{noise:?}"
    );
    let nowhere = Sqlite::open(&folder.path().join("no/folder.db"), layout, true).await.map(drop);
    assert!(matches!(&nowhere, Err(Error::Unreachable { .. })), "{nowhere:?}");
    assert!(Sqlite::path_of("postgres://x", folder.path()).is_err());
    assert_eq!(Sqlite::path_of("sqlite:a/b.db", folder.path()).unwrap(), folder.path().join("a/b.db"));
    assert_eq!(Sqlite::path_of("sqlite:/a/b.db", folder.path()).unwrap(), PathBuf::from("/a/b.db"));
}
