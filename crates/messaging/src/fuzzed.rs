//! What strangers' bytes meet first, as functions of bytes that panic where a promise is broken: for `fuzz/` (cargo-fuzz), and
//! for bounded runs of mutations on stable (the tests below).
//!
//! Random bytes get behind no signature and no seal. So where there is one, the bytes are also what is changed of a genuine thing
//! (xored, the rest appended): it must be refused, and do no damage. Or they are what a key signs that is believed.

use crate::consent::{Countersigned, DeviceSigned, EventState, Processing, Purpose, Record, device_of};
use crate::discovery::{Blinding, DiscoveryKey, Filter, Resident};
use crate::number::Number;
use crate::proof::{Proof, Request};
use crate::region::{PublishedLimits, RegionStatement, SignedRegion, fingerprint};
use crate::sealing::{OpeningKey, SEALED_BYTES, seal};
use crate::session::{Keyring, keys_are_signed};
use crate::token::Claims;
use crate::wire::limits::TOKEN_S;
use crate::wire::{self, *};
use ed25519_dalek::SigningKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::LazyLock;

/// What parses prints to something that parses to the same.
fn stable<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(read) = wire::parse::<T>(data) else { return };
    let printed = serde_json::to_vec(&read).expect("what was read can be printed");
    let again: T = serde_json::from_slice(&printed).expect("what was printed can be read");
    assert_eq!(serde_json::to_vec(&again).expect("as before"), printed);
}

/// The bodies of all requests, and the answers that a device or another relay reads.
pub fn messages(data: &[u8]) {
    stable::<StartRegistration>(data);
    stable::<RegistrationStarted>(data);
    stable::<FinishRegistration>(data);
    stable::<Registered>(data);
    stable::<Retag>(data);
    stable::<Tagged>(data);
    stable::<ConsentTaken>(data);
    stable::<TokenIssued>(data);
    stable::<Filters>(data);
    stable::<Evaluate>(data);
    stable::<Evaluated>(data);
    stable::<RegionEvaluated>(data);
    stable::<Lookup>(data);
    stable::<Found>(data);
    stable::<PublishKeys>(data);
    stable::<ClaimKeys>(data);
    stable::<ClaimedKeys>(data);
    stable::<Send>(data);
    stable::<Sent>(data);
    stable::<Messages>(data);
    stable::<Acknowledge>(data);
    stable::<ShowPresence>(data);
    stable::<PresenceOf>(data);
    stable::<relay::RelaySend>(data);
    stable::<relay::RelayPresence>(data);
    stable::<relay::RelayEvaluate>(data);
    stable::<Problem>(data);
    if let Ok(keys) = wire::parse::<PublishKeys>(data) {
        assert!(!keys_are_signed(&keys) || keys == *PUBLISHED, "nobody else has that key");
    }
    if let Ok(signed) = serde_json::from_slice::<SignedRegion>(data) {
        let believed = signed.clone().believe(&fingerprint(&Key(KEY.verifying_key().to_bytes())));
        assert!(believed.is_err() || signed == *REGION, "nobody else has that key");
        // As its own relay could say it.
        let wanted = fingerprint(&Key(KEY.verifying_key().to_bytes()));
        if let Ok(statement) = signed.statement.sign(&KEY).believe(&wanted) {
            assert!(statement.listed(&statement.region).is_some_and(|own| own.current().is_some()));
        }
    }
}

/// A filter, and a question to it. Then locators, of which a filter is built.
pub fn filter(data: &[u8]) {
    let (locator, bytes) = data.split_at(data.len().min(16));
    let mut wanted = Locator([0; 16]);
    wanted.0[..locator.len()].copy_from_slice(locator);
    if let Ok(filter) = Filter::from_bytes(bytes) {
        filter.has(&wanted);
        assert_eq!(filter.to_bytes(), bytes, "one spelling");
    }
    let (locators, _) = data.as_chunks::<16>();
    let built = Filter::build(BEIJING.clone(), 1, locators.iter().map(|bytes| Locator(*bytes)));
    let Ok(filter) = built else { return };
    assert!(locators.iter().all(|bytes| filter.has(&Locator(*bytes))), "who is in it is found");
    let again = Filter::from_bytes(&filter.to_bytes()).expect("it reads what it wrote");
    assert!(locators.iter().all(|bytes| again.has(&Locator(*bytes))), "as before");
}

