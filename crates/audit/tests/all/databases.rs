//! Every table that a catalogue knows, every type of column.

use crate::wanted::{MAIL, NUMBER, in_column, in_table, keys, report, unseen};
use domicile_audit::database::{postgres, sqlite};
use domicile_audit::{Report, Step};
use domicile_testbed::postgres::Cluster;
use rusqlite::Connection;
use tokio::runtime::Handle;

/// Searches a database as a role.
pub async fn search(cluster: &Cluster, role: &str, database: &str) -> Report {
    let url = cluster.url(role, database);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a session");
    let driver = tokio::spawn(connection);
    let runtime = Handle::current();
    let searched = tokio::task::spawn_blocking(move || {
        report(|examiner| postgres::examine(&runtime, &client, "postgres://db", examiner).expect("read"))
    });
    let report = searched.await.expect("a report");
    driver.abort();
    report
}

fn columns() -> String {
    format!(
        "CREATE TYPE person AS (name text, mail text);
         CREATE DOMAIN mail AS text;
         CREATE TABLE everything (id int PRIMARY KEY, t text, v varchar(100), c char(60), j json, jb jsonb, b bytea,
           a text[], n numeric, big bigint, comp person, x xml, d mail, long text, noise text);
         INSERT INTO everything VALUES (7, 'to {MAIL}', '{MAIL}', '{MAIL}', '{{\"m\": \"{MAIL}\"}}',
           '{{\"m\": [\"{MAIL}\"]}}', convert_to('{MAIL}', 'UTF8'), ARRAY['x', '{MAIL}'], {NUMBER}, {NUMBER},
           ROW('Lin', '{MAIL}'), '<a>{MAIL}</a>', '{MAIL}', repeat('long ', 2000000) || '{MAIL}' || repeat(' x', 9),
           (SELECT string_agg(md5(i::text), ' ') FROM generate_series(1, 20000) i) || ' {MAIL}');
         INSERT INTO everything (id) SELECT generate_series(100, 9000);"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_column() {
    let cluster = Cluster::start();
    cluster.sql("postgres", &columns());
    let report = search(&cluster, "postgres", "postgres").await;
    for column in ["t", "v", "c", "j", "jb", "b", "a", "n", "big", "comp", "x", "d", "long", "noise"] {
        let found = in_column(&report, "everything", column);
        assert_eq!(keys(&found), ["7"], "{column}: {:?}", report.unseen);
    }
    assert!(report.scanned.bytes > 10_000_000, "{:?}", report.scanned);
    let t = in_column(&report, "everything", "t")[0];
    assert_eq!((t.offset_bytes, t.length_bytes), (3, MAIL.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_wherever_it_is() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        &format!(
            "CREATE SCHEMA old; CREATE TABLE old.\"an export\" (line text); INSERT INTO old.\"an export\" VALUES ('{MAIL}');
             CREATE SCHEMA domicile; CREATE TABLE domicile.note (n text); INSERT INTO domicile.note VALUES ('{MAIL}');
             CREATE TABLE part (id int, m text) PARTITION BY RANGE (id);
             CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10); INSERT INTO part VALUES (1, '{MAIL}');
             CREATE TABLE parent (m text); CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES ('{MAIL}');
             CREATE MATERIALIZED VIEW seen AS SELECT '{MAIL}'::text AS m;
             CREATE MATERIALIZED VIEW empty AS SELECT '{MAIL}'::text AS m WITH NO DATA;
             CREATE UNLOGGED TABLE fast (m text); INSERT INTO fast VALUES ('{MAIL}');
             CREATE TABLE named (mail text PRIMARY KEY, note text); INSERT INTO named VALUES ('{MAIL}', 'call {NUMBER}');
             CREATE TABLE numbered (number bigint PRIMARY KEY, note text); INSERT INTO numbered VALUES ({NUMBER}, '{MAIL}');
             CREATE TABLE pair (a int, b uuid, m text, PRIMARY KEY (b, a));
             INSERT INTO pair VALUES (3, '0190a6f2-0000-7000-8000-000000000001', '{MAIL}');
             CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;
             CREATE FOREIGN TABLE elsewhere (m text) SERVER far;
             SELECT lo_from_bytea(4711, convert_to('{MAIL}', 'UTF8'));
             CREATE TABLE forgotten (m text); INSERT INTO forgotten SELECT '{MAIL}' FROM generate_series(1, 1000);
             ANALYZE forgotten; DELETE FROM forgotten"
        ),
    );
    let report = search(&cluster, "postgres", "postgres").await;
    for table in ["an export", "note", "part_1", "child", "seen", "fast", "pg_largeobject"] {
        assert_eq!(in_table(&report, table).len(), 1, "{table}: {:?}", report.unseen);
    }
    for table in ["part", "parent", "empty", "forgotten"] {
        assert_eq!(in_table(&report, table).len(), 0, "{table}");
    }
    assert_eq!(in_table(&report, "pg_stats").len(), 1, "what ANALYZE remembers of rows that are gone");
    assert!(unseen(&report, "elsewhere")[0].contains("foreign table"));
    assert!(unseen(&report, "empty")[0].contains("never filled"));
    assert_eq!(keys(&in_table(&report, "pair")), ["0190a6f2-0000-7000-8000-000000000001, 3"]);
    assert_eq!(keys(&in_table(&report, "pg_largeobject")), ["4711"]);
    assert!(keys(&in_table(&report, "an export"))[0].starts_with("ctid ("));
    // Two findings a row, one key, and it names nobody.
    for table in ["named", "numbered"] {
        let keys = keys(&in_table(&report, table));
        assert_eq!(keys.len(), 2, "{table}");
        assert_eq!(keys[0], keys[1], "{table}");
        assert!(keys[0].starts_with('#') && keys[0].len() == 17, "{keys:?}");
    }
    let json = serde_json::to_string(&report).expect("JSON");
    assert!(!json.contains(MAIL) && !json.contains(NUMBER));
}

/// PostgreSQL has 1600 columns in a table and 1664 expressions in a question.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_as_wide_as_can_be() {
    let cluster = Cluster::start();
    let columns: Vec<String> = (1..=1600).map(|n| format!("c{n} text")).collect();
    cluster.sql(
        "postgres",
        &format!(
            "CREATE TABLE wide ({}); ALTER TABLE wide ALTER c1599 SET STORAGE EXTERNAL;
             INSERT INTO wide (c1, c1599, c1600) VALUES ('x', repeat('long ', 400000) || '{MAIL}', '{MAIL}')",
            columns.join(", ")
        ),
    );
    let report = search(&cluster, "postgres", "postgres").await;
    for column in ["c1599", "c1600"] {
        assert_eq!(in_column(&report, "wide", column).len(), 1, "{column}: {:?}", report.unseen);
    }
    assert_eq!(unseen(&report, "wide"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_role_may_not_see_is_said() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        &format!(
            "CREATE ROLE auditor LOGIN;
             CREATE TABLE shut (m text); INSERT INTO shut VALUES ('{MAIL}');
             CREATE TABLE half (a text, b text); INSERT INTO half VALUES ('{MAIL}', '{MAIL}'); GRANT SELECT (a) ON half TO auditor;
             CREATE TABLE veiled (m text); INSERT INTO veiled VALUES ('{MAIL}'); ALTER TABLE veiled ENABLE ROW LEVEL SECURITY;
             CREATE POLICY none ON veiled USING (false); GRANT SELECT ON veiled TO auditor;
             CREATE SCHEMA walled; CREATE TABLE walled.t (m text); GRANT SELECT ON walled.t TO auditor;
             SELECT lo_from_bytea(1, convert_to('{MAIL}', 'UTF8'));
             CREATE TABLE open (m text); INSERT INTO open VALUES ('{MAIL}'); GRANT SELECT ON open TO auditor"
        ),
    );
    cluster.sql("postgres", "CREATE DATABASE other");
    let report = search(&cluster, "auditor", "postgres").await;
    assert_eq!(in_table(&report, "open").len(), 1);
    assert_eq!((in_column(&report, "half", "a").len(), in_column(&report, "half", "b").len()), (1, 0));
    assert!(in_table(&report, "shut").is_empty() && in_table(&report, "veiled").is_empty());
    assert!(unseen(&report, "table public.shut")[0].contains("GRANT SELECT"));
    assert!(unseen(&report, "table public.half")[0].contains("column b"));
    assert!(unseen(&report, "table public.veiled")[0].contains("row-level security"), "{:?}", report.unseen);
    assert!(unseen(&report, "walled")[0].contains("schema"));
    assert!(
        unseen(&report, "pg_largeobject > key 1")[0].contains("permission denied"),
        "{:?}",
        report.unseen
    );
    assert!(report.unseen.iter().any(|u| u.why.contains("1 other database")), "{:?}", report.unseen);
}

/// The snapshot is one, and nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn it_only_reads() {
    let cluster = Cluster::start();
    cluster
        .sql("postgres", "CREATE TABLE t (m text); CREATE ROLE auditor LOGIN; GRANT SELECT ON t TO auditor");
    cluster.sql("postgres", "ALTER ROLE auditor SET default_transaction_read_only = on");
    let before = cluster.sql("postgres", "SELECT pg_current_wal_insert_lsn()");
    search(&cluster, "auditor", "postgres").await;
    let written =
        cluster.sql("postgres", &format!("SELECT pg_current_wal_insert_lsn() - '{before}'::pg_lsn < 100000"));
    assert_eq!(written, "t");
}

