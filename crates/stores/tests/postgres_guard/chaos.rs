//! The guard under dense chaos: few subjects, many writers, old snapshots, locks held, rows re-owned.
//!
//! What must hold is what the mover relies on. Whatever differs between its first snapshot and the
//! fence was recorded; and under the fence nothing changes. Sparse chaos finds nothing (GUARD.md:
//! 340 sparse moves showed no fault with the guard broken), so subjects are few and batches are half of them.

use crate::shop::{SCHEMA, Shop, connect, ids, layout, run, to_state};
use domicile_datamap::catalogue::FkAction;
use domicile_stores::Records;
use domicile_stores::records::{Lease, State};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;
use tokio_postgres::Client;

const SUBJECTS: i64 = 6;
const WRITERS: u64 = 8;
const ROUNDS: usize = 40;

/// A small generator: the tests need spread, not quality.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides) as i64
    }
}

static NEXT: AtomicI64 = AtomicI64::new(10_000);

/// One statement on rows of these few subjects.
fn statement(dice: &mut Dice) -> String {
    let subject = dice.roll(SUBJECTS as u64) + 1;
    let order = format!(
        "(select id from orders where user_id = {subject} order by id offset {} limit 1)",
        dice.roll(3)
    );
    let new = NEXT.fetch_add(2, Ordering::Relaxed);
    match dice.roll(9) {
        0 | 1 => format!("update items set qty = qty + 1 where order_id = {order}"),
        2 => format!(
            "insert into items select {new}, id, 1 from (select {order} as id) o where id is not null"
        ),
        3 => format!("delete from items where id = (select min(id) from items where order_id = {order})"),
        4 => format!("update orders set user_id = {} where id = {order}", dice.roll(SUBJECTS as u64) + 1),
        5 => format!(
            "with o as (insert into orders values ({new}, {subject}, 'n') returning id) insert into items select {new} + 1, id, 1 from o"
        ),
        6 => format!(
            "update items set order_id = (select min(id) from orders where user_id = {}) where order_id = {order} and exists (select from orders where user_id = {0})",
            dice.roll(SUBJECTS as u64) + 1
        ),
        7 => format!(
            "with d as (delete from orders where id = {order} and (select count(*) from orders where user_id = {subject}) > 1 returning id) insert into orders select id, {}, 'again' from d",
            dice.roll(SUBJECTS as u64) + 1
        ),
        _ => format!("update users set name = 'n{new}' where id = {subject}"),
    }
}

async fn write(app: &Client, dice: &mut Dice) -> String {
    let level =
        ["read committed", "read committed", "repeatable read", "serializable"][dice.roll(4) as usize];
    let mut sql = format!(
        "begin isolation level {level}; select count(*) from users; select pg_sleep({})",
        dice.roll(30) as f64 / 1_000.0
    );
    for _ in 0..=dice.roll(3) {
        sql.push_str(&format!("; {}; select pg_sleep({})", statement(dice), dice.roll(20) as f64 / 1_000.0));
    }
    let done = run(app, &format!("{sql}; commit")).await;
    if done != "ok" {
        app.batch_execute("rollback").await.unwrap();
    }
    done
}

/// (table, key) -> (owner, row's text) at one instant, and the entries of `changed` at the same one.
async fn look(mover: &Client, who: &str) -> (BTreeMap<(String, i64), String>, Vec<(String, i64, bool)>) {
    mover.batch_execute("begin isolation level repeatable read").await.unwrap();
    let rows = mover
        .query(
            &format!(
                "select 'public.users', u.id, u::text from public.users u where u.id in ({who}) \
                 union all select 'public.orders', o.id, o::text from public.orders o where o.user_id in ({who}) \
                 union all select 'public.items', i.id, i::text from public.items i join public.orders o on o.id = i.order_id where o.user_id in ({who})"
            ),
            &[],
        )
        .await
        .unwrap();
    let entries = mover
        .query(
            &format!("select tbl, (key->>0)::bigint, sub from domicile.changed where subject in ({who})"),
            &[],
        )
        .await
        .unwrap();
    mover.batch_execute("commit").await.unwrap();
    (
        rows.iter().map(|r| ((r.get(0), r.get(1)), r.get(2))).collect(),
        entries.iter().map(|r| (r.get(0), r.get(1), r.get(2))).collect(),
    )
}

