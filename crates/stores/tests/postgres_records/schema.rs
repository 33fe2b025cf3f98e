//! A region's schema made elsewhere, reference rows, and what identifies a database.

use crate::layouts::{self, Way};
use crate::{cluster, database, open, open_with};
use domicile_datamap::catalogue::TableName;
use domicile_datamap::layout::{Layout, Personal};
use domicile_stores::postgres::Postgres;
use domicile_stores::{Error, Records};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

const SCHEMA: &str = r#"create schema "odd; name";
  create type "odd; name".mood as enum ('a', 'b;');
  create table person (id integer generated always as identity primary key, country text not null, boss integer);
  create table staff (id integer primary key, name varchar(8) not null unique, born date, salary numeric not null, tags text[] not null,
    mood "odd; name".mood, chief integer references staff (id));
  alter table person add constraint person_boss foreign key (boss) references staff (id);
  create table "odd; name"."order" (id uuid primary key, person_id integer not null references person (id), twice integer generated always as (1 + 1) stored);
  create function "odd; name".f() returns trigger language plpgsql as $f$
begin
  -- a comment; inside

SET local work_mem = '1MB';
  return new;
end;
$f$;
  create function early() returns integer language sql begin atomic select 1; select count(*)::integer from staff; end;
  create trigger mine before insert on person for each row execute function "odd; name".f();
  insert into staff values (1, 'Ann', '1980-01-01', 10, '{a}', 'a', null), (2, 'Béla', null, 20, '{}', 'b;', 1)"#;

fn layout(catalogue: &domicile_datamap::catalogue::Catalogue, personal: Personal) -> Layout {
    let tables = [("public.person", Way::Root("id")), ("odd; name.order", Way::By("public.person"))];
    let staff = layouts::reference(catalogue, "public.staff", personal);
    layouts::with(layouts::layout(catalogue, &tables, "country"), vec![], vec![staff])
}

#[tokio::test]
async fn an_empty_database_becomes_a_region() {
    let url = database("schema_source", SCHEMA);
    let catalogue = Postgres::catalogue_of(&url, None).await.unwrap();
    let mut layout = layout(&catalogue, Personal::Stub);
    layout.dropped_foreign_keys = vec![(TableName::new("public", "person"), "person_boss".to_owned())];
    let source = open_with(&url, layout.clone()).await;
    crate::leased(&source).await;
    let dump = source.schema_dump().await.unwrap();
    assert!(
        !dump.contains("00_domicile") && !dump.contains("person_boss") && !dump.contains("\\restrict"),
        "{dump}"
    );
    let target = open_with(&database("schema_target", ""), layout).await;
    target.run_schema(&dump).await.unwrap();
    let mut expected = catalogue.clone();
    for table in &mut expected.tables {
        table.foreign_keys.retain(|fk| fk.name != "person_boss");
    }
    let mut made = target.catalogue().await.unwrap();
    for table in expected.tables.iter_mut().chain(&mut made.tables) {
        table.rows_estimate = 0;
    }
    assert_eq!(made, expected);
    // Function bodies came whole, though they hold what looks like ends of statements.
    let body =
        "select md5(string_agg(prosrc, '' order by proname)) from pg_proc where proname in ('f', 'early')";
    assert_eq!(cluster().sql("schema_target", body), cluster().sql("schema_source", body));
    let twice = target.run_schema(&dump).await.unwrap_err();
    assert!(!twice.is_unreachable(), "{twice:?}");
    assert_eq!(target.catalogue().await.unwrap().tables.len(), expected.tables.len(), "all or nothing");
    assert_ne!(source.identity().await.unwrap(), target.identity().await.unwrap());
    assert_eq!(source.identity().await.unwrap(), source.identity().await.unwrap());
}

#[tokio::test]
async fn reference_rows_are_copied_or_stubbed() {
    let url = database("reference_source", SCHEMA);
    let catalogue = Postgres::catalogue_of(&url, None).await.unwrap();
    for (personal, expected) in [
        (Personal::Copy, "1|Ann|1980-01-01|10|{a}|a|\n2|Béla||20|{}|b;|1"),
        (Personal::Stub, "1|1 (stub)||0|{}||\n2|2 (stub)||0|{}||"),
    ] {
        let name = format!("reference_{personal:?}").to_lowercase();
        let empty = SCHEMA.split("insert into staff").next().unwrap().trim_end().trim_end_matches(';');
        let target = open_with(&database(&name, empty), layout(&catalogue, personal)).await;
        let source = open_with(&url, layout(&catalogue, personal)).await;
        let rows = source.reference_rows(0).await.unwrap();
        assert_eq!(target.put_reference(0, rows.clone()).await.unwrap(), 2);
        assert_eq!(cluster().sql(&name, "select * from staff order by id"), expected);
        assert_eq!(target.put_reference(0, rows).await.unwrap(), 0, "nothing has changed");
        assert!(matches!(source.reference_rows(1).await, Err(Error::Schema { .. })));
    }
}

#[tokio::test]
async fn standbys_have_to_be_seen_and_to_have_flushed() {
    let url = database("standbys", SCHEMA);
    let tables = [("public.person", Way::Root("id"))];
    let none = open(&url, &tables, "country").await;
    assert!(none.wait_for_standbys(Duration::from_secs(1)).await.unwrap().is_empty());
    let url = format!("{url}?standbys=a,b");
    let blind = Postgres::open(&url, None, none.layout().clone()).await.unwrap();
    match blind.wait_for_standbys(Duration::from_millis(50)).await.unwrap_err() {
        Error::Denied { grant, .. } => assert_eq!(grant, "GRANT pg_monitor TO \"mover\""),
        other => panic!("{other:?}"),
    }
    let url = url.replace("mover@", "postgres@");
    let seeing = Postgres::open(&url, None, Arc::clone(none.layout())).await.unwrap();
    let behind = seeing.wait_for_standbys(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(behind, Error::Behind { .. }) && !behind.is_again(), "{behind}");
    assert!(behind.to_string().ends_with("a, b"), "{behind}");
}

#[tokio::test]
async fn a_password_may_come_from_elsewhere() {
    let secret = SecretString::from("s3cret-canary");
    let url = database("secret", SCHEMA);
    // The cluster trusts everybody; what counts is that nobody prints it.
    let store = Postgres::open(
        &url,
        Some(secret),
        Arc::new(layout(&Postgres::catalogue_of(&url, None).await.unwrap(), Personal::Copy)),
    );
    let store = store.await.unwrap();
    assert!(!store.name().contains("canary"));
    assert!(store.schema_dump().await.unwrap().contains("CREATE TABLE public.person"));
}