fn sqlite_file(dir: &std::path::Path) -> Connection {
    let db = Connection::open(dir.join("shop.db")).expect("a file");
    db.execute_batch(&format!(
        "CREATE TABLE everything (id INTEGER PRIMARY KEY, t TEXT, b BLOB, n INTEGER, r REAL, long TEXT, g TEXT AS (t || ''));
         INSERT INTO everything VALUES (7, 'to {MAIL}', CAST('{MAIL}' AS BLOB), {NUMBER}, {NUMBER}.0,
           replace(hex(zeroblob(4000000)), '00', 'long ') || '{MAIL}');
         CREATE TABLE named (mail TEXT PRIMARY KEY, note TEXT) WITHOUT ROWID; INSERT INTO named VALUES ('{MAIL}', '{NUMBER}');
         CREATE TABLE \"odd \"\"name\" (rowid TEXT, m TEXT); INSERT INTO \"odd \"\"name\" VALUES ('x', '{MAIL}');
         CREATE VIEW v AS SELECT * FROM everything;
         CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('mail {MAIL} now');
         CREATE INDEX by_t ON everything (t); ANALYZE"
    ))
    .expect("tables");
    db
}

#[test]
fn sqlite_every_table_and_type() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = sqlite_file(dir.path());
    let report = report(|examiner| sqlite::examine(&db, "sqlite:shop.db", examiner).expect("read"));
    for column in ["t", "b", "n", "long", "g"] {
        assert_eq!(keys(&in_column(&report, "everything", column)), ["7"], "{column}: {:?}", report.unseen);
    }
    assert_eq!(in_table(&report, "odd \"name").len(), 1);
    assert!(!in_table(&report, "words_content").is_empty(), "the shadow table of a virtual one");
    assert!(in_table(&report, "v").is_empty());
    assert!(unseen(&report, "table words")[0].contains("virtual"));
    let keys = keys(&in_table(&report, "named"));
    assert!(keys.len() == 2 && keys.iter().all(|k| k.starts_with('#')), "{keys:?}");
    assert!(report.findings.iter().all(|f| matches!(f.place.0[0], Step::Database(_))));
}
