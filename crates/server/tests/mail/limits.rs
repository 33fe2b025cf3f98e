//! Floods, bodies that are no bodies, and what is over.

use crate::stage::{Stage, json, message};
use domicile_messaging::wire::{ClaimKeys, IfOffline, List, MailboxId, Send, ShowPresence};
use domicile_server::messaging::{MailCall, MailLimits};
use domicile_stores::mailboxes::{Effect, GIVEN, Kept, Mailboxes, WITHDRAWN};
use http::StatusCode;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_stops_at_the_sender() {
    let limits = MailLimits { sender_burst: 5, sender_per_s: 1, claims_burst: 2, ..MailLimits::default() };
    let stage = Stage::new(false, limits).await;
    let [ann, bob, cid] = [stage.mailboxes[0], stage.mailboxes[1], stage.mailboxes[2]];
    let (began, mut refused) = (Instant::now(), 0);
    for n in 0..20 {
        let sent = stage.send(0, ann, &message(bob, &n.to_string())).await;
        if sent.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!((sent.code(), sent.retry_after), ("too-many", Some(1)));
            refused += 1;
        }
    }
    let passed = 20 - refused;
    assert!(passed <= 6 + began.elapsed().as_secs(), "five at once, and one each second: {passed}");
    assert_eq!(stage.send(0, cid, &message(bob, "x")).await.status, StatusCode::ACCEPTED, "each for itself");
    let claim = async || stage.call(0, ann, MailCall::ClaimKeys, &json(&ClaimKeys { mailbox: bob })).await;
    let mut codes = Vec::new();
    while codes.last().is_none_or(|code| code == "keys-missing") {
        assert!(codes.len() < 50, "two at once, and one each second");
        codes.push(claim().await.code().to_owned());
    }
    assert!(codes.len() > 2 && codes.last().is_some_and(|code| code == "too-many"), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_stops_at_the_receiver() {
    let limits = MailLimits { mailbox_messages: 4, mailbox_bytes: 60_000, ..MailLimits::default() };
    let stage = Stage::new(false, limits).await;
    let [ann, bob, cid] = [stage.mailboxes[0], stage.mailboxes[1], stage.mailboxes[2]];
    let mut ids = Vec::new();
    for n in 0..4 {
        let one = message(bob, &n.to_string());
        ids.push(one.id);
        assert_eq!(stage.send(0, ann, &one).await.status, StatusCode::ACCEPTED);
    }
    let full = stage.send(0, cid, &message(bob, "one more")).await;
    assert_eq!((full.status, full.code()), (StatusCode::TOO_MANY_REQUESTS, "mailbox-full"));
    assert!(full.retry_after.is_some());
    assert_eq!(stage.send(0, ann, &message(cid, "another")).await.status, StatusCode::ACCEPTED);
    stage.acknowledge(0, bob, ids).await;
    assert_eq!(stage.send(0, cid, &message(bob, &"x".repeat(50_000))).await.status, StatusCode::ACCEPTED);
    assert_eq!(
        stage.send(0, cid, &message(bob, &"x".repeat(20_000))).await.code(),
        "mailbox-full",
        "bytes count, too"
    );
}

/// One sender fills half of a mailbox, and takes some of its keys: what is left is for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stranger_leaves_room_for_others() {
    let limits =
        MailLimits { mailbox_messages: 10, pair_burst: 2, pair_claims_burst: 1, ..MailLimits::default() };
    let stage = Stage::new(false, limits).await;
    let [ann, bob, cid] = [stage.mailboxes[0], stage.mailboxes[1], stage.mailboxes[2]];
    for n in 0..5 {
        assert_eq!(stage.send(0, ann, &message(bob, &n.to_string())).await.status, StatusCode::ACCEPTED);
    }
    assert_eq!(stage.send(0, ann, &message(bob, "more")).await.code(), "mailbox-full");
    assert_eq!(stage.send(0, cid, &message(bob, "another's")).await.status, StatusCode::ACCEPTED);
    assert_eq!(stage.send(0, ann, &message(cid, "to another")).await.status, StatusCode::ACCEPTED);
    let claim = async |of| stage.call(0, ann, MailCall::ClaimKeys, &json(&ClaimKeys { mailbox: of })).await;
    let codes = [claim(bob).await, claim(bob).await, claim(cid).await].map(|a| a.code().to_owned());
    assert_eq!(codes, ["keys-missing", "too-many", "keys-missing"]);
}

