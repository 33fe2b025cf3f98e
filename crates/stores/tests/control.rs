//! The control store's promises, on SQLite and on a real PostgreSQL.

use domicile_stores::Error;
use domicile_stores::control::{Control, ControlStore, Dialect, Rows, Statement, Value};
use domicile_testbed::postgres::Cluster;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

/// A store of each engine, empty, with a folder that must outlive it.
async fn stores(database: &str) -> (tempfile::TempDir, [ControlStore; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = ControlStore::open("sqlite:control.db", folder.path(), None).await.expect("sqlite");
    (folder, [sqlite, postgres(database).await])
}

async fn postgres(database: &str) -> ControlStore {
    cluster().sql("postgres", &format!("create database {database}"));
    let url = cluster().url("postgres", database);
    ControlStore::open(&url, Path::new("."), None).await.expect("postgres")
}

fn sql(sql: &'static str, params: Vec<Value>) -> Statement {
    Statement::new(sql, params)
}

async fn one(store: &ControlStore, statement: Statement) -> Rows {
    store.run(vec![statement]).await.expect("a statement").remove(0)
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let (_folder, stores) = stores("control_values").await;
    for store in stores {
        let blob = if store.dialect().await.expect("dialect") == Dialect::Sqlite { "BLOB" } else { "BYTEA" };
        one(&store, Statement::new(format!("CREATE TABLE t (n BIGINT, s TEXT, b {blob})"), vec![])).await;
        let row =
            vec![Value::Int(i64::MIN), Value::from("Å \0 x".replace('\0', "")), Value::Bytes(vec![0, 255])];
        let put = sql("INSERT INTO t (n, s, b) VALUES ($1, $2, $3) RETURNING b, s, n", row.clone());
        let answer = one(&store, put).await;
        assert_eq!(answer.rows, [row.iter().rev().cloned().collect::<Vec<_>>()]);
        assert_eq!(answer.affected, 1);
        let nulls = vec![Value::Null, Value::Null, Value::Null];
        one(&store, sql("INSERT INTO t (n, s, b) VALUES ($1, $2, $3)", nulls.clone())).await;
        // A parameter may stand twice and out of order.
        let both = sql(
            "SELECT n, s, b FROM t WHERE s = $2 OR n IS NULL AND $1 = $1 ORDER BY n IS NULL",
            vec![Value::Int(1), row[1].clone()],
        );
        assert_eq!(one(&store, both).await.rows, [row, nulls]);
        assert_eq!(one(&store, sql("UPDATE t SET n = 1 WHERE n = 77", vec![])).await.affected, 0);
    }
}

#[tokio::test]
async fn a_transaction_is_done_whole_or_not_at_all() {
    let (_folder, stores) = stores("control_whole").await;
    for store in stores {
        one(&store, sql("CREATE TABLE t (n BIGINT PRIMARY KEY CHECK (n > 0))", vec![])).await;
        let insert = |n: i64| sql("INSERT INTO t (n) VALUES ($1)", vec![Value::Int(n)]);
        store.run(vec![insert(1), insert(2)]).await.expect("both");
        let broken = store.run(vec![insert(3), insert(-1), insert(4)]).await.expect_err("a check");
        assert!(!broken.is_unreachable() && !broken.is_again(), "{broken}");
        assert!(!broken.to_string().contains("-1"), "no value in `{broken}`");
        let all = one(&store, sql("SELECT n FROM t ORDER BY n", vec![])).await;
        assert_eq!(all.rows, [[Value::Int(1)], [Value::Int(2)]]);
        // The connection serves on after a failure.
        store.run(vec![insert(5), sql("DELETE FROM t WHERE n = 5", vec![])]).await.expect("serves on");
    }
}

#[tokio::test]
async fn a_second_writer_waits_and_both_are_done() {
    let (folder, stores) = stores("control_two").await;
    let [sqlite, postgres] = stores;
    let again = ControlStore::open("sqlite:control.db", folder.path(), None).await.expect("the same file");
    for pair in [[sqlite, again], [postgres.clone(), postgres]] {
        one(&pair[0], sql("CREATE TABLE t (n BIGINT)", vec![])).await;
        one(&pair[0], sql("INSERT INTO t (n) VALUES (0)", vec![])).await;
        let add = || sql("UPDATE t SET n = n + 1", vec![]);
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..40 {
            let (store, both) = (pair[i % 2].clone(), vec![add(), add()]);
            tasks.spawn(async move { store.run(both).await.map(drop) });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic").expect("done");
        }
        assert_eq!(one(&pair[0], sql("SELECT n FROM t", vec![])).await.rows, [[Value::Int(80)]]);
    }
}

#[tokio::test]
async fn a_session_that_ends_under_a_statement_leaves_the_outcome_unknown() {
    let store = Arc::new(postgres("control_cut").await);
    one(&store, sql("CREATE TABLE t (n BIGINT)", vec![])).await;
    let waiting = Arc::clone(&store);
    let slow = vec![sql("INSERT INTO t (n) VALUES (1)", vec![]), sql("SELECT pg_sleep(8)::text", vec![])];
    let slow = tokio::spawn(async move { waiting.run(slow).await });
    let find = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    let pid = loop {
        match one(&store, sql(find, vec![])).await.rows.pop() {
            Some(row) => break row,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let [Value::Text(pid)] = &pid[..] else { panic!("{pid:?}") };
    cluster().sql("control_cut", &format!("select pg_terminate_backend({pid})"));
    let error = slow.await.expect("no panic").expect_err("cut");
    assert!(error.is_unreachable(), "{error}");
    assert_eq!(one(&store, sql("SELECT n FROM t", vec![])).await.rows.len(), 0);
}

#[tokio::test]
async fn a_deadlock_means_that_nothing_was_done() {
    let store = postgres("control_lock").await;
    one(&store, sql("CREATE TABLE t (n BIGINT)", vec![])).await;
    one(&store, sql("INSERT INTO t (n) VALUES (1)", vec![])).await;
    // Two transactions that wait for each other: the server ends one of them with 40P01.
    one(&store, sql("INSERT INTO t (n) VALUES (2)", vec![])).await;
    let pair = |a: i64, b: i64| {
        let add = |n: i64| sql("UPDATE t SET n = n + 10 WHERE n % 10 = $1", vec![Value::Int(n)]);
        vec![add(a), sql("SELECT pg_sleep(3)::text", vec![]), add(b)]
    };
    // Both have their connection by then.
    let there = || store.run(vec![sql("SELECT pg_sleep(0.1)::text", vec![])]);
    let (first, second) = tokio::join!(there(), there());
    assert!(first.is_ok() && second.is_ok());
    let (one_way, other_way) = tokio::join!(store.run(pair(1, 2)), store.run(pair(2, 1)));
    let failed: Vec<_> = [one_way, other_way].into_iter().filter_map(Result::err).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].is_again(), "{}", failed[0]);
    let sum = one(&store, sql("SELECT sum(n)::bigint FROM t", vec![])).await;
    assert_eq!(sum.rows, [[Value::Int(23)]]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let store = ControlStore::open("sqlite:control.db", folder.path(), None).await.expect("sqlite");
    one(&store, sql("CREATE TABLE t (n BIGINT)", vec![])).await;
    for file in ["control.db", "control.db-wal", "control.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(file)).expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn addresses_that_cannot_work_are_named_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = async |url: &str, secret: Option<&str>| {
        let error = ControlStore::open(url, folder.path(), secret.map(Into::into)).await.expect_err(url);
        assert!(!error.to_string().contains("hunter2"), "{error}");
        error
    };
    assert!(matches!(open("mysql://x", None).await, Error::Setting { .. }));
    assert!(matches!(open("sqlite:", None).await, Error::Setting { .. }));
    assert!(matches!(open("sqlite:absent/control.db", None).await, Error::Setting { .. }));
    assert!(matches!(open("postgres://u:hunter2@127.0.0.1:x/d", None).await, Error::Setting { .. }));
    let port = domicile_testbed::free_port();
    let closed = open(&format!("postgres://u:hunter2@127.0.0.1:{port}/d"), Some("hunter2")).await;
    assert!(closed.is_unreachable(), "{closed}");
    assert!(closed.to_string().contains(&format!("postgres://u@127.0.0.1:{port}/d")), "{closed}");
    let absent = open(&cluster().url("nobody_here", "postgres"), Some("hunter2")).await;
    assert!(matches!(absent, Error::Login { .. }), "{absent}");
    // Off loopback nothing is sent in the clear unless that is asked for twice.
    let clear = open("postgres://u@db.example/d?sslmode=disable", Some("hunter2")).await;
    assert!(matches!(clear, Error::Setting { .. }), "{clear}");
}
