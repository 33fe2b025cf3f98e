//! Devices against relays in the same process. The relays ([`world`]) are not canned answers: they check proofs, tokens and
//! records with this crate's own functions, evaluate under real keys, and keep mailboxes.

mod consents;
mod discovery;
mod hostile;
mod returned;
mod world;

use super::*;
use crate::consent::Purpose;
use crate::wire::{IfOffline, ProblemCode, SentState};
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use world::World;

/// Lets a device die at its n-th step: of its file, or of a request before or after the relay has done it.
#[derive(Debug)]
pub(super) struct Crash {
    left: AtomicU32,
}

impl Crash {
    fn after(steps: u32) -> Arc<Self> {
        Arc::new(Self { left: AtomicU32::new(steps) })
    }

    pub(super) fn step(&self) -> Result<(), DeviceFault> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| DeviceFault::Limit("died"))
    }
}

type Online = Device<Agreed<world::Line>>;

struct Handset {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Handset {
    fn new(world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phone");
        drop(Device::create(&path, world.statement("beijing")).unwrap());
        Self { path, _folder: folder }
    }

    fn open(&self) -> Device<Silent> {
        Device::open(&self.path).unwrap()
    }

    fn online(&self, world: &World) -> Online {
        self.open().connect(|_| Ok(world.line(None))).map_err(|(_, fault)| fault).unwrap()
    }

    /// Agrees to everything and registers.
    async fn registered(world: &World, number: &str) -> Self {
        let handset = Self::new(world);
        let mut device = handset.open();
        for purpose in Purpose::ALL {
            device.agree(purpose, Timestamp::now()).unwrap();
        }
        drop(device);
        let mut device = handset.online(world);
        device.start_registration(number.parse().unwrap()).await.unwrap();
        device.finish_registration(world.code()).await.unwrap();
        drop(device);
        handset
    }
}

/// Two users, of whom Alice has found Bob.
async fn pair(world: &World) -> (Handset, Handset) {
    let bob = Handset::registered(world, "+15035550123").await;
    let alice = Handset::registered(world, "+8613912345678").await;
    let mut device = alice.open();
    device.add_contact("+15035550123".parse().unwrap(), "Bob".parse().unwrap()).unwrap();
    device.add_contact("+15035550199".parse().unwrap(), "Carol".parse().unwrap()).unwrap();
    drop(device);
    let synced = alice.online(world).sync_contacts().await.unwrap();
    assert_eq!((synced.found, synced.blinded, synced.regions), (1, 2, 2));
    (alice, bob)
}

async fn say(world: &World, from: &Handset, to: &str, text: &str) -> SentState {
    from.online(world).send_text(to, text, IfOffline::Keep, 3600).await.unwrap()
}

async fn hear(world: &World, at: &Handset) -> Vec<String> {
    let mut device = at.online(world);
    device.receive(0).await.unwrap();
    device.take_new().unwrap().into_iter().map(|each| each.text).collect()
}

#[tokio::test]
async fn a_device_is_silent_until_its_owner_agrees() {
    let world = World::new();
    let handset = Handset::new(&world);
    let mut device = handset.open();
    device.add_contact("+15035550123".parse().unwrap(), "Bob".parse().unwrap()).unwrap();
    assert!(device.contact("Bob").unwrap().1.found.is_none());
    for purpose in [Purpose::ContactDiscovery, Purpose::Presence, Purpose::RegionMove] {
        device.agree(purpose, Timestamp::now()).unwrap();
    }
    let refused =
        device.connect(|_| -> Result<world::Line, Unreachable> { unreachable!("a transport was made") });
    let (mut device, fault) = refused.err().unwrap();
    assert!(matches!(fault, DeviceFault::NoConsent(Purpose::CloudMessaging)));
    device.agree(Purpose::CloudMessaging, Timestamp::now()).unwrap();
    device.withdraw(Purpose::CloudMessaging, Timestamp::now()).unwrap();
    assert!(!Purpose::ALL.iter().any(|each| device.agrees(*each)), "without messaging there is nothing");
    assert!(world.packets().is_empty());
}

#[tokio::test]
async fn each_purpose_is_asked_for_by_itself() {
    let world = World::new();
    let handset = Handset::new(&world);
    let mut device = handset.open();
    device.agree(Purpose::CloudMessaging, Timestamp::now()).unwrap();
    device.add_contact("+15035550123".parse().unwrap(), "Bob".parse().unwrap()).unwrap();
    drop(device);
    let mut device = handset.online(&world);
    let refused = device.sync_contacts().await;
    assert!(matches!(refused, Err(DeviceFault::NoConsent(Purpose::ContactDiscovery))));
    let refused = device.show_presence_to(&[]).await;
    assert!(matches!(refused, Err(DeviceFault::NoConsent(Purpose::Presence))));
    assert!(world.packets().is_empty());
}

#[tokio::test]
async fn messages_go_both_ways_and_are_shown_once() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    assert_eq!(say(&world, &alice, "Bob", "hello").await, SentState::Kept);
    assert_eq!(hear(&world, &bob).await, ["hello"]);
    assert!(hear(&world, &bob).await.is_empty());
    let device = bob.open();
    assert_eq!(device.inbox()[0].contact, None, "Bob does not have Alice among his contacts");
}

