//! States, modes and sign-up (DESIGN 4's table).

use super::{Place, passes, refused, refuses};

/// Every way to write a row of subject 2 and of what hangs below it.
const WRITES: [&str; 9] = [
    "INSERT INTO orders(account_id, total) VALUES (2, 5)",
    "INSERT INTO items(order_id, qty) VALUES (20, 5)",
    "UPDATE accounts SET name = 'x' WHERE id = 2",
    "UPDATE orders SET total = 9 WHERE id = 20",
    "UPDATE items SET qty = 9 WHERE id = 200",
    "DELETE FROM items WHERE id = 200",
    "DELETE FROM accounts WHERE id = 2",
    "INSERT INTO notes VALUES (2, 'z', 'z')",
    "DELETE FROM notes WHERE account_id = 2",
];

#[test]
fn home_passes_and_nothing_is_recorded() {
    let place = Place::shop();
    for write in WRITES {
        passes(&place.app(), &format!("BEGIN; {write}; ROLLBACK"));
    }
    assert!(place.recorded().is_empty());
}

#[test]
fn closed_states_refuse_every_write_and_say_which_state() {
    let place = Place::shop();
    for (state, word) in [
        ("k", "marking"),
        ("g", "fencing"),
        ("f", "fenced"),
        ("s", "sealed"),
        ("a", "arriving"),
        ("w", "away"),
    ] {
        place.put(2, state);
        for write in WRITES {
            for app in [place.app(), place.app_without_keys()] {
                let text = refused(&app, write);
                assert!(text.starts_with("RS001: main."), "{text}");
                assert!(
                    text.contains(&format!("({word}:")) && text.contains("look its home up and retry"),
                    "{text}"
                );
                passes(&app, &write.replace("(2,", "(3,").replace("= 2", "= 3").replace("20", "30"));
                place.exempt("DELETE FROM accounts WHERE id = 3; DELETE FROM orders WHERE account_id = 3;
                    DELETE FROM items WHERE order_id = 30; DELETE FROM notes WHERE account_id = 3;
                    INSERT INTO accounts VALUES (3, 'u3@x', 'CN', 'n'); INSERT INTO orders VALUES (30, 3, 'c3', 1);
                    INSERT INTO items VALUES (300, 30, 1); INSERT INTO notes VALUES (3, 'a', 'b')");
            }
        }
    }
    assert!(place.recorded().is_empty());
}

#[test]
fn moving_passes_and_records_every_key() {
    let place = Place::shop();
    place.put(2, "m");
    let app = place.app();
    for (write, expect) in [
        ("INSERT INTO orders(id, account_id) VALUES (21, 2)", vec!["2 orders [21]+"]),
        ("INSERT INTO items(id, order_id) VALUES (201, 20)", vec!["2 items [201]"]),
        ("UPDATE accounts SET name = 'x' WHERE id = 2", vec!["2 accounts [2]"]),
        ("UPDATE orders SET total = 9 WHERE id = 20", vec!["2 orders [20]"]),
        ("UPDATE items SET qty = 9", vec!["2 items [200]", "2 items [201]"]),
        ("DELETE FROM items WHERE id = 200", vec!["2 items [200]"]),
        ("INSERT INTO notes VALUES (2, 'q\"ü', 'z')", vec!["2 notes [2,\"q\\\"ü\"]"]),
        (
            "DELETE FROM accounts WHERE id = 2",
            vec![
                "2 accounts [2]+",
                "2 notes [2,\"a\"]",
                "2 notes [2,\"q\\\"ü\"]",
                "2 orders [20]+",
                "2 orders [21]+",
            ],
        ),
    ] {
        passes(&app, write);
        assert_eq!(place.recorded(), expect, "{write}");
        place.forget();
    }
}

/// A6 [M sq]: a BEFORE INSERT trigger sees the key -1 where SQLite is still to choose one. Breaks if the
/// recording moves to a BEFORE trigger.
#[test]
fn the_key_recorded_is_the_key_chosen() {
    let place = Place::shop();
    place.put(2, "m");
    passes(&place.app(), "INSERT INTO orders(account_id) VALUES (2)");
    assert_eq!(place.recorded(), ["2 orders [101]+"]);
}

/// S5 [M sq]: after RAISE(ABORT) the application went on and committed the first half. Breaks if any
/// refusal says ABORT or FAIL. INSERT OR IGNORE and OR FAIL must not soften it.
#[test]
fn a_refused_transaction_leaves_nothing() {
    let place = Place::shop();
    place.put(2, "f");
    for second in [
        "UPDATE orders SET total = 9 WHERE id = 20",
        "INSERT OR IGNORE INTO orders(account_id) VALUES (2)",
        "INSERT OR FAIL INTO orders(account_id) VALUES (2)",
        "UPDATE OR IGNORE orders SET total = 9 WHERE id = 20",
        "INSERT OR REPLACE INTO orders(id, account_id) VALUES (77, 2)",
        "INSERT INTO accounts(id, email, country) VALUES (2, 'q', 'CN') ON CONFLICT (id) DO UPDATE SET email = 'q'",
    ] {
        let app = place.app();
        passes(&app, "BEGIN; UPDATE orders SET total = total - 1 WHERE id = 10; SAVEPOINT s");
        refuses(&app, second, "RS001");
        // The application that ignores the error and commits:
        assert!(app.execute_batch("COMMIT").is_err());
        assert_eq!(place.texts("SELECT total FROM orders WHERE id = 10"), ["1"], "{second}");
    }
}

/// SQLite deletes all rows of a table at once where no trigger is in the way. Ours must be.
#[test]
fn delete_without_where_fires() {
    let place = Place::shop();
    place.put(2, "m");
    passes(&place.app_without_keys(), "DELETE FROM items");
    assert_eq!(place.recorded(), ["2 items [200]"]);
    place.put(2, "f");
    refuses(&place.app_without_keys(), "DELETE FROM orders", "RS001: main.orders");
    assert_eq!(place.texts("SELECT count(*) FROM orders"), ["10"]);
}

/// The mover's own transaction passes everywhere, and the application never does while one is open or
/// after it ended (ATTACKS A14, S10).
#[test]
fn only_the_movers_transaction_is_exempt() {
    let place = Place::shop();
    place.put(2, "f");
    place.exempt("UPDATE orders SET total = 7 WHERE id = 20; INSERT OR REPLACE INTO orders VALUES (20, 2, 'c2', 8); DELETE FROM items");
    assert_eq!(place.texts("SELECT total FROM orders WHERE id = 20"), ["8"]);
    let app = place.app();
    app.busy_timeout(std::time::Duration::ZERO).unwrap();
    place.conn.execute_batch("BEGIN IMMEDIATE; INSERT INTO domicile_exempt VALUES (1)").unwrap();
    assert!(refused(&app, "UPDATE orders SET total = 9 WHERE id = 20").contains("locked"));
    place.conn.execute_batch("DELETE FROM domicile_exempt; COMMIT").unwrap();
    refuses(&app, "UPDATE orders SET total = 9 WHERE id = 20", "RS001");
}

/// The rollback journal instead of WAL: the guard is the same.
#[test]
fn works_with_a_rollback_journal() {
    let place = Place::shop();
    place.conn.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    place.put(2, "f");
    place.put(3, "m");
    let app = place.app();
    refuses(&app, "UPDATE orders SET total = 9 WHERE id = 20", "RS001");
    passes(&app, "UPDATE orders SET total = 9 WHERE id = 30");
    assert_eq!(place.recorded(), ["3 orders [30]"]);
}

/// ARCHITECTURE: a fence its worker left ends in the writer, as `moving`, and the write is recorded; a
/// mark goes back to `home`; nothing else ends by the clock. Breaks if `sealed` is in that list.
#[test]
fn a_fence_left_behind_ends_in_the_writer() {
    let place = Place::shop();
    let write = "UPDATE orders SET total = total + 1 WHERE id = 20";
    for (state, after, recorded) in [("g", "m", 1), ("f", "m", 1), ("k", "h", 0)] {
        place.put_until(2, state, Some(i64::MAX));
        refuses(&place.app(), write, "RS001");
        place.put_until(2, state, Some(1));
        let gen_before: i64 =
            place.texts("SELECT gen FROM domicile_home WHERE subject = 2")[0].parse().unwrap();
        passes(&place.app(), write);
        assert_eq!(place.state(2).as_deref(), Some(after));
        assert_eq!(
            place.texts("SELECT gen FROM domicile_home WHERE subject = 2"),
            [(gen_before + 1).to_string()]
        );
        assert_eq!(place.recorded().len(), recorded, "{state}");
        place.forget();
    }
    for state in ["s", "a", "w"] {
        place.put_until(2, state, Some(1));
        refuses(&place.app(), write, "RS001");
    }
    // A transaction that then fails takes the un-fencing back with it.
    place.put_until(2, "f", Some(1));
    passes(&place.app(), &format!("BEGIN; {write}; ROLLBACK"));
    assert_eq!(place.state(2).as_deref(), Some("f"));
    // By derived rows, deletes, re-owning and replaced rows alike.
    for write in [
        "INSERT INTO items(order_id) VALUES (20)",
        "DELETE FROM items WHERE id = 200",
        "UPDATE orders SET account_id = 3 WHERE id = 20",
        "INSERT OR REPLACE INTO orders(id, account_id) VALUES (20, 3)",
    ] {
        place.put_until(2, "f", Some(1));
        place.forget();
        passes(&place.app(), &format!("BEGIN; {write}"));
        passes(&place.app_without_keys(), "SELECT 1");
        let app = place.app();
        passes(&app, &format!("BEGIN IMMEDIATE; {write}; COMMIT"));
        assert_eq!(place.state(2).as_deref(), Some("m"), "{write}");
        assert!(!place.recorded().is_empty(), "{write}");
        place.exempt("INSERT OR REPLACE INTO orders VALUES (20, 2, 'c2', 1); INSERT OR REPLACE INTO items VALUES (200, 20, 1)");
    }
}

/// A subject without a row: `observe` passes and counts, `enforce` refuses, `wave` passes.
#[test]
fn modes_decide_about_unknown_subjects() {
    let place = Place::shop();
    place.conn.execute("DELETE FROM domicile_home WHERE subject = 2", []).unwrap();
    let app = place.app();
    for write in WRITES {
        let text = refused(&app, write);
        assert!(text.starts_with("RS001: main.") && text.contains("has no home here"), "{text}");
    }
    place.mode("observe");
    passes(&app, "UPDATE orders SET total = 2 WHERE id = 20; INSERT OR IGNORE INTO items(order_id) VALUES (20);
        INSERT OR REPLACE INTO items(id, order_id) VALUES (200, 20); INSERT INTO accounts(id, country) VALUES (50, 'IN')");
    assert_eq!(
        place.texts("SELECT tbl || ': ' || reason || ' ' || n FROM domicile_observed ORDER BY 1"),
        [
            "main.accounts: policy forbids this subject here: India's users are kept in India (law 7, it's so) 1",
            "main.accounts: subject without a home 1",
            "main.items: subject without a home 2",
            "main.orders: subject without a home 1"
        ]
    );
    place.mode("wave");
    passes(
        &app,
        "UPDATE orders SET total = 2 WHERE id = 20; INSERT INTO accounts(id, country) VALUES (51, 'IN')",
    );
    // A state that is known refuses in every mode.
    place.put(3, "f");
    for mode in ["observe", "wave"] {
        place.mode(mode);
        refuses(&app, "UPDATE orders SET total = 2 WHERE id = 30", "RS001");
    }
}

/// Finding 8: the claim first, then the door, then the row.
#[test]
fn sign_up_opens_the_door_once() {
    let place = Place::shop();
    let app = place.app();
    let row = "INSERT INTO accounts(id, email, country) VALUES (42, 'new@x', ' cn ')";
    refuses(&app, row, "RS001");
    passes(
        &app,
        &format!("BEGIN; INSERT INTO domicile_signup(subject, epoch) VALUES (42, 1); {row}; COMMIT"),
    );
    passes(&app, "INSERT INTO domicile_signup(subject, epoch) VALUES (42, 1)");
    passes(&app, "INSERT INTO domicile_signup VALUES ('43', '1')");
    assert_eq!(
        place.texts(
            "SELECT subject || state || epoch || typeof(subject) FROM domicile_home WHERE subject > 40"
        ),
        ["42h1integer", "43h1integer"]
    );
    for bad in ["(NULL, 1)", "(44, 0)", "(44, NULL)", "(44, 'x')"] {
        refuses(&app, &format!("INSERT INTO domicile_signup(subject, epoch) VALUES {bad}"), "RS002");
    }
    refuses(&app, "INSERT INTO domicile_signup(subject, epoch) VALUES (42, 2)", "RS001");
    refuses(&app, "INSERT INTO domicile_signup(subject, epoch) VALUES (42, NULL)", "RS002");
}

/// A9 [M]: the same subject in two homes. Inside a trigger the application's OR REPLACE wins over the
/// trigger's own clause: without the question before the insert it would write `home` over `away`.
#[test]
fn sign_up_cannot_overwrite_a_state() {
    let place = Place::shop();
    for state in ["k", "g", "f", "s", "a", "w"] {
        place.put(2, state);
        for verb in ["INSERT", "INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"] {
            refuses(
                &place.app(),
                &format!("{verb} INTO domicile_signup(subject, epoch) VALUES (2, 1)"),
                "RS001: sign-up",
            );
        }
        assert_eq!(place.state(2).as_deref(), Some(state));
    }
    place.put(2, "m");
    passes(&place.app(), "INSERT OR REPLACE INTO domicile_signup(subject, epoch) VALUES (2, 1)");
    assert_eq!(place.state(2).as_deref(), Some("m"));
}

/// The view for people.
#[test]
fn states_can_be_read_in_words() {
    let place = Place::shop();
    place.put_until(2, "f", Some(0));
    assert_eq!(
        place.texts("SELECT state || ' ' || epoch || ' ' || batch || ' ' || ends FROM domicile_homes WHERE subject = 2"),
        ["fenced 1 w1/1 1970-01-01 00:00:00"]
    );
}
