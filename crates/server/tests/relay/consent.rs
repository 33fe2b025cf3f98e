//! Consent: given, withdrawn, superseded, forged.

use crate::phone::Phone;
use crate::stage::Stage;
use domicile_messaging::SigningKey;
use domicile_messaging::consent::{Countersigned, EventState, Purpose};
use domicile_messaging::wire::Key;
use http::Method;
use serde_json::json;

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
