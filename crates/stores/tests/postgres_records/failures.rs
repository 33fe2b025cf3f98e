//! Each class of failure by its name, and never a row's value in it.

use crate::layouts::Way;
use crate::{cluster, database, ids, leased, open};
use bytes::Bytes;
use domicile_stores::postgres::Postgres;
use domicile_stores::records::RowStream;
use domicile_stores::{Error, Records};
use domicile_testbed::postgres::Cluster;
use futures::StreamExt;
use std::time::Duration;

const SCHEMA: &str = "create table person (id integer primary key, country text, email text unique, age integer check (age < 200));
  create table pet (id integer primary key, person_id integer not null references person (id), name varchar(5));
  create function loud() returns trigger language plpgsql as $$ begin raise exception 'canary-7788 %', new.name; end $$;
  insert into person values (1, 'IN', 'canary@example', 30), (2, 'IN', null, 1)";

async fn opened(name: &str) -> Postgres {
    let tables = [("public.person", Way::Root("id")), ("public.pet", Way::Direct("person_id"))];
    open(&database(name, SCHEMA), &tables, "country").await
}

fn rows(text: &'static str) -> RowStream<'static> {
    futures::stream::iter([Ok(Bytes::from_static(text.as_bytes()))]).boxed()
}

/// Table, a row in COPY's text, what is expected of the error.
type Case = (usize, &'static str, Expected);
/// What is expected of an error.
type Expected = fn(&Error) -> bool;

#[tokio::test]
async fn what_a_row_breaks_is_named_without_its_values() {
    let store = opened("failures_rows").await;
    let lease = leased(&store).await;
    cluster().sql("failures_rows", "create table busy (id integer primary key)");
    let cases: [Case; 6] = [
        (0, "1\tIN\tx\t1\n", |e| matches!(e, Error::Taken { constraint, .. } if constraint == "person_pkey")),
        (0, "3\tIN\tcanary@example\t1\n", |e| {
            matches!(e, Error::Taken { constraint, table, .. }
            if constraint == "person_email_key" && table == "public.person")
        }),
        (
            1,
            "1\t4711\tRex\n",
            |e| matches!(e, Error::Referred { constraint, .. } if constraint == "pet_person_id_fkey"),
        ),
        (1, "1\t1\tcanary-too-long\n", |e| matches!(e, Error::Failed { why, .. } if why.contains("22001"))),
        (
            0,
            "3\tIN\tx\t4711\n",
            |e| matches!(e, Error::Failed { why, .. } if why.contains("person_age_check")),
        ),
        (0, "canary\tIN\tx\t1\n", |e| matches!(e, Error::Failed { why, .. } if why.contains("22P02"))),
    ];
    for (table, text, expected) in cases {
        for way in ["load", "upsert"] {
            if way == "upsert" && text.starts_with("1\tIN") {
                continue;
            }
            let mut writing = store.begin(&lease).await.unwrap();
            let error = match way {
                // The rows are on their way: the next call says what became of them.
                "load" => {
                    writing.load(table, rows(text)).await.expect("rows that were sent");
                    writing.counts(&[]).await.expect_err(text)
                }
                _ => writing.upsert(table, rows(text)).await.expect_err(text),
            };
            assert!(expected(&error), "{way} {text}: {error:?}");
            let said = format!("{error} {error:?}");
            assert!(!said.contains("canary") && !said.contains("4711"), "{said}");
            // What failed can't be committed as if nothing had happened.
            writing.commit().await.expect_err("a failed transaction");
        }
    }
    cluster()
        .sql("failures_rows", "create trigger loud after insert on pet for each row execute function loud()");
    let mut writing = store.begin(&lease).await.unwrap();
    writing.load(1, rows("5\t1\tRex\n")).await.unwrap();
    let error = writing.commit().await.unwrap_err();
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn a_missing_privilege_comes_with_its_grant() {
    let store = opened("failures_grant").await;
    cluster().sql("failures_grant", "grant connect on database failures_grant to nobody");
    let url = cluster().url("nobody", "failures_grant");
    let poor = Postgres::open(&url, None, store.layout().clone()).await.unwrap();
    match poor.measure(&ids(&["1"])).await.unwrap_err() {
        Error::Denied { what, grant, .. } => {
            assert_eq!(what, "table person");
            assert_eq!(grant, "GRANT SELECT, INSERT, UPDATE, DELETE ON \"person\" TO \"nobody\"");
            cluster().sql("failures_grant", &grant);
        }
        other => panic!("{other:?}"),
    }
    // Rows that a policy hides from us would be lost: an error, not silence.
    cluster()
        .sql("failures_grant", "grant select on pet to nobody; alter table pet enable row level security");
    match poor.measure(&ids(&["1"])).await.unwrap_err() {
        Error::Denied { grant, .. } => assert_eq!(grant, "ALTER ROLE \"nobody\" BYPASSRLS"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_schema_that_is_another_and_a_database_that_is_none() {
    let store = opened("failures_schema").await;
    cluster().sql("failures_schema", "alter table pet rename column person_id to owner_id");
    let error = store.measure(&ids(&["1"])).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }), "{error:?}");
    let url = cluster().url("mover", "no_such_database");
    let error = Postgres::catalogue_of(&url, None).await.unwrap_err();
    assert!(matches!(error, Error::Setting { .. }), "{error:?}");
    let port = domicile_testbed::free_port();
    let error =
        Postgres::catalogue_of(&format!("postgres://mover@127.0.0.1:{port}/x"), None).await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
}

#[tokio::test]
async fn waiting_too_long_and_deadlocks_are_tried_again() {
    let store = opened("failures_again").await;
    let lease = leased(&store).await;
    // The statement is cancelled from outside, as an administrator or a timeout would.
    let held = store.begin(&lease).await.unwrap();
    drop(held);
    let mut first = store.begin(&lease).await.unwrap();
    let mut second = store.begin(&lease).await.unwrap();
    first.upsert_person(1).await.unwrap();
    second.upsert_person(2).await.unwrap();
    let (a, b) = tokio::join!(first.upsert_person(2), second.upsert_person(1));
    let error = a.err().or(b.err()).expect("one of two is the victim of the deadlock");
    assert!(error.is_again(), "{error:?}");
    assert!(!error.is_unreachable());
}

/// A row of one person, deleted: takes its lock.
#[async_trait::async_trait]
trait UpsertPerson {
    async fn upsert_person(&mut self, id: u32) -> Result<u64, Error>;
}

#[async_trait::async_trait]
impl UpsertPerson for Box<dyn domicile_stores::Writing> {
    async fn upsert_person(&mut self, id: u32) -> Result<u64, Error> {
        let cleared = self.clear(&ids(&[&id.to_string()])).await?;
        Ok(cleared.values().sum())
    }
}

/// A cluster of its own, since it is crashed.
#[tokio::test]
async fn a_crash_is_unreachable_and_the_pool_recovers() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let tables = [("public.person", Way::Root("id")), ("public.pet", Way::Direct("person_id"))];
    let store = open(&cluster.url("postgres", "postgres"), &tables, "country").await;
    let lease = leased(&store).await;
    let mut writing = store.begin(&lease).await.unwrap();
    writing.clear(&ids(&["1"])).await.unwrap();
    cluster.crash();
    let error = writing.commit().await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    let error = store.measure(&ids(&["1"])).await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    cluster.up();
    let mut tries = 0;
    let sizes = loop {
        tries += 1;
        match store.measure(&ids(&["1", "2"])).await {
            Ok(sizes) => break sizes,
            Err(e) if e.is_unreachable() && tries < 600 => {
                tokio::time::sleep(Duration::from_millis(100)).await
            }
            Err(e) => panic!("{e:?}"),
        }
    };
    assert_eq!(sizes[&0].rows, 2, "nothing of the transaction was kept");
}

/// A store abandoned in the middle of a stream neither hangs nor poisons the pool.
#[tokio::test]
async fn abandoned_streams_leave_the_pool_usable() {
    let store = opened("failures_abandoned").await;
    cluster().sql("failures_abandoned", "insert into pet select n, 1, 'x' from generate_series(1, 50000) n");
    let subjects = ids(&["1"]);
    for _ in 0..40 {
        let mut snapshot = store.snapshot().await.unwrap();
        let pick = domicile_stores::records::Pick::Subjects(&subjects);
        let mut stream = snapshot.rows(1, pick, false).await.unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        drop(snapshot);
    }
    let mut snapshot = store.snapshot().await.unwrap();
    // After a stream that was not read to its end, the same snapshot still answers.
    let pick = domicile_stores::records::Pick::Subjects(&subjects);
    drop(snapshot.rows(1, pick, false).await.unwrap());
    assert_eq!(snapshot.counts(&subjects).await.unwrap()[&(subjects[0].clone(), 1)], 50_000);
    snapshot.close().await.unwrap();
}

/// Codes the server gives on full disks or in races, raised by it on demand.
#[tokio::test]
async fn codes_are_told_apart() {
    let store = opened("failures_codes").await;
    let lease = leased(&store).await;
    cluster().sql(
        "failures_codes",
        "create function code() returns trigger language plpgsql as $$ begin \
           raise exception 'moved to another region' using errcode = new.name; end $$; \
         create trigger code after insert on pet for each row execute function code()",
    );
    let cases: [(&str, Expected); 9] = [
        ("53100", |e| matches!(e, Error::Full { .. })),
        ("53200", |e| matches!(e, Error::Full { .. })),
        ("40001", Error::is_again),
        ("55P03", Error::is_again),
        ("57014", Error::is_again),
        ("57P03", Error::is_unreachable),
        ("08006", Error::is_unreachable),
        (
            "RS001",
            |e| matches!(e, Error::Refused { code, message, .. } if code == "RS001" && message.contains("another region")),
        ),
        ("RS002", |e| matches!(e, Error::Refused { code, .. } if code == "RS002")),
    ];
    for (code, expected) in cases {
        let mut writing = store.begin(&lease).await.unwrap();
        let row = Bytes::from(format!("7\t1\t{code}\n"));
        writing.load(1, futures::stream::iter([Ok(row)]).boxed()).await.unwrap();
        let error = writing.commit().await.unwrap_err();
        assert!(expected(&error), "{code}: {error:?}");
    }
}