#[tokio::test]
async fn a_contact_is_asked_for_once_and_no_number_leaves() {
    let world = World::new();
    let (alice, _bob) = pair(&world).await;
    let before = world.packets().len();
    let synced = alice.online(&world).sync_contacts().await.unwrap();
    assert_eq!((synced.found, synced.blinded), (1, 0));
    assert!(!world.packets()[before..].iter().any(|packet| packet.path.contains("evaluate")));
    assert!(world.packets().iter().all(|packet| !packet.holds("15035550199")), "Carol is no user");
    let before = world.packets().len();
    let mut device = alice.online(&world);
    assert!(matches!(device.presence("Carol").await, Err(DeviceFault::NotAUser)));
    let refused = device.send_text("Carol", "hi", IfOffline::Keep, 60).await;
    assert!(matches!(refused, Err(DeviceFault::NotAUser)));
    assert_eq!(world.packets().len(), before, "opening a card and writing to who is no user sends nothing");
}

#[tokio::test]
async fn a_clock_an_hour_off_corrects_itself() {
    for off_s in [3600, -3600] {
        let world = World::new();
        world.set_clock(off_s);
        let (alice, bob) = pair(&world).await;
        say(&world, &alice, "Bob", "late?").await;
        assert_eq!(hear(&world, &bob).await, ["late?"]);
        assert_eq!(world.refused("proof-stale"), 2, "once for each device, and never again");
    }
}

#[tokio::test]
async fn after_a_move_no_packet_goes_to_the_old_region() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    say(&world, &alice, "Bob", "before").await;
    world.move_mailbox(bob.open().mailbox().unwrap(), "oregon");
    assert_eq!(hear(&world, &bob).await, ["before"]);
    let moved_at = world.packets().iter().rposition(|packet| packet.region == "beijing").unwrap();
    say(&world, &alice, "Bob", "after").await;
    let since = world.packets().len();
    assert_eq!(hear(&world, &bob).await, ["after"]);
    let device = bob.open();
    assert_eq!((device.home().region.as_str(), device.home().epoch), ("oregon", 1));
    drop(device);
    assert!(world.packets()[since..].iter().all(|packet| packet.region == "oregon"));
    let after_move = &world.packets()[moved_at + 1..since];
    assert!(after_move.iter().any(|packet| packet.region == "oregon" && packet.path.ends_with("/tag")));
    // Found at the new home by who looks again.
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().found, 1);
}

#[tokio::test]
async fn an_invented_home_is_not_followed() {
    let world = World::new();
    let (_, bob) = pair(&world).await;
    world.lie_about_home(bob.open().mailbox().unwrap(), "https://elsewhere.example");
    let refused = bob.online(&world).receive(0).await;
    assert!(matches!(refused, Err(DeviceFault::MovedNowhere)));
    assert_eq!(bob.open().home().region.as_str(), "beijing");
}

#[tokio::test]
async fn a_relay_that_uses_another_key_is_seen() {
    let world = World::new();
    let (alice, _bob) = pair(&world).await;
    world.use_other_discovery_key("oregon");
    let mut device = alice.open();
    device.add_contact("+15035550111".parse().unwrap(), "Dan".parse().unwrap()).unwrap();
    drop(device);
    let refused = alice.online(&world).sync_contacts().await;
    assert!(matches!(refused, Err(DeviceFault::Blind(crate::discovery::BlindFault::OtherKey))));
}

