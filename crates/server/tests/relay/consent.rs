//! Consent: given, withdrawn, superseded, forged.

use crate::phone::Phone;
use crate::stage::{Stage, limits};
use domicile_messaging::SigningKey;
use domicile_messaging::consent::{Countersigned, EventState, Purpose};
use domicile_messaging::wire::Key;
use domicile_server::messaging::MessagingLimits;
use domicile_stores::mailboxes::{Effect, Kept, WITHDRAWN};
use http::Method;
use jiff::Timestamp;
use serde_json::json;
use std::time::{Duration, Instant};

const NUMBER: &str = "+8613912345678";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_happens_before_consent_and_nothing_after_it_is_withdrawn() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        assert_eq!(phone.get("filters").await.no(), (401, "consent-missing".into()));
        // Another purpose is not this one.
        phone.give(Purpose::Presence).await.ok();
        assert_eq!(phone.start(NUMBER).await.no(), (403, "consent-withdrawn".into()));
        assert!(!stage.sms().exists(), "nothing was sent");
        phone.give(Purpose::CloudMessaging).await.ok();
        phone.withdraw(Purpose::CloudMessaging).await.ok();
        assert_eq!(phone.start(NUMBER).await.no(), (403, "consent-withdrawn".into()));

        let (mut phone, registered) = Phone::registered(&stage, 0, NUMBER).await;
        phone.get("filters").await.ok();
        let token = phone.token.clone();
        phone.withdraw(Purpose::ContactDiscovery).await.ok();
        // A token that says so is not enough.
        phone.token = token.clone();
        assert_eq!(phone.get("filters").await.no(), (403, "consent-withdrawn".into()));
        phone.get("messages").await.ok();
        let answer = phone.withdraw(Purpose::CloudMessaging).await.ok();
        assert!(answer["token"].is_null());
        phone.token = token;
        assert_eq!(phone.get("messages").await.no(), (403, "consent-withdrawn".into()));
        assert_eq!(phone.post("token", json!({})).await.no(), (403, "consent-withdrawn".into()));
        let mailbox = registered["mailbox"].as_str().unwrap();
        let holder = stage.stores[0].holder(mailbox).await.unwrap().unwrap();
        assert!(holder.device.is_empty() && !holder.has_number);
        assert_eq!(stage.stores[0].identity(mailbox).await.unwrap(), None);
        // The number is free for whoever proves it.
        let (_, again) = Phone::registered(&stage, 0, NUMBER).await;
        assert_eq!(again["mailbox"], registered["mailbox"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_countersigned_and_a_replay_of_an_older_one_is_refused() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        let given = phone.record(Purpose::Presence, EventState::Given);
        let first = phone.consent(&given).await.ok();
        let record: Countersigned = serde_json::from_value(first["record"].clone()).unwrap();
        let service_key = Key(stage.listed[0].service_key.to_bytes());
        assert_eq!(record.check(&service_key), Ok(()));
        assert_eq!(phone.consent(&given).await.ok()["record"], first["record"], "sent again");
        phone.withdraw(Purpose::Presence).await.ok();
        assert_eq!(phone.consent(&given).await.no(), (409, "record-superseded".into()));
        phone.give(Purpose::Presence).await.ok();
    }
}

/// Records lie in databases, whose readers are not their owners.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_taken_from_who_signed_it_only() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        let given = phone.record(Purpose::ContactDiscovery, EventState::Given);
        phone.consent(&given).await.ok();
        // Without messaging all ends, and of what else was agreed to nothing is remembered: it could be brought again.
        let (reader, path) = (Phone::new(&stage, 0), "/v1/messaging/consents");
        let body = json!({ "record": given }).to_string();
        let none = reader.raw(Method::POST, path, &[], body.clone()).await;
        assert_eq!(none.no(), (401, "proof-missing".into()));
        let own = reader.proof(&Method::POST, path, body.as_bytes());
        assert_eq!(reader.shown(Method::POST, path, &own, body.clone()).await.no().1, "proof-forged");
        // What another region's relay was shown is of no use here.
        phone.region = stage.region(1);
        let elsewhere = phone.proof(&Method::POST, path, body.as_bytes());
        phone.region = stage.region(0);
        assert_eq!(reader.shown(Method::POST, path, &elsewhere, body.clone()).await.no().1, "proof-forged");
        let proof = phone.proof(&Method::POST, path, body.as_bytes());
        reader.shown(Method::POST, path, &proof, body).await.ok();
    }
}

