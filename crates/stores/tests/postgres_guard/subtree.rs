//! Findings 3 and 4: roots are recorded, no row is without an owner, values are final.

use crate::shop::{SCHEMA, Shop, layout, refusal, run};
use domicile_datamap::catalogue::FkAction;
use domicile_datamap::layout::{Layout, Owner};

/// The shop whose items may come before their order.
fn child_first() -> (String, Layout) {
    let schema = SCHEMA.replace(
        "references orders on delete cascade",
        "references orders on delete cascade deferrable initially deferred",
    );
    let mut layout = layout();
    layout.tables[2].foreign_keys[0].deferrable = true;
    let Owner::Derived { deferrable, .. } = &mut layout.tables[2].owner else { unreachable!() };
    *deferrable = true;
    (schema, layout)
}

/// The shop whose orders outlive their user.
fn set_null() -> (String, Layout) {
    let schema = SCHEMA.replace(
        "user_id bigint not null references users on delete cascade, note",
        "user_id bigint references users on delete set null, note",
    );
    let mut layout = layout();
    layout.tables[1].foreign_keys[0].on_delete = FkAction::SetNull;
    (schema, layout)
}

/// P7. Catches: ownerless entries for rows that a cascade removes, growth while nobody moves.
#[tokio::test(flavor = "multi_thread")]
async fn cascades_record_their_root_and_nothing_without_an_owner() {
    let shop = Shop::standard().await;
    let (lease, app) = (shop.lease().await, shop.app().await);
    app.batch_execute("delete from users where id = 3; delete from orders where id = 4").await.unwrap();
    assert!(shop.changed().await.is_empty(), "recorded in `moving` only");
    shop.mark(&lease, &[1, 2]).await;
    app.batch_execute("delete from orders where id = 1; delete from users where id = 2").await.unwrap();
    let changed = shop.changed().await;
    assert_eq!(changed[0], "1 public.orders [1] sub");
    assert!(changed.contains(&"2 public.users [2] sub".to_owned()), "{changed:?}");
    assert!(changed.iter().all(|c| c.starts_with("1 ") || c.starts_with("2 ")), "{changed:?}");
}

/// P6. Catches: an unresolved row that passes for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_before_its_parent_is_checked_at_commit() {
    let (schema, layout) = child_first();
    let shop = Shop::guarded(&schema, layout).await;
    let (lease, t1, t2) = (shop.lease().await, shop.app().await, shop.app().await);
    // The attack: the parent of a subject that is then fenced comes from another session.
    t1.batch_execute("begin; insert into items values (900, 900, 1)").await.unwrap();
    t2.batch_execute("insert into orders values (900, 2)").await.unwrap();
    shop.fence(&lease, &[2]).await;
    assert_eq!(run(&t1, "commit").await, "RS001");
    // The application's own way of writing, at home and moving.
    assert_eq!(
        run(&t1, "begin; insert into items values (901, 901, 1); insert into orders values (901, 3); commit")
            .await,
        "ok"
    );
    shop.mark(&lease, &[4]).await;
    assert_eq!(
        run(&t1, "begin; insert into items values (902, 902, 1); insert into orders values (902, 4); commit")
            .await,
        "ok"
    );
    let changed = shop.changed().await;
    assert!(changed.contains(&"4 public.items [902] sub".to_owned()), "{changed:?}");
    // Gone again before commit: nothing to check. Early: not yet means no. Never: the key's own word.
    assert_eq!(
        run(&t1, "begin; insert into items values (903, 903, 1); delete from items where id = 903; commit")
            .await,
        "ok"
    );
    assert_eq!(
        run(&t1, "begin; insert into items values (904, 904, 1); set constraints all immediate").await,
        "23503"
    );
    t1.batch_execute("rollback").await.unwrap();
    assert_eq!(run(&t1, "begin; insert into items values (905, 905, 1); commit").await, "23503");
    assert_eq!(
        run(
            &t1,
            "begin; update items set order_id = 906 where id = 5; insert into orders values (906, 2); commit"
        )
        .await,
        "RS001"
    );
}

