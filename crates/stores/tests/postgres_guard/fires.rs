//! Finding 5: triggers that must fire, TRUNCATE, and the fingerprint.

use crate::shop::{Shop, code, run};
use domicile_stores::Records;
use std::sync::Arc;

/// A7. Catches: triggers that are not ENABLE ALWAYS.
#[tokio::test(flavor = "multi_thread")]
async fn replica_role_is_no_way_around() {
    let shop = Shop::standard().await;
    let (lease, admin) = (shop.lease().await, shop.admin().await);
    shop.fence(&lease, &[1]).await;
    admin.batch_execute("set session_replication_role = replica").await.unwrap();
    for sql in [
        "update items set qty = 3 where id = 1",
        "insert into events_1 values (70, 1, '2020-02-02')",
        "insert into events values (71, 1, '2021-02-02')",
        "set role mover; update public.orders set note = 'x' where id = 1",
    ] {
        assert_eq!(run(&admin, sql).await, "RS001", "{sql}");
    }
}

/// Catches: the guard on the partitioned parent alone, or a leaf attached later without it.
#[tokio::test(flavor = "multi_thread")]
async fn every_leaf_is_guarded() {
    let shop = Shop::standard().await;
    let (lease, app, owner) = (shop.lease().await, shop.app().await, shop.raw_mover().await);
    owner
        .batch_execute("set role shop_owner; create table events_3 partition of events for values from ('2022-01-01') to ('2023-01-01'); grant all on events_3 to app")
        .await
        .unwrap();
    shop.fence(&lease, &[1]).await;
    for sql in [
        "insert into events_2 values (70, 1, '2021-02-02')",
        "update events_1 set what = 'x' where user_id = 1",
        "delete from events_1 where user_id = 1",
        "insert into events_3 values (72, 1, '2022-02-02')",
    ] {
        assert_eq!(run(&app, sql).await, "RS001", "{sql}");
    }
    let enabled = "select count(*) from pg_trigger where tgname = '00_domicile' and tgenabled = 'A'";
    assert_eq!(shop.admin().await.query_one(enabled, &[]).await.unwrap().get::<_, i64>(0), 7);
}

/// TRUNCATE of a table or leaf while a batch is open is refused; one in flight is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn truncate_waits_until_no_batch_is_open() {
    let shop = Arc::new(Shop::standard().await);
    let (app, old) = (shop.app().await, shop.app().await);
    assert_eq!(run(&app, "truncate items").await, "ok");
    old.batch_execute("begin isolation level repeatable read; select 1").await.unwrap();
    app.batch_execute("begin; truncate events_1").await.unwrap();
    let lease = tokio::spawn({
        let shop = shop.clone();
        async move { shop.records.take_lease("w1/1").await }
    });
    // The takeover would end a mover's backend that stands in its way; this is the application's.
    shop.wait_blocked("usename = 'mover'", &|| lease.is_finished()).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(run(&app, "commit").await, "ok");
    let lease = lease.await.unwrap().unwrap();
    for sql in ["truncate items", "truncate events", "truncate events_2", "truncate users cascade"] {
        assert_eq!(run(&app, sql).await, "RS001", "{sql}");
    }
    assert_eq!(run(&old, "truncate items").await, "40001", "a snapshot from before the batch");
    drop(lease);
    let lease = shop.records.take_lease("w1/1").await.unwrap();
    shop.records.close_batch(&lease).await.unwrap();
    assert_eq!(run(&app, "truncate items").await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fingerprint_sees_what_triggers_do_not() {
    let shop = Shop::standard().await;
    let (app, owner) = (shop.app().await, shop.raw_mover().await);
    owner.batch_execute("set role shop_owner").await.unwrap();
    let mut before = shop.records.fingerprint().await.unwrap();
    assert_eq!(
        before.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "public.events",
            "public.events_1",
            "public.events_2",
            "public.items",
            "public.orders",
            "public.users"
        ]
    );
    app.batch_execute(
        "insert into orders values (100, 1); update items set qty = 3; delete from items where id = 3",
    )
    .await
    .unwrap();
    owner.batch_execute("analyze orders").await.unwrap();
    assert_eq!(before, shop.records.fingerprint().await.unwrap(), "writing changes nothing");
    for (sql, changed) in [
        ("alter table items alter qty type bigint using qty + 1", "public.items"),
        ("alter table orders add column more text", "public.orders"),
        ("alter table orders drop column more", "public.orders"),
        ("alter table orders disable trigger \"00_domicile\"", "public.orders"),
        ("alter table events_1 disable trigger \"00_domicile\"", "public.events_1"),
        ("alter table orders enable trigger \"00_domicile\"", "public.orders"),
        ("drop trigger \"00_domicile\" on users", "public.users"),
        (
            "create trigger extra before insert on users for each row execute function suppress_redundant_updates_trigger()",
            "",
        ),
        (
            "create trigger extra before update on users for each row execute function suppress_redundant_updates_trigger()",
            "public.users",
        ),
        (
            "alter table spare_leaf alter id set not null, alter at set not null; alter table spare_leaf alter user_id set not null; \
          alter table events attach partition spare_leaf for values from ('2023-01-01') to ('2024-01-01')",
            "public.events",
        ),
        ("alter table events detach partition events_2", "public.events_2"),
        ("alter table users enable row level security", "public.users"),
        (
            "reset role; create or replace function domicile.truncating() returns trigger language plpgsql as $$ begin return null; end $$",
            "public.items",
        ),
        ("set role shop_owner; drop table items", "public.items"),
    ] {
        let done = owner.batch_execute(sql).await;
        if changed.is_empty() {
            // PostgreSQL itself refuses nothing here: the trigger is made, and counts as a change.
            assert_eq!(code(&done), "ok");
            owner.batch_execute("drop trigger extra on users").await.unwrap();
            continue;
        }
        assert_eq!(code(&done), "ok", "{sql}");
        let after = shop.records.fingerprint().await.unwrap();
        assert_ne!(before[changed], after[changed], "{sql}");
        before = after;
    }
    let faults = shop.records.status(false).await.unwrap().faults;
    for fault in [
        "public.users: trigger 00_domicile is missing",
        "public.orders: trigger 00_domicile does not always fire",
        "public.items: trigger 00_domicile the table is gone",
    ] {
        assert!(faults.iter().any(|f| f == fault), "{fault}: {faults:#?}");
    }
}
