//! Discovery: one blinding for both regions, filters of both at home, entries, budgets, and tags made anew.

use crate::phone::{Answer, Phone};
use crate::stage::{Stage, limits};
use domicile_messaging::consent::Purpose;
use domicile_messaging::discovery::{Blinding, Tag};
use domicile_messaging::number::Number;
use domicile_messaging::wire::{Entry, Evaluated, Locator};
use domicile_server::messaging::MessagingLimits;
use serde_json::json;
use std::time::{Duration, Instant};

const CHINESE: &str = "+8613912345678";
const INDIAN: &str = "+919812345678";
const NOBODY: &str = "+8613912345679";

/// Blinds numbers once and takes each region's tags, in the stage's order of regions.
async fn tags(stage: &Stage, phone: &Phone, numbers: &[&str]) -> Vec<Vec<Tag>> {
    let blinding = Blinding::of(numbers.iter().map(|n| n.parse::<Number>().unwrap()).collect()).unwrap();
    let answer = phone.post("discovery/evaluate", json!({ "blinded": blinding.blinded() })).await;
    let evaluated: Evaluated = serde_json::from_value(answer.ok()).unwrap();
    let of = |relay: &domicile_server::messaging::RelayListed| {
        let one = evaluated.results.iter().find(|one| one.region == relay.region).expect("its region");
        blinding.tags(&one.evaluated, &one.proof, &relay.generations[0].1).expect("a proof that holds")
    };
    stage.listed.iter().map(of).collect()
}

async fn look_up(stage: &Stage, phone: &Phone, region: usize, tags: &[Tag]) -> Vec<Option<Entry>> {
    let mut locators: Vec<Locator> = tags.iter().map(Tag::locator).collect();
    locators.resize_with(8, Locator::random);
    let asked = json!({ "region": stage.region(region), "generation": 1, "locators": locators });
    let found = phone.post("discovery/lookup", asked).await.ok();
    serde_json::from_value::<Vec<Option<Entry>>>(found["entries"].clone()).unwrap()
}

