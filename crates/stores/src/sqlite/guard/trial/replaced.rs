//! REPLACE in all its forms (finding 10, A14: S1, S1c, S1d [M sq]). Each test breaks when the BEFORE
//! triggers of `displaced` are left out.

use super::{Place, direct, passes, refuses, root};

#[test]
fn a_fenced_row_cannot_be_replaced() {
    let place = Place::shop();
    place.put(2, "f");
    for recursive in ["OFF", "ON"] {
        for app in [place.app(), place.app_without_keys()] {
            passes(&app, &format!("PRAGMA recursive_triggers = {recursive}"));
            for write in [
                "INSERT OR REPLACE INTO orders VALUES (20, 1, 'new', 102)",
                "REPLACE INTO orders(id, account_id, code) VALUES (999, 1, 'c2')",
                "UPDATE OR REPLACE orders SET id = 20 WHERE id = 10",
                "UPDATE OR REPLACE orders SET code = 'c2' WHERE id = 10",
                "UPDATE OR REPLACE accounts SET email = 'u2@x' WHERE id = 1",
                "INSERT OR REPLACE INTO accounts(id, email, country) VALUES (1, 'u2@x', 'CN')",
                "INSERT OR REPLACE INTO items VALUES (200, 10, 1)",
                "UPDATE OR REPLACE items SET id = 200 WHERE id = 100",
                "INSERT OR REPLACE INTO notes VALUES (2, 'a', 'x')",
            ] {
                refuses(&app, write, "RS001");
            }
        }
    }
    assert_eq!(place.texts("SELECT count(*) FROM orders WHERE account_id = 2"), ["1"]);
}

