//! Finding 6: tokens. A worker that was replaced changes nothing any more.

use crate::shop::{Shop, code, ids, run, to_state};
use domicile_stores::records::{BatchRow, Lease, State};
use domicile_stores::{Error, Records};
use std::time::Duration;

/// What [`Records::begin`] does at the start of every transaction of the mover.
fn hold(lease: &Lease) -> String {
    format!("begin; {}", read(lease))
}

fn read(Lease { batch, token }: &Lease) -> String {
    format!("select 1 from domicile.lease where batch = '{batch}' and token = {token} for share")
}

/// F1, F2. Catches: a takeover that does not wait for, or does not end, a frozen holder.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_holder_loses() {
    let shop = Shop::standard().await;
    let old = shop.lease().await;
    let other = shop.records.take_lease("w1/2").await.unwrap();
    // Several pooled connections of the worker, frozen at different points.
    let (mid, read_only, begun, elsewhere) =
        (shop.raw_mover().await, shop.raw_mover().await, shop.raw_mover().await, shop.raw_mover().await);
    mid.batch_execute(&format!("{}; update items set qty = 500 where id = 1", hold(&old))).await.unwrap();
    // The weaker lock, which single statements of the mover take: only the takeover's second step waits for it.
    read_only.batch_execute(&hold(&old).replace("for share", "for key share")).await.unwrap();
    begun.batch_execute("begin").await.unwrap();
    elsewhere.batch_execute(&hold(&other)).await.unwrap();
    let new = shop.records.take_lease("w1/1").await.unwrap();
    assert_ne!(new.token, old.token);
    assert_ne!(run(&read_only, "commit").await, "ok");
    // The new worker activates, the application writes, the old one wakes.
    assert_eq!(run(&shop.app().await, "update items set qty = 7 where id = 1").await, "ok");
    assert_ne!(run(&mid, "commit").await, "ok");
    let token = begun.query_opt(&read(&old), &[]).await;
    assert!(token.unwrap().is_none(), "the old token is gone");
    assert_eq!(run(&elsewhere, "commit").await, "ok", "another batch's holder goes on");
    let qty: i32 =
        shop.app().await.query_one("select qty from items where id = 1", &[]).await.unwrap().get(0);
    assert_eq!(qty, 7);
    shop.records.put_batch(&other, &serde_json::json!({})).await.unwrap();
}

/// A holder that is merely busy commits in its grace.
#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_ends_nobody_who_is_not_in_its_way() {
    let shop = Shop::standard().await;
    let lease = shop.lease().await;
    let idle = shop.raw_mover().await;
    idle.batch_execute(&format!("{}; commit", hold(&lease))).await.unwrap();
    shop.records.take_lease("w1/1").await.unwrap();
    assert_eq!(run(&idle, "select 1").await, "ok");
}

/// Every call that writes is refused with the old token, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_token_opens_nothing() {
    let shop = Shop::standard().await;
    let old = shop.lease().await;
    shop.mark(&old, &[1]).await;
    shop.app().await.batch_execute("update items set qty = 3 where id = 1").await.unwrap();
    let new = shop.records.take_lease("w1/1").await.unwrap();
    let lost = |e: &Error| matches!(e, Error::LeaseLost { batch } if batch == "w1/1");
    let r = &shop.records;
    let from = [State::Moving];
    let change = to_state(&from, State::Fencing, None);
    assert!(lost(&r.change_state(&old, &ids(&[1]), change).await.unwrap_err()));
    assert!(lost(
        &r.change_state_waiting(&old, &ids(&[1]), change, Duration::from_secs(1)).await.unwrap_err()
    ));
    assert!(lost(&r.arrive(&old, &[(ids(&[99])[0].clone(), 2)]).await.unwrap_err()));
    assert!(lost(&r.drop_homes(&old, &ids(&[1]), State::Moving).await.unwrap_err()));
    assert!(lost(&r.forget(&old, &[1]).await.unwrap_err()));
    assert!(lost(&r.put_batch(&old, &serde_json::json!(1)).await.unwrap_err()));
    assert!(lost(&r.close_batch(&old).await.unwrap_err()));
    assert_eq!(shop.home(1).await.state, State::Moving);
    assert_eq!(shop.changed().await.len(), 1);
    r.forget(&new, &[1]).await.unwrap();
    assert!(shop.changed().await.is_empty());
    r.close_batch(&new).await.unwrap();
    r.close_batch(&new).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_keeps_batches_and_lists() {
    let shop = Shop::standard().await;
    let row = |n: i64, who: &[i64]| BatchRow {
        batch: format!("w1/{n}"),
        wave: "w1".to_owned(),
        subjects: ids(who),
        record: serde_json::json!({ "stage": n, "big": u64::MAX }),
    };
    let r = &shop.records;
    r.open_batches(&[row(2, &[3]), row(10, &[4]), row(1, &[1, 2])]).await.unwrap();
    let mut again = row(2, &[9]);
    again.record = serde_json::json!("other");
    r.open_batches(&[again]).await.unwrap();
    assert_eq!(r.batch_ids("w1").await.unwrap(), ["w1/1", "w1/2", "w1/10"]);
    assert_eq!(r.batch("w1/2").await.unwrap(), Some(row(2, &[3])));
    assert_eq!(r.batch("w1/1").await.unwrap(), Some(row(1, &[1, 2])));
    let lease = r.take_lease("w1/1").await.unwrap();
    r.put_batch(&lease, &serde_json::json!(["done"])).await.unwrap();
    assert_eq!(r.batch("w1/1").await.unwrap().unwrap().record, serde_json::json!(["done"]));
    r.close_batch(&lease).await.unwrap();
    assert_eq!(r.batch_ids("w1").await.unwrap(), ["w1/2", "w1/10"]);
    r.extend_list("p", &ids(&[5, 20, 5])).await.unwrap();
    r.extend_list("p", &ids(&[3, 20])).await.unwrap();
    assert_eq!(r.list("p", None, 2).await.unwrap(), ids(&[3, 5]));
    assert_eq!(r.list("p", Some(&ids(&[5])[0]), 9).await.unwrap(), ids(&[20]));
    r.drop_list("p").await.unwrap();
    assert!(r.list("p", None, 9).await.unwrap().is_empty());
}

/// The mover's own writes are not recorded and not refused, whatever the state.
#[tokio::test(flavor = "multi_thread")]
async fn the_mover_is_exempt_by_who_it_is() {
    let shop = Shop::standard().await;
    let lease = shop.lease().await;
    shop.fence(&lease, &[1]).await;
    let mover = shop.raw_mover().await;
    assert_eq!(code(&mover.batch_execute("update items set qty = 3 where id = 1").await), "ok");
    assert_eq!(
        run(&shop.admin().await, "set role mover; update public.items set qty = 4 where id = 1").await,
        "RS001"
    );
    assert!(shop.changed().await.is_empty());
}
