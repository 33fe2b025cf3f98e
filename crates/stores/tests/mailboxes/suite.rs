//! What a relay may rely on, on either engine.

use crate::stage::{ANN, OWNERS, Stage, message};
use domicile_stores::control::Statement;
use domicile_stores::mailboxes::{AttemptLimits, Cursor, Ledger, NewAttempt, OneTime, Refusal, Waiting};
use futures::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

on_both! {
    a_message_is_kept_once,
    who_is_fenced_costs_the_others_nothing,
    what_is_sent_again_while_it_is_acknowledged_is_gone,
    a_connection_that_breaks_loses_and_doubles_nothing,
    oldest_first_and_nothing_that_is_over,
    each_key_is_given_once,
    keys_have_a_bound,
    a_sweep_passes_by_who_lives_elsewhere,
    who_withdrew_is_written_to_no_more,
    what_a_registration_left_is_forgotten,
    a_new_mailbox_is_announced_first,
    many_who_ask_are_told_each_its_own,
}

async fn a_message_is_kept_once(stage: Stage) {
    let db = &stage.mailboxes;
    db.keep(message("ann", "1")).await.unwrap();
    db.keep(message("ann", "1")).await.unwrap();
    db.keep(message("bob", "1")).await.unwrap();
    assert_eq!(stage.unread("ann").await, ["1"]);
    let ids = || vec!["1".to_owned(), "2".to_owned()];
    assert_eq!(db.acknowledge("ann", ids(), 1000).await.unwrap().here, 1);
    assert_eq!(db.acknowledge("ann", ids(), 1000).await.unwrap().here, 0);
    db.keep(message("ann", "1")).await.unwrap();
    assert!(stage.unread("ann").await.is_empty(), "it was delivered");
    assert_eq!(stage.unread("bob").await, ["1"], "an id is the receiver's");
    // Known for a day at least, also where the message itself would have expired before.
    let day_ms = 24 * 3600 * 1000;
    let known = db.expired(Ledger::Delivered, 1000 + day_ms, &mut Cursor::default()).await.unwrap();
    assert!(known.is_empty());
    let known = db.expired(Ledger::Delivered, 1001 + day_ms, &mut Cursor::default()).await.unwrap();
    assert_eq!(known.len(), 1);
}

async fn who_is_fenced_costs_the_others_nothing(stage: Stage) {
    stage.put("bob", "f");
    let all = (0..100).map(|n| {
        let (db, owner) = (stage.mailboxes.clone(), OWNERS[n % OWNERS.len()]);
        async move { (owner, db.keep(message(owner, &n.to_string())).await) }
    });
    for (owner, kept) in join_all(all).await {
        match kept {
            Ok(kept) => assert!(kept && owner != "bob"),
            Err(Refusal::NotWritableHere { epoch }) => {
                assert_eq!(owner, "bob");
                assert!(epoch.is_none_or(|epoch| epoch == 7));
            }
            other => panic!("{owner}: {other:?}"),
        }
    }
    for owner in OWNERS {
        assert_eq!(stage.unread(owner).await.len(), if owner == "bob" { 0 } else { 25 }, "{owner}");
    }
    stage.put("bob", "h");
    stage.mailboxes.keep(message("bob", "after")).await.unwrap();
    // Receipts are committed together, too.
    stage.put("ann", "f");
    let acknowledged = join_all(["ann", "bob", "cid"].map(|owner| {
        let (db, ids) = (stage.mailboxes.clone(), (0..100).map(|n: u32| n.to_string()));
        let ids = ids.chain(["after".to_owned()]).collect();
        async move { db.acknowledge(owner, ids, 1000).await.map(|gone| gone.here) }
    }));
    let acknowledged = acknowledged.await;
    assert!(matches!(acknowledged[0], Err(Refusal::NotWritableHere { .. })), "{acknowledged:?}");
    assert_eq!(acknowledged[1..], [Ok(1), Ok(25)]);
    assert_eq!(stage.unread("ann").await.len(), 25);
}

/// Catches: an insert that looks at what was delivered before it waits for the receipt that deletes the message.
async fn what_is_sent_again_while_it_is_acknowledged_is_gone(stage: Stage) {
    for n in 0..150 {
        let (db, id) = (&stage.mailboxes, n.to_string());
        db.keep(message("ann", &id)).await.unwrap();
        let again = async {
            tokio::time::sleep(Duration::from_micros(n * 20)).await;
            join_all((0..4).map(|_| db.keep(message("ann", &id)))).await
        };
        let (gone, again) = tokio::join!(db.acknowledge("ann", vec![id.clone()], 1000), again);
        assert_eq!(gone.unwrap().here, 1);
        assert!(again.iter().all(Result::is_ok), "{again:?}");
        assert!(stage.unread("ann").await.is_empty(), "{n} is there a second time");
    }
}

