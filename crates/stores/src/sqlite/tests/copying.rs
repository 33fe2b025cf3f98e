//! Whole copies: what arrives is what left, to the bit, and a difference is seen.

use super::*;
use crate::Error;
use futures::{StreamExt, stream};

/// Values at the edge of what SQLite stores, text that is not UTF-8 among them.
const EXTREMES: &str = r#"
INSERT INTO users VALUES (1, 'IN', 'a@x', NULL), (2, 'IN', NULL, NULL), (3, 'CN', 'c@x', NULL),
  (9223372036854775807, 'IN', 'big@x', NULL), (-9223372036854775808, 'IN', '', NULL);
INSERT INTO photos VALUES (10, 1, 'p/10'), (11, 1, NULL), (12, 3, 'p/12');
UPDATE users SET avatar = 10 WHERE id = 1;
INSERT INTO orders VALUES (100, 1, x'00ff', 'A', 101), (101, 1, 1e999, 'B', NULL), (102, 2, -1e999, 'C', 102),
  (103, 3, 5e-324, 'D', NULL), (104, 1, CAST(x'ff00fe' AS TEXT), 'E', NULL), (105, 1, -0.0, 'F', NULL),
  (106, 9223372036854775807, 9223372036854775807, 'G', NULL), (107, -9223372036854775808, '', 'H', NULL);
INSERT INTO "item ""s"""(order_id, line, val, amount) VALUES (100, x'', 'x' || char(0) || 'y', 0.1), (100, x'00', NULL, 1e308),
  (101, 'text', zeroblob(100000), 3), (103, 7, 1, NULL), (102, 1.5, '1', NULL);
INSERT INTO notes VALUES ('n"1', 100, x'', 'ü'), ('n2', 101, 'text', 1), ('n3', 103, 7, 2);
INSERT INTO messages VALUES (1, 1, 2, 'hi'), (2, 1, 3, 'hello'), (3, 3, 1, 'back');
"#;

#[tokio::test]
async fn a_copy_is_the_same_to_the_bit() {
    let (from, to) = (Region::with(EXTREMES).await, Region::new().await);
    let subjects = ids(&["1", "2", "9223372036854775807", "-9223372036854775808"]);
    assert_eq!(copy(&from, &to, &subjects).await, 4 + 2 + 7 + 4 + 2 + 2);
    let (there, here) = (from.digests(&subjects).await, to.digests(&subjects).await);
    assert_eq!(there, here);
    assert_eq!(there.iter().map(|d| d.rows).sum::<u64>(), 21);
    let counts = to.snapshot().await.counts(&subjects).await.unwrap();
    assert_eq!(counts.values().sum::<u64>(), 21);
    // What the digest can't say: values came as they were, by SQLite's own comparison.
    let compare = "SELECT count(*) FROM (SELECT id, user_id, note, typeof(note), code, parent FROM orders WHERE user_id <> 3
      EXCEPT SELECT id, user_id, note, typeof(note), code, parent FROM o.orders)";
    let app = from.app();
    app.execute("ATTACH ?1 AS o", [to.path().to_str().unwrap()]).unwrap();
    assert_eq!(app.query_row(compare, [], |r| r.get::<_, i64>(0)).unwrap(), 0);
    let nobody_elses: i64 = to.one("SELECT count(*) FROM users WHERE id = 3");
    assert_eq!(nobody_elses, 0);
    let blanked: i64 = to.one("SELECT count(*) FROM messages WHERE recipient IS NOT NULL");
    assert_eq!(blanked, 0);
    let cycle: (i64, i64) = to
        .app()
        .query_row(
            "SELECT avatar, (SELECT parent FROM orders WHERE id = 100) FROM users WHERE id = 1",
            [],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .unwrap();
    assert_eq!(cycle, (10, 101));
    let next: i64 = to.one("SELECT seq FROM sqlite_sequence WHERE name = 'orders'");
    assert_eq!(next, 107, "new orders at the target get numbers beyond those that came");
    let broken: i64 = to.one("SELECT count(*) FROM pragma_foreign_key_check");
    assert_eq!(broken, 0);
}

