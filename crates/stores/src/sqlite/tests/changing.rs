//! What catch-up needs: changed keys, their subtrees, deletes that bite nobody, rows pushed aside.

use super::*;
use crate::Error;
use std::collections::BTreeSet;

const FEW: &str = r#"
INSERT INTO users VALUES (1, 'IN', 'a@x', NULL), (2, 'IN', 'b@x', NULL), (3, 'CN', 'c@x', NULL);
INSERT INTO photos VALUES (10, 1, NULL), (11, 1, NULL), (12, 3, NULL);
INSERT INTO orders VALUES (100, 1, NULL, 'A', NULL), (101, 1, NULL, 'B', 100), (102, 2, NULL, 'C', NULL), (103, 3, NULL, 'D', NULL);
INSERT INTO "item ""s"""(order_id, line, val) VALUES (100, 1, 'x'), (100, 'a', 'y'), (101, 1, 'z'), (103, 1, 'w');
INSERT INTO notes VALUES ('n1', 100, 1, NULL), ('n2', 101, 1, NULL), ('n3', 103, 1, NULL);
INSERT INTO messages VALUES (1, 1, NULL, 'hi'), (3, 3, 1, 'to one');
"#;

/// Applies the keys at the target as catch-up does: delete what is gone, upsert the rest.
async fn catch_up(from: &Region, to: &Region, changed: &KeySet, subjects: &[SubjectId]) -> crate::Result<()> {
    let (mut source, mut target) = (from.snapshot().await, to.writing().await);
    let still = source.owned(changed, subjects).await?;
    let mut gone = changed.clone();
    for (ix, keys) in &still {
        gone.entry(*ix).or_default().retain(|k| !keys.contains(k));
    }
    target.delete(&gone, subjects).await?;
    for (ix, keys) in &still {
        let rows = source.rows(*ix, Pick::Keys(keys, subjects), false).await?;
        target.upsert(*ix, rows).await?;
    }
    target.commit().await
}

async fn both(more: &str) -> (Region, Region) {
    let from = Region::with(&format!("{FEW}{more}")).await;
    let to = Region::new().await;
    copy(&from, &to, &ids(&["1", "2"])).await;
    (from, to)
}

#[tokio::test]
async fn changes_are_read_in_order_and_expanded_to_their_subtree() {
    let region = Region::with(&format!(
        "{FEW} INSERT INTO domicile_changed VALUES (7, 1, 'main.orders', '[100]', 1), (8, 3, 'main.orders', '[103]', 0),
           (9, 1, 'main.notes', '[\"n2\"]', 0), (12, 2, 'main.orders', '[555]', 1)"
    ))
    .await;
    let mut source = region.snapshot().await;
    let all = source.changes(&ids(&["1", "2"]), 100).await.unwrap();
    assert_eq!(all.iter().map(|c| c.id).collect::<Vec<_>>(), [7, 9, 12]);
    assert_eq!(source.changes(&ids(&["1", "2"]), 1).await.unwrap(), all[..1]);
    let expanded = source.expand(&all).await.unwrap();
    let expected = keys(&[
        (ORDERS, &["[100]", "[555]"]),
        (ITEMS, &["[100,1]", "[100,\"a\"]"]),
        (NOTES, &["[\"n1\"]", "[\"n2\"]"]),
    ]);
    assert_eq!(expanded, expected);
    let owned = source.owned(&expanded, &ids(&["1"])).await.unwrap();
    let mut there = expected.clone();
    there.insert(ORDERS, keys(&[(ORDERS, &["[100]"])])[&ORDERS].clone());
    assert_eq!(owned, there);
    assert!(source.owned(&expanded, &ids(&["3"])).await.unwrap().is_empty());
    let digests = source.row_digests(&expanded, &ids(&["1"])).await.unwrap();
    assert_eq!(digests.keys().map(|(ix, key)| (*ix, key.clone())).collect::<Vec<_>>().len(), 5);
    assert!(digests.values().all(|hash| hash.len() == 64));
}

/// A parent that is gone by now: its children are found by the values in its key.
#[tokio::test]
async fn children_of_a_parent_that_is_gone_are_found() {
    let region = Region::with(FEW).await;
    let app = Connection::open(region.path()).unwrap();
    app.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM orders WHERE id = 100").unwrap();
    let change = crate::records::Change {
        id: 1,
        subject: SubjectId("1".into()),
        table: ORDERS,
        key: Key("[100]".into()),
        subtree: true,
    };
    let expanded = region.snapshot().await.expand(&[change]).await.unwrap();
    assert_eq!(expanded[&ITEMS].len(), 2);
    assert_eq!(expanded[&NOTES].len(), 1);
}

