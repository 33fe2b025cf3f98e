//! A load against the application, and a checker that sees what is wrong with the rows.

use crate::site::{Instance, Site, person};
use domicile_sample::check::{Region, Verdict, check};
use domicile_sample::load::{Asked, Entry, Load, Log, Person, Rate, What};
use std::path::Path;
use std::time::Duration;

fn asked(bases: &[&str], log: &Path, rate: Rate) -> Asked {
    Asked {
        bases: bases.iter().map(|base| (*base).to_owned()).collect(),
        run: "t".to_owned(),
        rate,
        sign_ups_per_s: 20.0,
        countries: vec!["DE".to_owned()],
        log: log.to_owned(),
    }
}

async fn judged(regions: &[&Region], log: &[Entry]) -> Verdict {
    let regions: Vec<Region> = regions.iter().map(|r| (*r).clone()).collect();
    check(&regions, log).await.expect("regions are read")
}

/// The last acknowledged text of some note that nobody removed.
fn some_note(log: &[Entry]) -> &Entry {
    let removed = |id: &str| log.iter().any(|e| e.what == What::Remove && e.id == id);
    log.iter().find(|e| e.what == What::Add && !removed(&e.id)).expect("a note that stayed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checker_finds_each_planted_fault() {
    for site in Site::both() {
        let (here, there) = (site.region("here").await, site.region("there").await);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("log");
        let app = Instance::start(&here).await;
        for nr in 0..20 {
            person(&here, &format!("p{nr}")).await;
        }
        let people = (0..20).map(|nr| Person::known(&format!("p{nr}"), nr)).collect();
        let load = Load::start(asked(&[&app.base], &file, Rate::Closed(4)), people).expect("a log");
        while load.tally().writes < 300 || load.tally().sign_ups < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tally = load.stop().await.expect("a whole log");
        assert_eq!((tally.failed, tally.wrong, tally.repeated), (0, 0, 0), "{tally}");
        let log = Log::read(&file).expect("a log");
        assert_eq!(log.len() as u64, tally.writes + tally.sign_ups);

        let sound = judged(&[&here, &there], &log).await;
        assert!(sound.good(), "{sound}");
        assert_eq!(sound.acknowledged, log.len() as u64);

        let Entry { id, person, key, .. } = some_note(&log);
        site.sql("here", &format!("UPDATE notes SET region_written = 'there' WHERE id = '{id}'"));
        assert_eq!(judged(&[&here, &there], &log).await.misrouted, 1);
        site.sql(
            "here",
            &format!("UPDATE notes SET text = 'other', region_written = 'here' WHERE id = '{id}'"),
        );
        assert_eq!(judged(&[&here, &there], &log).await.lost, 1);
        site.sql("here", &format!("DELETE FROM notes WHERE id = '{id}'"));
        assert_eq!(judged(&[&here, &there], &log).await.lost, 1);

        let rest = "INSERT INTO people VALUES ('{p}', 'e', 'DE', 'there'); \
             INSERT INTO notes VALUES ('n', '{p}', '{k}', 'x', 'there')";
        site.sql("there", &rest.replace("{p}", person).replace("{k}", key));
        let doubled = judged(&[&here, &there], &log).await;
        // The person is in two regions; the note is where it was not written, with another text.
        assert_eq!((doubled.doubled, doubled.lost), (1, 1), "{doubled}");
        site.sql("here", &format!("INSERT INTO notes VALUES ('m', '{person}', '{key}', 'x', 'here')"));
        assert_eq!(judged(&[&here, &there], &log).await.doubled, 2);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_restarted_costs_repeats_and_no_failure() {
    for site in Site::both() {
        let here = site.region("here").await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("log");
        let (one, two) = (Instance::start(&here).await, Instance::start(&here).await);
        let people: Vec<Person> = (0..10).map(|nr| Person::known(&format!("p{nr}"), nr)).collect();
        for nr in 0..10 {
            person(&here, &format!("p{nr}")).await;
        }
        let load =
            Load::start(asked(&[&one.base, &two.base], &file, Rate::Open(200.0)), people).expect("a log");
        let until = async |writes| {
            while load.tally().writes < writes {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        until(50).await;
        let address = one.base.trim_start_matches("http://").to_owned();
        one.stop().await;
        until(150).await;
        let one = Instance::start_at(&here, &address).await;
        until(250).await;
        let tally = load.stop().await.expect("a whole log");
        assert_eq!((tally.failed, tally.wrong), (0, 0), "{tally}");
        assert!(tally.repeated > 0, "its people had to go to the other one: {tally}");
        let verdict = judged(&[&here], &Log::read(&file).expect("a log")).await;
        assert!(verdict.good(), "{verdict}");
        one.stop().await;
        two.stop().await;
    }
}
