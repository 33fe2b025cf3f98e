//! Registration: codes, take-over, another region's numbers, and what is kept of a number.

use crate::phone::Phone;
use crate::stage::{Stage, limits};
use domicile_messaging::consent::{EventState, Purpose};
use domicile_messaging::wire::MailboxId;
use domicile_server::messaging::MessagingLimits;
use http::Method;
use serde_json::json;

const NUMBER: &str = "+8613912345678";

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_proven_sealed_and_gets_its_mailbox() {
    for stage in Stage::both().await {
        let (phone, registered) = Phone::registered(&stage, 0, NUMBER).await;
        assert_eq!(registered["home"]["region"], "beijing");
        let mailbox: MailboxId = registered["mailbox"].as_str().unwrap().parse().unwrap();
        let holder = stage.stores[0].holder(&mailbox.to_string()).await.unwrap().unwrap();
        assert!(holder.is_home && holder.has_number && holder.device == phone.id().to_string());
        let sealed = stage.stores[0].ask("SELECT number_sealed FROM mailbox", vec![]).await.unwrap();
        let domicile_stores::control::Value::Bytes(sealed) = &sealed.rows[0][0] else { panic!("bytes") };
        let opened = stage.opening.open_for_lawful_request(&mailbox, sealed).unwrap();
        assert_eq!(opened.as_str(), NUMBER);
        // The number stands in no table, and in nothing that is counted.
        for table in ["mailbox_attempt", "mailbox_consent", "mailbox_tag", "mailbox"] {
            let sql = format!("SELECT * FROM {table}");
            let statement = domicile_stores::control::Statement::new(sql, vec![]);
            if let Ok(rows) = stage.stores[0].run(vec![statement]).await {
                assert!(!format!("{rows:?}").contains("13912345678"), "{table}");
            }
        }
        let metrics = domicile_server::messaging::Relay::metrics(&stage.relays);
        assert!(!metrics.contains("139123") && !metrics.contains(&mailbox.to_string()));
        assert!(metrics.contains("operation=\"register-finish\",status=\"2xx\"} 1"), "{metrics}");
        // Finished again, after a lost answer: the same.
        let mut again = phone;
        again.sequence += 1;
        let attempt = again.start(NUMBER).await.ok()["attempt"].clone();
        let once_more = again.finish(&attempt, NUMBER, &stage.code(NUMBER)).await.ok();
        assert_eq!(once_more["mailbox"], registered["mailbox"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_ends_after_its_tries() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        phone.give(Purpose::CloudMessaging).await.ok();
        let attempt = phone.start(NUMBER).await.ok()["attempt"].clone();
        let code = stage.code(NUMBER);
        let wrong = if code == "00000000" { "00000001" } else { "00000000" };
        // For another number, or by another device, even the right one is wrong.
        assert_eq!(phone.finish(&attempt, "+8613912345679", &code).await.no().1, "code-wrong");
        let mut other = Phone::new(&stage, 0);
        other.give(Purpose::CloudMessaging).await.ok();
        assert_eq!(other.finish(&attempt, NUMBER, &code).await.no().1, "code-wrong");
        for _ in 0..domicile_messaging::wire::limits::CODE_TRIES_MAX {
            assert_eq!(phone.finish(&attempt, NUMBER, wrong).await.no(), (422, "code-wrong".into()));
        }
        assert_eq!(phone.finish(&attempt, NUMBER, &code).await.no(), (422, "code-wrong".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_limited_by_number_and_by_device() {
    for postgres in [false, true] {
        let limits = MessagingLimits { starts_per_number: 2, starts_per_device: 3, ..limits() };
        let stage = Stage::with(postgres, limits).await;
        let mut phone = Phone::new(&stage, 0);
        phone.give(Purpose::CloudMessaging).await.ok();
        // At once: they are counted one after the other.
        let starts = futures::future::join_all((0..6).map(|_| phone.start(NUMBER))).await;
        let begun = starts.iter().filter(|answer| answer.status == 202).count();
        assert_eq!(begun, 2);
        let refused = starts.iter().find(|answer| answer.status != 202).unwrap();
        assert_eq!(refused.no(), (429, "codes-spent".into()));
        assert!(refused.headers.contains_key("retry-after"));
        phone.start("+8613912345679").await.ok();
        assert_eq!(phone.start("+8613912345670").await.no(), (429, "codes-spent".into()));
        assert_eq!(std::fs::read_to_string(stage.sms()).unwrap().lines().count(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_device_takes_the_number_over() {
    for stage in Stage::both().await {
        let (mut old, registered) = Phone::registered(&stage, 0, NUMBER).await;
        old.give(Purpose::Presence).await.ok();
        old.get("messages").await.ok();
        let (new, taken) = Phone::registered(&stage, 0, NUMBER).await;
        assert_eq!(taken["mailbox"], registered["mailbox"]);
        assert_eq!(old.get("messages").await.no(), (403, "device-replaced".into()));
        assert_eq!(old.post("token", json!({})).await.no(), (403, "device-replaced".into()));
        new.get("messages").await.ok();
        // What only the old one agreed to is not agreed to.
        let mailbox = taken["mailbox"].as_str().unwrap();
        assert!(!stage.stores[0].holder(mailbox).await.unwrap().unwrap().gave("presence"));
        // Nor is its tag lost: a third one finds it by that, and one without discovery by its hash.
        let mut third = Phone::new(&stage, 0);
        third.give(Purpose::CloudMessaging).await.ok();
        let attempt = third.start(NUMBER).await.ok()["attempt"].clone();
        let third = third.finish(&attempt, NUMBER, &stage.code(NUMBER)).await.ok();
        assert_eq!(third["mailbox"], registered["mailbox"]);
    }
    let stage = Stage::with(false, limits()).await;
    let mut without = Phone::new(&stage, 0);
    without.give(Purpose::CloudMessaging).await.ok();
    let attempt = without.start(NUMBER).await.ok()["attempt"].clone();
    let first = without.finish(&attempt, NUMBER, &stage.code(NUMBER)).await.ok();
    let (_, second) = Phone::registered(&stage, 0, NUMBER).await;
    assert_eq!(first["mailbox"], second["mailbox"], "found although it had no tag");
}

/// A long poll that the old device holds is over; what comes is the new one's.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_with_its_devices_right() {
    for stage in Stage::both().await {
        let (old, _) = Phone::registered(&stage, 0, NUMBER).await;
        let (held, (mut new, _)) =
            tokio::join!(old.get("messages?wait_s=60"), Phone::registered(&stage, 0, NUMBER));
        assert_eq!(held.no(), (403, "device-replaced".into()));
        let record = new.record(Purpose::CloudMessaging, EventState::Withdrawn);
        let body = json!({ "record": record }).to_string();
        let path = "/v1/messaging/consents";
        let proof = new.proof(&Method::POST, path, body.as_bytes());
        let withdrawn = new.shown(Method::POST, path, &proof, body);
        let (held, withdrawn) = tokio::join!(new.get("messages?wait_s=60"), withdrawn);
        withdrawn.ok();
        assert_eq!(held.no(), (403, "consent-withdrawn".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_regions_number_is_sent_there_before_anything_is_kept() {
    for stage in Stage::both().await {
        let mut phone = Phone::new(&stage, 0);
        phone.give(Purpose::CloudMessaging).await.ok();
        let answer = phone.start("+919812345678").await;
        assert_eq!(answer.no(), (421, "moved".into()));
        let home = &answer.json()["home"];
        assert_eq!(
            (home["region"].as_str(), home["endpoint"].as_str()),
            (Some("delhi"), Some(&*stage.url(1)))
        );
        assert!(!stage.sms().exists());
        let attempts = stage.stores[0].ask("SELECT id FROM mailbox_attempt", vec![]).await.unwrap();
        assert!(attempts.rows.is_empty());
        // No region of ours has numbers of that country; and what is no number at all.
        assert_eq!(phone.start("+4915112345678").await.no(), (403, "no-home".into()));
        assert_eq!(phone.start("+9999999999").await.no(), (422, "number-invalid".into()));
        assert_eq!(phone.start("canary").await.no(), (400, "bad-request".into()));
        // A number's other spelling would have limits and a mailbox of its own.
        assert_eq!(phone.start("+86013912345678").await.no(), (422, "number-invalid".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_one_number() {
    for stage in Stage::both().await {
        let (phone, _) = Phone::registered(&stage, 0, NUMBER).await;
        let (_, other) = Phone::registered(&stage, 0, "+8613912345679").await;
        for number in ["+8613912345670", "+8613912345679"] {
            let attempt = phone.start(number).await.ok()["attempt"].clone();
            let answer = phone.finish(&attempt, number, &stage.code(number)).await;
            assert_eq!(answer.no(), (409, "device-known".into()), "{number}");
        }
        assert!(other["mailbox"].is_string());
    }
}