/// P8, P8c. Catches: an invoker's function, a search_path that is not pinned.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_hides_the_parent_from_the_guard() {
    let shop = Shop::standard().await;
    let (lease, app, owner) = (shop.lease().await, shop.app().await, shop.raw_mover().await);
    owner
        .batch_execute("set role shop_owner; alter table orders enable row level security; create policy none on orders for all to app using (id > 1000)")
        .await
        .unwrap();
    shop.fence(&lease, &[1]).await;
    assert_eq!(run(&app, "update items set qty = 9 where id = 1").await, "RS001");
    assert_eq!(run(&app, "update items set qty = 9 where id = 2").await, "ok");
    app.batch_execute(
        "create temp table orders (id bigint, user_id bigint); insert into orders values (1, 2)",
    )
    .await
    .unwrap();
    app.batch_execute(
        "create temp table home (subject bigint, state text); set search_path = pg_temp, public",
    )
    .await
    .unwrap();
    assert_eq!(run(&app, "update public.items set qty = 9 where id = 1").await, "RS001");
    // An operator of the writer's own, found before the system's.
    shop.admin().await.batch_execute("create schema evil; grant all on schema evil to public").await.unwrap();
    app.batch_execute(
        "create function evil.never(a bigint, b bigint) returns bool language sql as 'select false';
         create operator evil.= (leftarg = bigint, rightarg = bigint, function = evil.never);
         create function evil.never(a \"char\", b \"char\") returns bool language sql as 'select true';
         create operator evil.= (leftarg = \"char\", rightarg = \"char\", function = evil.never);
         set search_path = evil, pg_catalog",
    )
    .await
    .unwrap();
    let by_key = "update public.items set qty = 9 where id operator(pg_catalog.=) 1";
    assert_eq!(run(&app, by_key).await, "RS001");
    shop.fence(&lease, &[3]).await;
    let other = "update public.items set qty = 9 where id operator(pg_catalog.=) 3";
    assert_eq!(run(&app, other).await, "RS001");
    let free = "update public.items set qty = 9 where id operator(pg_catalog.=) 2";
    assert_eq!(run(&app, free).await, "ok");
}

/// M. The application's own ON DELETE SET NULL goes on; the old owner's move learns that the row left.
#[tokio::test(flavor = "multi_thread")]
async fn set_null_makes_a_row_nobodys_and_tells_its_owner() {
    let (schema, layout) = set_null();
    let shop = Shop::guarded(&schema, layout).await;
    let (lease, app) = (shop.lease().await, shop.app().await);
    shop.mark(&lease, &[1]).await;
    assert_eq!(run(&app, "delete from users where id = 1").await, "ok");
    let changed = shop.changed().await;
    assert!(changed.contains(&"1 public.users [1] sub".to_owned()), "{changed:?}");
    assert!(changed.contains(&"1 public.orders [1] sub".to_owned()), "{changed:?}");
    assert_eq!(run(&app, "update orders set note = 'kept for the books' where id = 1").await, "ok");
    assert_eq!(run(&app, "update items set qty = 3 where id = 1").await, "ok");
    assert_eq!(run(&app, "delete from orders where id = 1").await, "ok");
    let (code, message, ..) = refusal(&app, "insert into orders values (70, null)").await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("RS002", "a row of public.orders would belong to no subject")
    );
    shop.fence(&lease, &[2]).await;
    assert_eq!(run(&app, "update orders set user_id = null where id = 2").await, "RS001");
}

/// Not RS001: a gateway would try it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_does_not_exist_is_23503() {
    let shop = Shop::standard().await;
    let app = shop.app().await;
    assert_eq!(run(&app, "insert into items values (800, 4711, 1)").await, "23503");
    assert_eq!(run(&app, "update items set order_id = 4711 where id = 1").await, "23503");
    assert_eq!(
        run(&app, "begin isolation level repeatable read; insert into items values (800, 4711, 1)").await,
        "40001"
    );
}

/// D3. Catches: a trigger name that sorts after `RI_`, or one without a home row that passes.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_speaks_before_the_foreign_key() {
    let shop = Shop::standard().await;
    let (code, message, detail, hint) =
        refusal(&shop.app().await, "insert into orders values (700, 4711)").await;
    assert_eq!(code, "RS001");
    assert!(message.contains("look the home up and retry"), "{message}");
    assert!(detail.contains("no home row"), "{detail}");
    assert!(hint.contains("directory"), "{hint}");
}