/// A token and a proof: nobody has signed what comes here. Then claims, signed as they are.
pub fn credentials(data: &[u8]) {
    let request =
        Request { region: "beijing", method: "POST", path_and_query: "/v1/messaging/token", body: data };
    let proof = Proof::make(&KEY, request, NOW).to_string();
    let proof: Proof = proof.parse().expect("a proof reads its own text");
    assert!(proof.check(&KEY.verifying_key(), request, NOW + 120).is_ok());
    let more = [data, b"x"].concat();
    for other in [
        Request { body: &more, ..request },
        Request { region: "oregon", ..request },
        Request { method: "PUT", ..request },
        Request { path_and_query: "/v1/messaging/keys", ..request },
    ] {
        assert!(proof.check(&KEY.verifying_key(), other, NOW).is_err(), "it is of one request");
    }
    if let Ok(claims) = serde_json::from_slice::<Claims>(data)
        && let Ok(read) = Claims::check(&claims.sign(&KEY), &KEY.verifying_key(), &BEIJING, NOW)
    {
        assert!(
            read == claims
                && claims.region == *BEIJING
                && claims.exp > NOW
                && claims.exp <= NOW + 2 * TOKEN_S
        );
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(Claims::check(text, &KEY.verifying_key(), &BEIJING, 0).is_err());
    if let Ok(proof) = text.parse::<Proof>() {
        assert!(proof.check(&KEY.verifying_key(), request, 0).is_err());
    }
    if let Ok(number) = text.parse::<Number>() {
        assert_eq!(number.as_str(), text, "one spelling");
        number.country();
    }
    if let Ok(number) = Number::typed(text, Some("CN")) {
        assert!(number.as_str().parse::<Number>().is_ok(), "what was typed is a number");
    }
}

/// A consent record: whoever changes a byte of its meaning breaks a signature. Then records, signed as they are.
pub fn consent(data: &[u8]) {
    stable::<GiveConsent>(data);
    if let Ok(record) = serde_json::from_slice::<DeviceSigned>(data) {
        assert!(record.check().is_err() || record.device_key != RECORD.device_key || record == *RECORD);
        let again = DeviceSigned::sign(record.record, &KEY);
        if again.check().is_ok() {
            let mut other = again.clone();
            other.record.event.sequence ^= 1;
            assert!(other.check().is_err(), "it was changed after it was signed");
            let offered = again.check_offered(&RECORD.record.processing).is_ok();
            let withdrawn = again.record.event.event_state == EventState::Withdrawn;
            assert_eq!(offered, withdrawn || again.record.processing == RECORD.record.processing);
        }
    }
    if let Ok(record) = serde_json::from_slice::<Countersigned>(data) {
        assert!(record.check(&Key([0; 32])).is_err(), "nobody has that key");
        let key = Key(KEY.verifying_key().to_bytes());
        assert!(record.check(&key).is_err() || record == *WHOLE, "nobody else has that key");
    }
}

/// A body: for a keyring that knows nobody, and for one that has a session, as what is changed of a genuine one. It opens as it was
/// sent or not at all, and what is not opened damages nothing.
pub fn body(data: &[u8]) {
    if let Some(body) = MessageBody::new(data.to_vec()) {
        let _ = Keyring::new().open(MessageId([0; 16]), &body);
    }
    let Some((which, change)) = data.split_first() else { return };
    let Talk { bob, bodies } = &*TALK;
    let keyring = || serde_json::from_slice::<Keyring>(bob).expect("a keyring reads its own text");
    let mut bob = keyring();
    let (id, genuine) = &bodies[usize::from(*which) % bodies.len()];
    let Some(changed) = MessageBody::new(xored(genuine.as_ref(), change)) else { return };
    match bob.open(*id, &changed) {
        Err(_) => assert!(bob.open(*id, genuine).is_ok(), "the genuine one opens after it"),
        // What stands around what is sealed has more than one spelling.
        Ok(opened) => {
            assert!(opened.text == "hello" && opened.from == MailboxId(id.0), "as it was sent");
            assert!(bob.open(*id, genuine).is_err(), "it opens once");
        }
    }
}

/// A batch to evaluate: points or not.
pub fn batch(data: &[u8]) {
    let (blinded, _) = data.as_chunks::<32>();
    let blinded: Vec<_> = blinded.iter().map(|bytes| Blinded(*bytes)).collect();
    let Ok((evaluated, _)) = DISCOVERY.evaluate(&blinded) else { return };
    assert!(evaluated.len() == blinded.len() && evaluated.iter().all(|each| each.0 != [0; 32]));
}

/// What is changed of a relay's answers: an evaluation, an entry, a sealed number. Each is taken as it was made or not at all.
pub fn answers(data: &[u8]) {
    let Answers { blinding, evaluated, proof, entry, sealed } = &*ANSWERS;
    let number = &blinding.numbers()[0];
    let change = |genuine: &[u8]| xored(genuine, data);
    let is_changed = data.iter().any(|byte| *byte != 0);
    let mut bytes: Vec<u8> = proof.0.to_vec();
    evaluated.iter().for_each(|each| bytes.extend_from_slice(&each.0));
    let bytes = change(&bytes);
    let (first, rest) = bytes.split_first_chunk().expect("as long as it was");
    let each: Vec<_> = rest.as_chunks::<32>().0.iter().map(|bytes| Evaluation(*bytes)).collect();
    let tags = blinding.tags(&each, &wire::Proof(*first), &DISCOVERY.public_key());
    assert_eq!(tags.is_ok(), first == &proof.0 && each == *evaluated, "what was changed gives no tag");
    let mut other = Entry([0; Entry::BYTES]);
    other.0.copy_from_slice(&change(&entry.0)[..Entry::BYTES]);
    assert_eq!(DISCOVERY.tag(number).open(&other).is_some(), other == *entry);
    let (key, mailbox) = (&OPENING.0, MailboxId([1; 16]));
    assert_eq!(
        key.open_for_lawful_request(&mailbox, &change(sealed)).is_ok(),
        !is_changed && data.len() <= sealed.len()
    );
}

/// What each target begins with: real ones.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "answers" => vec![vec![0], [&[0; 64][..], &[1]].concat(), vec![0; SEALED_BYTES + 1]],
        "body" => (0..3).map(|which| vec![which, 0]).chain([[&[0][..], &[7; 200]].concat()]).collect(),
        "batch" => {
            let blinded = ANSWERS.blinding.blinded();
            vec![blinded.iter().flat_map(|each| each.0).collect(), vec![0x5a; 16 * 32]]
        }
        "filter" => {
            let filter =
                Filter::build(BEIJING.clone(), 1, (0..9).map(|i| Locator([i; 16]))).expect("a filter");
            vec![[&[0; 16][..], &filter.to_bytes()].concat(), (0..160).collect()]
        }
        _ => texts(),
    }
}

