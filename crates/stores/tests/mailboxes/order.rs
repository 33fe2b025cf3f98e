//! What comes in a bad order: a request that was let in before another device took the mailbox over, before a withdrawal, or before an
//! answer was lost.

use crate::stage::{ANN, Stage, message};
use domicile_stores::control::Value;
use domicile_stores::mailboxes::{
    Agreed, Effect, GIVEN, Kept, OneTime, Owner, Proven, Refusal, WITHDRAWN, Waiting,
};
use futures::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

on_both! {
    a_record_of_a_former_device_changes_nothing,
    what_a_former_device_agreed_to_at_the_last_moment_ends,
    what_policies_read_is_what_was_agreed_to_last,
    who_withdrew_meanwhile_gets_no_mailbox,
    a_registration_that_stalled_takes_nothing_back,
    who_has_a_mailbox_waits_for_none,
    keys_and_viewers_are_put_by_who_has_the_mailbox,
    a_key_that_was_given_never_comes_back,
    another_identity_leaves_no_key_behind,
    messages_that_come_with_a_withdrawal_are_dropped,
    a_half_made_mailbox_is_given_up_for_another,
}

const CM: &str = "cloud_messaging";
const ROW: &[u8] = b"what it agreed to";

fn record(purpose: &str, seq: i64, state: &str) -> Kept {
    Kept { purpose: purpose.to_owned(), seq, state: state.to_owned(), record: b"signed".to_vec() }
}

fn owner(mailbox: &str, device: &str) -> Owner {
    let (mailbox, country, device) = (mailbox.to_owned(), "CN".to_owned(), device.to_owned());
    Owner { mailbox, country, device, device_key: vec![1] }
}

fn keys(ids: &[u8]) -> Vec<OneTime> {
    ids.iter().map(|n| OneTime { id: n.to_string(), key: vec![*n; 4] }).collect()
}

impl Stage {
    /// A device without a mailbox agrees, in the place of `before`.
    async fn waits(&self, device: &str, row: &[u8], before: Option<&[u8]>) -> bool {
        let waiting = Waiting { device_key: vec![1], record: row.to_vec() };
        self.mailboxes.keep_waiting(device, &waiting, before, 9_000, (1_000, 9)).await.unwrap()
    }

    /// Another device takes ann over.
    async fn taken_over(&self, device: &str) -> Result<(), Refusal> {
        let records = [record(CM, 0, GIVEN)];
        let agreed = Agreed::Waiting { row: ROW, records: &records };
        self.mailboxes.take_over(&owner("ann", device), agreed).await
    }

    /// As policies read it.
    async fn consents(&self, mailbox: &str) -> BTreeSet<String> {
        let sql = "SELECT consents FROM mailbox WHERE id = $1";
        let rows = self.mailboxes.ask(sql, vec![mailbox.into()]).await.unwrap();
        let Value::Text(text) = &rows.rows[0][0] else { panic!("a text") };
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// The same by the records.
    async fn agreed(&self, mailbox: &str) -> BTreeSet<String> {
        let holder = self.mailboxes.holder(mailbox).await.unwrap().unwrap();
        holder.consents.into_iter().filter(|(_, state)| state == GIVEN).map(|(purpose, _)| purpose).collect()
    }

    /// One-time keys that are claimed until there is none left, and the fallback.
    async fn claims(&self) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let mut given = Vec::new();
        loop {
            let keys = self.mailboxes.claim("ann").await.unwrap().unwrap();
            match keys.one_time {
                Some(one) => given.push(one.key),
                None => return (given, keys.fallback),
            }
        }
    }
}

fn of(purposes: &[&str]) -> BTreeSet<String> {
    purposes.iter().map(|p| (*p).to_owned()).collect()
}

