//! `domicile device` against real relays: silence before consent, the story of two terminals, moves, and what may go wrong.
//!
//! A clock that is wrong is tested where it can be set: crates/messaging/src/device/tests.rs, an hour to either side.

mod gate;
mod site;

use site::{ALICE, BOB, CAROL, Site, texts, until};
use std::fs;

/// Alice in Beijing has found Bob in Oregon.
fn pair(postgres: bool) -> Site {
    let site = Site::running(postgres);
    site.registered("bob", "oregon", BOB);
    site.registered("alice", "beijing", ALICE);
    site.done("alice", &["contacts", "add", BOB, "--name", "Bob"]);
    site.done("bob", &["contacts", "add", ALICE, "--name", "Alice"]);
    site.finds("alice", 1);
    site.finds("bob", 1);
    site
}

#[test]
fn no_command_opens_a_connection_before_consent() {
    let site = Site::prepared(false);
    site.new_device("bob", "oregon");
    site.done("bob", &["contacts", "add", ALICE, "--name", "Alice"]);
    for purpose in ["contact_discovery", "presence", "region_move"] {
        site.done("bob", &["consent", "give", purpose]);
    }
    let quiet: [&[&str]; 6] = [
        &["consent", "show"],
        &["contacts", "list"],
        &["open", "Alice"],
        &["receive", "--kept"],
        &["consent", "withdraw", "presence"],
        &["contacts", "remove", ALICE],
    ];
    quiet.iter().for_each(|args| drop(site.done("bob", args)));
    let refused: [&[&str]; 8] = [
        &["register", BOB],
        &["register", "--code", "12345678"],
        &["contacts", "sync"],
        &["send", "Alice", "hello"],
        &["receive", "--wait", "5"],
        &["presence", "Alice"],
        &["presence", "--show-to", ""],
        &["flush"],
    ];
    // A withdrawal of what nobody has heard of is not worth a connection.
    for args in refused {
        let said = site.fails("bob", args, "no-consent");
        assert!(said.contains("consent give cloud_messaging --device bob"), "{said}");
    }
    assert_eq!((site.beijing.connections(), site.oregon.connections()), (0, 0));
}

#[test]
fn what_is_typed_wrongly() {
    let site = Site::prepared(false);
    site.new_device("bob", "oregon");
    site.fails("bob", &["new", "--statement", "oregon.json"], "device-exists");
    let said = site.fails("carol", &["new", "--statement", "domicile.toml"], "region-statement");
    assert!(!said.contains("-o domicile.toml"), "the way out must not write over what was named: {said}");
    site.fails("nobody", &["receive"], "no-device");
    let said = site.fails("nowhere/bob", &["new", "--statement", "oregon.json"], "no-device");
    assert!(said.contains("mkdir -p nowhere"), "{said}");
    site.fails("bob", &["contacts", "add", "12", "--name", "Dan"], "number-invalid");
    site.fails("bob", &["contacts", "add", BOB, "--name", "D\u{1b}[31man"], "contact-name");
    site.fails("bob", &["send", "Dan", ""], "usage");
    site.fails("bob", &["consent", "give", "everything"], "unknown-purpose");
    site.fails("bob", &["open", "Dan"], "no-contact");
    let unknown = site.shop.run(&["messaging", "statement", "oregn"]);
    assert_eq!(unknown.code, 2, "{}", unknown.whole());
    assert!(unknown.stderr.contains("domicile messaging statement oregon"), "{}", unknown.whole());
    let before = site.shop.read("domicile.toml");
    let over = site.shop.run(&["messaging", "statement", "oregon", "-o", "domicile.toml"]);
    assert!(over.code == 2 && over.stderr.contains("statement-output"), "{}", over.whole());
    assert_eq!(site.shop.read("domicile.toml"), before);
    site.shop.ok(&["messaging", "statement", "oregon", "-o", "oregon.json"]);
    assert_eq!((site.beijing.connections(), site.oregon.connections()), (0, 0));
}