fn texts() -> Vec<Vec<u8>> {
    let json = |value: Result<Vec<u8>, serde_json::Error>| value.expect("JSON");
    let send = Send {
        to: MailboxId([1; 16]),
        id: MessageId([2; 16]),
        body: MessageBody::new(vec![3; 50]).expect("a body"),
        expires_in_s: 60,
        if_offline: IfOffline::Keep,
        sealed_to: Some(Key([4; 32])),
    };
    let moved = Problem::moved(Home {
        region: "oregon".parse().expect("a name"),
        endpoint: "https://relay.oregon.example".parse().expect("an address"),
        epoch: 1,
    });
    let claims =
        Claims::at(NOW, BEIJING.clone(), RECORD.record.header.pii_principal_id, None, Default::default());
    let request = Request { region: "beijing", method: "GET", path_and_query: "/", body: b"" };
    vec![
        json(serde_json::to_vec(&send)),
        json(serde_json::to_vec(&relay::RelaySend { from: MailboxId([4; 16]), message: send })),
        json(serde_json::to_vec(&GiveConsent { record: RECORD.clone() })),
        json(serde_json::to_vec(&*RECORD)),
        json(serde_json::to_vec(&*WHOLE)),
        json(serde_json::to_vec(&*REGION)),
        json(serde_json::to_vec(&*PUBLISHED)),
        json(serde_json::to_vec(&moved)),
        json(serde_json::to_vec(&claims)),
        br#"{"number":"+8613912345678"}"#.to_vec(),
        br#"{"ids":["AAAAAAAAAAAAAAAAAAAAAA"]}"#.to_vec(),
        br#"{"visible_to":["AAAAAAAAAAAAAAAAAAAAAA"]}"#.to_vec(),
        br#"{"presence":"not-shared"}"#.to_vec(),
        Proof::make(&KEY, request, 0).to_string().into_bytes(),
        claims.sign(&KEY).into_bytes(),
        b"+8613912345678".to_vec(),
        b"(0)139 1234-5678".to_vec(),
    ]
}

