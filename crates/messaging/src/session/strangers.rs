//! What strangers can make a device do: little, whatever they send; and whoever is honest is read all the same.

use super::tests::{pair, send, stored};
use super::*;

/// A body within a session, by a key that nobody has, as the `index`-th one.
fn hostile(index: u64) -> MessageBody {
    let mut bytes = vec![1, 4, 0x0a, 32];
    bytes.extend(Key::random().0);
    bytes.push(0x10);
    let mut left = index;
    while left > 0x7f {
        bytes.push(0x80 | (left & 0x7f) as u8);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes.extend([0x22, 16]);
    bytes.extend([7; 16]);
    bytes.extend([9; 32]);
    MessageBody::new(bytes).unwrap()
}

/// Somebody new opens a session with `bob`, as `n` of them.
fn opened_by_strangers(bob: &mut Keyring, n: usize) {
    let keys = bob.to_publish(0);
    for _ in 0..n {
        let mut stranger = Keyring::new();
        let claimed = ClaimedKeys { identity: keys.identity, one_time: keys.fallback };
        stranger.start(&keys.identity, &claimed).unwrap();
        let (id, body) = send(&mut stranger, bob, "a stranger");
        bob.open(id, &body).unwrap();
    }
}

/// Has written to so many others, who have not answered yet.
fn writes_to(bob: &mut Keyring, others: usize) {
    for _ in 0..others {
        let mut other = Keyring::new();
        let keys = other.to_publish(1);
        bob.start(&keys.identity, &ClaimedKeys { identity: keys.identity, one_time: keys.one_time[0] })
            .unwrap();
        send(bob, &other, "hello");
    }
}

#[test]
fn sessions_of_strangers_cost_nobody_anything() {
    let (mut alice, mut bob) = pair();
    let (id, body) = send(&mut alice, &bob, "a contact");
    bob.open(id, &body).unwrap();
    opened_by_strangers(&mut bob, 50);
    bob.take_steps();
    for index in [0, 5, 2_000] {
        assert_eq!(bob.open(MessageId::random(), &hostile(index)), Err(SessionFault::Unreadable));
    }
    assert_eq!(bob.take_steps(), 0, "none of them was written to, so none can have another key");
    // Whom one writes to may answer by a new key: then it is one session to try.
    let (id, body) = send(&mut bob, &alice, "yes?");
    alice.open(id, &body).unwrap();
    let (id, body) = send(&mut alice, &bob, "no");
    assert_eq!(bob.open(id, &body).unwrap().text, "no");
    assert_eq!(bob.take_steps(), AGREEMENT_STEPS);
}

#[test]
fn a_body_costs_no_more_than_so_many_steps() {
    let mut bob = Keyring::new();
    writes_to(&mut bob, 120);
    for (index, wanted) in [
        (0, 120 * AGREEMENT_STEPS),
        (200, 120 * (AGREEMENT_STEPS + 200)),
        (201, 0),
        (2_000, 0),
        (u64::MAX, 0),
    ] {
        assert_eq!(bob.open(MessageId::random(), &hostile(index)), Err(SessionFault::Unreadable));
        assert_eq!(bob.take_steps(), wanted, "{index}");
    }
}

#[test]
fn a_try_that_fails_changes_nothing() {
    let (mut alice, mut bob) = pair();
    let (id, body) = send(&mut alice, &bob, "first");
    bob.open(id, &body).unwrap();
    let told = |keys: &Keyring| serde_json::to_value(keys).unwrap();
    for writes in [false, true] {
        if writes {
            send(&mut bob, &alice, "answer");
        }
        let before = told(&bob);
        for index in [0, 100] {
            assert!(bob.open(MessageId::random(), &hostile(index)).is_err());
        }
        assert!(told(&bob) == before, "written to: {writes}");
    }
}

/// Weeks of a contact's texts, most of which have expired at the relay, while many others have not answered.
#[test]
fn a_contact_who_writes_a_lot_is_read() {
    let (mut alice, mut bob) = pair();
    let (id, body) = send(&mut alice, &bob, "hello");
    bob.open(id, &body).unwrap();
    let (id, body) = send(&mut bob, &alice, "hello?");
    alice.open(id, &body).unwrap();
    writes_to(&mut bob, 30);
    let all: Vec<_> = (0..2_300).map(|n| send(&mut alice, &bob, &n.to_string())).collect();
    // The first two hundred are gone; then there are gaps as long as a session has them.
    for n in [200, 201, 2_200, 2_299, 2_298] {
        let mut again = stored(&bob);
        std::mem::swap(&mut bob, &mut again);
        let (id, body) = &all[n];
        assert_eq!(bob.open(*id, body).unwrap().text, n.to_string());
    }
}

#[test]
fn with_few_to_try_a_longer_beginning_may_be_missing() {
    let (mut alice, mut bob) = pair();
    let (id, body) = send(&mut alice, &bob, "hello");
    bob.open(id, &body).unwrap();
    let (id, body) = send(&mut bob, &alice, "hello?");
    alice.open(id, &body).unwrap();
    writes_to(&mut bob, 9);
    let (id, body) = (0..=2_000).map(|n| send(&mut alice, &bob, &n.to_string())).last().unwrap();
    assert_eq!(bob.open(id, &body).unwrap().text, "2000");
}

/// Each has opened a session before the other one's came.
#[test]
fn two_who_begin_at_once_read_each_other() {
    let (mut alice, mut bob) = pair();
    let keys = alice.to_publish(1);
    bob.start(&keys.identity, &ClaimedKeys { identity: keys.identity, one_time: keys.one_time[0] }).unwrap();
    let (from_alice, from_bob) = (send(&mut alice, &bob, "a"), send(&mut bob, &alice, "b"));
    assert_eq!(bob.open(from_alice.0, &from_alice.1).unwrap().text, "a");
    assert_eq!(alice.open(from_bob.0, &from_bob.1).unwrap().text, "b");
    for n in 0..12 {
        let (from, to) = if n % 3 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let late = send(from, to, "late");
        let (id, body) = send(from, to, "first");
        assert_eq!(to.open(id, &body).unwrap().text, "first");
        assert_eq!(to.open(late.0, &late.1).unwrap().text, "late");
        (alice, bob) = (stored(&alice), stored(&bob));
    }
}

#[test]
fn a_stranger_has_few_sessions_and_who_was_read_last_keeps_them() {
    let (mut alice, mut bob) = pair();
    let (id, body) = send(&mut alice, &bob, "the first stranger");
    let first = bob.open(id, &body).unwrap().identity;
    for _ in 0..4 {
        let keys = bob.to_publish(0);
        alice
            .start(&keys.identity, &ClaimedKeys { identity: keys.identity, one_time: keys.fallback })
            .unwrap();
        let (id, body) = send(&mut alice, &bob, "again");
        bob.open(id, &body).unwrap();
        bob.limit_strangers(10, &first, |_| false);
    }
    assert_eq!(bob.sessions[&first.to_string()].len(), STRANGERS_SESSIONS_MAX);
    for _ in 0..20 {
        opened_by_strangers(&mut bob, 1);
        let (id, body) = send(&mut alice, &bob, "again");
        let latest = bob.open(id, &body).unwrap().identity;
        bob.limit_strangers(3, &latest, |_| false);
    }
    assert!(bob.sessions.len() == 3 && bob.has_session(&first));
}

/// A file that did not keep whose turn it is.
#[test]
fn sessions_of_before_go_on() {
    let (mut alice, mut bob) = pair();
    let (id, body) = send(&mut alice, &bob, "first");
    bob.open(id, &body).unwrap();
    let late = send(&mut alice, &bob, "late");
    let older = |keys: &Keyring| {
        let mut kept = serde_json::to_value(keys).unwrap();
        kept.as_object_mut().unwrap().remove("uses").unwrap();
        let sessions = kept["sessions"].as_object_mut().unwrap().values_mut();
        for held in sessions.flat_map(|all| all.as_array_mut().unwrap()) {
            *held = held[0].take();
        }
        serde_json::from_slice::<Keyring>(&serde_json::to_vec(&kept).unwrap()).unwrap()
    };
    (alice, bob) = (older(&alice), older(&bob));
    for n in 0..4 {
        let (id, body) = send(&mut bob, &alice, "from Bob");
        assert_eq!(alice.open(id, &body).unwrap().text, "from Bob", "{n}");
        let (id, body) = send(&mut alice, &bob, "from Alice");
        assert_eq!(bob.open(id, &body).unwrap().text, "from Alice", "{n}");
        (alice, bob) = (stored(&alice), stored(&bob));
    }
    assert_eq!(bob.open(late.0, &late.1).unwrap().text, "late");
}