fn story(postgres: bool) {
    let mut site = pair(postgres);
    // A card is opened in silence.
    let before = (site.beijing.asked().len(), site.oregon.asked().len());
    assert!(site.done("alice", &["open", "Bob"]).contains("goes by message"));
    assert_eq!((site.beijing.asked().len(), site.oregon.asked().len()), before);
    // The second sync downloads nothing, and blinds nobody.
    let again = site.done("alice", &["contacts", "sync", "--json"]);
    let again: serde_json::Value = serde_json::from_str(&again).expect(&again);
    assert_eq!((&again["blinded"], &again["filter_bytes"]), (&0.into(), &0.into()));

    // Who waits is shown it at once, and once.
    let waits = site.spawn("bob", &["receive", "--wait", "60"]);
    until("a long poll", || site.oregon.asked().iter().any(|line| line.contains("wait_s=60")));
    site.done("alice", &["send", "Bob", "hello"]);
    let output = waits.wait_with_output().expect("it ends");
    assert_eq!(texts(&String::from_utf8_lossy(&output.stdout)), ["hello"]);
    assert!(site.received("bob").is_empty());
    site.done("bob", &["send", "Alice", "hi"]);
    assert_eq!(site.received("alice"), ["hi"]);

    // Presence: for whom it was chosen.
    assert!(site.done("alice", &["presence", "Bob"]).contains("not shared"));
    site.done("bob", &["presence", "--show-to", "Alice"]);
    site.received("bob");
    assert!(site.done("alice", &["presence", "Bob"]).contains("here"));

    // A relay that dies between send and receive loses nothing; what it did not hear goes out later, once.
    site.done("alice", &["send", "Bob", "one"]);
    site.kill();
    let said = site.fails("alice", &["send", "Bob", "two"], "relay-unreachable");
    assert!(said.contains("domicile device flush --device alice"), "{said}");
    site.fails("bob", &["receive"], "relay-unreachable");
    site.start();
    assert!(site.done("alice", &["flush"]).contains("1 sent"));
    assert!(site.done("alice", &["flush"]).contains("0 sent"));
    assert_eq!(site.received("bob"), ["one", "two"]);
    assert!(site.received("bob").is_empty());
    let kept = site.done("bob", &["receive", "--kept", "--json"]);
    let kept: serde_json::Value = serde_json::from_str(&kept).expect(&kept);
    assert_eq!(
        (kept["messages"].as_array().map(Vec::len), &kept["messages"][2]["text"]),
        (Some(3), &"two".into())
    );
    let contacts = site.done("bob", &["contacts", "list", "--json"]);
    assert!(contacts.contains("\"contacts\"") && contacts.contains(ALICE), "{contacts}");

    // Away, as a relay that has just started believes: one request, nothing stored, SMS. Of what waited the words come back.
    site.kill();
    site.fails("alice", &["send", "Bob", "left", "--if-offline", "sms"], "relay-unreachable");
    site.start();
    let flushed = site.device("alice", &["flush", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&flushed.stdout).expect(&flushed.stdout);
    assert_eq!((flushed.code, &told["use_sms"]), (3, &1.into()), "{}", flushed.whole());
    assert_eq!(
        (&told["returned"][0]["contact"], &told["returned"][0]["text"]),
        (&"Bob".into(), &"left".into())
    );
    assert!(site.done("alice", &["flush"]).ends_with("0 sent\n"), "told once");
    let before = site.beijing.asked().len();
    let away = site.device("alice", &["send", "Bob", "by sms", "--if-offline", "sms"]);
    assert_eq!((away.code, away.stdout.contains("send an SMS")), (3, true), "{}", away.whole());
    assert_eq!(site.beijing.asked()[before..], ["POST /v1/messaging/messages"]);
    assert!(site.received("bob").is_empty());

    // Withdrawn: told once, then silence; nobody finds the number.
    site.done("bob", &["consent", "withdraw", "cloud_messaging"]);
    let before = (site.beijing.of_devices(), site.oregon.of_devices());
    for args in [&["receive"][..], &["contacts", "sync"], &["send", "Alice", "x"], &["presence", "Alice"]] {
        site.fails("bob", args, "no-consent");
    }
    assert_eq!((site.beijing.of_devices(), site.oregon.of_devices()), before);
    let said = site.fails("alice", &["send", "Bob", "there?"], "mailbox-unknown");
    assert!(said.contains("contacts sync"), "{said}");
    assert!(!site.done("alice", &["contacts", "list"]).contains("there?"), "of its own text `send` has told");
    site.finds("alice", 0);
    site.fails("alice", &["send", "Bob", "there?"], "not-a-user");
}

#[test]
fn the_story_of_two_terminals() {
    story(false);
}

#[test]
fn the_story_of_two_terminals_on_postgres() {
    story(true);
}

fn moves(postgres: bool) {
    let site = pair(postgres);
    let waits = site.spawn("bob", &["receive", "--wait", "60"]);
    until("a long poll", || site.oregon.asked().iter().any(|line| line.contains("wait_s=60")));
    let before = site.oregon.of_devices();
    site.sql(1, "UPDATE mailbox SET country = 'CN'");
    site.shop.ok(&["plan", "-o", "plan.json"]);
    site.shop.ok(&["move", "plan.json"]);
    site.done("alice", &["send", "Bob", "welcome"]);
    let output = waits.wait_with_output().expect("it ends");
    assert_eq!(texts(&String::from_utf8_lossy(&output.stdout)), ["welcome"]);
    // The old endpoint has seen nobody but the one that waited there.
    site.done("bob", &["send", "Alice", "here I am"]);
    site.finds("bob", 1);
    assert!(site.received("bob").is_empty());
    assert_eq!(site.received("alice"), ["here I am"]);
    assert_eq!(site.oregon.of_devices(), before);
    // Tagged anew: who never knew him finds him at the new home, out of the old region.
    site.registered("carol", "oregon", CAROL);
    site.done("carol", &["contacts", "add", BOB, "--name", "Bob"]);
    site.finds("carol", 1);
    site.done("carol", &["send", "Bob", "from Carol"]);
    assert_eq!(site.received("bob"), ["from Carol"]);
    let verified = site.shop.run(&["verify"]);
    assert_eq!(verified.code, 0, "{}", verified.whole());
}

#[test]
fn a_mailbox_moves_under_a_device_that_waits() {
    moves(false);
}

#[test]
fn a_mailbox_moves_under_a_device_that_waits_on_postgres() {
    moves(true);
}

#[test]
fn a_second_device_takes_the_number_over() {
    let site = pair(false);
    site.registered("bob2", "oregon", BOB);
    let said = site.fails("bob", &["receive"], "device-replaced");
    assert!(said.contains("register NUMBER --device bob"), "{said}");
    // The old one is silent from then on.
    let before = site.oregon.of_devices();
    site.fails("bob", &["receive"], "no-consent");
    assert_eq!(site.oregon.of_devices(), before);
    site.finds("alice", 1);
    // Another identity answers to Bob's number: Alice is asked before anything goes there.
    until("Alice is told of the new keys", || {
        site.finds("alice", 1);
        site.done("alice", &["contacts", "list"]).contains("identity changed")
    });
    let said = site.fails("alice", &["send", "Bob", "too early"], "identity-changed");
    assert!(said.contains("contacts accept CONTACT --device alice"), "{said}");
    assert!(site.received("bob2").is_empty());
    let digits = |device: &str, who: &str, line: &str| {
        let card = site.done(device, &["open", who]);
        let shown = card.lines().find_map(|shown| shown.trim().strip_prefix(line).map(str::to_owned));
        shown.expect("digits").trim().to_owned()
    };
    site.done("bob2", &["contacts", "add", ALICE, "--name", "Alice"]);
    site.finds("bob2", 1);
    assert_eq!(digits("alice", "Bob", "its identity"), digits("bob2", "Alice", "your identity"));
    site.done("alice", &["contacts", "accept", "Bob"]);
    site.done("alice", &["send", "Bob", "to the new one"]);
    assert_eq!(site.received("bob2"), ["to the new one"]);
    // It may take the number back.
    site.agree("bob");
    site.register("bob", BOB);
    site.fails("bob2", &["receive"], "device-replaced");
    assert!(site.received("bob").is_empty());
}

/// Nobody answers while the owner withdraws and thinks again: the mailbox of before, whose keys are gone, is closed all the same.
#[test]
fn a_withdrawal_that_waits_is_brought_before_a_new_consent() {
    let mut site = pair(false);
    site.done("alice", &["send", "Bob", "hello"]);
    assert_eq!(site.received("bob"), ["hello"]);
    site.kill();
    let quiet = site.device("bob", &["consent", "withdraw", "cloud_messaging"]);
    assert!(quiet.code == 0 && quiet.stderr.contains("told with the next command"), "{}", quiet.whole());
    site.done("bob", &["consent", "give", "cloud_messaging"]);
    site.start();
    site.done("bob", &["consent", "give", "cloud_messaging"]);
    site.fails("alice", &["send", "Bob", "for keys that are gone"], "mailbox-unknown");
    site.fails("bob", &["receive"], "not-registered");
    site.register("bob", BOB);
    site.done("bob", &["consent", "give", "contact_discovery"]);
    assert!(site.received("bob").is_empty());
}

#[test]
fn a_number_that_lives_elsewhere_is_asked_about_again() {
    let site = Site::running(false);
    site.new_device("bob", "beijing");
    site.agree("bob");
    let said = site.fails("bob", &["register", BOB], "home-elsewhere");
    assert!(said.contains("oregon") && said.contains("consent show"), "{said}");
    assert!(!site.shop.path("messaging/sms.jsonl").exists(), "no code was sent");
    // Only the other region's terms were fetched; nothing is agreed to there yet.
    assert_eq!(site.oregon.asked(), ["GET /v1/messaging/region"]);
    let shown = site.done("bob", &["consent", "show", "cloud_messaging"]);
    assert!(shown.contains("not agreed to") && shown.contains("where      US"), "{shown}");
    site.fails("bob", &["register", BOB], "no-consent");
    let at_the_old_one = site.beijing.of_devices();
    site.agree("bob");
    site.register("bob", BOB);
    let shown = site.done("bob", &["consent", "show", "cloud_messaging", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect(&shown);
    let record = &shown["purposes"][0]["record"];
    assert_eq!(record["signed"]["record"]["processing"]["region"], "oregon");
    assert_eq!(record["countersigned"]["region"], "oregon");
    assert!(site.received("bob").is_empty());
    assert_eq!(site.beijing.of_devices(), at_the_old_one);
}

#[test]
fn terms_that_have_changed_are_shown_before_they_are_agreed_to() {
    let mut site = Site::running(false);
    site.new_device("bob", "oregon");
    site.kill();
    site.shop.append("messaging/notice.txt", "We have thought of something else.\n");
    site.start();
    let said = site.fails("bob", &["consent", "give", "cloud_messaging"], "terms-changed");
    assert!(said.contains("consent show cloud_messaging"), "{said}");
    site.fails("bob", &["register", BOB], "no-consent");
    site.agree("bob");
    site.register("bob", BOB);
}

/// Who is asked to agree is shown all that the record will say, before and without any connection.
#[test]
fn what_is_agreed_to_is_shown_whole() {
    let site = Site::prepared(false);
    site.new_device("bob", "oregon");
    let shown = site.done("bob", &["consent", "show"]);
    let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "cloud_messaging: never asked",
        "your telephone number",
        "contacts' numbers, blinded",
        "Example Ltd, privacy@example.org",
        "US; the law of US applies",
        "domicile device consent withdraw region_move",
        "to complain to an authority",
        "https://example.org/notice",
        "domicile device consent give cloud_messaging --device bob",
    ] {
        assert!(line.contains(part), "{part}\n{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert_eq!((site.beijing.connections(), site.oregon.connections()), (0, 0));
}

#[test]
fn codes_that_are_wrong() {
    let site = Site::running(false);
    site.new_device("bob", "oregon");
    site.agree("bob");
    site.fails("bob", &["register", "--code", "12345678"], "registration-not-started");
    site.done("bob", &["register", BOB]);
    let code = site.code(BOB);
    let wrong = if code == "00000000" { "00000001" } else { "00000000" };
    let said = site.fails("bob", &["register", "--code", wrong], "code-wrong");
    assert!(said.contains("register --code CODE --device bob"), "{said}");
    site.fails("bob", &["register", "--code", "12"], "code-wrong");
    site.done("bob", &["register", "--code", &code]);
}

#[test]
fn an_older_copy_is_refused() {
    let site = pair(false);
    site.done("alice", &["send", "Bob", "one"]);
    assert_eq!(site.received("bob"), ["one"]);
    let copy = fs::read(site.shop.path("bob")).expect("the file");
    site.done("bob", &["send", "Alice", "two"]);
    assert_eq!(site.received("alice"), ["two"]);
    site.done("alice", &["send", "Bob", "three"]);
    fs::write(site.shop.path("bob"), copy).expect("the file");
    let before = site.oregon.of_devices();
    for args in [&["receive"][..], &["send", "Alice", "x"], &["open", "Alice"]] {
        site.fails("bob", args, "device-older-copy");
    }
    assert_eq!(site.oregon.of_devices(), before);
    // On another machine nothing tells: what can't be decrypted any more is said, and nothing is shown twice.
    fs::remove_file(site.shop.path("bob.lock")).expect("the count beside it");
    let ran = site.device("bob", &["receive"]);
    assert!(ran.stderr.contains("1 could not be decrypted"), "{}", ran.whole());
    assert!(texts(&ran.stdout).is_empty(), "{}", ran.whole());
}
