//! Erased rows are gone from the tables, and their bytes from the files.

use super::*;
use crate::Error;

const MARK: &str = "+91-98450-55501";
const CONTROL: &str = "+86-10-55502-7";

fn people() -> String {
    format!(
        r#"INSERT INTO users VALUES (1, 'IN', 'mail {MARK} a', NULL), (2, 'IN', 'mail {MARK} b', NULL), (3, 'CN', 'mail {CONTROL}', NULL);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
          INSERT INTO messages SELECT i, 1 + i % 3, NULL, CASE WHEN i % 3 = 2 THEN '{CONTROL}' ELSE '{MARK}' END || printf('%300d', i) FROM n;
        INSERT INTO orders VALUES (100, 1, '{MARK}', '{MARK} code', NULL), (101, 1, NULL, 'B', 100), (103, 3, '{CONTROL}', 'D', NULL);
        INSERT INTO "item ""s"""(order_id, line, val) VALUES (100, '{MARK}', 'x'), (103, 1, 'w');
        INSERT INTO notes VALUES ('{MARK}', 100, '{MARK}', NULL);
        INSERT INTO photos VALUES (5, 1, 'o/{MARK}');
        INSERT INTO domicile_home(subject, state, epoch, batch) VALUES (1, 'w', 2, NULL), (2, 'w', 2, NULL), (3, 'h', 1, NULL);
        UPDATE users SET avatar = 5 WHERE id = 1;
        UPDATE messages SET recipient = 2 WHERE id = 2;
        CREATE INDEX bodies ON messages(body);"#
    )
}

/// How often `needle` stands in the bytes of the file and its log.
fn found(region: &Region, needle: &str) -> usize {
    let file =
        |suffix: &str| std::fs::read(format!("{}{suffix}", region.path().display())).unwrap_or_default();
    let count = |bytes: &[u8]| bytes.windows(needle.len()).filter(|w| *w == needle.as_bytes()).count();
    count(&file("")) + count(&file("-wal")) + count(&file("-journal"))
}

fn away() -> Vec<(SubjectId, u64)> {
    ids(&["1", "2"]).into_iter().map(|subject| (subject, 2)).collect()
}

#[tokio::test]
async fn erase_goes_on_in_bounded_steps_until_nothing_is_left() {
    let region = Region::with(&people()).await;
    let (mut calls, mut total) = (0, std::collections::BTreeMap::<usize, u64>::new());
    loop {
        let erased = region.store.erase_rows(&lease(), &away(), 700).await.unwrap();
        if erased.is_empty() {
            break;
        }
        assert!(erased.values().sum::<u64>() <= 700);
        erased.into_iter().for_each(|(table, n)| *total.entry(table).or_default() += n);
        calls += 1;
    }
    assert!(calls >= 3, "{calls}");
    let expected = [(USERS, 2), (PHOTOS, 1), (ORDERS, 2), (ITEMS, 1), (NOTES, 1), (MESSAGES, 2000)];
    assert_eq!(total, expected.into_iter().collect());
    let left = region.snapshot().await.counts(&ids(&["1", "2", "3"])).await.unwrap();
    assert!(
        left.keys().all(|(subject, _)| subject.0 == "3") && left[&(ids(&["3"])[0].clone(), MESSAGES)] == 1000
    );
}

#[tokio::test]
async fn nothing_is_erased_of_a_subject_that_is_not_away_at_that_epoch() {
    let region = Region::with(&people()).await;
    for wrong in [("3", 1), ("1", 1), ("99", 1)] {
        let mut subjects = away();
        subjects.push((SubjectId(wrong.0.into()), wrong.1));
        let Err(Error::Schema { what, .. }) = region.store.erase_rows(&lease(), &subjects, 100).await else {
            panic!("erased {wrong:?}")
        };
        assert!(what.starts_with("1 of 3 subjects are not `away`"), "{what}");
    }
    assert_eq!(region.one::<i64>("SELECT count(*) FROM messages"), 3000);
}

#[tokio::test]
async fn a_worker_that_was_replaced_erases_nothing() {
    let region = Region::with(&people()).await;
    let old = Lease { batch: "w1/1".into(), token: 2 };
    assert!(matches!(region.store.erase_rows(&old, &away(), 9).await, Err(Error::LeaseLost { .. })));
    assert!(matches!(
        Open::writing(&region.store.cell, &region.store.layout, &old).await,
        Err(Error::LeaseLost { .. })
    ));
    let unknown = Lease { batch: "w9/9".into(), token: 1 };
    assert!(matches!(region.store.erase_rows(&unknown, &away(), 9).await, Err(Error::LeaseLost { .. })));
    assert_eq!(region.one::<i64>("SELECT count(*) FROM messages"), 3000);
    assert_eq!(region.one::<i64>("SELECT count(*) FROM domicile_exempt"), 0);
}

/// The scan must be able to find: the planted control is found before and after.
#[tokio::test]
async fn the_bytes_of_erased_values_are_gone_from_the_files() {
    let region = Region::with(&people()).await;
    assert!(found(&region, MARK) > 2000 && found(&region, CONTROL) > 1000);
    while !region.store.erase_rows(&lease(), &away(), 100_000).await.unwrap().is_empty() {}
    let done = region.store.scrub_file().await.unwrap();
    assert!(done.contains("VACUUM") && done.contains("not seen"), "{done}");
    assert_eq!(found(&region, MARK), 0);
    assert!(found(&region, CONTROL) > 1000);
    assert_eq!(region.one::<String>("PRAGMA integrity_check"), "ok");
}

#[tokio::test]
async fn scrubbing_waits_for_nobody_who_reads() {
    let region = Region::with(&people()).await;
    let reader = region.app();
    reader.execute_batch("BEGIN; SELECT count(*) FROM users").unwrap();
    region.app().execute_batch("UPDATE users SET country = 'ID' WHERE id = 3").unwrap();
    let refused = region.store.scrub_within(std::time::Duration::from_millis(200)).await;
    assert!(refused.as_ref().is_err_and(Error::is_again), "{refused:?}");
    reader.execute_batch("COMMIT").unwrap();
    region.store.scrub_file().await.unwrap();
}
