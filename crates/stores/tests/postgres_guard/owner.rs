//! Finding 2: an owner change waits for the old owner's writers, and nobody slips through beside it.

use crate::shop::{SCHEMA, Shop, code, derived, foreign_key, layout, mapped, name, run};
use domicile_datamap::catalogue::FkAction;
use domicile_datamap::layout::Layout;

/// The same shop with items that hold on to their order by NO ACTION.
fn no_action() -> (String, Layout) {
    let schema = SCHEMA.replace("references orders on delete cascade", "references orders deferrable");
    let mut layout = layout();
    layout.tables[2].foreign_keys[0].on_delete = FkAction::NoAction;
    layout.tables[2].foreign_keys[0].deferrable = true;
    (schema, layout)
}

/// The shop where an order's key may change under its items.
fn layout_without_free_keys() -> Layout {
    let mut layout = layout();
    layout.tables[2].foreign_keys[0].on_update = FkAction::Cascade;
    layout
}

/// A2: the write was lost silently, and verify passed. Catches: no bump of the old owner.
#[tokio::test(flavor = "multi_thread")]
async fn re_owning_waits_for_writers_of_what_hangs_below() {
    let shop = Shop::guarded(SCHEMA, layout_without_free_keys()).await;
    let (t1, t2) = (shop.app().await, shop.app().await);
    t1.batch_execute("begin; update items set qty = 99 where order_id = 1").await.unwrap();
    let t2 = shop.blocked(t2, "update orders set user_id = 2 where id = 1").await;
    assert_eq!(run(&t1, "commit").await, "ok");
    assert_eq!(code(&t2.done().await.1), "ok");
}

/// P1b: a snapshot from before the owner change reads the old path. Catches: no bump.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_snapshot_does_not_write_by_the_old_path() {
    let shop = Shop::guarded(SCHEMA, layout_without_free_keys()).await;
    let (lease, writer, app) = (shop.lease().await, shop.app().await, shop.app().await);
    writer.batch_execute("begin isolation level repeatable read; select 1 from users").await.unwrap();
    app.batch_execute("update orders set user_id = 2 where id = 1").await.unwrap();
    shop.fence(&lease, &[2]).await;
    assert_eq!(run(&writer, "insert into items values (500, 1, 1)").await, "40001");
}

/// P1: the path moves between reading and locking. Catches: a fast path without `h.gen = a.gen`, and a
/// slow one that does not read the path again.
#[tokio::test(flavor = "multi_thread")]
async fn the_path_that_moved_meanwhile_is_followed() {
    for write in [
        "update items set qty = 5 where id = 1",
        "insert into items values (501, 1, 1)",
        "delete from items where id = 1",
    ] {
        let shop = Shop::guarded(SCHEMA, layout_without_free_keys()).await;
        let (lease, t1, t2) = (shop.lease().await, shop.app().await, shop.app().await);
        shop.mark(&lease, &[2]).await;
        t2.batch_execute("begin; update orders set user_id = 2 where id = 1").await.unwrap();
        let t1 = shop.blocked(t1, write).await;
        t2.batch_execute("commit").await.unwrap();
        assert_eq!(code(&t1.done().await.1), "ok");
        let changed = shop.changed().await;
        assert!(changed.last().unwrap().starts_with("2 public.items ["), "{write}: {changed:?}");
    }
}

/// Both owners know of the row, with its subtree; nothing of it is expanded (D1).
#[tokio::test(flavor = "multi_thread")]
async fn both_owners_record_the_row() {
    let shop = Shop::standard().await;
    let (lease, app) = (shop.lease().await, shop.app().await);
    shop.mark(&lease, &[1, 2]).await;
    app.batch_execute("update orders set user_id = 2 where id = 1").await.unwrap();
    assert_eq!(
        shop.changed().await,
        [
            "1 public.orders [1] sub",
            "1 public.orders [1] sub",
            "2 public.orders [1] sub",
            "2 public.orders [1] sub"
        ]
    );
}

/// An owner change needs both owners writable, in either order of their keys.
#[tokio::test(flavor = "multi_thread")]
async fn re_owning_from_or_to_a_fenced_subject_is_refused() {
    let shop = Shop::standard().await;
    let (lease, app) = (shop.lease().await, shop.app().await);
    shop.fence(&lease, &[2]).await;
    for sql in [
        "update orders set user_id = 1 where id = 2",
        "update orders set user_id = 3 where id = 2",
        "update orders set user_id = 2 where id = 1",
        "update orders set user_id = 2 where id = 3",
        "update items set order_id = 2 where id = 1",
        "update items set order_id = 1 where id = 2",
    ] {
        assert_eq!(run(&app, sql).await, "RS001", "{sql}");
    }
    assert_eq!(run(&app, "update items set order_id = 3 where id = 1").await, "ok");
}