async fn a_connection_that_breaks_loses_and_doubles_nothing(stage: Stage) {
    let breaking = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(15)).await;
            tokio::task::block_in_place(|| stage.end_connections());
        }
    };
    let sending = async {
        let mut kept = BTreeSet::new();
        for n in 0..200 {
            let id = n.to_string();
            // As a sender does: again until there is an answer.
            while stage.mailboxes.keep(message("ann", &id)).await.is_err() {}
            kept.insert(id);
        }
        kept
    };
    let (kept, ()) = tokio::join!(sending, breaking);
    let unread = stage.unread("ann").await;
    assert_eq!(unread.len(), kept.len());
    assert_eq!(unread.into_iter().collect::<BTreeSet<_>>(), kept);
}

async fn oldest_first_and_nothing_that_is_over(stage: Stage) {
    let db = &stage.mailboxes;
    for (id, received_ms, expires_ms) in [("c", 30, 5000), ("a", 10, 5000), ("b", 20, 900)] {
        db.keep(domicile_stores::mailboxes::Message { received_ms, expires_ms, ..message("ann", id) })
            .await
            .unwrap();
    }
    assert_eq!(stage.unread("ann").await, ["a", "c"]);
    assert_eq!(db.unread("ann", 1000, 1).await.unwrap()[0].id, "a");
    assert_eq!(db.unread("ann", 1000, 1).await.unwrap()[0].body, b"sealed");
    let fill = db.fill("ann").await.unwrap();
    assert_eq!((fill.messages, fill.bytes), (3, 18));
}

async fn each_key_is_given_once(stage: Stage) {
    let db = &stage.mailboxes;
    assert_eq!(db.claim("ann").await.unwrap(), None, "no keys yet");
    let keys: Vec<OneTime> = (0..50_u8).map(|n| OneTime { id: n.to_string(), key: vec![n; 4] }).collect();
    db.put_keys(ANN, (b"identity", b"fallback"), &keys, 100).await.unwrap();
    db.put_keys(ANN, (b"identity", b"fallback"), &keys, 100).await.unwrap();
    assert_eq!(db.keys_left("ann").await.unwrap(), 50);
    let claimed = join_all((0..80).map(|_| async {
        loop {
            // Two that lost against each other try again.
            match db.claim("ann").await {
                Err(Refusal::Again(_)) => {}
                claimed => return claimed.unwrap().unwrap(),
            }
        }
    }))
    .await;
    let given: Vec<_> = claimed.iter().filter_map(|keys| keys.one_time.as_ref()).map(|k| &k.id).collect();
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), given.len(), "one was given twice");
    // Of those who come at once one may find all that are left in other hands; those are given later.
    let mut late = 0;
    while db.claim("ann").await.unwrap().unwrap().one_time.is_some() {
        late += 1;
    }
    assert_eq!(given.len() + late, 50);
    let last = db.claim("ann").await.unwrap().unwrap();
    assert_eq!(
        (last.identity.as_slice(), last.fallback.as_deref()),
        (&b"identity"[..], Some(&b"fallback"[..]))
    );
    stage.put("ann", "w");
    let refused = db.put_keys(ANN, (b"i", b"f"), &keys, 100).await.unwrap_err();
    assert!(refused.is_elsewhere(), "{refused:?}");
    assert!(db.put_keys(("nobody", "d"), (b"i", b"f"), &[], 100).await.unwrap_err().is_elsewhere());
}

async fn keys_have_a_bound(stage: Stage) {
    let keys = |from: u32| {
        (from..from + 40).map(|n| OneTime { id: n.to_string(), key: vec![1] }).collect::<Vec<_>>()
    };
    stage.mailboxes.put_keys(ANN, (b"i", b"f"), &keys(0), 50).await.unwrap();
    stage.mailboxes.put_keys(ANN, (b"i", b"f"), &keys(40), 50).await.unwrap();
    assert_eq!(stage.mailboxes.keys_left("ann").await.unwrap(), 50);
}

async fn a_sweep_passes_by_who_lives_elsewhere(stage: Stage) {
    let db = &stage.mailboxes;
    for owner in OWNERS {
        for n in 0..300 {
            db.keep(message(owner, &format!("{n:03}"))).await.unwrap();
        }
    }
    stage.put("ann", "w");
    let (mut cursor, mut removed, mut looks) = (Cursor::default(), 0, 0);
    loop {
        let found = db.expired(Ledger::Messages, 2001, &mut cursor).await.unwrap();
        if found.is_empty() {
            break;
        }
        looks += 1;
        for owner in OWNERS {
            let ids: Vec<String> =
                found.iter().filter(|e| e.mailbox == owner).map(|e| e.id.clone()).collect();
            match db.sweep(Ledger::Messages, owner, &ids, 2001).await {
                Ok(n) => removed += n,
                Err(refused) => assert!(owner == "ann" && refused.is_elsewhere(), "{owner}: {refused:?}"),
            }
        }
    }
    assert_eq!((removed, looks), (900, 3), "no row is looked at twice in one sweep");
    assert_eq!(stage.unread("ann").await.len(), 300);
    let before = db.expired(Ledger::Messages, 2000, &mut Cursor::default()).await.unwrap();
    assert!(before.is_empty(), "nothing is over at the moment at which it ends");
}