async fn a_record_of_a_former_device_changes_nothing(stage: Stage) {
    let db = &stage.mailboxes;
    assert!(stage.waits("d-new", ROW, None).await);
    stage.taken_over("d-new").await.unwrap();
    assert!(db.keep(message("ann", "1")).await.unwrap());
    let late = db.keep_consent(ANN, &record(CM, 9, WITHDRAWN), &Effect::of(CM)).await;
    assert_eq!(late, Err(Refusal::Changed));
    for purpose in ["presence", "region_move"] {
        let late = db.keep_consent(ANN, &record(purpose, 9, GIVEN), &[]).await;
        assert_eq!(late, Err(Refusal::Changed), "{purpose}");
    }
    assert_eq!(stage.unread("ann").await, ["1"]);
    assert_eq!(db.holder("ann").await.unwrap().unwrap().device, "d-new");
    assert_eq!((stage.agreed("ann").await, stage.consents("ann").await), (of(&[CM]), of(&[CM])));
    db.keep_consent(("ann", "d-new"), &record("presence", 9, GIVEN), &[]).await.unwrap();
    assert_eq!(stage.consents("ann").await, of(&[CM, "presence"]));
    let none = db.keep_consent(("nobody", "d"), &record(CM, 9, WITHDRAWN), &Effect::of(CM)).await;
    assert!(none.unwrap_err().is_elsewhere());
}

async fn what_a_former_device_agreed_to_at_the_last_moment_ends(stage: Stage) {
    let db = &stage.mailboxes;
    assert!(stage.waits("d-new", ROW, None).await);
    // After whoever takes over has looked, had it looked.
    db.keep_consent(ANN, &record("region_move", 1, GIVEN), &[]).await.unwrap();
    assert_eq!(stage.consents("ann").await, of(&[CM, "presence", "region_move"]));
    stage.taken_over("d-new").await.unwrap();
    assert_eq!((stage.agreed("ann").await, stage.consents("ann").await), (of(&[CM]), of(&[CM])));
}

/// Catches: a summary that was read before the lock that it is written under.
async fn what_policies_read_is_what_was_agreed_to_last(stage: Stage) {
    let db = &stage.mailboxes;
    for n in 1..=60 {
        let state = if n % 2 == 0 { WITHDRAWN } else { GIVEN };
        let one = record("region_move", n, state);
        let other = record("contact_discovery", n, GIVEN);
        let late = async {
            tokio::time::sleep(Duration::from_micros(n.unsigned_abs() % 10 * 100)).await;
            db.keep_consent(ANN, &other, &[]).await
        };
        let (one, other) = tokio::join!(db.keep_consent(ANN, &one, &[]), late);
        assert_eq!((one, other), (Ok(()), Ok(())));
        assert_eq!(stage.consents("ann").await, stage.agreed("ann").await, "{n}");
    }
}

async fn who_withdrew_meanwhile_gets_no_mailbox(stage: Stage) {
    let db = &stage.mailboxes;
    assert!(stage.waits("d-new", ROW, None).await);
    assert!(stage.waits("d-new", b"withdrawn", Some(ROW)).await);
    let records = [record(CM, 1, GIVEN)];
    let made = db.make(&owner("new", "d-new"), 1, (ROW, &records), 1_000).await;
    assert_eq!((made, stage.taken_over("d-new").await), (Err(Refusal::Changed), Err(Refusal::Changed)));
    assert!(db.holder("new").await.unwrap().is_none());
    assert_eq!(db.holder("ann").await.unwrap().unwrap().device, "d-ann");
    assert_eq!(db.waiting("d-new", 1_000).await.unwrap().unwrap().record, b"withdrawn");
    db.make(&owner("new", "d-new"), 1, (b"withdrawn", &records), 1_000).await.unwrap();
    assert_eq!((stage.agreed("new").await, stage.consents("new").await), (of(&[CM]), of(&[CM])));
    assert!(db.waiting("d-new", 1_000).await.unwrap().is_none());
    let again = db.make(&owner("new", "d-new"), 1, (b"withdrawn", &records), 1_000).await;
    assert_eq!(again, Err(Refusal::Changed), "its device has it");
}

/// A request that came twice: the first one goes on after the second is done, and after its owner has withdrawn.
async fn a_registration_that_stalled_takes_nothing_back(stage: Stage) {
    let (db, new) = (&stage.mailboxes, ("ann", "d-new"));
    assert!(stage.waits("d-new", ROW, None).await);
    stage.taken_over("d-new").await.unwrap();
    db.put_keys(new, (b"identity", b"fallback"), &keys(&[1]), 100).await.unwrap();
    assert_eq!(stage.taken_over("d-new").await, Err(Refusal::Changed));
    assert_eq!(stage.claims().await, (vec![vec![1; 4]], Some(b"fallback".to_vec())));
    let seq = db.latest("ann", CM).await.unwrap() + 1;
    db.keep_consent(new, &record(CM, seq, WITHDRAWN), &Effect::of(CM)).await.unwrap();
    assert_eq!(stage.taken_over("d-new").await, Err(Refusal::Changed));
    assert_eq!(db.holder("ann").await.unwrap().unwrap().device, "");
    assert_eq!((stage.agreed("ann").await, stage.consents("ann").await), (of(&[]), of(&[])));
}

