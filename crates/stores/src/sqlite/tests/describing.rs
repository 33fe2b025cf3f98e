//! The catalogue, the schema as text, reference tables, and that queries walk indexes.

use super::*;
use crate::Error;
use crate::sqlite::paths;
use domicile_datamap::catalogue::{FkAction, ForeignKey, TableKind};

fn key<'c>(catalogue: &'c Catalogue, table: &str, column: &str) -> &'c ForeignKey {
    let table = catalogue.table(&TableName::new("main", table)).unwrap();
    table.foreign_keys.iter().find(|k| k.columns.iter().any(|c| c == column)).unwrap()
}

#[tokio::test]
async fn the_catalogue_says_what_the_file_has() {
    let region = Region::with("CREATE VIRTUAL TABLE search USING fts5(body); ANALYZE").await;
    let catalogue = Sqlite::catalogue_of(&region.path()).await.unwrap();
    let table = |name: &str| catalogue.table(&TableName::new("main", name)).unwrap();
    let names: Vec<_> = catalogue.tables.iter().map(|t| t.name.name.as_str()).collect();
    let all = [
        "countries",
        "item \"s\"",
        "loose",
        "messages",
        "notes",
        "orders",
        "photos",
        "search",
        "seats",
        "users",
    ];
    assert_eq!(names, all, "shadow tables, Domicile's and SQLite's own are left out");
    assert_eq!(table("search").kind, TableKind::Virtual);

    let items = table("item \"s\"");
    assert_eq!(items.primary_key, ["order_id", "line"]);
    assert!(items.column("twice").unwrap().generated && !items.column("val").unwrap().generated);
    assert!(items.column("line").unwrap().not_null);
    assert!(table("loose").primary_key.is_empty());
    assert_eq!(table("loose").triggers, ["shout"]);
    assert_eq!(table("orders").sequences, [("id".to_owned(), "sqlite_sequence".to_owned(), 1)]);
    assert!(table("users").sequences.is_empty() && table("users").column("id").unwrap().not_null);
    assert!(!table("countries").column("code").unwrap().not_null, "a text key may hold NULL in SQLite");

    let folded = table("users").uniques.iter().find(|u| u.name == "users_folded").unwrap();
    assert!(folded.partial && folded.columns.is_empty());
    assert!(table("users").uniques.iter().any(|u| u.columns == ["email"] && !u.partial));

    let found_by = |name: &str, columns: &[&str]| table(name).indexes.iter().any(|index| index == columns);
    assert!(found_by("messages", &["id"]) && found_by("messages", &["sender"]));
    assert!(found_by("item \"s\"", &["order_id", "line"]));
    assert!(!found_by("messages", &["body"]));

    let parent = key(&catalogue, "orders", "parent");
    assert!(parent.deferrable && parent.initially_deferred && parent.on_delete == FkAction::NoAction);
    let user = key(&catalogue, "orders", "user_id");
    assert!(!user.deferrable && user.on_delete == FkAction::Cascade);
    assert_eq!((user.references.name.as_str(), &user.referenced[..]), ("users", &["id".to_owned()][..]));
    let composite = key(&catalogue, "notes", "o");
    assert_eq!(
        (&composite.columns[..], &composite.referenced[..]),
        (&["o".to_owned(), "l".to_owned()][..], &["order_id".to_owned(), "line".to_owned()][..])
    );
}

#[tokio::test]
async fn estimates_are_analyzes() {
    let region =
        Region::with("INSERT INTO seats VALUES (1), (2), (3); CREATE INDEX s ON seats(id); ANALYZE").await;
    let catalogue = Sqlite::catalogue_of(&region.path()).await.unwrap();
    assert_eq!(catalogue.table(&TableName::new("main", "seats")).unwrap().rows_estimate, 3);
}

#[tokio::test]
async fn a_schema_goes_to_an_empty_file_and_comes_back_the_same() {
    let region =
        Region::with("CREATE VIRTUAL TABLE search USING fts5(body); CREATE VIEW v AS SELECT * FROM users")
            .await;
    let sql = region.store.dump_schema().await.unwrap();
    assert!(!sql.contains("domicile") && !sql.contains("sqlite_"), "{sql}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.db");
    let empty = Sqlite::open(&path, region.store.layout.clone(), true).await.unwrap();
    empty.apply_schema(&sql).await.unwrap();
    assert_eq!(empty.dump_schema().await.unwrap(), sql);
    assert_eq!(
        Sqlite::catalogue_of(&path).await.unwrap(),
        Sqlite::catalogue_of(&region.path()).await.unwrap()
    );
    let version: i64 =
        Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
    assert_eq!(version, 7);
}

