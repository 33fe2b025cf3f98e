//! Owner changes, key changes, cascades and rows nobody owns (findings 2 and 3, A2, A5).

use super::{Place, derived, direct, passes, refuses, root};

/// A2: re-owning is asked of both sides, and both are told, with everything below.
#[test]
fn re_owning_asks_and_tells_both_sides() {
    let place = Place::shop();
    let app = place.app();
    let reown = "UPDATE orders SET account_id = 3 WHERE id = 20";
    for (two, three) in [("f", "h"), ("h", "f"), ("m", "a"), ("w", "m")] {
        place.put(2, two);
        place.put(3, three);
        refuses(&app, reown, "RS001: main.orders");
    }
    for (two, three, expect) in [
        ("h", "h", vec![]),
        ("m", "h", vec!["2 orders [20]+"]),
        ("h", "m", vec!["3 orders [20]+"]),
        ("m", "m", vec!["2 orders [20]+", "3 orders [20]+"]),
    ] {
        place.put(2, two);
        place.put(3, three);
        passes(&app, reown);
        assert_eq!(place.recorded(), expect);
        place.forget();
        place.exempt("UPDATE orders SET account_id = 2 WHERE id = 20");
    }
    // A derived row that moves to another parent.
    passes(&app, "UPDATE items SET order_id = 30 WHERE id = 200");
    assert_eq!(place.recorded(), ["2 items [200]", "3 items [200]"]);
}

#[test]
fn a_key_change_records_both_keys() {
    let place = Place::shop();
    place.put(2, "m");
    let app = place.app();
    // The cascade's own triggers find the parent under its new key.
    passes(&app, "UPDATE orders SET id = 29 WHERE id = 20");
    assert_eq!(place.recorded(), ["2 items [200]", "2 orders [20]+", "2 orders [29]+"]);
    place.forget();
    passes(&app, "UPDATE notes SET title = 'A' WHERE account_id = 2");
    assert_eq!(place.recorded(), ["2 notes [2,\"A\"]", "2 notes [2,\"a\"]"]);
    place.put(2, "f");
    refuses(&app, "UPDATE orders SET id = 20 WHERE id = 29", "RS001");
    refuses(&place.app_without_keys(), "UPDATE orders SET id = 20 WHERE id = 29", "RS001");
}

#[test]
fn a_subject_cannot_become_another() {
    let place = Place::shop();
    let app = place.app();
    refuses(&app, "UPDATE accounts SET id = 99 WHERE id = 2", "RS002: main.accounts: the key of a subject");
    place.mode("observe");
    place.put(2, "m");
    refuses(&app, "UPDATE accounts SET id = 99 WHERE id = 2", "RS002");
    passes(&place.app_without_keys(), "UPDATE accounts SET id = 98 WHERE id = 3");
    assert_eq!(
        place.texts("SELECT reason FROM domicile_observed WHERE tbl = 'main.accounts'")[0],
        "key of a subject changed"
    );
}

/// A5: cascades of a parent pass though the parent is gone by then, and are covered by its own entry;
/// no ownerless entry stays.
#[test]
fn cascades_are_covered_by_the_parents_entry() {
    let place = Place::shop();
    place.put(2, "m");
    passes(&place.app(), "DELETE FROM orders WHERE id IN (20, 30)");
    assert_eq!(place.recorded(), ["2 orders [20]+"]);
    place.put(3, "f");
    refuses(&place.app(), "DELETE FROM accounts WHERE id = 3", "RS001");
    assert_eq!(place.texts("SELECT count(*) FROM domicile_changed WHERE subject IS NULL"), ["0"]);
}

/// A5: a new row nobody owns is refused, at once, also with a deferred key, and also with keys off.
#[test]
fn a_new_row_without_an_owner_is_refused() {
    let place = Place::shop();
    let words = "RS002: main.items: the row would belong to nobody";
    for app in [place.app(), place.app_without_keys()] {
        refuses(&app, "INSERT INTO items(id, order_id) VALUES (9000, 9000)", words);
        refuses(&app, "INSERT INTO items(id, order_id) VALUES (9000, NULL)", words);
        refuses(&app, "UPDATE items SET order_id = 9000 WHERE id = 200", words);
        refuses(
            &app,
            "INSERT INTO orders(id, account_id) VALUES (9000, NULL)",
            "RS002: main.orders: the row would belong to nobody",
        );
        passes(&app, "PRAGMA defer_foreign_keys = ON");
        refuses(
            &app,
            "BEGIN; PRAGMA defer_foreign_keys = ON; INSERT INTO items(order_id) VALUES (9000); INSERT INTO orders(id, account_id) VALUES (9000, 2); COMMIT",
            words,
        );
    }
    // With keys off a row may be an orphan already: it can be deleted, or given an owner.
    place.conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    place.exempt("INSERT INTO items VALUES (9001, 9000, 1), (9002, 9000, 1)");
    place.put(2, "m");
    passes(
        &place.app_without_keys(),
        "DELETE FROM items WHERE id = 9001; UPDATE items SET order_id = 20 WHERE id = 9002",
    );
    assert_eq!(place.recorded(), ["2 items [9002]"]);
}