#[tokio::test]
async fn one_changed_byte_is_seen_and_named() {
    let (from, to) = (Region::with(EXTREMES).await, Region::new().await);
    let subjects = ids(&["1", "2"]);
    copy(&from, &to, &subjects).await;
    for (statement, table) in [
        ("UPDATE notes SET body = 'u' WHERE id = 'n\"1'", NOTES),
        ("UPDATE \"item \"\"s\"\"\" SET val = val || 'z' WHERE line = x''", ITEMS),
        ("UPDATE orders SET note = 0.0 WHERE id = 105", ORDERS),
        ("UPDATE photos SET object = CAST(object AS BLOB) WHERE id = 10", PHOTOS),
    ] {
        let app = to.app();
        let before = to.digests(&subjects).await;
        app.execute_batch("BEGIN").unwrap();
        assert_eq!(app.execute(statement, []).unwrap(), 1, "{statement}");
        app.execute_batch("COMMIT").unwrap();
        let after = to.digests(&subjects).await;
        let differing: Vec<_> =
            before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| a.table).collect();
        assert_eq!(differing, [table], "{statement}");
    }
}

#[tokio::test]
async fn the_order_of_rows_does_not_matter_and_their_number_does() {
    let a = Region::with(
        "INSERT INTO users VALUES (1,'IN','e',NULL); INSERT INTO photos VALUES (1,1,'a'),(2,1,'b')",
    )
    .await;
    let b = Region::with("INSERT INTO users VALUES (1,'IN','e',NULL); INSERT INTO photos VALUES (2,1,'b'); INSERT INTO photos VALUES (1,1,'a')").await;
    assert_eq!(a.digests(&ids(&["1"])).await, b.digests(&ids(&["1"])).await);
    b.app().execute("DELETE FROM photos WHERE id = 2", []).unwrap();
    assert_ne!(a.digests(&ids(&["1"])).await, b.digests(&ids(&["1"])).await);
}

#[tokio::test]
async fn a_subject_asked_for_twice_is_copied_once() {
    let (from, to) = (Region::with(EXTREMES).await, Region::new().await);
    copy(&from, &to, &ids(&["1", "1"])).await;
    assert_eq!(from.digests(&ids(&["1", "1"])).await, to.digests(&ids(&["1"])).await);
}

#[tokio::test]
async fn a_taken_key_is_named_and_nothing_stays() {
    let (from, to) =
        (Region::with(EXTREMES).await, Region::with("INSERT INTO users VALUES (8, 'US', 'a@x', NULL)").await);
    let mut source = from.snapshot().await;
    let (mut target, subjects) = (to.writing().await, ids(&["1"]));
    let rows = source.rows(USERS, Pick::Subjects(&subjects), true).await.unwrap();
    let Err(Error::Taken { table, constraint, .. }) = target.load(USERS, rows).await else {
        panic!("not taken")
    };
    assert_eq!(
        (table.as_str(), constraint.as_str()),
        ("a table", "users_folded"),
        "SQLite names only the index"
    );
    let Err(Error::Failed { why, .. }) = target.commit().await else { panic!("committed half") };
    assert!(why.contains("rolled back"), "{why}");
    let left: i64 = to.one("SELECT count(*) FROM users");
    assert_eq!(left, 1);
}

