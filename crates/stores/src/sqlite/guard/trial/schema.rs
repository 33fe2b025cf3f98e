//! Installing, and what happens when the schema changes under the guard (finding 5, S9).

use super::{Place, direct, passes, refuses, root, shape, spec};
use crate::Error;
use crate::sqlite::fault::Fault;
use crate::sqlite::guard::installed::{self, faults, fingerprint};
use crate::sqlite::guard::{Plan, triggers};

fn print(place: &Place) -> std::collections::BTreeMap<String, String> {
    fingerprint(&place.conn, &place.layout).unwrap()
}

/// S9 [M sq]: SQLite's 12-step ALTER drops the triggers with the table (it needs legacy_alter_table here, or
/// SQLite itself refuses, since triggers of other tables name this one); a table rebuilt with all its
/// triggers copied is caught by the schema's version.
#[test]
fn the_fingerprint_sees_every_change_of_schema() {
    let place = Place::shop();
    let first = print(&place);
    assert_eq!(first.len(), 5);
    let app = place.app_without_keys();
    passes(&app, "UPDATE orders SET total = 3; DELETE FROM items; INSERT INTO items(order_id) VALUES (10)");
    place.put(2, "m");
    assert_eq!(print(&place), first, "writes are no change of schema");
    let mut seen = vec![first];
    for change in [
        "DROP TRIGGER domicile_orders_insert",
        "ALTER TABLE orders ADD COLUMN extra TEXT",
        "CREATE INDEX by_total ON orders(total)",
        "CREATE TRIGGER mine AFTER INSERT ON orders BEGIN SELECT 1; END",
        "ALTER TABLE items RENAME COLUMN qty TO quantity",
        "PRAGMA legacy_alter_table = ON; BEGIN; CREATE TABLE orders2(id INTEGER PRIMARY KEY, account_id INTEGER, code TEXT UNIQUE, total INTEGER, extra TEXT);
           INSERT INTO orders2 SELECT * FROM orders; DROP TABLE orders; ALTER TABLE orders2 RENAME TO orders; COMMIT",
    ] {
        passes(&app, change);
        let now = print(&place);
        assert!(!seen.contains(&now), "unseen: {change}");
        seen.push(now);
    }
    // The same text again: only the version tells.
    let place = Place::shop();
    let first = print(&place);
    let app = place.app_without_keys();
    let trigger = place.texts("SELECT sql FROM sqlite_master WHERE name = 'domicile_items_insert'").remove(0);
    passes(&app, "DROP TRIGGER domicile_items_insert; INSERT INTO items(order_id) VALUES (10)");
    passes(&app, &trigger);
    let now = print(&place);
    assert_eq!(now["main.items"], first["main.items"]);
    assert_ne!(now, first);
}

#[test]
fn the_guards_own_changes_are_not_somebody_elses() {
    let place = Place::shop();
    let first = print(&place);
    place.install(&spec());
    assert_eq!(print(&place), first);
}

#[test]
fn faults_are_named() {
    let place = Place::shop();
    let find = || faults(&place.conn, "sqlite:test", &place.layout, true).unwrap();
    assert!(find().is_empty(), "{:?}", find());
    let app = place.app_without_keys();
    passes(&app, "DROP TRIGGER domicile_items_delete");
    assert_eq!(find(), ["main.items: trigger `domicile_items_delete` is missing; run `guard install` again"]);
    passes(&app, "CREATE UNIQUE INDEX once ON items(qty, order_id)");
    assert_eq!(find().len(), 3, "{:?}", find());
    place.install(&spec());
    assert!(find().is_empty(), "{:?}", find());
    passes(&app, "DROP TABLE items");
    assert_eq!(find(), ["main.items: the data map has this table, the file has not"]);
}

