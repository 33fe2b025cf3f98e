//! What strangers' bytes meet first, as functions of bytes that panic where a promise is broken: for `fuzz/` (cargo-fuzz), and
//! for bounded runs of mutations on stable (the tests below).

use crate::consent::{Countersigned, DeviceSigned};
use crate::discovery::{DiscoveryKey, Filter};
use crate::number::Number;
use crate::proof::{Proof, Request};
use crate::region::SignedRegion;
use crate::session::Keyring;
use crate::token::Claims;
use crate::wire::{self, *};
use ed25519_dalek::SigningKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What parses prints to something that parses to the same.
fn stable<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(read) = wire::parse::<T>(data) else { return };
    let printed = serde_json::to_vec(&read).expect("what was read can be printed");
    let again: T = serde_json::from_slice(&printed).expect("what was printed can be read");
    assert_eq!(serde_json::to_vec(&again).expect("as before"), printed);
}

/// The bodies of all requests, and the answers that a device reads.
pub fn messages(data: &[u8]) {
    stable::<StartRegistration>(data);
    stable::<FinishRegistration>(data);
    stable::<Registered>(data);
    stable::<Retag>(data);
    stable::<Evaluate>(data);
    stable::<Evaluated>(data);
    stable::<Lookup>(data);
    stable::<Found>(data);
    stable::<PublishKeys>(data);
    stable::<ClaimedKeys>(data);
    stable::<Send>(data);
    stable::<Messages>(data);
    stable::<Acknowledge>(data);
    stable::<ShowPresence>(data);
    stable::<relay::RelaySend>(data);
    stable::<relay::RelayPresence>(data);
    stable::<Problem>(data);
    if let Ok(signed) = serde_json::from_slice::<SignedRegion>(data) {
        assert!(signed.believe(&Key([0; 32])).is_err(), "nobody has that key");
    }
}

/// A filter, and a question to it.
pub fn filter(data: &[u8]) {
    let (locator, bytes) = data.split_at(data.len().min(16));
    let mut wanted = Locator([0; 16]);
    wanted.0[..locator.len()].copy_from_slice(locator);
    let Ok(filter) = Filter::from_bytes(bytes) else { return };
    filter.has(&wanted);
    assert_eq!(filter.to_bytes(), bytes, "one spelling");
}

/// A token and a proof: nobody has signed what comes here.
pub fn credentials(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let key = SigningKey::from_bytes(&[0x42; 32]).verifying_key();
    let region = "beijing".parse().expect("a name");
    assert!(Claims::check(text, &key, &region, 0).is_err());
    if let Ok(proof) = text.parse::<Proof>() {
        let request = Request { region: "beijing", method: "GET", path_and_query: "/", body: b"" };
        assert!(proof.check(&key, request, 0).is_err());
    }
    if let Ok(number) = text.parse::<Number>() {
        assert_eq!(number.as_str(), text, "one spelling");
        number.country();
    }
    let _ = Number::typed(text, Some("CN"));
}

/// A consent record: whoever changes a byte of its meaning breaks a signature.
pub fn consent(data: &[u8]) {
    stable::<GiveConsent>(data);
    if let Ok(record) = serde_json::from_slice::<DeviceSigned>(data) {
        let _ = record.check();
    }
    if let Ok(record) = serde_json::from_slice::<Countersigned>(data) {
        assert!(record.check(&Key([0; 32])).is_err(), "nobody has that key");
    }
}

/// A body for a keyring that knows nobody.
pub fn body(data: &[u8]) {
    let Some(body) = MessageBody::new(data.to_vec()) else { return };
    let _ = Keyring::new().open(MessageId([0; 16]), &body);
}

/// A batch to evaluate: points or not.
pub fn batch(data: &[u8]) {
    let (blinded, _) = data.as_chunks::<32>();
    let blinded: Vec<_> = blinded.iter().map(|bytes| Blinded(*bytes)).collect();
    let _ = DiscoveryKey::generate().evaluate(&blinded);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Real ones, to be changed here and there.
    fn seeds() -> Vec<Vec<u8>> {
        let send = Send {
            to: MailboxId([1; 16]),
            id: MessageId([2; 16]),
            body: MessageBody::new(vec![3; 50]).unwrap(),
            expires_in_s: 60,
            if_offline: IfOffline::Keep,
            sealed_to: Some(Key([4; 32])),
        };
        let key = SigningKey::from_bytes(&[1; 32]);
        let statement = crate::region::tests::statement(&key, "beijing");
        let processing = crate::consent::Processing::offered(
            crate::consent::Purpose::Presence,
            &statement.region,
            &statement.terms,
        );
        let device = crate::consent::device_of(&Key(key.verifying_key().to_bytes()));
        let given = crate::consent::EventState::Given;
        let record = crate::consent::Record::new(device, processing, given, 1, statement.at);
        let record = DeviceSigned::sign(record, &key);
        let whole = Countersigned::sign(record.clone(), statement.region.clone(), statement.at, &key);
        let filter = Filter::build("beijing".parse().unwrap(), 1, (0..9).map(|i| Locator([i; 16]))).unwrap();
        let request = Request { region: "beijing", method: "GET", path_and_query: "/", body: b"" };
        let keys = Keyring::new().to_publish(2);
        let moved = Problem::moved(Home {
            region: "oregon".parse().unwrap(),
            endpoint: "https://relay.oregon.example".parse().unwrap(),
            epoch: 1,
        });
        vec![
            serde_json::to_vec(&send).unwrap(),
            serde_json::to_vec(&GiveConsent { record: record.clone() }).unwrap(),
            serde_json::to_vec(&record).unwrap(),
            serde_json::to_vec(&whole).unwrap(),
            serde_json::to_vec(&statement.sign(&key)).unwrap(),
            serde_json::to_vec(&keys).unwrap(),
            serde_json::to_vec(&moved).unwrap(),
            br#"{"number":"+8613912345678"}"#.to_vec(),
            [&[0; 16][..], &filter.to_bytes()].concat(),
            Proof::make(&key, request, 0).to_string().into_bytes(),
            Claims::at(0, "beijing".parse().unwrap(), device, None, Default::default())
                .sign(&key)
                .into_bytes(),
            [&[0][..], &[7; 200]].concat(),
            vec![0x5a; 16 * 32],
        ]
    }

    fn all(data: &[u8]) {
        messages(data);
        filter(data);
        credentials(data);
        consent(data);
        body(data);
        batch(data);
    }

    #[test]
    fn real_ones_pass_through() {
        seeds().iter().for_each(|seed| all(seed));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn changed_ones_break_no_promise(
            which: prop::sample::Index, at: prop::sample::Index, to: u8, cut: prop::sample::Index, twice: bool,
        ) {
            let mut data = seeds().swap_remove(which.index(13));
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