/// The order of an item's text `(id,order_id,qty)`.
fn order_of(text: &str) -> i64 {
    text.split(',').nth(1).unwrap().parse().unwrap()
}

/// Steps 1 and 2, until all are through or it is given up.
async fn bring(shop: &Shop, lease: &Lease, who: &[i64], steps: [State; 3]) -> bool {
    let (mut left, mut tries) = (ids(who), 0);
    while !left.is_empty() && tries < 20_000 {
        let from = [steps[0]];
        let taken = shop.records.change_state(lease, &left, to_state(&from, steps[1], None)).await.unwrap();
        left.retain(|s| !taken.contains(s));
        tries += 1;
    }
    let mut left = ids(who);
    while !left.is_empty() && tries < 20_500 {
        let from = [steps[1]];
        let limit = Duration::from_millis(500);
        let taken = shop
            .records
            .change_state_waiting(lease, &left, to_state(&from, steps[2], None), limit)
            .await
            .unwrap();
        left.retain(|s| !taken.contains(s));
        tries += 1;
    }
    left.is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_changed_was_recorded_and_the_fence_stands() {
    let schema = SCHEMA
        .replace("references orders on delete cascade", "references orders deferrable initially immediate");
    let mut layout = layout();
    layout.tables[2].foreign_keys[0].on_delete = FkAction::NoAction;
    let shop = Arc::new(Shop::guarded(&schema, layout).await);
    let (stop, passed, refused) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut writers = Vec::new();
    for seed in 0..WRITERS {
        let (shop, stop, passed, refused) = (shop.clone(), stop.clone(), passed.clone(), refused.clone());
        writers.push(tokio::spawn(async move {
            let (app, mut dice) = (connect("app", &shop.name).await, Dice(seed + 1));
            while !stop.load(Ordering::Relaxed) {
                match write(&app, &mut dice).await.as_str() {
                    "ok" => passed.fetch_add(1, Ordering::Relaxed),
                    "RS001" | "40001" | "40P01" => refused.fetch_add(1, Ordering::Relaxed),
                    // The key of an order that went meanwhile.
                    "23503" | "23505" => 0,
                    other => panic!("{other}"),
                };
            }
        }));
    }
    let (lease, mover, mut dice) = (shop.lease().await, shop.raw_mover().await, Dice(99));
    let (mut differences, mut fenced) = (0, 0);
    for round in 0..ROUNDS {
        let start = dice.roll(SUBJECTS as u64);
        let who: Vec<i64> = (0..3).map(|n| (start + n) % SUBJECTS + 1).collect();
        let list = who.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        assert!(
            bring(&shop, &lease, &who, [State::Home, State::Marking, State::Moving]).await,
            "mark {round}"
        );
        let (first, _) = look(&mover, &list).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(
            bring(&shop, &lease, &who, [State::Moving, State::Fencing, State::Fenced]).await,
            "fence {round}"
        );
        let (last, entries) = look(&mover, &list).await;
        let recorded = |table: &str, id: i64, text: &str| {
            entries.iter().any(|(t, k, sub)| {
                (t == table && *k == id)
                    || (*sub && table == "public.items" && t == "public.orders" && *k == order_of(text))
            })
        };
        for (from, to) in [(&first, &last), (&last, &first)] {
            for ((table, id), text) in from {
                if to.get(&(table.clone(), *id)) != Some(text) {
                    differences += 1;
                    assert!(recorded(table, *id, text), "round {round}: {table} {id} changed unrecorded");
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert_eq!(look(&mover, &list).await.0, last, "round {round}: written under the fence");
        fenced += 1;
        shop.step1(&lease, &who, &[State::Fenced], State::Home).await;
        mover.batch_execute("delete from domicile.changed").await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let (passed, refused) = (passed.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    assert!(
        fenced == ROUNDS && differences > ROUNDS && passed > 100,
        "{differences} differences, {passed} passed, {refused} refused"
    );
}