/// D2 in statements of many rows, and where another parent than the path's is missing: a stale route gets RS001,
/// which sends it home, and not 23503. Catches: a guard that fires once the statement's foreign keys are checked.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_speaks_first_in_statements_of_many_rows() {
    let shop = Shop::standard().await;
    let (app, mover) = (shop.app().await, shop.raw_mover().await);
    shop.put(1, "w", "null").await;
    shop.put(2, "f", "interval '1 hour'").await;
    mover.batch_execute("delete from users where id = 1").await.unwrap();
    mover
        .batch_execute("set role shop_owner; alter table items add column giver bigint references users")
        .await
        .unwrap();
    for sql in [
        "insert into orders values (100, 1)",
        "insert into orders values (100, 3), (101, 1)",
        "insert into orders select n, case n when 150 then 1 else 3 end from generate_series(100, 200) n",
        "update orders set user_id = 1 where id = 3",
        "insert into events values (100, 1, '2021-02-02')",
        "insert into events_2 values (100, 1, '2021-02-02')",
        // The way to the subject is there, another parent is not.
        "insert into items values (100, 2, 1, 4711)",
        "insert into items values (100, 2, 1, 4711), (101, 3, 1, 3)",
        "update items set giver = 4711 where id = 2",
    ] {
        assert_eq!(run(&app, sql).await, "RS001", "{sql}");
    }
    // Where the subject may be written, it is the foreign key's to say.
    assert_eq!(run(&app, "insert into items values (100, 3, 1, 4711)").await, "23503");
}

/// A6. Catches: BEFORE triggers, which see values that are not final and rows never inserted.
#[tokio::test(flavor = "multi_thread")]
async fn values_are_final() {
    let shop = Shop::standard().await;
    let (lease, app, owner) = (shop.lease().await, shop.app().await, shop.raw_mover().await);
    owner
        .batch_execute(
            "set role shop_owner;
             create function public.divert() returns trigger language plpgsql as $$ begin if new.note = 'divert' then new.user_id := 2; end if; return new; end $$;
             create trigger zz_divert before insert or update on orders for each row execute function public.divert()",
        )
        .await
        .unwrap();
    shop.fence(&lease, &[2]).await;
    assert_eq!(run(&app, "insert into orders values (710, 1, 'divert')").await, "RS001");
    assert_eq!(run(&app, "update orders set note = 'divert' where id = 1").await, "RS001");
    shop.mark(&lease, &[1]).await;
    assert_eq!(run(&app, "insert into orders values (1, 1, 'again') on conflict do nothing").await, "ok");
    assert!(shop.changed().await.is_empty(), "a row never inserted is not recorded");
    assert_eq!(run(&app, "insert into orders values (2, 1, 'again') on conflict do nothing").await, "ok");
    assert_eq!(
        run(&app, "insert into orders values (2, 1) on conflict (id) do update set note = 'z'").await,
        "RS001"
    );
}

/// What passed the attack stays so: MERGE, COPY, data-modifying CTEs.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_writing_fires() {
    let shop = Shop::standard().await;
    let (lease, app) = (shop.lease().await, shop.app().await);
    shop.mark(&lease, &[1]).await;
    for sql in [
        "merge into orders o using (values (1)) v(id) on o.id = v.id when matched then update set note = 'm'",
        "with o as (insert into orders values (720, 1) returning id) insert into items select 720, id, 1 from o",
        "update events set at = '2021-03-03' where id = 1",
    ] {
        assert_eq!(run(&app, sql).await, "ok", "{sql}");
    }
    let copy = app.copy_in("copy orders (id, user_id) from stdin").await.unwrap();
    let mut copy = Box::pin(copy);
    futures::SinkExt::send(&mut copy, bytes::Bytes::from_static(b"721\t1\n")).await.unwrap();
    copy.as_mut().finish().await.unwrap();
    let changed = shop.changed().await;
    for entry in
        ["1 public.orders [1]", "1 public.orders [720]", "1 public.items [720]", "1 public.orders [721]"]
    {
        assert!(changed.contains(&entry.to_owned()), "{entry}: {changed:?}");
    }
    for at in ["2020-06-01", "2021-03-03"] {
        assert!(
            changed.contains(&format!("1 public.events [1, \"{at}\"]")),
            "moved between leaves: {changed:?}"
        );
    }
}