/// The constraint says ON CONFLICT REPLACE; a moved row must never push a stranger's out by it.
#[tokio::test]
async fn declared_replace_does_not_replace() {
    let (from, to) = (
        Region::with(EXTREMES).await,
        Region::with(
            "INSERT INTO users VALUES (8, 'US', 'z', NULL); INSERT INTO orders VALUES (1, 8, 0, 'A', NULL)",
        )
        .await,
    );
    arrive(&to, &ids(&["1"]));
    for load in [true, false] {
        let (mut source, mut target) = (from.snapshot().await, to.writing().await);
        let subjects = ids(&["1"]);
        let rows = source.rows(ORDERS, Pick::Subjects(&subjects), true).await.unwrap();
        let refused = if load { target.load(ORDERS, rows).await } else { target.upsert(ORDERS, rows).await };
        let Err(Error::Taken { table, constraint, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((table.as_str(), constraint.as_str()), ("main.orders", "(code)"));
    }
    let there: i64 = to.one("SELECT count(*) FROM orders WHERE user_id = 8");
    assert_eq!(there, 1);
}

#[tokio::test]
async fn a_broken_or_cut_stream_is_an_error_and_nothing_stays() {
    let (from, to) = (Region::with(EXTREMES).await, Region::new().await);
    let subjects = ids(&["1", "2"]);
    let mut source = from.snapshot().await;
    let chunks: Vec<_> = source.rows(USERS, Pick::Subjects(&subjects), true).await.unwrap().collect().await;
    let whole = chunks[0].as_ref().unwrap().clone();
    let failing = || Error::Unreachable { store: "s".into(), why: "gone".into() };
    let cut = stream::iter(vec![Ok(whole.slice(..whole.len() - 1))]).boxed();
    let failed = stream::iter(vec![Ok(whole.clone()), Err(failing())]).boxed();
    let noise = stream::iter(vec![Ok(bytes::Bytes::from_static(&[1, 0, 0, 0, 9]))]).boxed();
    for rows in [cut, failed, noise] {
        let mut target = to.writing().await;
        assert!(target.load(USERS, rows).await.is_err());
        assert!(target.commit().await.is_err());
    }
    let none: i64 = to.one("SELECT count(*) FROM users");
    assert_eq!(none, 0);
    // Bytes cut anywhere else come together again.
    let pieces: Vec<_> = whole.chunks(7).map(|piece| Ok(bytes::Bytes::copy_from_slice(piece))).collect();
    let mut target = to.writing().await;
    assert_eq!(target.load(USERS, stream::iter(pieces).boxed()).await.unwrap(), 2);
    target.commit().await.unwrap();
}

#[tokio::test]
async fn a_row_without_its_parent_is_refused_at_the_commit_with_its_table() {
    let (from, to) = (Region::with(EXTREMES).await, Region::new().await);
    let (mut source, mut target) = (from.snapshot().await, to.writing().await);
    let subjects = ids(&["1"]);
    let rows = source.rows(PHOTOS, Pick::Subjects(&subjects), true).await.unwrap();
    target.load(PHOTOS, rows).await.unwrap();
    let Err(Error::Referred { table, constraint, .. }) = target.commit().await else { panic!("committed") };
    assert_eq!((table.as_str(), constraint.as_str()), ("main.photos", "fk_0"));
    let none: i64 = to.one("SELECT count(*) FROM photos");
    assert_eq!(none, 0);
}

#[tokio::test]
async fn a_stream_given_up_early_gives_its_snapshot_back() {
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
      INSERT INTO messages SELECT i, 1, NULL, printf('%200d', i) FROM n";
    let region = Region::with(&format!("{EXTREMES}; DELETE FROM messages; {many}")).await;
    let mut source = region.snapshot().await;
    let subjects = ids(&["1"]);
    {
        let mut rows = source.rows(MESSAGES, Pick::Subjects(&subjects), false).await.unwrap();
        let first = rows.next().await.unwrap().unwrap();
        assert!(first.len() >= 256 * 1024 && first.len() < 300 * 1024, "{}", first.len());
    }
    let counts = source.counts(&subjects).await.unwrap();
    assert_eq!(counts[&(SubjectId("1".into()), MESSAGES)], 20000);
}

#[tokio::test]
async fn objects_and_sizes_are_read() {
    let region = Region::with(EXTREMES).await;
    let mut source = region.snapshot().await;
    let all = source.objects(&ids(&["1", "3"]), None).await.unwrap();
    let found: Vec<_> = all.iter().map(|o| (o.subject.0.as_str(), o.key.as_str())).collect();
    assert_eq!(found, [("1", "p/10"), ("3", "p/12")]);
    let some =
        source.objects(&ids(&["1", "3"]), Some(&keys(&[(PHOTOS, &["[12]", "[11]", "[99]"])]))).await.unwrap();
    assert_eq!(some.iter().map(|o| o.key.as_str()).collect::<Vec<_>>(), ["p/12"]);
    let sizes = region.store.measure_rows(&ids(&["1"])).await.unwrap();
    assert_eq!(sizes[&ITEMS].rows, 3);
    assert!(sizes[&ITEMS].bytes > 100_000 && !sizes.contains_key(&99));
}