#[tokio::test]
async fn withdrawing_stops_everything_but_the_withdrawal() {
    let world = World::new();
    let (alice, _bob) = pair(&world).await;
    let mut device = alice.open();
    device.withdraw(Purpose::CloudMessaging, Timestamp::now()).unwrap();
    drop(device);
    let before = world.packets().len();
    let mut device = alice.online(&world);
    let refused = device.send_text("Bob", "x", IfOffline::Keep, 60).await;
    assert!(matches!(refused, Err(DeviceFault::NoConsent(Purpose::CloudMessaging))));
    assert_eq!(world.packets().len(), before);
    device.deliver_consents().await.unwrap();
    assert!(world.packets()[before..].iter().all(|packet| packet.path == "/v1/messaging/consents"));
    let refused = device
        .fall_silent()
        .connect(|_| -> Result<world::Line, Unreachable> { unreachable!("a transport was made") });
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_withdrawal_follows_the_mailbox() {
    let world = World::new();
    let (_, bob) = pair(&world).await;
    world.move_mailbox(bob.open().mailbox().unwrap(), "oregon");
    let mut device = bob.open();
    device.withdraw(Purpose::CloudMessaging, Timestamp::now()).unwrap();
    drop(device);
    let mut device = bob.online(&world);
    device.deliver_consents().await.unwrap();
    let told = device.consent(Purpose::CloudMessaging).unwrap().1.unwrap();
    assert_eq!(told.region.as_str(), "oregon", "where the mailbox lives, it is withdrawn");
}

#[tokio::test]
async fn what_was_never_told_needs_no_withdrawal() {
    let world = World::new();
    let handset = Handset::new(&world);
    let mut device = handset.open();
    device.agree(Purpose::Presence, Timestamp::now()).unwrap();
    device.withdraw(Purpose::Presence, Timestamp::now()).unwrap();
    let refused =
        device.connect(|_| -> Result<world::Line, Unreachable> { unreachable!("a transport was made") });
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_filter_is_downloaded_once_and_an_older_copy_is_refused() {
    let world = World::new();
    let (alice, _bob) = pair(&world).await;
    let copy = std::fs::read(&alice.path).unwrap();
    let filters = || world.packets().iter().filter(|packet| packet.path.contains("/filters/")).count();
    let before = filters();
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().filter_bytes, 0);
    assert_eq!(filters(), before);
    // One that was changed on the disk is not believed.
    let kept = alice.path.with_extension("filters").join("beijing");
    let mut bytes = std::fs::read(&kept).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().found, 1);
    assert_eq!(filters(), before + 1);
    std::fs::write(&alice.path, copy).unwrap();
    assert!(matches!(Device::open(&alice.path), Err(DeviceFault::OlderCopy)));
}

#[tokio::test]
async fn one_process_at_a_time() {
    let world = World::new();
    let handset = Handset::new(&world);
    let _open = handset.open();
    assert!(matches!(Device::open(&handset.path), Err(DeviceFault::InUse)));
    assert!(matches!(Device::create(&handset.path, world.statement("beijing")), Err(DeviceFault::InUse)));
}

#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let handset = Handset::new(&world);
    assert_eq!(std::fs::metadata(&handset.path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(Device::open(&handset.path.join("none")), Err(DeviceFault::File(_))));
    std::fs::write(&handset.path, b"{}").unwrap();
    assert!(matches!(Device::open(&handset.path), Err(DeviceFault::NotADevice)));
}

/// Whatever a relay does not answer, a text that was to be sent is in the file, also before there is any session.
#[tokio::test]
async fn a_text_waits_while_no_relay_answers() {
    for steps in 0..4 {
        let world = World::new();
        let (alice, bob) = pair(&world).await;
        let device = alice.open();
        let dead = Crash::after(steps);
        let mut device = device.connect(|_| Ok(world.line(Some(dead)))).map_err(|(_, fault)| fault).unwrap();
        let sent = device.send_text("Bob", "kept", IfOffline::Keep, 3600).await;
        assert!(matches!(sent, Err(DeviceFault::Unreachable(_))), "after {steps} steps");
        assert_eq!(device.waiting(), 1, "after {steps} steps");
        drop(device);
        say(&world, &alice, "Bob", "next").await;
        assert_eq!(hear(&world, &bob).await, ["kept", "next"], "after {steps} steps");
        assert_eq!(alice.open().waiting(), 0);
    }
}