/// SQLite fires the newest trigger first, and RAISE(IGNORE) in an AFTER trigger skips those behind it but
/// keeps the row. Installed last, the guard speaks first; a younger trigger is a fault.
#[test]
fn a_trigger_that_ignores_cannot_silence_the_guard() {
    let place = Place::shop();
    let app = place.app();
    let mine = "CREATE TRIGGER mine AFTER INSERT ON items BEGIN SELECT RAISE(IGNORE); END";
    passes(&app, mine);
    let found = faults(&place.conn, "sqlite:test", &place.layout, true).unwrap();
    assert!(found.iter().any(|f| f.contains("trigger `mine` fires before the guard")), "{found:?}");
    place.install(&spec());
    let found = faults(&place.conn, "sqlite:test", &place.layout, true).unwrap();
    assert!(found.is_empty(), "{found:?}");
    place.put(2, "m");
    passes(&app, "INSERT INTO items(id, order_id) VALUES (205, 20)");
    assert_eq!(place.recorded(), ["2 items [205]"]);
    place.put(2, "f");
    refuses(&app, "INSERT INTO items(id, order_id) VALUES (206, 20)", "RS001");
}

#[test]
fn install_refuses_what_it_cannot_keep() {
    let try_it = |place: &Place, spec: &crate::records::GuardSpec| match installed::install(
        &place.conn,
        "s",
        &place.layout,
        spec,
    ) {
        Err(Fault::Store(Error::Schema { what, .. })) => what,
        other => panic!("{other:?}"),
    };
    let mut place = Place::shop();
    assert!(
        try_it(&place, &crate::records::GuardSpec { region: "oregon".into(), ..spec() })
            .contains("region `beijing`")
    );
    place.layout.tables[0].owner = root("name");
    assert!(try_it(&place, &spec()).contains("is not unique"));
    place.layout.tables[0].owner = root("email");
    assert!(try_it(&place, &spec()).contains("keeps subjects of type INTEGER"));
    place.layout.tables[0].owner = root("gone");
    assert!(try_it(&place, &spec()).contains("is gone"));
    place.conn.execute_batch("CREATE TABLE blobs(id BLOB PRIMARY KEY, country TEXT)").unwrap();
    place.layout.tables[0].name.name = "blobs".into();
    place.layout.tables[0].owner = root("id");
    assert!(try_it(&place, &spec()).contains("must be INTEGER, TEXT or NUMERIC"));
}

/// Words for SQLite 3.38: no function younger than it, and only literals in RAISE.
#[test]
fn triggers_are_of_the_oldest_sqlite() {
    let place = Place::new(
        "CREATE TABLE users(id INTEGER PRIMARY KEY, country TEXT); CREATE TABLE t(k BLOB PRIMARY KEY, user_id INTEGER)",
        &[("users", root("id")), ("t", direct("user_id"))],
    );
    let shapes = [shape(&place.conn, "users"), shape(&place.conn, "t")];
    let admission = spec().admission;
    for t in triggers(&Plan { layout: &place.layout, shapes: &shapes, admission: &admission }) {
        let sql = t.sql.to_lowercase();
        for young in ["unhex", "subsec", "->>", "jsonb", "concat(", "string_agg", "returning"] {
            assert!(!sql.contains(young), "{}: {young}", t.name);
        }
        assert_eq!(sql.matches("raise(").count(), sql.matches("raise(rollback, '").count(), "{}", t.name);
    }
}

/// Our VACUUM (scrub) while other batches are under way must not look like somebody's ALTER; somebody's
/// ALTER beside it must.
#[test]
fn a_vacuum_of_ours_is_no_change() {
    let place = Place::shop();
    let first = print(&place);
    let vacuum = |between: &str| {
        let before = installed::schema_version(&place.conn).unwrap();
        place.conn.execute_batch(&format!("VACUUM; {between}")).unwrap();
        installed::after_vacuum(&place.conn, before).unwrap();
    };
    vacuum("");
    assert_eq!(print(&place), first);
    vacuum("CREATE TABLE other(a)");
    assert_ne!(print(&place), first);
}
