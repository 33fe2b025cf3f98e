//! From a sender to a receiver: here, in another region, and while the receiver moves.

use crate::stage::{Stage, json, message, read};
use domicile_messaging::consent::device_of;
use domicile_messaging::session::Keyring;
use domicile_messaging::wire::relay::RelaySend;
use domicile_messaging::wire::{
    ClaimKeys, IfOffline, Key, List, OneTimeKey, PublishKeys, Send, ShowPresence,
};
use domicile_server::messaging::{MailCall, MailLimits};
use http::{HeaderMap, StatusCode};
use std::time::Duration;

fn texts(messages: &domicile_messaging::wire::Messages) -> Vec<String> {
    messages.messages.iter().map(|m| String::from_utf8_lossy(m.body.as_ref()).into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_poll_ends_when_a_message_comes() {
    let stage = Stage::new(false, MailLimits::default()).await;
    let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
    // Longer than this test may take: it ends because of the message.
    let (polled, sent) = tokio::join!(stage.poll(0, bob, 60), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stage.send(0, ann, &message(bob, "hello")).await
    });
    assert_eq!((sent.status, sent.json["state"].as_str()), (StatusCode::ACCEPTED, Some("kept")));
    let messages = polled.ok().unwrap();
    assert_eq!(texts(&messages), ["hello"]);
    let again = stage.poll(0, bob, 0).await.ok().unwrap();
    assert_eq!(again.messages.len(), 1, "until it is acknowledged");
    let id = messages.messages[0].id;
    assert_eq!(stage.acknowledge(0, bob, vec![id]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(stage.acknowledge(0, bob, vec![id]).await.status, StatusCode::NO_CONTENT);
    assert!(stage.poll(0, bob, 0).await.ok().unwrap().messages.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sent_again_it_is_the_same_also_after_delivery() {
    let stage = Stage::new(false, MailLimits::default()).await;
    let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
    let hello = message(bob, "hello");
    for _ in 0..3 {
        assert_eq!(stage.send(0, ann, &hello).await.status, StatusCode::ACCEPTED);
    }
    let messages = stage.poll(0, bob, 0).await.ok().unwrap();
    assert_eq!(messages.messages.len(), 1);
    stage.acknowledge(0, bob, vec![hello.id]).await;
    assert_eq!(stage.send(0, ann, &hello).await.status, StatusCode::ACCEPTED);
    assert!(stage.poll(0, bob, 0).await.ok().unwrap().messages.is_empty());
}

/// A move, by the real mover: what waits goes along, a long poll at the old home ends, what is sent goes to the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mailbox_moves() {
    for postgres in [false, true] {
        let stage = Stage::new(postgres, MailLimits::default()).await;
        let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
        assert_eq!(stage.send(0, ann, &message(bob, "before")).await.status, StatusCode::ACCEPTED);
        let cid = stage.mailboxes[2];
        // Longer than a move takes: it ends because of that.
        let (waiting, ()) = tokio::join!(stage.poll(0, cid, 60), stage.emigrates(cid));
        let Err(told) = waiting else { panic!("a page, where 421 was due") };
        assert_eq!((told.status, told.code()), (StatusCode::MISDIRECTED_REQUEST, "moved"));
        assert_eq!(
            (told.json["home"]["region"].as_str(), told.json["home"]["epoch"].as_u64()),
            (Some("delhi"), Some(2))
        );
        stage.emigrates(bob).await;
        assert_eq!(stage.send(0, ann, &message(bob, "after")).await.status, StatusCode::ACCEPTED);
        assert_eq!(stage.poll(0, bob, 0).await.err().unwrap().code(), "moved");
        let messages = stage.poll(1, bob, 0).await.ok().unwrap();
        assert_eq!(texts(&messages), ["before", "after"]);
        let ids: Vec<_> = messages.messages.iter().map(|m| m.id).collect();
        assert_eq!(stage.acknowledge(0, bob, ids.clone()).await.code(), "moved");
        assert_eq!(stage.acknowledge(1, bob, ids).await.status, StatusCode::NO_CONTENT);
        assert_eq!(stage.send(1, bob, &message(ann, "back")).await.status, StatusCode::ACCEPTED);
        assert_eq!(texts(&stage.poll(0, ann, 0).await.ok().unwrap()), ["back"]);
        let unknown = stage.send(0, ann, &message(domicile_messaging::wire::MailboxId::random(), "x")).await;
        assert_eq!((unknown.status, unknown.code()), (StatusCode::NOT_FOUND, "mailbox-unknown"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_relay_sends_nothing_on() {
    let stage = Stage::new(false, MailLimits::default()).await;
    let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
    stage.emigrates(bob).await;
    let mut shown = HeaderMap::new();
    shown.insert("authorization", "Bearer the-relays-of-this-test".parse().unwrap());
    let asked = json(&RelaySend { from: ann, message: message(bob, "hello") });
    let path = "/v1/relay/messages";
    // The first region is not the home: it says so, and does not ask the second.
    let told = read(stage.relays[0].answer_relay(path, &shown, &asked).await).await;
    assert_eq!((told.status, told.code()), (StatusCode::MISDIRECTED_REQUEST, "moved"));
    assert!(stage.poll(1, bob, 0).await.ok().unwrap().messages.is_empty());
    let stranger = read(stage.relays[1].answer_relay(path, &HeaderMap::new(), &asked).await).await;
    assert_eq!((stranger.status, stranger.code()), (StatusCode::UNAUTHORIZED, "relay-unknown"));
    let kept = read(stage.relays[1].answer_relay(path, &shown, &asked).await).await;
    assert_eq!(kept.status, StatusCode::ACCEPTED);
    let nothing = read(stage.relays[1].answer_relay("/v1/relay/other", &shown, &asked).await).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
}

/// Presence and `use-sms` are for those whom the receiver lets see it, in both regions alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_may_see_presence_is_told_to_use_sms() {
    let limits = MailLimits { present: Duration::ZERO, ..MailLimits::default() };
    let stage = Stage::new(false, limits).await;
    let [ann, bob, cid] = [stage.mailboxes[0], stage.mailboxes[1], stage.mailboxes[2]];
    for home in 0..2 {
        if home == 1 {
            stage.emigrates(bob).await;
        }
        let state = async |from| {
            let message = Send { if_offline: IfOffline::Sms, ..message(bob, "urgent") };
            let sent = stage.send(0, from, &message).await;
            (sent.status, sent.json["state"].as_str().unwrap_or_default().to_owned())
        };
        let seen = async |viewer| {
            let answer = stage.call(0, viewer, MailCall::PresenceOf(bob), b"").await;
            answer.json["presence"].as_str().unwrap_or_default().to_owned()
        };
        let show = async |to: Vec<_>| {
            let shown = json(&ShowPresence { visible_to: List::new(to).unwrap() });
            let done = stage.call(home, bob, MailCall::ShowPresence, &shown).await;
            assert_eq!(done.status, StatusCode::NO_CONTENT);
        };
        show(vec![]).await;
        assert_eq!(
            (state(ann).await, seen(ann).await),
            ((StatusCode::ACCEPTED, "kept".into()), "not-shared".into())
        );
        show(vec![ann]).await;
        assert_eq!((state(ann).await, seen(ann).await), ((StatusCode::OK, "use-sms".into()), "away".into()));
        assert_eq!(
            (state(cid).await.1, seen(cid).await),
            ("kept".into(), "not-shared".into()),
            "each for itself"
        );
        let waiting = stage.poll(home, bob, 0).await.ok().unwrap();
        assert_eq!(waiting.messages.len(), 2, "what is sent by SMS is stored nowhere");
        let known = Send { if_offline: IfOffline::Sms, id: waiting.messages[0].id, ..message(bob, "urgent") };
        let ids = waiting.messages.iter().map(|m| m.id).collect();
        assert_eq!(stage.send(0, ann, &known).await.json["state"], "kept", "sent again, it is there");
        stage.acknowledge(home, bob, ids).await;
        assert_eq!(stage.send(0, ann, &known).await.json["state"], "kept", "or was delivered");
        let (polled, here) = tokio::join!(stage.poll(home, bob, 60), async {
            while seen(ann).await != "here" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            state(ann).await
        });
        assert_eq!(here.1, "kept");
        let ids = polled.ok().unwrap().messages.iter().map(|m| m.id).collect();
        stage.acknowledge(home, bob, ids).await;
        assert_eq!(
            stage
                .call(0, ann, MailCall::PresenceOf(domicile_messaging::wire::MailboxId::random()), b"")
                .await
                .json["presence"],
            "not-shared"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_are_claimed_in_either_region() {
    let stage = Stage::new(false, MailLimits::default()).await;
    let [ann, bob, cid] = [stage.mailboxes[0], stage.mailboxes[1], stage.mailboxes[2]];
    let claim_of =
        async |mailbox| stage.call(0, ann, MailCall::ClaimKeys, &json(&ClaimKeys { mailbox })).await;
    let claim = async || claim_of(bob).await;
    let withdraws = "INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record)";
    stage.sql(0, &format!("{withdraws} VALUES ('{cid}', 'cloud_messaging', 2, 'withdrawn', x'')"));
    assert_eq!(claim_of(cid).await.code(), "mailbox-unknown", "nobody waits for keys of who has withdrawn");
    assert_eq!(claim().await.code(), "keys-missing");
    let put = Keyring::new().to_publish(4);
    let mut keys: Vec<OneTimeKey> = put.one_time.iter().copied().collect();
    keys.sort_unstable();
    let forged = PublishKeys { fallback: OneTimeKey([9; 96]), ..put.clone() };
    assert_eq!(stage.call(0, bob, MailCall::PutKeys, &json(&forged)).await.code(), "keys-forged");
    assert_eq!(claim().await.code(), "keys-missing");
    assert_eq!(stage.call(0, bob, MailCall::PutKeys, &json(&put)).await.status, StatusCode::NO_CONTENT);
    let mut given = vec![claim().await.json, claim().await.json];
    // What is encrypted to other keys than these nobody could read: refused, here and from the other region.
    let sealed = |to: Key| Send { sealed_to: Some(to), ..message(bob, "sealed") };
    let (bobs, another) = (put.identity.curve25519, Key([8; 32]));
    assert_eq!(stage.send(0, ann, &sealed(bobs)).await.status, StatusCode::ACCEPTED);
    assert_eq!(stage.send(0, ann, &sealed(another)).await.code(), "keys-other");
    stage.emigrates(bob).await;
    assert_eq!(stage.send(0, ann, &sealed(bobs)).await.status, StatusCode::ACCEPTED);
    assert_eq!(stage.send(0, ann, &sealed(another)).await.code(), "keys-other");
    for _ in 0..3 {
        given.push(claim().await.json);
    }
    let mut given: Vec<OneTimeKey> =
        given.into_iter().map(|g| serde_json::from_value(g["one_time"].clone()).unwrap()).collect();
    assert_eq!(given.pop(), Some(put.fallback), "the fallback comes last");
    given.sort_unstable();
    assert_eq!(given, keys, "each once, also across a move");
}

/// A request that was let in, and meanwhile another device took the mailbox over: nothing of it is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_former_devices_keys_and_viewers_are_not_taken() {
    for postgres in [false, true] {
        let stage = Stage::new(postgres, MailLimits::default()).await;
        let [ann, bob] = [stage.mailboxes[0], stage.mailboxes[1]];
        let former = device_of(&Key([9; 32]));
        let put = Keyring::new().to_publish(1);
        let shown = json(&ShowPresence { visible_to: List::new(vec![ann]).unwrap() });
        for (call, body) in [(MailCall::PutKeys, json(&put)), (MailCall::ShowPresence, shown)] {
            let late = stage.call_of(0, (bob, &former), call, &body).await;
            assert_eq!((late.status, late.code()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
            assert!(late.retry_after.is_some(), "asked again, it is told that it was replaced");
        }
        let claim = stage.call(0, ann, MailCall::ClaimKeys, &json(&ClaimKeys { mailbox: bob })).await;
        assert_eq!(claim.code(), "keys-missing");
        let seen = stage.call(0, ann, MailCall::PresenceOf(bob), b"").await;
        assert_eq!(seen.json["presence"], "not-shared");
    }
}