/// Devices cost nothing: many of them keep nobody out.
#[tokio::test(flavor = "multi_thread")]
async fn who_makes_many_devices_keeps_nobody_out() {
    for postgres in [false, true] {
        let limits = MessagingLimits { waiting: 3, ..limits() };
        let stage = Stage::with(postgres, limits).await;
        let mut phones = Vec::new();
        for _ in 0..5 {
            let mut phone = Phone::new(&stage, 0);
            phone.give(Purpose::CloudMessaging).await.ok();
            phones.push(phone);
        }
        let rows = stage.stores[0].ask("SELECT device FROM mailbox_waiting", vec![]).await.unwrap();
        assert_eq!(rows.rows.len(), 3);
        phones[4].start(NUMBER).await.ok();
        assert_eq!(phones[0].start(NUMBER).await.no(), (401, "device-unknown".into()));
        // What is there already is changed, and takes no other's place.
        phones[3].give(Purpose::Presence).await.ok();
        phones[2].start(NUMBER).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_is_refused() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        let good = phone.record(Purpose::CloudMessaging, EventState::Given);
        let mut stranger = good.clone();
        stranger.device_key = Key(SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes());
        assert_eq!(phone.consent(&stranger).await.no(), (422, "record-forged".into()));
        let mut changed = good.clone();
        changed.record.processing.purpose = Purpose::RegionMove;
        assert_eq!(phone.consent(&changed).await.no(), (422, "record-forged".into()));
        phone.region = stage.region(1);
        let elsewhere = phone.record(Purpose::CloudMessaging, EventState::Given);
        assert_eq!(phone.consent(&elsewhere).await.no(), (422, "record-terms".into()));
        for body in ["", "{", "[]", "{\"record\":1}", "{\"record\":{},\"more\":1}"] {
            let answer = phone.raw(Method::POST, "/v1/messaging/consents", &[], body.into()).await;
            assert_eq!(answer.no(), (400, "bad-request".into()), "{body}");
        }
        assert!(phone.token.is_none());
    }
}

/// A process kept it and died before it told anybody; the device, which has no answer, sends it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_is_sent_again_is_told_again() {
    // The next filter that is built for no reason is hours away.
    let stage =
        Stage::with(false, MessagingLimits { filter_every: Duration::from_secs(3600), ..limits() }).await;
    let (mut phone, registered) = Phone::registered(&stage, 0, NUMBER).await;
    let (reader, _) = Phone::registered(&stage, 0, "+8613912345679").await;
    let findable = async |wanted: u64| {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let listed = reader.get("filters").await.ok();
            let all = listed.as_array().unwrap();
            if all.iter().any(|one| one["region"] == "beijing" && one["entries"] == wanted) {
                return;
            }
            assert!(Instant::now() < until, "no filter of {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    findable(2).await;
    let record = phone.record(Purpose::ContactDiscovery, EventState::Withdrawn);
    let signed =
        Countersigned::sign(record.clone(), stage.region(0), Timestamp::now(), &stage.service_key(0));
    let (mailbox, device) = (registered["mailbox"].as_str().unwrap(), phone.id().to_string());
    let (purpose, state) = ("contact_discovery".to_owned(), WITHDRAWN.to_owned());
    let kept = Kept { purpose, seq: 2, state, record: serde_json::to_vec(&signed).unwrap() };
    let effects = Effect::of("contact_discovery");
    stage.stores[0].keep_consent((mailbox, &device), &kept, &effects).await.unwrap();
    phone.consent(&record).await.ok();
    findable(1).await;
}
