//! To be found and to find: what fails there stops no message, and costs nothing twice.

use super::*;

/// An operator has ended discovery alone, and the mailbox has moved: its number would have to be tagged anew.
#[tokio::test]
async fn without_discovery_messages_come_and_go_after_a_move() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    let mailbox = bob.open().mailbox().unwrap();
    say(&world, &alice, "Bob", "before").await;
    world.withdraw_for(mailbox, Purpose::ContactDiscovery);
    world.move_mailbox(mailbox, "oregon");
    assert_eq!(hear(&world, &bob).await, ["before"]);
    assert_eq!(world.refused("consent-withdrawn"), 1);
    assert!(!bob.open().agrees(Purpose::ContactDiscovery), "it is not asked for again and again");
    say(&world, &alice, "Bob", "after").await;
    assert_eq!(hear(&world, &bob).await, ["after"]);
    assert_eq!(world.refused("consent-withdrawn"), 1);
    let refused = bob.online(&world).sync_contacts().await;
    assert!(matches!(refused, Err(DeviceFault::NoConsent(Purpose::ContactDiscovery))));
    // The owner may agree again, and is found at the new home.
    bob.open().agree(Purpose::ContactDiscovery, Timestamp::now()).unwrap();
    bob.online(&world).settle().await.unwrap();
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().found, 1);
}

/// Whatever else the tag is refused for: it is asked for again, and nothing waits for it.
#[tokio::test]
async fn a_tag_that_is_refused_holds_up_no_message() {
    for code in [ProblemCode::Busy, ProblemCode::RegionAway, ProblemCode::NumberProofForged] {
        let world = World::new();
        let (alice, bob) = pair(&world).await;
        let moved = alice.open().mailbox().unwrap();
        say(&world, &alice, "Bob", "first").await;
        world.move_mailbox(moved, "oregon");
        world.refuse(Some(("/tag", code)), true);
        assert_eq!(say(&world, &alice, "Bob", "second").await, SentState::Kept);
        assert!(hear(&world, &alice).await.is_empty());
        assert_eq!(hear(&world, &bob).await, ["first", "second"]);
        world.refuse(None, true);
        let before = world.packets().len();
        assert!(hear(&world, &alice).await.is_empty());
        assert_eq!(
            world.packets()[before..].iter().filter(|packet| packet.path.ends_with("/tag")).count(),
            1
        );
    }
}

/// A relay that has just been started wants another proof, and what was learnt is saved in the middle of a look-up.
#[tokio::test]
async fn whatever_the_step_at_which_a_look_up_dies_no_contact_is_blinded_again() {
    let world = World::new();
    let (alice, _bob) = pair(&world).await;
    for steps in 0.. {
        world.refuse(Some(("/lookup", ProblemCode::ProofStale)), false);
        let crash = Crash::after(steps);
        let mut device = alice.open();
        device.file.crash = Some(Arc::clone(&crash));
        let mut device = device.connect(|_| Ok(world.line(Some(crash)))).map_err(|(_, fault)| fault).unwrap();
        let died = device.sync_contacts().await.is_err();
        drop(device);
        world.refuse(None, false);
        let synced = alice.online(&world).sync_contacts().await.unwrap();
        assert_eq!((synced.found, synced.blinded), (1, 0), "after {steps} steps");
        if !died {
            assert!(steps >= 6 && world.refused("proof-stale") >= 2, "died before and after it");
            break;
        }
    }
}