async fn who_withdrew_is_written_to_no_more(stage: Stage) {
    let db = &stage.mailboxes;
    db.put_viewers(ANN, &["bob".to_owned(), "cid".to_owned()]).await.unwrap();
    assert!(db.fill("ann").await.unwrap().agreed && db.may_view("ann", "bob").await.unwrap());
    assert!(!db.may_view("ann", "dot").await.unwrap() && !db.may_view("nobody", "bob").await.unwrap());
    db.put_viewers(ANN, &["bob".to_owned()]).await.unwrap();
    assert!(!db.may_view("ann", "cid").await.unwrap(), "replaced as a whole");
    let withdrawn = "INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) VALUES ($1, $2, 2, 'withdrawn', $3)";
    for purpose in ["cloud_messaging", "presence"] {
        let params = vec!["ann".into(), purpose.into(), b"".as_slice().into()];
        db.run(vec![Statement::new(withdrawn, params)]).await.unwrap();
    }
    assert!(!db.fill("ann").await.unwrap().agreed && !db.may_view("ann", "bob").await.unwrap());
    assert!(!db.fill("nobody").await.unwrap().agreed);
}

async fn what_a_registration_left_is_forgotten(stage: Stage) {
    let db = &stage.mailboxes;
    let limits = AttemptLimits { since_ms: 0, per_number: 1, per_device: 1, all: 9 };
    for (id, expires_ms) in [("over", 1000), ("counted", 1001)] {
        let (id, mac) = (id.to_owned(), id.as_bytes().to_vec());
        let attempt = NewAttempt {
            device: id.clone(),
            number_mac: mac.clone(),
            code_mac: mac.clone(),
            id: id.clone(),
            expires_ms,
        };
        assert!(db.begin_attempt(&attempt, &limits).await.unwrap());
        let waiting = Waiting { device_key: mac.clone(), record: mac };
        assert!(db.keep_waiting(&id, &waiting, None, expires_ms, (0, 9)).await.unwrap());
    }
    db.forget_over(1000, 1000).await.unwrap();
    assert!(
        db.waiting("over", 0).await.unwrap().is_none() && db.waiting("counted", 0).await.unwrap().is_some()
    );
    let tried = |id: &'static str| db.try_code((id, id), id.as_bytes(), 0, 3);
    assert_eq!((tried("over").await.unwrap(), tried("counted").await.unwrap().is_some()), (None, true));
}

async fn a_new_mailbox_is_announced_first(stage: Stage) {
    let db = &stage.mailboxes;
    let insert = || {
        let sql = "INSERT INTO mailbox(id, country, device, device_key, discoverable, created_ms) VALUES ('new', $1, 'd', $2, true, 0)";
        Statement::new(sql, vec!["CN".into(), b"".as_slice().into()])
    };
    let refused = db.run(vec![insert()]).await.unwrap_err();
    assert!(matches!(refused, Refusal::NotWritableHere { .. }), "{refused:?}");
    assert!(db.keep(message("new", "1")).await.unwrap_err().is_elsewhere());
    db.run(vec![db.sign_up("new", 1), insert()]).await.unwrap();
    db.keep(message("new", "1")).await.unwrap();
    let stranger = "INSERT INTO mailbox(id, country, device, device_key, discoverable, created_ms) VALUES ('far', 'BR', 'd', $1, true, 0)";
    let stranger = Statement::new(stranger, vec![b"".as_slice().into()]);
    let refused = db.run(vec![db.sign_up("far", 1), stranger]).await.unwrap_err();
    assert_eq!(refused, Refusal::Forbidden);
}

async fn many_who_ask_are_told_each_its_own(stage: Stage) {
    stage.put("bob", "w");
    let asked = (0..80).map(|n| {
        let db = stage.mailboxes.clone();
        let owner = if n % 5 == 4 { "nobody" } else { OWNERS[n % 5] };
        async move { (owner, db.holder(owner).await.unwrap()) }
    });
    for (owner, holder) in join_all(asked).await {
        let Some(holder) = holder else {
            assert_eq!(owner, "nobody");
            continue;
        };
        assert_eq!((holder.mailbox.as_str(), holder.device), (owner, format!("d-{owner}")));
        assert_eq!(holder.is_home, owner != "bob");
        assert!(
            !holder.has_number
                && holder.consents.len() == 2
                && holder.consents.iter().all(|c| c.1 == "given")
        );
    }
}
