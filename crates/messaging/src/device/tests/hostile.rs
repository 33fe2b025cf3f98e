//! What strangers, relays and other users of the machine try with a device.

use super::*;
use crate::device::state::{INBOX_BYTES_MAX, Received, SEEN_MAX};
use crate::wire::{ClaimedKeys, Key, MailboxId, MessageBody, MessageId};

/// Who takes a number over, or a relay that exchanges an entry, is not written to in the contact's place.
#[tokio::test]
async fn another_identity_is_not_written_to_before_the_owner_has_accepted_it() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    say(&world, &alice, "Bob", "hello").await;
    assert_eq!(hear(&world, &bob).await, ["hello"]);
    // The swapped SIM: the same number, other keys.
    let mallory = Handset::registered(&world, "+15035550123").await;
    let synced = alice.online(&world).sync_contacts().await.unwrap();
    assert_eq!(synced.changed, 1);
    let before = world.packets().len();
    let mut device = alice.online(&world);
    let refused = device.send_text("Bob", "secret", IfOffline::Keep, 60).await;
    assert_eq!(refused.err().map(|fault| fault.code()), Some("identity-changed"));
    let refused = device.show_presence_to(&["Bob".to_owned()]).await;
    assert_eq!(refused.err().map(|fault| fault.code()), Some("identity-changed"));
    drop(device);
    assert_eq!(world.packets().len(), before, "nothing was sent");
    // Gone from discovery for a while, and back: still another one.
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().changed, 1);
    assert!(hear(&world, &mallory).await.is_empty());
    // It was a new telephone after all.
    let mut device = alice.open();
    assert!(device.accept_identity("Bob").unwrap());
    assert!(!device.accept_identity("Bob").unwrap(), "there is nothing more to accept");
    drop(device);
    say(&world, &alice, "Bob", "is it you?").await;
    assert_eq!(hear(&world, &mallory).await, ["is it you?"]);
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().changed, 0);
}

/// Who does not know of a new telephone yet is told: a message that nobody can read is not kept.
#[tokio::test]
async fn what_the_receivers_new_device_cannot_read_is_refused() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    say(&world, &alice, "Bob", "hello").await;
    let new = Handset::registered(&world, "+15035550123").await;
    world.take_over(bob.open().mailbox().unwrap(), new.open().mailbox().unwrap());
    let mut device = alice.online(&world);
    let refused = device.send_text("Bob", "lost?", IfOffline::Keep, 60).await;
    assert_eq!(refused.err().map(|fault| fault.code()), Some("keys-other"));
    assert!(device.flush().await.unwrap().is_empty(), "it is never sent again: nobody could read it");
}

/// A stranger who sends all day makes the file no larger than a device can read.
#[tokio::test]
async fn a_flood_does_not_outgrow_the_file() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    let mut device = bob.open();
    let text = "x".repeat(60 << 10);
    let received = |text: &str| Received {
        id: MessageId::random(),
        from: MailboxId::random(),
        contact: None,
        text: text.to_owned(),
        received_at: Timestamp::now(),
        shown: false,
    };
    let many = INBOX_BYTES_MAX / text.len() + 100;
    device.state.inbox = (0..many).map(|_| received(&text)).collect();
    device.state.inbox.push(received("last"));
    let until = |n: usize| Timestamp::now() + jiff::SignedDuration::from_secs(1000 + n as i64);
    device.state.seen = (0..SEEN_MAX).map(|n| (MessageId::random().to_string(), until(n))).collect();
    let shown = device.take_new().unwrap();
    assert_eq!(shown.len(), many + 1, "all of it is shown, once");
    let kept: usize = device.inbox().iter().map(|each| each.text.len()).sum();
    assert!(kept <= INBOX_BYTES_MAX, "{kept} bytes stay");
    assert_eq!(device.inbox().last().unwrap().text, "last");
    drop(device);
    say(&world, &alice, "Bob", "hello").await;
    assert_eq!(hear(&world, &bob).await, ["hello"]);
    assert!(bob.open().state.seen.len() <= SEEN_MAX);
}