/// The genuine bytes with `change` xored onto them and what is left of it appended.
fn xored(genuine: &[u8], change: &[u8]) -> Vec<u8> {
    let mut bytes = genuine.to_vec();
    bytes.iter_mut().zip(change).for_each(|(byte, by)| *byte ^= by);
    bytes.extend_from_slice(change.get(genuine.len()..).unwrap_or(&[]));
    bytes
}

/// Seconds since 1970.
const NOW: i64 = 1_795_000_000;

/// Of the device and of its region: always the same, so that what was found yesterday means the same today.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[0x42; 32]));
static BEIJING: LazyLock<RegionName> = LazyLock::new(|| "beijing".parse().expect("a name"));

static REGION: LazyLock<SignedRegion> = LazyLock::new(|| {
    let key = Key(KEY.verifying_key().to_bytes());
    let limits = serde_json::to_string(&PublishedLimits::default()).expect("limits");
    let statement = format!(
        r#"{{"v":1,"service":"messaging","region":"beijing","at":"2026-11-27T16:00:00Z","terms":{{"notice":{{"url":"https://phone.example/notice",
        "sha256":"{key}","language":"en"}},"controller":{{"name":"Phone Example Ltd","contact":"privacy@phone.example"}},"jurisdiction":"CN",
        "storage_country":"CN"}},"service_key":"{key}","sealing_key":"{key}","limits":{limits},"regions":[{{"region":"beijing","country":"CN",
        "endpoint":"https://relay.beijing.example","service_key":"{key}","generations":[{{"generation":1,"public_key":"{key}","current":true}}]}}]}}"#
    );
    serde_json::from_str::<RegionStatement>(&statement).expect("a statement").sign(&KEY)
});

static RECORD: LazyLock<DeviceSigned> = LazyLock::new(|| {
    let statement = &REGION.statement;
    let processing = Processing::offered(Purpose::Presence, &statement.region, &statement.terms);
    let device = device_of(&Key(KEY.verifying_key().to_bytes()));
    DeviceSigned::sign(Record::new(device, processing, EventState::Given, 1, statement.at), &KEY)
});

static WHOLE: LazyLock<Countersigned> =
    LazyLock::new(|| Countersigned::sign(RECORD.clone(), BEIJING.clone(), REGION.statement.at, &KEY));

static PUBLISHED: LazyLock<PublishKeys> = LazyLock::new(|| Keyring::new().to_publish(2));

static DISCOVERY: LazyLock<DiscoveryKey> =
    LazyLock::new(|| format!("domicile-discovery-key-v1:{}", Key([1; 32])).parse().expect("a key"));

static OPENING: LazyLock<(OpeningKey, Key)> = LazyLock::new(OpeningKey::generate);

/// Genuine answers of a relay.
struct Answers {
    blinding: Blinding,
    evaluated: Vec<Evaluation>,
    proof: wire::Proof,
    entry: Entry,
    sealed: [u8; SEALED_BYTES],
}

