//! No text vanishes: a relay keeps it, it waits, or its owner is told.

use super::*;
use crate::wire::Text;

fn told(all: &[Returned]) -> Vec<(Option<&str>, Option<&str>, &str)> {
    all.iter()
        .map(|each| (each.contact.as_ref().map(Text::as_str), each.text.as_deref(), &*each.why))
        .collect()
}

/// With Bob's number among Alice's contacts and Carol's, both users.
async fn three(world: &World) -> (Handset, Handset, Handset) {
    let (alice, bob) = pair(world).await;
    let carol = Handset::registered(world, "+15035550199").await;
    assert_eq!(alice.online(world).sync_contacts().await.unwrap().found, 2);
    (alice, bob, carol)
}

/// Leaves a text in the file: no relay answers.
async fn left(world: &World, handset: &Handset, to: &str, text: &str) {
    let dead = Crash::after(0);
    let device = handset.open().connect(|_| Ok(world.line(Some(dead))));
    let mut device = device.map_err(|(_, fault)| fault).unwrap();
    let refused = device.send_text(to, text, IfOffline::Sms, 3600).await;
    assert!(matches!(refused, Err(DeviceFault::Unreachable(_))));
}

#[tokio::test]
async fn what_has_to_go_by_sms_is_told_with_its_text_and_once() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    left(&world, &alice, "Bob", "by sms").await;
    world.goes_away(bob.open().mailbox().unwrap(), true);
    assert_eq!(say(&world, &alice, "Bob", "kept").await, SentState::Kept);
    let mut device = alice.open();
    assert_eq!(
        (told(&device.take_returned().unwrap()), device.waiting()),
        (vec![(Some("Bob"), Some("by sms"), "use-sms")], 0)
    );
    drop(device);
    assert!(alice.open().take_returned().unwrap().is_empty());
    // Of its own text `send_text` tells itself.
    let mut device = alice.online(&world);
    let own = device.send_text("Bob", "own", IfOffline::Sms, 3600).await.unwrap();
    assert_eq!((own, device.take_returned().unwrap().len()), (SentState::UseSms, 0));
    drop(device);
    assert_eq!(hear(&world, &bob).await, ["kept"]);
}

#[tokio::test]
async fn what_came_back_is_told_though_another_text_still_waits() {
    let world = World::new();
    let (alice, bob, carol) = three(&world).await;
    left(&world, &alice, "Bob", "by sms").await;
    left(&world, &alice, "Carol", "later").await;
    world.goes_away(bob.open().mailbox().unwrap(), true);
    world.fill(carol.open().mailbox().unwrap(), true);
    let mut device = alice.online(&world);
    assert_eq!(device.flush().await.err().map(|fault| fault.code()), Some("mailbox-full"));
    assert_eq!(told(&device.take_returned().unwrap()), [(Some("Bob"), Some("by sms"), "use-sms")]);
    assert_eq!(device.waiting(), 1);
}

#[tokio::test]
async fn each_text_that_is_given_up_is_told() {
    let world = World::new();
    let (alice, bob, carol) = three(&world).await;
    assert_eq!(say(&world, &alice, "Bob", "hello").await, SentState::Kept);
    for text in ["one", "two"] {
        left(&world, &alice, "Bob", text).await;
    }
    let new = Handset::registered(&world, "+15035550123").await;
    world.take_over(bob.open().mailbox().unwrap(), new.open().mailbox().unwrap());
    assert_eq!(say(&world, &alice, "Carol", "goes").await, SentState::Kept);
    let all = alice.open().take_returned().unwrap();
    assert_eq!(
        told(&all),
        [(Some("Bob"), Some("one"), "keys-other"), (Some("Bob"), Some("two"), "keys-other")]
    );
    assert_eq!((alice.open().waiting(), hear(&world, &carol).await), (0, vec!["goes".to_owned()]));
}

/// Withdrawn, or another device has the number: what waited is never sent.
#[tokio::test]
async fn what_waited_when_messaging_ended_is_told() {
    let world = World::new();
    let (alice, _bob) = pair(&world).await;
    left(&world, &alice, "Bob", "one").await;
    let mut device = alice.open();
    device.withdraw(Purpose::CloudMessaging, Timestamp::now()).unwrap();
    drop(device);
    let mut device = alice.open();
    assert_eq!(told(&device.take_returned().unwrap()), [(None, Some("one"), "no-consent")]);
    assert_eq!(device.waiting(), 0);
}

/// Dies at step after step. Nobody but the step that ends the telling itself may lose it on the way to the screen.
#[tokio::test]
async fn whatever_the_step_at_which_it_dies_who_has_to_use_sms_is_told() {
    let mut untold = 0;
    for steps in 0.. {
        let world = World::new();
        let (alice, bob) = pair(&world).await;
        world.goes_away(bob.open().mailbox().unwrap(), true);
        let crash = Crash::after(steps);
        let mut device = alice.open();
        device.file.crash = Some(Arc::clone(&crash));
        let mut device = device.connect(|_| Ok(world.line(Some(crash)))).map_err(|(_, fault)| fault).unwrap();
        let sent = device.send_text("Bob", "by sms", IfOffline::Sms, 3600).await;
        drop(device);
        let mut device = alice.online(&world);
        let was_kept = device.waiting() > 0 || !device.state.returned.is_empty();
        device.flush().await.unwrap();
        let all = device.take_returned().unwrap();
        assert_eq!(device.waiting(), 0);
        // Before the first write there was no text, and the owner was told that it failed.
        let is_told = all.iter().any(|each| each.text.as_deref() == Some("by sms"));
        assert_eq!(is_told, was_kept, "after {steps} steps");
        untold += u32::from(sent.is_err() && !is_told);
        if sent.is_ok() {
            assert!(steps >= 6 && !is_told, "after {steps} steps");
            break;
        }
    }
    assert!(untold <= 2, "{untold}: before the text is written, and after it was told of");
}

/// What a version wrote that kept no text beside what it had encrypted.
#[tokio::test]
async fn a_file_of_before_is_read() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    assert_eq!(say(&world, &alice, "Bob", "hello").await, SentState::Kept);
    left(&world, &alice, "Bob", "by sms").await;
    let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&alice.path).unwrap()).unwrap();
    assert!(file.as_object_mut().unwrap().remove("returned").is_some());
    assert!(file["outbox"][0].as_object_mut().unwrap().remove("text").is_some());
    std::fs::write(&alice.path, serde_json::to_vec(&file).unwrap()).unwrap();
    world.goes_away(bob.open().mailbox().unwrap(), true);
    assert_eq!(alice.online(&world).flush().await.unwrap().len(), 1);
    assert_eq!(told(&alice.open().take_returned().unwrap()), [(Some("Bob"), None, "use-sms")]);
}