async fn who_has_a_mailbox_waits_for_none(stage: Stage) {
    assert!(!stage.waits("d-ann", b"withdrawn", None).await, "it is to be kept at the mailbox");
    assert!(stage.mailboxes.waiting("d-ann", 1_000).await.unwrap().is_none());
}

async fn keys_and_viewers_are_put_by_who_has_the_mailbox(stage: Stage) {
    let (db, new) = (&stage.mailboxes, ("ann", "d-new"));
    assert!(stage.waits("d-new", ROW, None).await);
    stage.taken_over("d-new").await.unwrap();
    db.put_keys(new, (b"new", b"fallback"), &keys(&[1]), 100).await.unwrap();
    let late = db.put_keys(ANN, (b"old", b"old"), &keys(&[2]), 100).await;
    assert_eq!((late, db.keys_left("ann").await), (Err(Refusal::Changed), Ok(1)));
    assert_eq!(db.identity("ann").await.unwrap().unwrap(), b"new");
    db.keep_consent(new, &record("presence", 9, GIVEN), &[]).await.unwrap();
    assert_eq!(db.put_viewers(ANN, &["bob".to_owned()]).await, Err(Refusal::Changed));
    assert!(!db.may_view("ann", "bob").await.unwrap());
    db.put_viewers(new, &["bob".to_owned()]).await.unwrap();
    assert!(db.may_view("ann", "bob").await.unwrap());
    // After a withdrawal nobody sees it, also when it is given again.
    db.keep_consent(new, &record("presence", 10, WITHDRAWN), &Effect::of("presence")).await.unwrap();
    db.put_viewers(new, &["bob".to_owned()]).await.unwrap();
    db.keep_consent(new, &record("presence", 11, GIVEN), &[]).await.unwrap();
    assert!(!db.may_view("ann", "bob").await.unwrap());
    db.keep_consent(new, &record(CM, 9, WITHDRAWN), &Effect::of(CM)).await.unwrap();
    let late = db.put_keys(new, (b"new", b"fallback"), &keys(&[1]), 100).await;
    assert_eq!((late, db.keys_left("ann").await), (Err(Refusal::Changed), Ok(0)));
    assert_eq!(db.identity("ann").await.unwrap(), None);
    stage.put("bob", "w");
    let elsewhere = db.put_viewers(("bob", "d-bob"), &[]).await.unwrap_err();
    assert!(elsewhere.is_elsewhere(), "also where nobody is to see it: {elsewhere:?}");
}

async fn a_key_that_was_given_never_comes_back(stage: Stage) {
    let (db, own) = (&stage.mailboxes, (&b"identity"[..], &b"fallback"[..]));
    let sent = keys(&[1, 2, 3]);
    db.put_keys(ANN, own, &sent, 100).await.unwrap();
    let first = db.claim("ann").await.unwrap().unwrap().one_time.unwrap();
    assert_eq!(first.key.len(), 4);
    // The answer was lost: the same again.
    db.put_keys(ANN, own, &sent, 100).await.unwrap();
    assert_eq!(db.keys_left("ann").await.unwrap(), 2);
    let (given, fallback) = stage.claims().await;
    assert!(given.len() == 2 && !given.contains(&first.key), "{given:?}");
    assert_eq!(fallback.as_deref(), Some(&b"fallback"[..]));
    db.put_keys(ANN, own, &sent, 100).await.unwrap();
    assert_eq!(stage.claims().await.0, Vec::<Vec<u8>>::new());
    // What is left of them goes with the next ones, and counts as no key.
    db.put_keys(ANN, own, &keys(&[4]), 1).await.unwrap();
    let rows = db.ask("SELECT id FROM mailbox_key", vec![]).await.unwrap();
    assert_eq!(rows.rows, [[Value::Text("4".to_owned())]]);
    assert_eq!(stage.claims().await.0, [[4; 4]]);
}