/// D4: with NO ACTION or keys off, rows wait for a parent that comes again with another owner. The
/// parent's own entries stand for them. Breaks if an INSERT of a parent is recorded without its subtree.
#[test]
fn children_left_behind_follow_the_new_parent() {
    let place = Place::shop();
    place.put(2, "m");
    place.put(3, "m");
    passes(
        &place.app_without_keys(),
        "BEGIN; DELETE FROM orders WHERE id = 20; INSERT INTO orders(id, account_id) VALUES (20, 3); COMMIT",
    );
    assert_eq!(place.recorded(), ["2 orders [20]+", "3 orders [20]+"]);
}

/// ON DELETE SET NULL on the path: the children would belong to nobody, so the delete is refused.
#[test]
fn set_null_on_the_path_is_refused() {
    let place = Place::new(
        "CREATE TABLE users(id INTEGER PRIMARY KEY, country TEXT);
         CREATE TABLE rooms(id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users(id));
         CREATE TABLE chairs(id INTEGER PRIMARY KEY, room_id INTEGER REFERENCES rooms(id) ON DELETE SET NULL);",
        &[("users", root("id")), ("rooms", direct("user_id")), ("chairs", derived(1, &[("room_id", "id")]))],
    );
    place.exempt("INSERT INTO users VALUES (1, 'CN'); INSERT INTO rooms VALUES (1, 1); INSERT INTO chairs VALUES (1, 1);
                  INSERT INTO domicile_home VALUES (1, 'm', 1, 1, NULL, NULL)");
    place.mode("enforce");
    refuses(
        &place.app(),
        "DELETE FROM rooms WHERE id = 1",
        "RS002: main.chairs: the row would belong to nobody",
    );
    place.mode("observe");
    passes(&place.app(), "DELETE FROM rooms WHERE id = 1");
    assert_eq!(place.recorded(), ["1 rooms [1]+"]);
}

/// Children may refer to a column that is not the key; a change of it moves them without touching them.
#[test]
fn a_referenced_column_counts_as_a_key() {
    let place = Place::new(
        "CREATE TABLE users(id INTEGER PRIMARY KEY, country TEXT);
         CREATE TABLE rooms(id INTEGER PRIMARY KEY, user_id INTEGER, code TEXT COLLATE NOCASE UNIQUE, name TEXT);
         CREATE TABLE chairs(id INTEGER PRIMARY KEY, room TEXT REFERENCES rooms(code));",
        &[("users", root("id")), ("rooms", direct("user_id")), ("chairs", derived(1, &[("room", "code")]))],
    );
    place.exempt("INSERT INTO users VALUES (1, 'CN'), (2, 'CN'); INSERT INTO rooms VALUES (1, 1, 'a', ''), (2, 2, 'b', '');
                  INSERT INTO chairs VALUES (1, 'A'), (2, 'b');
                  INSERT INTO domicile_home VALUES (1, 'm', 1, 1, NULL, NULL), (2, 'm', 1, 1, NULL, NULL)");
    place.mode("enforce");
    let app = place.app_without_keys();
    passes(&app, "UPDATE chairs SET id = 3 WHERE id = 1; UPDATE rooms SET name = 'x' WHERE id = 1");
    assert_eq!(place.recorded(), ["1 chairs [1]", "1 chairs [3]", "1 rooms [1]"]);
    place.forget();
    passes(
        &app,
        "BEGIN; UPDATE rooms SET code = 't' WHERE id = 1; UPDATE rooms SET code = 'a' WHERE id = 2; COMMIT",
    );
    assert_eq!(place.recorded(), ["1 rooms [1]+", "2 rooms [2]+"]);
}

/// A self-reference that cascades: each row's own trigger fires, at any depth, without recursive_triggers.
#[test]
fn a_tree_cascades_row_by_row() {
    let place = Place::new(
        "CREATE TABLE users(id INTEGER PRIMARY KEY, country TEXT);
         CREATE TABLE nodes(id INTEGER PRIMARY KEY, user_id INTEGER, up INTEGER REFERENCES nodes(id) ON DELETE CASCADE);",
        &[("users", root("id")), ("nodes", direct("user_id"))],
    );
    place.exempt("INSERT INTO users VALUES (1, 'CN'), (2, 'CN'); INSERT INTO nodes VALUES (1, 1, NULL), (2, 1, 1), (3, 1, 2), (4, 2, 3);
                  INSERT INTO domicile_home VALUES (1, 'm', 1, 1, NULL, NULL), (2, 'm', 1, 1, NULL, NULL)");
    place.mode("enforce");
    passes(&place.app(), "BEGIN; DELETE FROM nodes WHERE id = 1");
    let app = place.app();
    passes(&app, "DELETE FROM nodes WHERE id = 1");
    assert_eq!(place.recorded(), ["1 nodes [1]", "1 nodes [2]", "1 nodes [3]", "2 nodes [4]"]);
    place.exempt("INSERT INTO nodes VALUES (1, 1, NULL), (2, 1, 1), (3, 1, 2), (4, 2, 3)");
    place.put(2, "f");
    refuses(&app, "DELETE FROM nodes WHERE id = 1", "RS001");
}

/// Text subjects, NOCASE, composite and blob keys, three hops.
#[test]
fn keys_of_other_kinds() {
    let place = Place::new(
        "CREATE TABLE \"us\"\"ers\"(name VARCHAR(9) COLLATE NOCASE PRIMARY KEY, country TEXT);
         CREATE TABLE a(k BLOB, l TEXT, owner TEXT REFERENCES \"us\"\"ers\"(name), PRIMARY KEY (k, l));
         CREATE TABLE b(x BLOB, y TEXT, z REAL, PRIMARY KEY (z, x), FOREIGN KEY (x, y) REFERENCES a(k, l)) WITHOUT ROWID;
         CREATE TABLE c(id INTEGER PRIMARY KEY AUTOINCREMENT, z REAL, x BLOB);",
        &[("us\"ers", root("name")), ("a", direct("owner")), ("b", derived(1, &[("x", "k"), ("y", "l")])), ("c", derived(2, &[("z", "z"), ("x", "x")]))],
    );
    place.exempt("INSERT INTO \"us\"\"ers\" VALUES ('Ann', 'CN'); INSERT INTO domicile_home VALUES ('Ann', 'm', 1, 1, NULL, NULL)");
    place.mode("enforce");
    let app = place.app();
    passes(
        &app,
        "INSERT INTO a VALUES (x'00FF', 'l', 'ANN'); INSERT INTO b VALUES (x'00ff', 'l', 1.5); INSERT INTO c(z, x) VALUES (1.5, x'00ff')",
    );
    assert_eq!(
        place.recorded(),
        ["Ann a [{\"x\":\"00ff\"},\"l\"]+", "Ann b [1.5,{\"x\":\"00ff\"}]+", "Ann c [1]"]
    );
    refuses(
        &app,
        "INSERT INTO a VALUES (NULL, 'l', 'ann')",
        "RS002: main.a: a row without a complete primary key",
    );
    refuses(&app, "UPDATE a SET l = NULL", "RS002: main.a: a row without a complete primary key");
    place.exempt("UPDATE domicile_home SET state = 'f'");
    for write in [
        "UPDATE c SET id = 9",
        "DELETE FROM b",
        "INSERT INTO a VALUES (x'11', '', 'ann')",
        "INSERT INTO c(z, x) VALUES (1.5, x'00ff')",
    ] {
        refuses(&app, write, "RS001");
    }
}

/// P8c [M]: a temporary table of the parent's name hid the parent. In SQLite a trigger's names are bound
/// to its own file; this test is what says so.
#[test]
fn a_temporary_table_cannot_hide_the_parent() {
    let place = Place::shop();
    place.put(2, "f");
    let app = place.app();
    passes(&app, "CREATE TEMP TABLE orders(id INTEGER PRIMARY KEY, account_id INTEGER); INSERT INTO temp.orders VALUES (20, 3);
                  CREATE TEMP TABLE domicile_home(subject, state); INSERT INTO temp.domicile_home VALUES (2, 'h');
                  CREATE TEMP TABLE domicile_exempt(one); INSERT INTO temp.domicile_exempt VALUES (1)");
    refuses(&app, "INSERT INTO items(order_id) VALUES (20)", "RS001");
    refuses(&app, "UPDATE main.orders SET total = 3 WHERE id = 20", "RS001");
    // Nor does attaching the file under another name, or a schema that is not trusted.
    let other = rusqlite::Connection::open_in_memory().unwrap();
    passes(&other, &format!("ATTACH '{}' AS r; PRAGMA trusted_schema = OFF", place.path().display()));
    refuses(&other, "INSERT INTO r.items(order_id) VALUES (20)", "RS001");
    place.put(2, "m");
    passes(
        &other,
        "INSERT INTO r.items(id, order_id) VALUES (777, 20); INSERT OR REPLACE INTO r.orders(id, account_id) VALUES (20, 2)",
    );
    assert_eq!(place.recorded(), ["2 items [777]", "2 orders [20]+"]);
}