/// A filter once it says of these tags what it should, as this phone's relay serves it.
async fn filter(phone: &Phone, region: &str, tags: &[Tag], wanted: [bool; 3]) -> Answer {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = phone.get(&format!("filters/{region}/1")).await;
        if answer.status == 200 {
            let filter = phone.filter(region, &answer.bytes);
            let found: Vec<bool> = tags.iter().map(|tag| filter.has(&tag.locator())).collect();
            if found == wanted {
                assert_eq!(filter.entries(), wanted.iter().filter(|is_in| **is_in).count() as u64);
                return answer;
            }
        }
        assert!(Instant::now() < until, "{region} has no filter of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_of_both_regions_are_found_with_one_blinding_at_home() {
    for stage in Stage::both().await {
        let (mut phone, own) = Phone::registered(&stage, 0, CHINESE).await;
        let (_, other) = Phone::registered(&stage, 1, INDIAN).await;
        let tags = tags(&stage, &phone, &[INDIAN, NOBODY, CHINESE]).await;
        let answer = filter(&phone, "delhi", &tags[1], [true, false, false]).await;
        filter(&phone, "beijing", &tags[0], [false, false, true]).await;
        let found = look_up(&stage, &phone, 1, &tags[1]).await;
        let resident = tags[1][0].open(&found[0].expect("an entry")).expect("its own tag opens it");
        assert_eq!(resident.mailbox.to_string(), other["mailbox"]);
        assert!(found[1..].iter().all(Option::is_none) && found.len() == 8);
        let found = look_up(&stage, &phone, 0, &tags[0]).await;
        assert_eq!(tags[0][2].open(&found[2].unwrap()).unwrap().mailbox.to_string(), own["mailbox"]);
        // Listed, with the tags by which a device asks only for what is new.
        let listed = phone.get("filters").await.ok();
        assert_eq!(listed.as_array().unwrap().len(), 2);
        let tag = answer.headers["etag"].to_str().unwrap();
        assert!(listed.as_array().unwrap().iter().any(|one| one["etag"] == tag));
        let path = "/v1/messaging/filters/delhi/1";
        let proof = phone.proof(&http::Method::GET, path, b"");
        let token = phone.token.clone().unwrap();
        let headers = [("domicile-proof", &*proof), ("domicile-consent", &*token), ("if-none-match", tag)];
        assert_eq!(phone.raw(http::Method::GET, path, &headers, String::new()).await.status, 304);
        // Withdrawn: nobody finds it any more.
        phone.withdraw(Purpose::ContactDiscovery).await.ok();
        let (finder, _) = Phone::registered(&stage, 0, NOBODY).await;
        assert_eq!(look_up(&stage, &finder, 0, &tags[0]).await[2], None);
        filter(&finder, "beijing", &tags[0], [false, true, false]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_tagged_again_by_its_proof_and_by_no_other() {
    for stage in Stage::both().await {
        let (mut phone, registered) = Phone::registered(&stage, 0, CHINESE).await;
        phone.withdraw(Purpose::ContactDiscovery).await.ok();
        phone.give(Purpose::ContactDiscovery).await.ok();
        let tags = tags(&stage, &phone, &[CHINESE]).await;
        assert_eq!(look_up(&stage, &phone, 0, &tags[0]).await[0], None);
        let proof = &registered["number_proof"];
        let other = phone.post("tag", json!({ "number": NOBODY, "number_proof": proof })).await;
        assert_eq!(other.no(), (403, "number-proof-forged".into()));
        let (stranger, _) = Phone::registered(&stage, 0, NOBODY).await;
        let stolen = stranger.post("tag", json!({ "number": CHINESE, "number_proof": proof })).await;
        assert_eq!(stolen.no(), (403, "number-proof-forged".into()));
        let tagged = phone.post("tag", json!({ "number": CHINESE, "number_proof": proof })).await.ok();
        assert_eq!(tagged, json!({ "region": "beijing", "generation": 1 }));
        assert!(look_up(&stage, &phone, 0, &tags[0]).await[0].is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_contacts_are_charged_and_malformed_ones_refused() {
    for postgres in [false, true] {
        let limits = MessagingLimits { discovery_allowance: 56, discovery_a_day: 1, ..limits() };
        let stage = Stage::with(postgres, limits).await;
        let (phone, _) = Phone::registered(&stage, 0, CHINESE).await;
        let blinding = Blinding::of(vec![INDIAN.parse().unwrap()]).unwrap();
        let good = blinding.blinded().to_vec();
        let ask = |blinded: Vec<domicile_messaging::wire::Blinded>| {
            let phone = &phone;
            async move { phone.post("discovery/evaluate", json!({ "blinded": blinded })).await }
        };
        for size in [0, 1, 15, 17] {
            let batch = good.iter().cycle().take(size).copied().collect();
            assert_eq!(ask(batch).await.no(), (422, "not-padded".into()), "{size}");
        }
        let huge = good.iter().cycle().take(1025).copied().collect();
        assert_eq!(ask(huge).await.no(), (400, "bad-request".into()));
        let mut bad = good.clone();
        bad[7].0 = [0xff; 32];
        assert_eq!(ask(bad).await.no(), (422, "point-invalid".into()));
        let asked = json!({ "blinded": good, "regions": ["mars"] });
        assert_eq!(phone.post("discovery/evaluate", asked).await.no(), (404, "region-unknown".into()));
        // That one was charged; two more fit, of however many come at once.
        let all = futures::future::join_all((0..5).map(|_| ask(good.clone()))).await;
        assert_eq!(all.iter().filter(|answer| answer.status == 200).count(), 2);
        let spent = all.iter().find(|answer| answer.status != 200).unwrap();
        assert_eq!(spent.no(), (429, "budget-spent".into()));
        let wait: u64 = spent.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(wait > 3_600, "{wait} s until there is room for another batch");
        for (region, generation, code) in
            [("beijing", 2, "generation-unknown"), ("mars", 1, "region-unknown")]
        {
            let locators: Vec<Locator> = (0..8).map(|_| Locator::random()).collect();
            let asked = json!({ "region": region, "generation": generation, "locators": locators });
            assert_eq!(phone.post("discovery/lookup", asked).await.no().1, code);
        }
        assert_eq!(phone.get("filters/beijing/2").await.no().1, "generation-unknown");
    }
}
