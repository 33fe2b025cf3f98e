//! Consent as policy sees it: what was agreed to stands beside the mailbox's country, and a plan goes by it.

use crate::phone::Phone;
use crate::stage::Stage;
use domicile_messaging::consent::Purpose;
use domicile_mover::{Ask, plan};
use domicile_policy::Policies;
use domicile_stores::control::Value;
use std::sync::Arc;

/// At home; and in India, too, whoever agreed to be moved.
const POLICY: &str = r#"
@id("home") @law("law 1") @reason("residents stay in their country")
permit (principal, action, resource) when { principal.residence == resource.country };
@id("out") @law("law 1") @reason("nobody else is kept in China who would go")
forbid (principal in Consent::"region_move", action, resource) when { resource.country == "CN" };
@id("agreed") @law("their own decision") @reason("they agreed to be moved")
permit (principal in Consent::"region_move", action, resource) when { resource.country == "IN" };
"#;

async fn consents(stage: &Stage, mailbox: &str) -> String {
    let sql = "SELECT consents FROM mailbox WHERE id = $1";
    let rows = stage.stores[0].ask(sql, vec![mailbox.into()]).await.unwrap();
    let Value::Text(text) = &rows.rows[0][0] else { panic!("a text") };
    let mut words: Vec<&str> = text.split(' ').collect();
    words.sort_unstable();
    words.join(" ")
}

/// Who would go, and of which class.
async fn going(stage: &Stage) -> Vec<(String, u64, String)> {
    let mut service = Arc::into_inner(stage.site.places.service().await.unwrap()).unwrap();
    service.rules.policies = Policies::parse(&[("rules.cedar".into(), POLICY.into())], &[]).unwrap();
    let ask = Ask { today: jiff::civil::date(2026, 11, 27), for_latency: false, from: Vec::new() };
    let plan = plan::plan(&service, &ask).await.unwrap();
    plan.moves.iter().map(|m| (m.to.clone(), m.subjects, m.groups[0].class.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_sees_who_agreed_to_be_moved() {
    for stage in Stage::both().await {
        let (mut willing, own) = Phone::registered(&stage, 0, "+8613912345678").await;
        let (_, other) = Phone::registered(&stage, 0, "+8613912345679").await;
        let (own, other) = (own["mailbox"].as_str().unwrap(), other["mailbox"].as_str().unwrap());
        assert_eq!(consents(&stage, own).await, "cloud_messaging contact_discovery");
        assert_eq!(going(&stage).await, []);

        willing.give(Purpose::RegionMove).await.ok();
        assert_eq!(consents(&stage, own).await, "cloud_messaging contact_discovery region_move");
        assert_eq!(consents(&stage, other).await, "cloud_messaging contact_discovery");
        assert_eq!(going(&stage).await, [("delhi".to_owned(), 1, "CN, agreed to region_move".to_owned())]);

        willing.withdraw(Purpose::RegionMove).await.ok();
        assert_eq!(consents(&stage, own).await, "cloud_messaging contact_discovery");
        assert_eq!(going(&stage).await, []);
        // Another device of the number's owner: what only the former one agreed to counts no more.
        willing.give(Purpose::RegionMove).await.ok();
        let (mut taker, _) = Phone::registered(&stage, 0, "+8613912345678").await;
        assert_eq!(consents(&stage, own).await, "cloud_messaging contact_discovery");
        taker.give(Purpose::RegionMove).await.ok();
        taker.withdraw(Purpose::CloudMessaging).await.ok();
        assert_eq!(consents(&stage, own).await, "");
        assert_eq!(going(&stage).await, []);
    }
}
