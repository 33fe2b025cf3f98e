//! SQLite's fixture: two files, opened by the mover and by an application of its own.

use crate::suite::{self, Fixture, Pair, Run, Side};
use async_trait::async_trait;
use domicile_stores::sqlite::Sqlite;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

struct OnSqlite;

/// A folder that goes with this process's temporary files.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder")).path()
}

#[async_trait]
impl Fixture for OnSqlite {
    async fn pair(&self, test: &str) -> Pair {
        let source = side(&format!("{test}_source")).await;
        (source.app)(suite::ROWS).expect("rows");
        Pair { source, target: side(&format!("{test}_target")).await }
    }
}

async fn side(name: &str) -> Side {
    let path = folder().join(format!("{name}.db"));
    connect(&path).execute_batch(suite::SCHEMA).expect("schema");
    let catalogue = Sqlite::catalogue_of(&path).await.expect("catalogue");
    let layout = Arc::new(suite::layout(&catalogue, "main"));
    let records = Arc::new(Sqlite::open(&path, layout, false).await.expect("open"));
    let exempt = "INSERT INTO domicile_exempt(one) VALUES (1);";
    let tamper = run(path.clone(), exempt, "DELETE FROM domicile_exempt;");
    Side { records, app: run(path, "", ""), tamper }
}

/// An application's connection: foreign keys on, and a timeout to wait while the mover writes.
fn connect(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("open");
    conn.execute_batch("PRAGMA foreign_keys = ON").expect("pragma");
    conn.busy_timeout(Duration::from_secs(30)).expect("timeout");
    conn
}

fn run(path: PathBuf, before: &'static str, after: &'static str) -> Run {
    Box::new(move |sql| {
        let sql = format!("BEGIN IMMEDIATE; {before} {sql}; {after} COMMIT");
        connect(&path).execute_batch(&sql).map_err(|e| e.to_string())
    })
}

crate::conformance!(OnSqlite);