/// Whoever knows the mailbox sends what takes long to try: it takes several times to fetch, each short, and what others wrote comes.
#[tokio::test]
async fn what_takes_long_to_try_holds_up_no_device() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    let mut device = bob.open();
    for _ in 0..250 {
        let keys = crate::session::Keyring::new().to_publish(1);
        let claimed = ClaimedKeys { identity: keys.identity, one_time: keys.one_time[0] };
        let (keyring, id) = (&mut device.state.keyring, MessageId::random());
        keyring.start(&keys.identity, &claimed).unwrap();
        keyring.seal(&keys.identity.curve25519, MailboxId::random(), id, "hello").unwrap();
    }
    device.save().unwrap();
    let mailbox = device.mailbox().unwrap();
    drop(device);
    // The first one of a new key, as nobody has it.
    let hostile = || {
        let key = Key::random();
        let bytes = [&[1, 4, 0x0a, 32][..], &key.0, &[0x10, 0, 0x22, 16], &[7; 48]].concat();
        MessageBody::new(bytes).unwrap()
    };
    world.put(mailbox, (0..100).map(|_| hostile()));
    say(&world, &alice, "Bob", "hello").await;
    assert!(hear(&world, &bob).await.is_empty());
    let left = world.put(mailbox, []);
    assert!((2..100).contains(&left), "{left} of 101 are left for the next time");
    assert_eq!(hear(&world, &bob).await, ["hello"]);
    assert_eq!((world.put(mailbox, []), bob.open().take_unreadable().unwrap()), (0, 100));
}

/// A receiver whose mailbox is full holds up nobody else's messages.
#[tokio::test]
async fn a_full_mailbox_holds_up_nobody_else() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    let carol = Handset::registered(&world, "+15035550199").await;
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().found, 2);
    let full = carol.open().mailbox().unwrap();
    world.fill(full, true);
    let mut device = alice.online(&world);
    for text in ["one", "two"] {
        let refused = device.send_text("Carol", text, IfOffline::Keep, 60).await;
        assert_eq!(refused.err().map(|fault| fault.code()), Some("mailbox-full"));
    }
    let sent = device.send_text("Bob", "to Bob", IfOffline::Keep, 60).await;
    assert_eq!(sent.unwrap(), SentState::Kept);
    assert_eq!(hear(&world, &bob).await, ["to Bob"]);
    world.fill(full, false);
    assert_eq!(device.flush().await.unwrap().len(), 2);
    drop(device);
    assert_eq!(hear(&world, &carol).await, ["one", "two"], "in their order");
}

/// Who may write to the folder puts a link where the next file is written: no key goes through it.
#[test]
fn nothing_is_written_through_a_link() {
    let world = World::new();
    let handset = Handset::new(&world);
    let elsewhere = handset.path.with_extension("elsewhere");
    std::fs::write(&elsewhere, b"").unwrap();
    std::os::unix::fs::symlink(&elsewhere, handset.path.with_extension("new")).unwrap();
    let mut device = handset.open();
    device.agree(Purpose::Presence, Timestamp::now()).unwrap();
    drop(device);
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"");
    assert!(handset.open().agrees(Purpose::Presence));
}

/// A relay vouches for the others once: another key for a region that is known is no news but an attack.
#[tokio::test]
async fn keys_of_other_regions_are_not_exchanged() {
    let world = World::new();
    let (alice, _bob) = pair(&world).await;
    world.list_other_service_keys("beijing");
    let refused = alice.online(&world).sync_contacts().await;
    assert_eq!(refused.err().map(|fault| fault.code()), Some("region-not-believed"));
    let before = alice.open().region().clone();
    assert_eq!(before.regions, world.statement("oregon").statement.regions, "what was known stays");
}