/// A region that is away holds up texts to nobody else, and who was found there is not taken for no user.
#[tokio::test]
async fn a_region_that_is_away_holds_up_no_other() {
    let world = World::new();
    let (alice, bob) = pair(&world).await;
    let dan = Handset::registered(&world, "+15035550111").await;
    let mut device = alice.open();
    device.add_contact("+15035550111".parse().unwrap(), "Dan".parse().unwrap()).unwrap();
    drop(device);
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().found, 2);
    world.move_mailbox(bob.open().mailbox().unwrap(), "oregon");
    assert!(hear(&world, &bob).await.is_empty());
    world.set_away(Some("oregon"));
    for text in ["one", "two"] {
        let refused = alice.online(&world).send_text("Bob", text, IfOffline::Keep, 3600).await;
        assert!(
            matches!(refused, Err(DeviceFault::Refused(problem)) if problem.code == ProblemCode::RegionAway)
        );
    }
    assert_eq!(say(&world, &alice, "Dan", "hello").await, SentState::Kept);
    assert_eq!(hear(&world, &dan).await, ["hello"]);
    let synced = alice.online(&world).sync_contacts().await.unwrap();
    assert_eq!((synced.found, synced.unseen), (2, 1), "Bob was found before");
    assert_eq!(alice.open().waiting(), 2);
    world.set_away(None);
    assert_eq!(alice.online(&world).flush().await.unwrap().len(), 2);
    assert_eq!(hear(&world, &bob).await, ["one", "two"]);
    assert_eq!(alice.online(&world).sync_contacts().await.unwrap().unseen, 0);
}

#[tokio::test]
async fn what_is_refused_without_a_relay() {
    let world = World::new();
    let (alice, _bob) = pair(&world).await;
    let mut device = alice.open();
    device.add_contact("+8613912345678".parse().unwrap(), "Me".parse().unwrap()).unwrap();
    drop(device);
    let mut device = alice.online(&world);
    assert_eq!(device.sync_contacts().await.unwrap().found, 2);
    let before = world.packets().len();
    let refused = device.send_text("Me", "note", IfOffline::Keep, 60).await;
    assert!(matches!(refused, Err(DeviceFault::Oneself)));
    let long = "x".repeat(crate::session::TEXT_BYTES_MAX + 1);
    let refused = device.send_text("Bob", &long, IfOffline::Keep, 60).await;
    assert!(matches!(refused, Err(DeviceFault::Session(_))));
    let refused = device.start_registration("+8613912345679".parse().unwrap()).await;
    assert!(matches!(refused, Err(DeviceFault::HasNumber)));
    assert_eq!((world.packets().len(), device.waiting()), (before, 0));
}

/// Dies at step after step until a run comes through; every restart reads the file that the last one left.
#[tokio::test]
async fn whatever_the_step_at_which_it_dies_each_message_is_shown_once() {
    let mut deaths = 0;
    for steps in 0.. {
        let world = World::new();
        let (alice, bob) = pair(&world).await;
        say(&world, &alice, "Bob", "one").await;
        say(&world, &alice, "Bob", "two").await;
        if steps % 2 == 1 {
            world.move_mailbox(bob.open().mailbox().unwrap(), "oregon");
        }
        let mut shown = Vec::new();
        let crash = Crash::after(steps);
        let mut device = bob.open();
        device.file.crash = Some(Arc::clone(&crash));
        let mut device = device.connect(|_| Ok(world.line(Some(crash)))).map_err(|(_, fault)| fault).unwrap();
        let died = device.receive(0).await.is_err() || {
            let taken = device.take_new();
            shown.extend(taken.iter().flatten().map(|each| each.text.clone()));
            taken.is_err()
        };
        drop(device);
        deaths += u32::from(died);
        shown.extend(hear(&world, &bob).await);
        shown.extend(hear(&world, &bob).await);
        let kept: Vec<_> = bob.open().inbox().iter().map(|each| each.text.clone()).collect();
        assert_eq!(kept, ["one", "two"], "after {steps} steps");
        let lost_on_the_way_to_the_screen = shown.is_empty() && died;
        assert!(shown == ["one", "two"] || lost_on_the_way_to_the_screen, "after {steps} steps: {shown:?}");
        if !died && steps % 2 == 1 {
            break;
        }
    }
    assert!(deaths >= 10, "only {deaths} steps to die at");
}

#[tokio::test]
async fn whatever_the_step_at_which_the_sender_dies_nothing_is_sent_twice() {
    for steps in 0.. {
        let world = World::new();
        let (alice, bob) = pair(&world).await;
        let crash = Crash::after(steps);
        let mut device = alice.open();
        device.file.crash = Some(Arc::clone(&crash));
        let mut device = device.connect(|_| Ok(world.line(Some(crash)))).map_err(|(_, fault)| fault).unwrap();
        let died = device.send_text("Bob", "once", IfOffline::Keep, 3600).await.is_err();
        drop(device);
        alice.online(&world).flush().await.unwrap();
        say(&world, &alice, "Bob", "next").await;
        let heard = hear(&world, &bob).await;
        assert!(heard == ["once", "next"] || (died && heard == ["next"]), "after {steps} steps: {heard:?}");
        if !died {
            assert!(steps >= 4);
            break;
        }
    }
}
