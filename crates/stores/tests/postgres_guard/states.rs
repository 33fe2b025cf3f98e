//! DESIGN 4's table of states, whole, and fences that end by themselves.

use crate::shop::{Shop, code, ids, refusal, run};
use domicile_stores::Records;
use domicile_stores::records::{State, Transition};

const WRITES: [&str; 6] = [
    "insert into orders values (100, 1)",
    "update orders set note = 'x' where id = 1",
    "delete from items where id = 1",
    "update items set qty = 3 where id = 1",
    "update users set name = 'x' where id = 1",
    "insert into events values (100, 1, '2021-02-02')",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_state_passes_or_refuses_as_the_table_says() {
    let shop = Shop::standard().await;
    let app = shop.app().await;
    for (state, word) in [
        ("k", "marking"),
        ("g", "fencing"),
        ("f", "fenced"),
        ("s", "sealed"),
        ("a", "arriving"),
        ("w", "away"),
    ] {
        shop.put(1, state, "interval '1 hour'").await;
        for sql in WRITES {
            let (code, message, detail, hint) = refusal(&app, sql).await;
            assert_eq!(code, "RS001", "{word}: {sql}");
            assert!(
                message.ends_with(&format!(
                    "in region beijing now (subject {word}): look the home up and retry"
                )),
                "{message}"
            );
            assert!(detail.starts_with(&format!("state {word}, epoch 7: ")), "{detail}");
            assert!(!hint.is_empty());
        }
        if word == "away" {
            let (.., detail, _) = refusal(&app, WRITES[0]).await;
            assert!(detail.contains("its new home has epoch 7"), "{detail}");
        }
    }
    for state in ["h", "m"] {
        shop.put(1, state, "null").await;
        for sql in WRITES {
            assert_eq!(run(&app, &format!("begin; {sql}; rollback")).await, "ok", "{state}: {sql}");
        }
    }
    app.batch_execute("insert into orders values (100, 1); update orders set id = 101 where id = 100")
        .await
        .unwrap();
    assert_eq!(
        shop.changed().await,
        ["1 public.orders [100]", "1 public.orders [100] sub", "1 public.orders [101] sub"]
    );
}

/// A worker that died under its fence costs its subjects at most the deadline.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_fence_ends_in_the_writer() {
    for (state, after, recorded) in [("g", State::Moving, 1), ("f", State::Moving, 1), ("k", State::Home, 0)]
    {
        for sql in [
            "update orders set note = 'x' where id = 1",
            "update items set qty = 3 where id = 1",
            "update events set at = '2021-01-01' where id = 1",
        ] {
            let shop = Shop::standard().await;
            shop.put(1, state, "-interval '1 second'").await;
            assert_eq!(run(&shop.app().await, sql).await, "ok", "{state}: {sql}");
            let home = shop.home(1).await;
            assert_eq!(home.state, after);
            assert_eq!(home.batch.is_some(), after == State::Moving, "a mark that ended is nobody's");
            assert_eq!(shop.changed().await.is_empty(), recorded == 0, "{state}: {sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_has_no_clock_and_sealing_fails_after_the_deadline() {
    let shop = Shop::standard().await;
    let (lease, app) = (shop.lease().await, shop.app().await);
    for state in ["s", "a", "w"] {
        shop.put(1, state, "-interval '1 hour'").await;
        assert_eq!(run(&app, WRITES[0]).await, "RS001", "{state}");
    }
    let seal = Transition {
        from: &[State::Fenced],
        to: State::Sealed,
        epoch: None,
        deadline: None,
        before_deadline: true,
    };
    shop.put(1, "f", "-interval '1 second'").await;
    shop.put(2, "f", "interval '1 hour'").await;
    assert_eq!(shop.records.change_state(&lease, &ids(&[1, 2]), seal).await.unwrap(), ids(&[2]));
    // The writer that ends the fence and has not committed: sealing does not wait, and does not win.
    shop.put(3, "f", "-interval '1 second'").await;
    app.batch_execute("begin; update orders set note = 'x' where id = 3").await.unwrap();
    let late = Transition { before_deadline: false, ..seal };
    assert!(shop.records.change_state(&lease, &ids(&[3]), late).await.unwrap().is_empty());
    app.batch_execute("commit").await.unwrap();
    assert!(shop.records.change_state(&lease, &ids(&[3]), late).await.unwrap().is_empty());
    assert_eq!(shop.home(3).await.state, State::Moving);
}

/// Two writers that end one fence: the second waits for the first and passes. Catches: ending it by a
/// bump of `gen`, by which two writers that hold KEY SHARE already wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn two_writers_end_a_fence_together() {
    let shop = Shop::standard().await;
    let (lease, t1, t2) = (shop.lease().await, shop.app().await, shop.app().await);
    shop.mark(&lease, &[1]).await;
    for t in [&t1, &t2] {
        t.batch_execute("set lock_timeout = '10s'; begin; insert into orders values (pg_backend_pid(), 1)")
            .await
            .unwrap();
    }
    shop.raw_mover()
        .await
        .batch_execute("update domicile.home set state = 'g', deadline = '2000-01-01' where subject = 1")
        .await
        .unwrap();
    assert_eq!(run(&t1, "update items set qty = 3 where id = 1").await, "ok");
    let t2 = shop.blocked(t2, "insert into events values (60, 1, '2021-02-02')").await;
    t1.batch_execute("commit").await.unwrap();
    let (t2, done) = t2.done().await;
    assert_eq!(code(&done), "ok");
    assert_eq!(run(&t2, "commit").await, "ok");
}

/// States belong to a batch; another batch's subjects are never touched.
#[tokio::test(flavor = "multi_thread")]
async fn another_batch_is_left_alone() {
    let shop = Shop::standard().await;
    let (ours, theirs) = (shop.lease().await, shop.records.take_lease("w1/2").await.unwrap());
    shop.mark(&ours, &[1]).await;
    let change = Transition {
        from: &[State::Moving, State::Home],
        to: State::Fencing,
        epoch: None,
        deadline: None,
        before_deadline: false,
    };
    assert_eq!(shop.records.change_state(&theirs, &ids(&[1, 2]), change).await.unwrap(), ids(&[2]));
    let limit = std::time::Duration::from_secs(1);
    assert!(shop.records.change_state_waiting(&theirs, &ids(&[1]), change, limit).await.unwrap().is_empty());
}

/// The target's side: arriving, home with the new epoch, away, and back again.
#[tokio::test(flavor = "multi_thread")]
async fn arriving_and_coming_back() {
    let shop = Shop::standard().await;
    let lease = shop.lease().await;
    let arrivals = |who: &[i64], epoch| ids(who).into_iter().map(|s| (s, epoch)).collect::<Vec<_>>();
    shop.records.arrive(&lease, &arrivals(&[50, 51], 2)).await.unwrap();
    shop.records.arrive(&lease, &arrivals(&[50, 51], 2)).await.unwrap();
    let taken = shop.records.arrive(&lease, &arrivals(&[52, 1], 2)).await.unwrap_err();
    assert!(matches!(taken, domicile_stores::Error::Schema { .. }), "{taken}");
    assert!(shop.records.homes(&ids(&[52])).await.unwrap().is_empty(), "all or none");
    let other = shop.records.take_lease("w1/2").await.unwrap();
    assert!(shop.records.arrive(&other, &arrivals(&[50], 2)).await.is_err(), "another batch brings it");
    let activate = Transition {
        from: &[State::Arriving],
        to: State::Home,
        epoch: Some(2),
        deadline: None,
        before_deadline: false,
    };
    assert_eq!(shop.records.change_state(&lease, &ids(&[50]), activate).await.unwrap(), ids(&[50]));
    assert_eq!((shop.home(50).await.epoch, shop.home(50).await.batch), (2, None));
    shop.put(1, "w", "null").await;
    shop.records.arrive(&other, &arrivals(&[1], 9)).await.unwrap();
    assert_eq!((shop.home(1).await.state, shop.home(1).await.epoch), (State::Arriving, 9));
    assert_eq!(shop.records.drop_homes(&other, &ids(&[1, 50]), State::Arriving).await.unwrap(), 1);
}