#[tokio::test]
async fn a_schema_that_fails_leaves_nothing() {
    let region = Region::new().await;
    let refused = region.store.apply_schema("CREATE TABLE fresh(a); CREATE TABLE users(a)").await;
    assert!(matches!(refused, Err(Error::Failed { .. })), "{refused:?}");
    let there: i64 = region.one("SELECT count(*) FROM sqlite_master WHERE name = 'fresh'");
    assert_eq!(there, 0);
}

#[tokio::test]
async fn a_foreign_key_answered_keep_id_must_be_gone() {
    let region = Region::new().await;
    let catalogue = Sqlite::catalogue_of(&region.path()).await.unwrap();
    let mut layout = (*region.store.layout).clone();
    let recipient = key(&catalogue, "messages", "recipient");
    layout.dropped_foreign_keys = vec![(TableName::new("main", "messages"), recipient.name.clone())];
    let store = Sqlite::open(&region.path(), Arc::new(layout.clone()), false).await.unwrap();
    let Err(Error::Schema { what, .. }) = store.dump_schema().await else { panic!("not refused") };
    assert!(what.contains("main.messages (recipient)"), "{what}");
    layout.dropped_foreign_keys = vec![(TableName::new("main", "gone"), "fk_0".into())];
    let store = Sqlite::open(&region.path(), Arc::new(layout), false).await.unwrap();
    store.dump_schema().await.unwrap();
}

#[tokio::test]
async fn reference_rows_are_copied_stubbed_and_counted_once() {
    let seats = "INSERT INTO seats VALUES (1), (2); INSERT INTO countries VALUES ('FR', 'France', 'a person', 1), ('DE', 'Germany', NULL, 2)";
    let (from, to) = (Region::with(seats).await, Region::new().await);
    for table in 0..2 {
        let rows = from.store.read_reference(table).await.unwrap();
        assert_eq!(to.store.write_reference(table, rows.clone()).await.unwrap(), 2);
        assert_eq!(to.store.write_reference(table, rows).await.unwrap(), 0, "nothing changed");
    }
    let stub: String =
        to.one("SELECT code || name || coalesce(head, '') || seat FROM countries WHERE code = 'FR'");
    assert_eq!(stub, "FR-1", "the key, a filler, nothing personal, and the foreign key that must be there");
    let orphans = from.store.read_reference(1).await.unwrap();
    let alone = Region::new().await;
    let refused = alone.store.write_reference(1, orphans).await;
    assert!(refused.is_err(), "a reference table after those it refers to");
    let none: i64 = alone.one("SELECT count(*) FROM countries");
    assert_eq!(none, 0);
}

/// Every query that starts from subjects or keys finds each table by index.
#[tokio::test]
async fn queries_walk_indexes() {
    let region = Region::new().await;
    let (conn, layout) = (region.app(), region.store.layout.clone());
    let no_scan = |sql: &str, parameters: &[&str]| {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines =
            statement.query_map(rusqlite::params_from_iter(parameters), |r| r.get::<_, String>(3)).unwrap();
        let plan: Vec<_> = lines.map(Result::unwrap).collect();
        let text = plan.join("\n");
        for line in plan {
            let reads_table =
                line.starts_with("SCAN") && !line.contains("VIRTUAL TABLE") && !line.contains("CONSTANT ROW");
            assert!(!reads_table && !line.contains("AUTOMATIC"), "{sql}\n{text}");
        }
    };
    for (ix, table) in layout.tables.iter().enumerate() {
        no_scan(&format!("SELECT * FROM {}", paths::from_subjects(&layout, ix)), &["[]"]);
        let from_keys = paths::from_keys(&layout, ix);
        let owned = paths::owner_in_subjects(&layout, ix);
        no_scan(&format!("SELECT * FROM {from_keys} WHERE {owned}"), &["[]", "[]"]);
        let delete = crate::sqlite::deleting::delete_sql(table);
        no_scan(&delete, &["[]"]);
    }
}