/// D4: without an UPDATE of the owner. Catches: a parent's DELETE that only takes KEY SHARE.
#[tokio::test(flavor = "multi_thread")]
async fn delete_and_insert_under_no_action_count_as_an_owner_change() {
    let (schema, layout) = no_action();
    let shop = Shop::guarded(&schema, layout).await;
    let (lease, t1, t2) = (shop.lease().await, shop.app().await, shop.app().await);
    shop.mark(&lease, &[2]).await;
    t1.batch_execute("begin; update items set qty = 99 where order_id = 1").await.unwrap();
    let t2 = shop
        .blocked(t2, "with d as (delete from orders where id = 1 returning id) insert into orders select id, 2, 'taken' from d")
        .await;
    t1.batch_execute("commit").await.unwrap();
    assert_eq!(code(&t2.done().await.1), "ok");
    assert_eq!(shop.changed().await, ["2 public.orders [1] sub"], "the new owner gets the items that stayed");
}

/// D4 by UPDATE: keys swapped under NO ACTION give the children another parent.
#[tokio::test(flavor = "multi_thread")]
async fn swapping_keys_under_no_action_counts_as_an_owner_change() {
    let (schema, layout) = no_action();
    let shop = Shop::guarded(&schema, layout).await;
    let (lease, t1, t2) = (shop.lease().await, shop.app().await, shop.app().await);
    shop.mark(&lease, &[2]).await;
    t1.batch_execute("begin; update items set qty = 99 where order_id = 1").await.unwrap();
    let t2 = shop
        .blocked(
            t2,
            "begin; set constraints all deferred; update orders set id = -1 where id = 1; \
             update orders set id = 1 where id = 2; update orders set id = 2 where id = -1; commit",
        )
        .await;
    t1.batch_execute("commit").await.unwrap();
    assert_eq!(code(&t2.done().await.1), "ok");
    assert!(shop.changed().await.contains(&"2 public.orders [1] sub".to_owned()));
}

/// A row that belonged to nobody gets an owner while one of its items is being written.
/// Catches: a write of a nobody's row that holds no lock on its parents.
#[tokio::test(flavor = "multi_thread")]
async fn giving_an_owner_to_nobodys_row_waits_for_its_writers() {
    let schema = format!(
        "{}; insert into orders values (60, null); insert into items values (60, 60, 1)",
        SCHEMA.replace(
            "user_id bigint not null references users on delete cascade, note",
            "user_id bigint references users on delete set null, note"
        )
    );
    let mut layout = layout();
    layout.tables[1].foreign_keys[0].on_delete = FkAction::SetNull;
    let shop = Shop::guarded(&schema, layout).await;
    let (t1, t2) = (shop.app().await, shop.app().await);
    t1.batch_execute("begin; update items set qty = 2 where id = 60").await.unwrap();
    let t2 = shop.blocked(t2, "update orders set user_id = 3 where id = 60").await;
    t1.batch_execute("commit").await.unwrap();
    assert_eq!(code(&t2.done().await.1), "ok");
}

/// The same where the slow path alone looks: deleting an item that others may hang on to by NO ACTION.
/// Catches: a slow path that locks what it read and does not look whether the path still leads there.
#[tokio::test(flavor = "multi_thread")]
async fn the_slow_path_reads_again_after_locking() {
    let schema =
        format!("{SCHEMA}; create table notes(id bigint primary key, item_id bigint references items)");
    let mut layout = layout_without_free_keys();
    let mut notes = mapped(
        name("notes"),
        derived(2, "item_id", "id"),
        &["id"],
        &[("id", "bigint"), ("item_id", "bigint")],
    );
    notes.foreign_keys = vec![foreign_key("item_id", name("items"), "id", FkAction::NoAction)];
    layout.tables.push(notes);
    layout.tables[2].children = vec![4];
    let shop = Shop::guarded(&schema, layout).await;
    let (lease, t1, t2) = (shop.lease().await, shop.app().await, shop.app().await);
    shop.mark(&lease, &[2]).await;
    t2.batch_execute("begin; update orders set user_id = 2 where id = 1").await.unwrap();
    let t1 = shop.blocked(t1, "delete from items where id = 1").await;
    t2.batch_execute("commit").await.unwrap();
    assert_eq!(code(&t1.done().await.1), "ok");
    assert_eq!(shop.changed().await.last().unwrap(), "2 public.items [1] sub");
}