#[tokio::test]
async fn catch_up_makes_both_sides_equal_again() {
    let (from, to) = both("").await;
    from.app()
        .execute_batch(
            "UPDATE users SET avatar = 11, email = NULL WHERE id = 1; DELETE FROM photos WHERE id = 10;
             DELETE FROM orders WHERE id = 101; INSERT INTO orders VALUES (110, 2, 'new', 'Z', NULL);
             UPDATE \"item \"\"s\"\"\" SET val = NULL WHERE line = 'a'; INSERT INTO notes VALUES ('n9', 100, 'a', 1)",
        )
        .unwrap();
    let changed = keys(&[
        (USERS, &["[1]"]),
        (PHOTOS, &["[10]"]),
        (ORDERS, &["[101]", "[110]"]),
        (ITEMS, &["[100,\"a\"]", "[101,1]"]),
        (NOTES, &["[\"n2\"]", "[\"n9\"]"]),
    ]);
    let subjects = ids(&["1", "2"]);
    for _ in 0..2 {
        catch_up(&from, &to, &changed, &subjects).await.unwrap();
        assert_eq!(from.digests(&subjects).await, to.digests(&subjects).await);
    }
}

/// The variant left its product and went: at the target a cascade must not take the children with it.
#[tokio::test]
async fn a_cascade_does_not_take_rows_that_stay() {
    let (from, to) = both("").await;
    from.app()
        .execute_batch("UPDATE notes SET o = 100, l = 1 WHERE id = 'n2'; DELETE FROM \"item \"\"s\"\"\" WHERE order_id = 101")
        .unwrap();
    let changed = keys(&[(ITEMS, &["[101,1]"]), (NOTES, &["[\"n2\"]"])]);
    let subjects = ids(&["1", "2"]);
    catch_up(&from, &to, &changed, &subjects).await.unwrap();
    assert_eq!(from.digests(&subjects).await, to.digests(&subjects).await);
    // Without the note's own change the deletion would bite it: refused, and named.
    let (_, fresh) = both("").await;
    let mut target = fresh.writing().await;
    target.delete(&keys(&[(ITEMS, &["[101,1]"])]), &subjects).await.unwrap();
    let Err(Error::Referred { table, .. }) = target.commit().await else { panic!("bitten") };
    assert_eq!(table, "main.notes");
    let notes: i64 = fresh.one("SELECT count(*) FROM notes");
    assert_eq!(notes, 2);
}

/// Delete, then insert: rows that others refer to are replaced in place.
#[tokio::test]
async fn deleting_then_loading_the_same_keys_is_a_replacement() {
    let (from, to) = both("").await;
    from.app().execute_batch("UPDATE orders SET note = 'changed' WHERE id = 100").unwrap();
    let (changed, subjects) = (keys(&[(ORDERS, &["[100]"])]), ids(&["1"]));
    let (mut source, mut target) = (from.snapshot().await, to.writing().await);
    assert_eq!(target.delete(&changed, &subjects).await.unwrap(), 1);
    let rows = source.rows(ORDERS, Pick::Keys(&changed[&ORDERS], &subjects), false).await.unwrap();
    target.load(ORDERS, rows).await.unwrap();
    target.commit().await.unwrap();
    let subjects = ids(&["1", "2"]);
    assert_eq!(from.digests(&subjects).await, to.digests(&subjects).await);
}

#[tokio::test]
async fn unique_values_may_change_hands_within_a_batch() {
    let (from, to) = both("").await;
    from.app()
        .execute_batch(
            "UPDATE users SET email = 't' WHERE id = 1; UPDATE users SET email = 'a@x' WHERE id = 2; UPDATE users SET email = 'b@x' WHERE id = 1;
             UPDATE orders SET code = 't' WHERE id = 100; UPDATE orders SET code = 'A' WHERE id = 101; UPDATE orders SET code = 'B' WHERE id = 100",
        )
        .unwrap();
    let changed = keys(&[(USERS, &["[1]", "[2]"]), (ORDERS, &["[100]", "[101]"])]);
    let subjects = ids(&["1", "2"]);
    let result = catch_up(&from, &to, &changed, &subjects).await;
    // users.email also stands in an index on an expression, so NULL parks it there, too.
    result.unwrap();
    assert_eq!(from.digests(&subjects).await, to.digests(&subjects).await);
    let parked: i64 = to.one("SELECT count(*) FROM orders WHERE code LIKE 'domicile%'");
    assert_eq!(parked, 0);
}

/// Finding 7: a key that left the batch is not deleted once another owner has it at the target.
#[tokio::test]
async fn deletes_touch_only_rows_whose_owner_here_is_in_the_batch() {
    let (_, to) = both("").await;
    let mut target = to.writing().await;
    let both_orders = keys(&[(ORDERS, &["[100]", "[102]"]), (ITEMS, &["[100,1]"])]);
    assert_eq!(target.delete(&both_orders, &ids(&["2"])).await.unwrap(), 1);
    target.commit().await.unwrap();
    let left: String = to.one("SELECT group_concat(id, ' ') FROM orders");
    assert_eq!(left, "100 101");
}

