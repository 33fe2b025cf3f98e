//! What the owner has withdrawn reaches the relay, whatever is agreed to afterwards.

use super::*;
use crate::consent::EventState::{self, Given, Withdrawn};

/// The records that the relays were brought since.
fn brought(world: &World, since: usize) -> Vec<(Purpose, EventState)> {
    world.packets()[since..].iter().filter_map(world::Packet::record).collect()
}

fn again(handset: &Handset, purpose: Purpose) {
    let mut device = handset.open();
    device.withdraw(purpose, Timestamp::now()).unwrap();
    drop(device);
    let mut device = handset.open();
    device.agree(purpose, Timestamp::now()).unwrap();
    assert!(device.agrees(purpose));
}

#[tokio::test]
async fn who_agrees_again_has_withdrawn_before() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    say(&world, &alice, "Bob", "gone").await;
    again(&bob, Purpose::CloudMessaging);
    let before = world.packets().len();
    bob.online(&world).deliver_consents().await.unwrap();
    let all = brought(&world, before);
    assert_eq!(all[..2], [(Purpose::CloudMessaging, Withdrawn), (Purpose::CloudMessaging, Given)]);
    assert_eq!(
        all[2..],
        [Purpose::ContactDiscovery, Purpose::Presence, Purpose::RegionMove].map(|p| (p, Withdrawn))
    );
    // The mailbox of before is closed: nothing is kept there that nobody can read.
    let refused = alice.online(&world).send_text("Bob", "lost?", IfOffline::Keep, 60).await;
    assert_eq!(refused.err().map(|fault| fault.code()), Some("mailbox-unknown"));
    let mut device = bob.online(&world);
    device.start_registration("+15035550123".parse().unwrap()).await.unwrap();
    device.finish_registration(world.code()).await.unwrap();
    drop(device);
    assert!(hear(&world, &bob).await.is_empty());
    assert_eq!(brought(&world, before).len(), all.len(), "each is brought once");
}

#[tokio::test]
async fn of_one_purpose_as_well() {
    let world = World::new();
    let (_, bob) = pair(&world).await;
    let before = world.packets().len();
    again(&bob, Purpose::Presence);
    again(&bob, Purpose::Presence);
    bob.online(&world).settle().await.unwrap();
    assert_eq!(brought(&world, before), [(Purpose::Presence, Withdrawn), (Purpose::Presence, Given)]);
    let mut device = bob.open();
    assert!(device.consent(Purpose::Presence).unwrap().1.is_some());
    // Withdrawn at last: it says all that has to be said.
    device.withdraw(Purpose::Presence, Timestamp::now()).unwrap();
    device.agree(Purpose::Presence, Timestamp::now()).unwrap();
    device.withdraw(Purpose::Presence, Timestamp::now()).unwrap();
    drop(device);
    let before = world.packets().len();
    bob.online(&world).settle().await.unwrap();
    assert_eq!(brought(&world, before), [(Purpose::Presence, Withdrawn)]);
}

/// Wherever it dies between the two, both arrive, in their order.
#[tokio::test]
async fn whatever_the_step_at_which_it_dies_the_withdrawal_comes_first() {
    for steps in 0.. {
        let world = World::new();
        let bob = Handset::new(&world);
        bob.open().agree(Purpose::CloudMessaging, Timestamp::now()).unwrap();
        bob.online(&world).deliver_consents().await.unwrap();
        again(&bob, Purpose::CloudMessaging);
        let before = world.packets().len();
        let crash = Crash::after(steps);
        let mut device = bob.open();
        device.file.crash = Some(Arc::clone(&crash));
        let mut device = device.connect(|_| Ok(world.line(Some(crash)))).map_err(|(_, fault)| fault).unwrap();
        let died = device.deliver_consents().await.is_err();
        drop(device);
        bob.online(&world).deliver_consents().await.unwrap();
        let mut all = brought(&world, before);
        all.dedup();
        let wanted = [Withdrawn, Given].map(|state| (Purpose::CloudMessaging, state));
        assert_eq!(all, wanted, "after {steps} steps");
        assert!(bob.open().agrees(Purpose::CloudMessaging));
        if !died {
            assert!(steps >= 8);
            break;
        }
    }
}

/// The mailbox lives elsewhere by now: it is withdrawn there, and the owner is asked on the terms of that region.
#[tokio::test]
async fn who_agrees_again_after_a_move_is_asked_there() {
    let world = World::new();
    let (_, bob) = pair(&world).await;
    world.move_mailbox(bob.open().mailbox().unwrap(), "oregon");
    again(&bob, Purpose::CloudMessaging);
    let before = world.packets().len();
    let refused = bob.online(&world).deliver_consents().await;
    assert_eq!(refused.err().map(|fault| fault.code()), Some("home-elsewhere"));
    let told = world.packets()[before..].iter().any(|packet| {
        packet.region == "oregon" && packet.record() == Some((Purpose::CloudMessaging, Withdrawn))
    });
    assert!(told);
    let mut device = bob.open();
    assert!(!device.agrees(Purpose::CloudMessaging));
    device.agree(Purpose::CloudMessaging, Timestamp::now()).unwrap();
    drop(device);
    bob.online(&world).deliver_consents().await.unwrap();
}

#[tokio::test]
async fn what_nobody_was_told_of_is_not_withdrawn_there() {
    let world = World::new();
    let handset = Handset::new(&world);
    handset.open().agree(Purpose::Presence, Timestamp::now()).unwrap();
    again(&handset, Purpose::Presence);
    handset.open().agree(Purpose::CloudMessaging, Timestamp::now()).unwrap();
    handset.online(&world).deliver_consents().await.unwrap();
    assert_eq!(brought(&world, 0), [(Purpose::CloudMessaging, Given), (Purpose::Presence, Given)]);
}
