//! A mailbox that moved: the old relay says where, the new one takes the old token for a new one and the number's proof for a tag.

use crate::phone::Phone;
use crate::stage::Stage;
use domicile_messaging::consent::Purpose;
use domicile_mover::wave::{self, Options};
use domicile_mover::{Ask, plan};
use domicile_stores::control::Statement;
use serde_json::json;

const NUMBER: &str = "+8613912345678";

#[tokio::test(flavor = "multi_thread")]
async fn a_device_follows_its_mailbox_without_a_new_code() {
    for stage in Stage::both().await {
        let (mut phone, registered) = Phone::registered(&stage, 0, NUMBER).await;
        let mailbox = registered["mailbox"].as_str().unwrap();
        let sql = format!("UPDATE mailbox SET country = 'IN' WHERE id = '{mailbox}'");
        stage.stores[0].run(vec![Statement::new(sql, vec![])]).await.unwrap();
        let ask =
            Ask { today: jiff::civil::date(2026, 11, 27), for_latency: false, from: Default::default() };
        let plan = plan::stored(&stage.service, &ask).await.unwrap();
        let ran = wave::run_plan(&stage.service, &plan, &Options::default()).await.unwrap();
        assert_eq!(ran.reports.iter().map(|r| r.subjects).sum::<u64>(), 1);

        for answer in [phone.get("messages").await, phone.get("filters").await] {
            assert_eq!(answer.no(), (421, "moved".into()));
            let home = &answer.json()["home"];
            assert_eq!(home, &json!({ "region": "delhi", "endpoint": stage.url(1), "epoch": 2 }));
        }
        assert_eq!(phone.withdraw(Purpose::Presence).await.no(), (421, "moved".into()));
        phone.url = stage.url(1);
        // What was signed for the old home is of no use at the new one, whoever brings it there.
        assert_eq!(phone.post("token", json!({})).await.no(), (401, "proof-forged".into()));
        phone.region = stage.region(1);
        assert_eq!(phone.get("messages").await.no(), (401, "consent-forged".into()));
        phone.renew().await;
        phone.get("messages").await.ok();
        let tag = json!({ "number": NUMBER, "number_proof": registered["number_proof"] });
        let tagged = phone.post("tag", tag).await.ok();
        assert_eq!(tagged, json!({ "region": "delhi", "generation": 1 }));
        // Another device with the number belongs there, too, whatever the number's country is.
        let mut other = Phone::new(&stage, 0);
        other.give(Purpose::CloudMessaging).await.ok();
        let answer = other.start(NUMBER).await;
        assert_eq!(answer.no(), (421, "moved".into()));
        assert_eq!(answer.json()["home"]["region"], "delhi");
        let (_, taken) = Phone::registered(&stage, 1, NUMBER).await;
        assert_eq!(taken["mailbox"], mailbox);
        assert_eq!(phone.get("messages").await.no(), (403, "device-replaced".into()));
    }
}
