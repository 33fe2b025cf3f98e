//! A database's own files: what was deleted and is still there.

use crate::wanted::{MAIL, report};
use domicile_audit::database::sqlite;
use domicile_audit::report::Verdict;
use domicile_audit::{Gap, Report, Step};
use rusqlite::Connection;
use std::path::Path;

fn search(path: &Path) -> Report {
    report(|examiner| examiner.files(path))
}

fn found_in(report: &Report, ending: &str) -> usize {
    let here = |step: &Step| matches!(step, Step::File(name) if name.ends_with(ending));
    report.findings.iter().filter(|f| f.place.0.iter().any(here)).count()
}

#[test]
fn a_deleted_row_stands_in_the_free_pages() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Connection::open(dir.path().join("shop.db")).expect("a file");
    db.execute_batch(&format!(
        "PRAGMA secure_delete = OFF; CREATE TABLE customer (id INTEGER PRIMARY KEY, mail TEXT);
         INSERT INTO customer VALUES (1, '{MAIL}'); DELETE FROM customer"
    ))
    .expect("a deleted row");
    drop(db);
    let report = search(dir.path());
    assert!(found_in(&report, "shop.db") > 0, "{report:?}");
    assert!(report.unseen.iter().any(|u| u.why.contains("SQLite")), "{:?}", report.unseen);
}

/// Bytes alone do not show numbers; bytes and rows together leave no gap, for the same file only.
#[test]
fn a_file_whose_rows_were_read_is_no_gap() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("shop.db");
    let db = Connection::open(&path).expect("a file");
    db.execute_batch("CREATE TABLE t (n INTEGER)").expect("a table");
    std::fs::copy(&path, dir.path().join("copy.db")).expect("a copy");
    std::os::unix::fs::symlink("shop.db", dir.path().join("link")).expect("a link");
    assert_eq!(search(&path).gaps.of(Gap::Raw), 1);
    let both = |bytes: &Path| {
        report(|examiner| {
            sqlite::examine(&db, "sqlite:shop.db", examiner).expect("its rows");
            examiner.files(bytes);
        })
    };
    for path in [&path, &dir.path().join("link")] {
        assert_eq!(both(path).verdict(), Verdict::Nothing);
    }
    assert_eq!(both(dir.path()).gaps.of(Gap::Raw), 1, "the copy's rows were not read");
}

#[test]
fn a_deleted_row_stands_in_the_write_ahead_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = Connection::open(dir.path().join("shop.db")).expect("a file");
    db.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE customer (id INTEGER PRIMARY KEY, mail TEXT);
         INSERT INTO customer VALUES (1, '{MAIL}'); DELETE FROM customer"
    ))
    .expect("a deleted row");
    let report = search(dir.path());
    assert!(found_in(&report, "shop.db-wal") > 0, "{report:?}");
    assert_eq!(found_in(&report, "shop.db"), 0, "nothing was checkpointed");
}

#[test]
fn the_data_folder_of_a_server() {
    let cluster = domicile_testbed::postgres::Cluster::start();
    cluster.sql(
        "postgres",
        &format!("CREATE TABLE t (m text); INSERT INTO t VALUES ('{MAIL}'); CHECKPOINT; DROP TABLE t"),
    );
    let report = search(&cluster.dir().join("data"));
    assert!(report.findings.iter().any(|f| f.place.to_string().contains("pg_wal")), "{:?}", report.findings);
    assert!(report.unseen.iter().any(|u| u.why.contains("PostgreSQL data folder")), "{:?}", report.unseen);
}