/// By another process, which says nothing to this one, as the operator's command does: what is remembered says that its owner agrees.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_operator_withdrew_takes_no_message() {
    for postgres in [false, true] {
        let stage = Stage::new(postgres, MailLimits::default()).await;
        let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
        assert_eq!(stage.send(0, ann, &message(bob, "1")).await.status, StatusCode::ACCEPTED);
        let places = &stage.site.places;
        let db = Mailboxes::open(&places.mail["beijing"], &places.dir, None).await.unwrap();
        let (name, purpose) = (bob.to_string(), "cloud_messaging".to_owned());
        let holder = db.holder(&name).await.unwrap().unwrap();
        let withdrawn = Kept { purpose, seq: 2, state: WITHDRAWN.into(), record: vec![] };
        let effects = Effect::of("cloud_messaging");
        db.keep_consent((&name, &holder.device), &withdrawn, &effects).await.unwrap();
        for text in ["2", "3"] {
            assert_eq!(stage.send(0, ann, &message(bob, text)).await.code(), "mailbox-unknown");
        }
        assert_eq!(db.fill(&name).await.unwrap().messages, 0);
        // Taken over again it is written to at once, although a moment ago it was nobody's.
        stage.sql(0, &format!("UPDATE mailbox SET device = '{}' WHERE id = '{bob}'", holder.device));
        let given = Kept { purpose: "cloud_messaging".into(), seq: 3, state: GIVEN.into(), record: vec![] };
        db.keep_consent((&name, &holder.device), &given, &[]).await.unwrap();
        assert_eq!(stage.send(0, ann, &message(bob, "4")).await.status, StatusCode::ACCEPTED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_withdrew_gets_nothing() {
    let stage = Stage::new(false, MailLimits::default()).await;
    let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
    assert_eq!(stage.send(0, ann, &message(bob, "1")).await.status, StatusCode::ACCEPTED);
    stage.sql(0, &format!("INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) VALUES ('{bob}', 'cloud_messaging', 2, 'withdrawn', '')"));
    stage.relays[0].forget(&bob.to_string());
    assert_eq!(stage.send(0, ann, &message(bob, "2")).await.code(), "mailbox-unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_have_bounds() {
    let limits = MailLimits { message_bytes: 1000, expires_s: 100, viewers: 2, ..MailLimits::default() };
    let stage = Stage::new(false, limits).await;
    let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
    let large = stage.send(0, ann, &Send { expires_in_s: 100, ..message(bob, &"x".repeat(1001)) }).await;
    assert_eq!((large.status, large.code()), (StatusCode::PAYLOAD_TOO_LARGE, "too-big"));
    for expires_in_s in [0, 101, u32::MAX] {
        let sent = stage.send(0, ann, &Send { expires_in_s, ..message(bob, "x") }).await;
        assert_eq!((sent.status, sent.code()), (StatusCode::BAD_REQUEST, "bad-request"));
    }
    let shown = json(&ShowPresence { visible_to: List::new(vec![ann, bob, ann]).unwrap() });
    assert_eq!(stage.call(0, bob, MailCall::ShowPresence, &shown).await.code(), "bad-request");
    let elsewhere = stage.call(1, bob, MailCall::Poll(0), b"").await;
    assert_eq!(elsewhere.code(), "moved", "a device speaks to its home relay only");
    let nobody = stage.call(0, MailboxId::random(), MailCall::Poll(0), b"").await;
    assert_eq!(nobody.code(), "mailbox-unknown");
}

/// A message whose time is over is not handed out, and its place is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_over_goes() {
    let limits =
        MailLimits { mailbox_messages: 1, sweep: Duration::from_millis(50), ..MailLimits::default() };
    let stage = Stage::new(false, limits).await;
    let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
    let short = Send { expires_in_s: 5, ..message(bob, "short") };
    assert_eq!(stage.send(0, ann, &short).await.status, StatusCode::ACCEPTED);
    assert_eq!(stage.send(0, ann, &message(bob, "next")).await.code(), "mailbox-full");
    for _ in 0..2000 {
        if stage.send(0, ann, &message(bob, "next")).await.status == StatusCode::ACCEPTED {
            let waiting = stage.poll(0, bob, 0).await.ok().unwrap();
            assert_eq!(waiting.messages.len(), 1);
            assert_eq!(waiting.messages[0].body.as_ref(), b"next");
            return;
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    panic!("it was never swept");
}

/// Whatever is sent: an answer, never a failure of ours, and nothing that was not a message is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bodies_of_any_bytes_are_answered() {
    let stage = Stage::new(false, MailLimits { sender_burst: 1_000_000, ..MailLimits::default() }).await;
    let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
    let good = json(&Send { if_offline: IfOffline::Sms, ..message(bob, "good") });
    let calls = [
        MailCall::Send,
        MailCall::Acknowledge,
        MailCall::PutKeys,
        MailCall::ClaimKeys,
        MailCall::ShowPresence,
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % 1_000_003).unwrap()
    };
    for round in 0..1500 {
        let mut body = good.clone();
        for _ in 0..1 + next() % 4 {
            let at = next() % body.len();
            match next() % 4 {
                0 => body[at] = u8::try_from(next() % 256).unwrap(),
                1 => body.truncate(at.max(1)),
                2 => body.insert(at, b"\"{}[],:0e-\\"[next() % 11]),
                _ => drop(body.splice(at..at, good[..next() % good.len()].to_vec()).count()),
            }
        }
        let answer = stage.call(0, ann, calls[round % calls.len()], &body).await;
        assert!(!answer.status.is_server_error(), "{} for {}", answer.status, String::from_utf8_lossy(&body));
    }
    for hostile in [&b""[..], b"null", b"[]", b"{}", &[0xff; 300], &[b'['; 200_000], &[b' '; 300_000]] {
        for call in calls {
            let answer = stage.call(0, ann, call, hostile).await;
            assert!(answer.status.is_client_error(), "{call:?}: {}", answer.status);
        }
    }
}
