//! A field of 100 MB, a subject of very many rows, and one of none.

use crate::land::{Case, Hooks, Land};
use domicile_mover::wave;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_100_mb() {
    let schema = "CREATE TABLE files(id int PRIMARY KEY, owner bigint NOT NULL REFERENCES users, name text, content bytea);
        ALTER TABLE files ALTER content SET STORAGE EXTERNAL";
    // Bytes of every value, no two pages alike.
    let rows = "INSERT INTO users VALUES (1, 'IN'), (2, 'DE'), (3, 'IN');
        INSERT INTO files SELECT 1, 1, 'large', string_agg(sha256(int4send(n)), '') FROM generate_series(1, 3276800) n;
        INSERT INTO files VALUES (2, 1, 'empty', ''), (3, 2, 'none', NULL)";
    let land = Land::new(Case::of_users(schema, rows)).await;
    assert_eq!(land.admin("old", "SELECT max(length(content)) FROM files"), (100 << 20).to_string());
    // There only, by the copy and, touched on the way, once more by its key.
    land.move_from("old", 2).await;
}

/// 200 000 rows, or as many as `DOMICILE_ROWS` says (2000000 for the full run).
#[tokio::test(flavor = "multi_thread")]
async fn one_subject_of_many_rows_and_one_of_none() {
    let count: u64 =
        std::env::var("DOMICILE_ROWS").map_or(200_000, |n| n.parse().expect("DOMICILE_ROWS is a number"));
    let schema = "CREATE TABLE events(id bigint PRIMARY KEY, owner bigint NOT NULL REFERENCES users, at timestamptz, what text);
        CREATE INDEX ON events(owner)";
    let rows = format!(
        "INSERT INTO users VALUES (1, 'IN'), (2, 'DE'), (3, 'IN');
         INSERT INTO events SELECT n, CASE WHEN n % 1000 = 0 THEN 2 ELSE 1 END, to_timestamp(n), md5(n::text) FROM generate_series(1, {count}) n"
    );
    let land = Land::new(Case::of_users(schema, rows)).await;
    let digest = "SELECT count(*), encode(sha256(string_agg(sha256(convert_to(e::text, 'UTF8')), '' ORDER BY id)), 'hex') FROM events e WHERE owner = 1";
    let before = land.admin("old", &format!("SET timezone = 'UTC'; {digest}"));
    let service = land.service(Arc::new(Hooks::none())).await;
    let report = land.run(&service).await.unwrap();
    assert_eq!(report.subjects, 2, "{:?}", report.left);
    assert_eq!(land.admin("new", &format!("SET timezone = 'UTC'; {digest}")), before);
    let (erased, _) = wave::erase_wave(&service, &report.wave).await.unwrap();
    // Besides the events: the two subjects and the rows that count their writes.
    assert_eq!(erased.rows, count - count / 1000 + 4);
    let left = land.rows("old");
    assert_eq!(left.len() as u64, count / 1000 + 1);
}