/// Finding 7: only rows of subjects that are `arriving` or `away` here, and not in the batch.
#[tokio::test]
async fn only_dead_rows_of_others_are_pushed_aside() {
    let region = Region::with(&format!(
        "{FEW} INSERT INTO users VALUES (4, 'US', NULL, NULL); INSERT INTO orders VALUES (104, 4, NULL, 'X', NULL);
         INSERT INTO domicile_home(subject, state, epoch, batch) VALUES (1, 'a', 2, 'w1/2'), (2, 'w', 1, NULL), (3, 'h', 1, NULL), (4, 'm', 1, 'w2/1')"
    ))
    .await;
    let wanted = keys(&[(ORDERS, &["[100]", "[102]", "[103]", "[104]"])]);
    let mut target = region.writing().await;
    assert_eq!(target.push_aside(&wanted, &ids(&["1"])).await.unwrap(), ids(&["2"]));
    target.commit().await.unwrap();
    let mut target = region.writing().await;
    assert_eq!(target.push_aside(&wanted, &ids(&["4"])).await.unwrap(), ids(&["1"]));
    target.commit().await.unwrap();
    let left: String = region.one("SELECT group_concat(id, ' ') FROM orders");
    assert_eq!(left, "101 103 104");
}

/// Finding 7: a live row, or another batch's, under the same key is not overwritten.
#[tokio::test]
async fn an_upsert_replaces_only_rows_of_the_batch() {
    let (from, to) = both("").await;
    let subjects = ids(&["1"]);
    for (whose, table) in [("'h', 2, NULL", ORDERS), ("'a', 2, 'w1/7'", ITEMS), ("'a', 2, 'w1/1'", USERS)] {
        to.app()
            .execute_batch(&format!(
                "INSERT OR REPLACE INTO domicile_home(subject, state, epoch, batch) VALUES (1, {whose})"
            ))
            .unwrap();
        let (mut source, mut target) = (from.snapshot().await, to.writing().await);
        let rows = source.rows(table, Pick::Subjects(&subjects), false).await.unwrap();
        let done = target.upsert(table, rows).await;
        match table {
            USERS => assert_eq!(done.unwrap(), 1),
            _ => assert!(
                matches!(&done, Err(Error::Taken { constraint, .. }) if constraint == "primary key"),
                "{done:?}"
            ),
        }
    }
}

#[tokio::test]
async fn clearing_takes_all_of_the_subjects_and_nothing_else() {
    let region = Region::with(FEW).await;
    let mut target = region.writing().await;
    let cleared = target.clear(&ids(&["1"])).await.unwrap();
    let expected = [(USERS, 1), (PHOTOS, 2), (ORDERS, 2), (ITEMS, 3), (NOTES, 2), (MESSAGES, 1)];
    assert_eq!(cleared, expected.into_iter().collect());
    target.commit().await.unwrap();
    let left = region.snapshot().await.counts(&ids(&["1", "2", "3"])).await.unwrap();
    let whose: BTreeSet<_> = left.keys().map(|(s, _)| s.0.as_str()).collect();
    assert_eq!(whose, BTreeSet::from(["2", "3"]));
    // ON DELETE CASCADE stands on the recipient, but the data map answers `null`: the message stays.
    let kept: Option<i64> = region.one("SELECT recipient FROM messages WHERE id = 3");
    assert_eq!(kept, None);
}

/// A foreign key without an answer, whose cascade would delete another subject's row: refused.
#[tokio::test]
async fn a_cascade_into_another_subject_is_refused() {
    let region = Region::with(&format!("{FEW} INSERT INTO orders VALUES (105, 3, NULL, 'Y', NULL);")).await;
    let mut layout = (*region.store.layout).clone();
    layout.tables[MESSAGES].blanked.clear();
    let store = Sqlite::open(&region.path(), Arc::new(layout), false).await.unwrap();
    let mut target = Open::writing(&store.cell, &store.layout, &lease()).await.unwrap();
    let Err(Error::Schema { what, .. }) = target.clear(&ids(&["1"])).await else { panic!("bitten") };
    assert!(what.contains("main.messages") && what.contains("recipient"), "{what}");
    drop(target);
    let there: i64 = region.one("SELECT count(*) FROM messages");
    assert_eq!(there, 2);
}

#[tokio::test]
async fn a_root_key_without_a_type_is_found_as_number_and_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("untyped.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE u(id PRIMARY KEY, country); INSERT INTO u VALUES (42, 'IN'), ('ann', 'IN'), ('007', 'IN')").unwrap();
    let catalogue = catalogue::read(&conn).map_err(|e| format!("{e:?}")).unwrap();
    let mut layout = (*Region::new().await.store.layout).clone();
    layout.tables = vec![mapped(&catalogue, "u", Owner::Root { column: "id".into() })];
    let store = Sqlite::open(&path, Arc::new(layout), false).await.unwrap();
    store.enter_wal().await.unwrap();
    let mut source = Open::reading(&store.cell, &store.layout).await.unwrap();
    let counts = source.counts(&ids(&["42", "ann", "007", "7"])).await.unwrap();
    assert_eq!(counts.len(), 3);
    let found =
        source.owned(&keys(&[(0, &["[42]", "[\"ann\"]", "[\"007\"]"])]), &ids(&["42", "007"])).await.unwrap();
    assert_eq!(found, keys(&[(0, &["[42]", "[\"007\"]"])]));
}
