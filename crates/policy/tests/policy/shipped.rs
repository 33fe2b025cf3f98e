//! The policy files that ship: the demo's two cases and the starter that `init` writes.

use crate::world::{NO_MECHANISMS, class, country, latency, maker, on, region};
use domicile_policy::{Class, Latency, Placement, Policies};
use jiff::civil::{Date, date};

fn shipped(name: &str, mechanisms: &[&str]) -> Policies {
    let path = format!("{}/../cli/src/demo/policies/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mechanisms: Vec<_> = mechanisms.iter().map(|m| (*m).to_owned()).collect();
    let policies = Policies::parse(&[(name.to_owned(), text)], &mechanisms).unwrap_or_else(|f| panic!("{f}"));
    assert!(policies.warnings().is_empty(), "{:?}", policies.warnings());
    policies
}

fn home(policies: &Policies, operator: &str, who: &Class, from: usize, day: Date, faster: bool) -> Placement {
    let (regions, latency) = (maker(operator), latency());
    let categories = ["messages".to_owned(), "photos".to_owned(), "profile".to_owned()];
    let mut c = on(day, &categories, &regions, &latency);
    c.for_latency = faster;
    policies.place(who, Some(&regions[from]), &c)
}

#[test]
fn the_reference_case() {
    let policies = shipped("residency.cedar", &[]);
    let (autumn, next) = (date(2014, 11, 1), date(2015, 8, 1));
    let at = |code, from, day, faster| home(&policies, "CN", &class(code, &[]), from, day, faster).home;
    for (code, to) in
        [("CN", "beijing"), ("HK", "singapore"), ("IN", "singapore"), ("BR", "oregon"), ("US", "oregon")]
    {
        assert_eq!(at(code, 0, autumn, false).as_deref(), Some(to), "{code}");
    }
    for code in ["TW", "ID", "MY", "PH", "SG"] {
        // No round trip in this test's table: by name.
        assert_eq!(at(code, 0, autumn, false).as_deref(), Some("oregon"), "{code}");
    }
    assert_eq!(at("IN", 2, next, true).as_deref(), Some("mumbai"));
    assert_eq!(at("BR", 1, next, true).as_deref(), Some("saopaulo"));
    assert_eq!(at("IN", 2, next, false).as_deref(), Some("singapore"));
    assert_eq!(at("FR", 0, autumn, false), None, "no rule permits a country the maker doesn't serve");
}

#[test]
fn moving_does_not_help_the_air_force() {
    let policies = shipped("residency.cedar", &[]);
    let placed = home(&policies, "CN", &class("IN", &["air-force"]), 0, date(2014, 11, 1), false);
    assert_eq!((placed.home, placed.must_leave), (None, true));
    assert!(placed.why.contains("operator under Chinese law"), "{}", placed.why);
    for verdict in &placed.verdicts {
        let printed = serde_json::to_string(verdict).unwrap();
        assert!(
            printed.contains("\"outcome\":\"refused\"") && printed.contains("\"air-force\""),
            "{printed}"
        );
    }
    // The flag forbids operators, not countries.
    let elsewhere = home(&policies, "US", &class("IN", &["air-force"]), 0, date(2014, 11, 1), false);
    assert_eq!(elsewhere.home.as_deref(), Some("singapore"));
}

#[test]
fn the_mirror_case() {
    let policies = shipped("mirror.cedar", &[]);
    let at = |code, from| home(&policies, "US", &class(code, &[]), from, date(2022, 1, 1), false);
    let chinese = at("CN", 1);
    assert_eq!((chinese.home.as_deref(), chinese.must_leave), (Some("beijing"), true));
    assert!(chinese.law.contains("art. 37") && chinese.law.contains("PIPL art. 40"), "{}", chinese.law);
    assert_eq!(at("US", 1).home.as_deref(), Some("oregon"));
    assert_eq!(at("HK", 0).home.as_deref(), Some("singapore"));
}

#[test]
fn the_starter_keeps_everybody_home() {
    let policies = shipped("starter.cedar", &[]);
    let regions = [region("frankfurt", "DE", "DE", "F", None), region("virginia", "US", "US", "V", None)];
    let categories = ["profile".to_owned()];
    let latency = Latency::default();
    let c = on(date(2020, 1, 1), &categories, &regions, &latency);
    let at = |code| policies.place(&class(code, &[]), None, &c).home;
    assert_eq!(at("DE").as_deref(), Some("frankfurt"));
    assert_eq!(at("CZ").as_deref(), Some("frankfurt"));
    assert_eq!(at("US").as_deref(), Some("virginia"));
    assert_eq!((at("GB"), at("NO"), at("IN")), (None, None, None));
}

#[test]
fn the_starters_examples_work_once_uncommented() {
    let path = format!("{}/../cli/src/demo/policies/starter.cedar", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let (head, examples) = text.split_once("// Patterns to start from").unwrap();
    let is_code = |l: &&str| ["// @", "// permit", "// forbid", "// when"].iter().any(|c| l.starts_with(c));
    let live: Vec<_> = examples.lines().filter(is_code).map(|l| l.trim_start_matches("// ")).collect();
    let files = [("starter.cedar".to_owned(), format!("{head}{}", live.join("\n")))];
    let policies = Policies::parse(&files, &["scc".into()]).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(policies.len(), 5);
}

#[test]
fn admission_answers_every_spelling() {
    let policies = shipped("residency.cedar", &[]);
    let rows = policies.admission(&maker("CN")[0], &["profile".to_owned()], &NO_MECHANISMS);
    let of = |spelling: &str| rows.iter().find(|r| r.spelling == spelling).unwrap();
    for spelling in ["IN", "IND", "INDIA"] {
        assert!(!of(spelling).allowed);
        assert_eq!(
            of(spelling).rule,
            "company policy 2014-10, rule 2: data of users outside mainland China leaves the Beijing data \
             centres by the end of 2014"
        );
    }
    assert!(of("CN").allowed && of("CHINA").allowed && !of("HONG KONG").allowed && !of("TAIWAN").allowed);
    assert!(rows.len() > 1_000 && rows.iter().all(|r| !r.rule.is_empty()));
    assert_eq!(policies.evaluations(), 250);
    assert!(country("CZ").spellings().iter().all(|s| !of(s).allowed));
}