#[test]
fn a_replaced_row_of_a_moving_subject_is_recorded_with_its_cascade() {
    let place = Place::shop();
    place.put(2, "m");
    for recursive in ["OFF", "ON"] {
        let app = place.app();
        passes(&app, &format!("PRAGMA recursive_triggers = {recursive}"));
        for (write, expect) in [
            ("INSERT OR REPLACE INTO orders VALUES (20, 1, 'new', 1)", "2 orders [20]+"),
            ("INSERT OR REPLACE INTO orders(account_id, code) VALUES (1, 'c2')", "2 orders [20]+"),
            ("UPDATE OR REPLACE orders SET id = 20 WHERE id = 10", "2 orders [20]+"),
            ("UPDATE OR REPLACE orders SET code = 'c2' WHERE id = 10", "2 orders [20]+"),
            ("UPDATE OR REPLACE accounts SET email = 'u2@x' WHERE id = 1", "2 accounts [2]+"),
            ("REPLACE INTO accounts(id, email, country) VALUES (1, 'u2@x', 'CN')", "2 accounts [2]+"),
            ("REPLACE INTO accounts(id, email, country) VALUES (2, 'u2@x', 'CN')", "2 accounts [2]+"),
            ("INSERT OR REPLACE INTO items VALUES (200, 10, 1)", "2 items [200]"),
        ] {
            passes(&app, &format!("BEGIN; {write}"));
            let mut got: Vec<String> = app
                .prepare("SELECT DISTINCT subject || ' ' || substr(tbl, 6) || ' ' || key || CASE sub WHEN 1 THEN '+' ELSE '' END FROM domicile_changed")
                .unwrap()
                .query_map([], |r| r.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            got.sort();
            assert!(got.iter().any(|g| g == expect), "{write} ({recursive}): {got:?}");
            passes(&app, "ROLLBACK");
        }
    }
}

/// ON CONFLICT REPLACE in the table's definition, a NOT NULL default that REPLACE fills in, NOCASE, a
/// partial index, an index on an expression, the hidden rowid, a generated column.
#[test]
fn every_unique_index_is_looked_at() {
    let place = Place::new(
        "CREATE TABLE users(id INTEGER PRIMARY KEY, country TEXT);
         CREATE TABLE t(k TEXT PRIMARY KEY, user_id INTEGER NOT NULL, a TEXT UNIQUE ON CONFLICT REPLACE COLLATE NOCASE,
           b TEXT NOT NULL DEFAULT 'filler' UNIQUE, c TEXT, d TEXT, e TEXT, live INTEGER,
           g TEXT GENERATED ALWAYS AS (substr(e, 1, 2)) STORED, v TEXT AS (e || '!') VIRTUAL);
         CREATE UNIQUE INDEX \"lo wer\" ON t(lower(c) DESC, user_id % 1);
         CREATE UNIQUE INDEX alive ON t(d COLLATE RTRIM) WHERE live = 1 AND d <> 'any';
         CREATE UNIQUE INDEX gen ON t(g); CREATE UNIQUE INDEX virt ON t(v);",
        &[("users", root("id")), ("t", direct("user_id"))],
    );
    place.exempt("INSERT INTO users VALUES (1, 'CN'), (2, 'CN');
        INSERT INTO t(k, user_id, a, b, c, d, e, live) VALUES ('two', 2, 'a', 'filler', 'Cc', 'd', 'egg', 1), ('one', 1, 'x', 'x', 'x', 'x', 'x', 1),
          ('dead', 2, 'y', 'y', 'y', 'q', 'y', 0), ('any', 2, 'z', 'z', 'z', 'any', 'z', 1);
        INSERT INTO domicile_home VALUES (1, 'h', 1, 1, NULL, NULL), (2, 'f', 1, 1, NULL, NULL)");
    place.mode("enforce");
    let app = place.app();
    for write in [
        "INSERT OR REPLACE INTO t(k, user_id, b) VALUES ('two', 1, 'n')",
        "INSERT INTO t(k, user_id, a, b) VALUES ('n', 1, 'A', 'n')",
        "UPDATE t SET a = 'A' WHERE k = 'one'",
        "INSERT OR REPLACE INTO t(k, user_id) VALUES ('n', 1)",
        "INSERT OR REPLACE INTO t(k, user_id, b) VALUES ('n', 1, NULL)",
        "UPDATE OR REPLACE t SET b = NULL WHERE k = 'one'",
        "INSERT OR REPLACE INTO t(k, user_id, b, c) VALUES ('n', 1, 'n', 'CC')",
        "UPDATE OR REPLACE t SET c = 'cC' WHERE k = 'one'",
        "INSERT OR REPLACE INTO t(k, user_id, b, d, live) VALUES ('n', 1, 'n', 'd  ', 1)",
        "UPDATE OR REPLACE t SET d = 'd' WHERE k = 'one'",
        "INSERT OR REPLACE INTO t(k, user_id, b, e) VALUES ('n', 1, 'n', 'eg')",
        "UPDATE OR REPLACE t SET e = 'eg' WHERE k = 'one'",
        "INSERT OR REPLACE INTO t(k, user_id, b, e) VALUES ('n', 1, 'n', 'egg')",
        "INSERT OR REPLACE INTO t(rowid, k, user_id, b) VALUES (1, 'n', 1, 'n')",
        "UPDATE OR REPLACE t SET rowid = 1 WHERE k = 'one'",
    ] {
        refuses(&app, write, "RS001: main.t: the subject of the row in its way");
    }
    // Nothing in the way of these: outside the partial index on either side.
    passes(
        &app,
        "INSERT OR REPLACE INTO t(k, user_id, b, d, live) VALUES ('n', 1, 'n', 'q', 1);
                  INSERT OR REPLACE INTO t(k, user_id, b, d, live) VALUES ('m', 1, 'm', 'd', 0);
                  INSERT OR REPLACE INTO t(k, user_id, b, d, live) VALUES ('o', 1, 'o', 'any', 1);
                  UPDATE OR REPLACE t SET d = 'd' WHERE k = 'm'",
    );
    assert_eq!(place.texts("SELECT k FROM t WHERE user_id = 2 ORDER BY k"), ["any", "dead", "two"]);
}

/// UPSERT works, and for a moving subject it is one key, not the whole subtree again: the row in the way
/// was not replaced.
#[test]
fn an_upsert_is_an_update() {
    let place = Place::shop();
    place.put(2, "m");
    let app = place.app();
    let upsert = "INSERT INTO accounts(email, country) VALUES ('u2@x', 'CN') ON CONFLICT (email) DO UPDATE SET name = 'up'";
    passes(&app, upsert);
    assert_eq!(place.recorded(), ["2 accounts [2]"]);
    // The note it left is no entry later, and goes.
    passes(
        &app,
        "INSERT INTO domicile_signup VALUES (70, 1); INSERT INTO accounts(id, country) VALUES (70, 'CN')",
    );
    assert_eq!(place.recorded(), ["2 accounts [2]"]);
    assert_eq!(place.texts("SELECT count(*) FROM domicile_pending"), ["0"]);
    passes(
        &app,
        "INSERT INTO orders(id, account_id) VALUES (20, 2) ON CONFLICT DO NOTHING; INSERT OR IGNORE INTO orders(id, account_id) VALUES (20, 2)",
    );
    assert_eq!(place.recorded(), ["2 accounts [2]"]);
}

/// B8 [M]: ON CONFLICT DO NOTHING against a row that is arriving: zero rows would say "it exists here".
#[test]
fn ignoring_a_conflict_with_a_closed_row_is_refused() {
    let place = Place::shop();
    place.put(2, "a");
    refuses(
        &place.app(),
        "INSERT INTO accounts(id, country) VALUES (2, 'CN') ON CONFLICT DO NOTHING",
        "RS001",
    );
    refuses(
        &place.app(),
        "INSERT OR IGNORE INTO orders(id, account_id, code) VALUES (500, 1, 'c2')",
        "RS001",
    );
}

/// The user's own triggers on a table make the note unsafe (they may touch the noted row): then the row
/// in the way is recorded at once.
#[test]
fn with_the_users_triggers_nothing_waits() {
    let place = Place::shop();
    place.conn.execute_batch("CREATE TRIGGER mine BEFORE INSERT ON accounts BEGIN UPDATE accounts SET name = 't' WHERE email = NEW.email; END").unwrap();
    place.install(&super::spec());
    place.put(2, "m");
    passes(&place.app(), "REPLACE INTO accounts(id, email, country) VALUES (1, 'u2@x', 'CN')");
    assert!(place.recorded().contains(&"2 accounts [2]+".to_owned()), "{:?}", place.recorded());
}

/// The look-ups use the indexes they stand for; without that an insert would scan the table.
#[test]
fn rows_in_the_way_are_found_by_index() {
    let place = Place::shop();
    let app = place.app();
    app.execute_batch("CREATE TEMP TABLE plan(detail TEXT)").unwrap();
    let mut statement = app.prepare("EXPLAIN QUERY PLAN INSERT INTO orders VALUES (1, 1, 'x', 1)").unwrap();
    let lines: Vec<String> = statement.query_map([], |r| r.get(3)).unwrap().map(Result::unwrap).collect();
    assert!(!lines.iter().any(|l| l.contains("SCAN orders") || l.contains("SCAN accounts")), "{lines:?}");
    let mut explain = app.prepare("EXPLAIN INSERT INTO orders VALUES (1, 1, 'x', 1)").unwrap();
    let opcodes: Vec<String> = explain.query_map([], |r| r.get(1)).unwrap().map(Result::unwrap).collect();
    assert!(opcodes.iter().any(|o| o == "Program"), "no trigger is in the statement");
}
