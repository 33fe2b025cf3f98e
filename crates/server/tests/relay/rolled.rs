//! A discovery key's next generation: both are served until the first one's day, new tags are the second one's.

use crate::phone::Phone;
use crate::stage::Stage;
use domicile_messaging::consent::Purpose;
use domicile_messaging::discovery::{Blinding, DiscoveryKey, Tag};
use domicile_messaging::number::Number;
use domicile_messaging::wire::{Entry, Evaluated, Key, Locator};
use jiff::ToSpan;
use serde_json::json;
use std::time::{Duration, Instant};

const OLD: &str = "+8613912345678";
const NEW: &str = "+8613912345679";

/// Tags of numbers under the current generation, whose number and key are these.
async fn tags(phone: &Phone, numbers: &[&str], (generation, key): (u64, Key)) -> Vec<Tag> {
    let blinding = Blinding::of(numbers.iter().map(|n| n.parse::<Number>().unwrap()).collect()).unwrap();
    let asked = json!({ "blinded": blinding.blinded(), "regions": ["beijing"] });
    let evaluated: Evaluated =
        serde_json::from_value(phone.post("discovery/evaluate", asked).await.ok()).unwrap();
    let one = &evaluated.results[0];
    assert_eq!(u64::from(one.generation), generation);
    blinding.tags(&one.evaluated, &one.proof, &key).expect("a proof under the current key")
}

async fn found(phone: &Phone, generation: u32, tag: &Tag) -> Option<Entry> {
    let mut locators = vec![tag.locator()];
    locators.resize_with(8, Locator::random);
    let asked = json!({ "region": "beijing", "generation": generation, "locators": locators });
    let found = phone.post("discovery/lookup", asked).await.ok();
    serde_json::from_value::<Vec<Option<Entry>>>(found["entries"].clone()).unwrap()[0]
}

/// Waits until a generation's filter has just these.
async fn filter_has(phone: &Phone, generation: u32, tags: &[&Tag]) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = phone.get(&format!("filters/beijing/{generation}")).await;
        let filter = (answer.status == 200).then(|| phone.filter("beijing", &answer.bytes));
        let is_so = filter.is_some_and(|filter| {
            filter.entries() == tags.len() as u64 && tags.iter().all(|tag| filter.has(&tag.locator()))
        });
        if is_so {
            return;
        }
        assert!(Instant::now() < until, "generation {generation} has no filter of {}", tags.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_generations_are_served_until_the_first_ones_day() {
    for mut stage in Stage::both().await {
        let (mut old, registered) = Phone::registered(&stage, 0, OLD).await;
        let first = stage.listed[0].generations[0].1;
        let under_first = tags(&old, &[OLD, NEW], (1, first)).await;
        let second = DiscoveryKey::generate();
        let tomorrow = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date() + 2.days();
        stage.rolls(&second, Some(tomorrow)).await;
        old.url = stage.url(0);
        let (new, _) = Phone::registered(&stage, 0, NEW).await;
        // The region says both, and which is today's.
        let said = new.get("region").await.ok();
        let listed = &said["statement"]["regions"][0]["generations"];
        let current: Vec<_> = listed.as_array().unwrap().iter().map(|g| g["current"].clone()).collect();
        assert_eq!(current, [false, true]);
        // Who has not come back since is found under the first, who has under the second.
        let under_second = tags(&new, &[OLD, NEW], (2, second.public_key())).await;
        assert!(found(&new, 1, &under_first[0]).await.is_some());
        assert!(found(&new, 1, &under_first[1]).await.is_none());
        assert!(found(&new, 2, &under_second[0]).await.is_none());
        assert!(found(&new, 2, &under_second[1]).await.is_some());
        filter_has(&new, 1, &[&under_first[0]]).await;
        filter_has(&new, 2, &[&under_second[1]]).await;
        // A device that comes back is tagged anew without a code, and is found under both meanwhile.
        let asked = json!({ "number": OLD, "number_proof": registered["number_proof"] });
        let tagged = old.post("tag", asked).await.ok();
        assert_eq!(tagged, json!({ "region": "beijing", "generation": 2 }));
        assert!(found(&new, 1, &under_first[0]).await.is_some());
        assert!(found(&new, 2, &under_second[0]).await.is_some());
        filter_has(&new, 2, &[&under_second[0], &under_second[1]]).await;
        // On its day the first one is served no more.
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        stage.rolls(&second, Some(today)).await;
        let (mut late, url) = (new, stage.url(0));
        late.url.clone_from(&url);
        assert_eq!(late.get("filters/beijing/1").await.no(), (409, "generation-unknown".into()));
        let locators: Vec<Locator> = (0..8).map(|_| Locator::random()).collect();
        let asked = json!({ "region": "beijing", "generation": 1, "locators": locators });
        assert_eq!(late.post("discovery/lookup", asked).await.no(), (409, "generation-unknown".into()));
        assert!(found(&late, 2, &under_second[0]).await.is_some());
        // Withdrawn: under neither.
        old.url = url;
        old.withdraw(Purpose::ContactDiscovery).await.ok();
        assert!(found(&late, 2, &under_second[0]).await.is_none());
        filter_has(&late, 2, &[&under_second[1]]).await;
    }
}