static ANSWERS: LazyLock<Answers> = LazyLock::new(|| {
    let number: Number = "+8613912345678".parse().expect("a number");
    let blinding = Blinding::of(vec![number.clone()]).expect("one number");
    let (evaluated, proof) = DISCOVERY.evaluate(blinding.blinded()).expect("sixteen points");
    let identity = IdentityKeys { curve25519: Key([1; 32]), ed25519: Key([2; 32]) };
    let entry = DISCOVERY.tag(&number).seal(&Resident { mailbox: MailboxId([1; 16]), identity });
    let sealed = seal(&OPENING.1, &MailboxId([1; 16]), &number).expect("a key");
    Answers { blinding, evaluated, proof, entry, sealed }
});

/// A keyring as its file has it, and bodies for it: one that opens a session, one within it, one that opens another.
struct Talk {
    bob: Vec<u8>,
    bodies: Vec<(MessageId, MessageBody)>,
}

static TALK: LazyLock<Talk> = LazyLock::new(|| {
    let (mut bob, mut alice, mut carol) = (Keyring::new(), Keyring::new(), Keyring::new());
    let keys = bob.to_publish(2);
    bob.published();
    let claimed = |at: usize| ClaimedKeys { identity: keys.identity, one_time: keys.one_time[at] };
    let say = |from: &mut Keyring, to: &Keyring, id: u8| {
        let (from_mailbox, id) = (MailboxId([id; 16]), MessageId([id; 16]));
        let sealed = from.seal(&to.identity().curve25519, from_mailbox, id, "hello");
        (id, sealed.expect("a session"))
    };
    alice.start(&keys.identity, &claimed(0)).expect("signed");
    carol.start(&keys.identity, &claimed(1)).expect("signed");
    let (id, first) = say(&mut alice, &bob, 1);
    bob.open(id, &first).expect("it opens a session");
    let (id, answer) = say(&mut bob, &alice, 2);
    alice.open(id, &answer).expect("it opens");
    let bodies = vec![say(&mut alice, &bob, 3), say(&mut carol, &bob, 4), say(&mut alice, &bob, 5)];
    Talk { bob: serde_json::to_vec(&bob).expect("a keyring"), bodies }
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Real ones, to be changed here and there.
    fn every_seed() -> Vec<Vec<u8>> {
        ["", "answers", "body", "batch", "filter"].into_iter().flat_map(seeds).collect()
    }

    fn all(data: &[u8]) {
        messages(data);
        filter(data);
        credentials(data);
        consent(data);
        body(data);
        batch(data);
        answers(data);
    }

    #[test]
    fn real_ones_pass_through() {
        every_seed().iter().for_each(|seed| all(seed));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn changed_ones_break_no_promise(
            which: prop::sample::Index, at: prop::sample::Index, to: u8, cut: prop::sample::Index, twice: bool,
        ) {
            let mut all_seeds = every_seed();
            let mut data = all_seeds.swap_remove(which.index(all_seeds.len()));
            let len = data.len();
            data[at.index(len)] ^= to;
            if twice {
                let at = cut.index(len);
                let part = data[..at].to_vec();
                data.splice(at..at, part);
            } else if to % 3 == 0 {
                data.truncate(cut.index(len));
            }
            all(&data);
        }
    }

    #[test]
    fn requests_refuse_unknown_fields_and_too_much() {
        let unknown = br#"{"number":"+8613912345678","imei":"490154203237518"}"#;
        let refused = wire::parse::<StartRegistration>(unknown);
        assert!(matches!(refused, Err(wire::Unreadable::OtherForm { .. })));
        assert!(!refused.unwrap_err().to_string().contains("imei"), "nothing that was sent is repeated");
        let big = vec![b' '; wire::limits::REQUEST_BYTES_MAX + 1];
        assert_eq!(wire::parse::<StartRegistration>(&big), Err(wire::Unreadable::TooBig));
        let many = format!("{{\"ids\":[{}]}}", vec!["\"AAAAAAAAAAAAAAAAAAAAAA\""; 101].join(","));
        assert!(wire::parse::<Acknowledge>(many.as_bytes()).is_err());
    }
}