/// They are signed by the identity of before: who claims one would take it for forged, and give up.
async fn another_identity_leaves_no_key_behind(stage: Stage) {
    let db = &stage.mailboxes;
    db.put_keys(ANN, (b"first", b"f1"), &keys(&[1, 2]), 100).await.unwrap();
    db.put_keys(ANN, (b"second", b"f2"), &keys(&[3]), 100).await.unwrap();
    assert_eq!(stage.claims().await, (vec![vec![3; 4]], Some(b"f2".to_vec())));
    db.put_keys(ANN, (b"second", b"f2"), &keys(&[4]), 100).await.unwrap();
    let prove = async |device, identity: &[u8]| {
        let proven = Proven { number_sealed: vec![1], identity: identity.to_vec(), tag: None };
        db.prove(("ann", device), &proven, (b"number", "attempt")).await
    };
    assert_eq!(prove("d-other", b"third").await, Err(Refusal::Changed));
    prove("d-ann", b"second").await.unwrap();
    assert_eq!(db.keys_left("ann").await.unwrap(), 1, "finished again, it changes nothing");
    prove("d-ann", b"third").await.unwrap();
    assert_eq!(stage.claims().await, (vec![], None));
}

/// Catches: a message whose row is written beside a withdrawal, so that neither sees the other; and one that is told to be kept after it.
async fn messages_that_come_with_a_withdrawal_are_dropped(stage: Stage) {
    let db = &stage.mailboxes;
    for n in 0..25_i64 {
        let sends = join_all((0..40).map(|m: u64| async move {
            tokio::time::sleep(Duration::from_micros(m * 150)).await;
            db.keep(message("ann", &format!("{n}-{m}"))).await.unwrap()
        }));
        let withdraws = async {
            tokio::time::sleep(Duration::from_micros(n.unsigned_abs() % 10 * 400)).await;
            let withdrawn = record(CM, 2 * n + 2, WITHDRAWN);
            db.keep_consent(ANN, &withdrawn, &Effect::of(CM)).await.unwrap();
            db.keep(message("ann", &format!("{n} after"))).await.unwrap()
        };
        let (_, after) = tokio::join!(sends, withdraws);
        assert!(!after, "told to be kept after the withdrawal");
        assert_eq!(stage.unread("ann").await, Vec::<String>::new(), "{n}: what waits is its former owner's");
        assert!(db.keep(message("bob", &n.to_string())).await.unwrap(), "each for itself");
        let opened = "UPDATE mailbox SET device = 'd-ann' WHERE id = 'ann'";
        db.ask(opened, vec![]).await.unwrap();
        let given = record(CM, 2 * n + 3, GIVEN);
        db.keep_consent(ANN, &given, &[]).await.unwrap();
    }
    assert_eq!(stage.unread("bob").await.len(), 25);
}

async fn a_half_made_mailbox_is_given_up_for_another(stage: Stage) {
    let db = &stage.mailboxes;
    assert!(stage.waits("d-new", ROW, None).await);
    let records = [record(CM, 1, GIVEN), record("contact_discovery", 1, GIVEN)];
    db.make(&owner("half", "d-new"), 1, (ROW, &records), 1_000).await.unwrap();
    db.keep_consent(("half", "d-new"), &record("contact_discovery", 2, WITHDRAWN), &[]).await.unwrap();
    let takes = async || db.take_over(&owner("ann", "d-new"), Agreed::HalfMade("half")).await;
    takes().await.unwrap();
    assert_eq!(db.mailbox_of("d-new").await.unwrap().as_deref(), Some("ann"));
    assert_eq!(db.holder("ann").await.unwrap().unwrap().device, "d-new");
    assert_eq!((stage.agreed("ann").await, stage.consents("ann").await), (of(&[CM]), of(&[CM])));
    assert_eq!(db.holder("half").await.unwrap().unwrap().device, "");
    assert_eq!((stage.agreed("half").await, stage.consents("half").await), (of(&[]), of(&[])));
    assert_eq!(takes().await, Err(Refusal::Changed), "it has given it up");
    // Two that were left by an older relay: the one with the number is the device's.
    let two = "UPDATE mailbox SET device = 'd-new', number_sealed = $1 WHERE id = 'dot'";
    db.ask(two, vec![b"sealed".as_slice().into()]).await.unwrap();
    assert_eq!(db.mailbox_of("d-new").await.unwrap().as_deref(), Some("dot"));
}
