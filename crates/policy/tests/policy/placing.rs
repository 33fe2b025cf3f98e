//! Homes: law before latency, open regions only, nobody moves for latency unless asked.

use crate::world::{class, latency, maker, on, parse, region};
use domicile_policy::{Action, Circumstances, Class, Latency, Outcome, Quality};
use jiff::civil::date;

const OUT_OF_CHINA: &str = r#"
@law("P1") @reason("out") forbid (principal, action, resource)
when { principal.residence != "CN" && resource.country == "CN" };
@law("P2") @reason("any") permit (principal, action, resource);
"#;

fn one() -> Vec<String> {
    vec!["profile".to_owned()]
}

#[test]
fn law_comes_before_latency() {
    let (policies, regions, latency, categories) = (parse(OUT_OF_CHINA), maker("CN"), latency(), one());
    // Beijing is nearer to Hong Kong than Singapore, and refused.
    let placed = policies.place(
        &class("HK", &[]),
        Some(&regions[0]),
        &on(date(2014, 11, 1), &categories, &regions, &latency),
    );
    assert_eq!(placed.home.as_deref(), Some("singapore"));
    assert!(placed.must_leave);
    assert_eq!((placed.law.as_str(), placed.asked_by[0].policy_id.as_str()), ("P1", "test#1"));
    assert_eq!(placed.chosen_by[0].law, "P2");
    assert_eq!(
        placed.why,
        "must leave beijing: P1: out; goes to singapore (nearest permitted region for HK: 56 ms, measured); \
         permitted by P2: any"
    );
    let verdict = &placed.verdicts[0];
    assert!(matches!(&verdict.outcome, Outcome::Refused { action: Action::Store, .. }));
}

#[test]
fn a_region_is_no_home_before_it_opens() {
    let (policies, regions, latency, categories) = (parse(OUT_OF_CHINA), maker("CN"), latency(), one());
    let india = class("IN", &[]);
    let at = |day| on(day, &categories, &regions, &latency);
    let early = policies.place(&india, None, &at(date(2015, 6, 30)));
    assert_eq!(early.home.as_deref(), Some("singapore"));
    assert_eq!(early.verdicts[3].outcome, Outcome::NotOpen { opens: date(2015, 7, 1) });
    let later = policies.place(&india, None, &at(date(2015, 7, 1)));
    assert_eq!(later.home.as_deref(), Some("mumbai"));
}

#[test]
fn nobody_moves_for_latency_unless_asked() {
    let (policies, regions, latency, categories) = (parse(OUT_OF_CHINA), maker("CN"), latency(), one());
    let india = class("IN", &[]);
    let mut c = on(date(2015, 8, 1), &categories, &regions, &latency);
    let stays = policies.place(&india, Some(&regions[2]), &c);
    assert_eq!((stays.home.as_deref(), stays.must_leave), (Some("singapore"), false));
    assert_eq!(stays.why, "stays in singapore: P2: any");
    c.for_latency = true;
    let moves = policies.place(&india, Some(&regions[2]), &c);
    assert_eq!((moves.home.as_deref(), moves.must_leave), (Some("mumbai"), false));
    assert!(moves.why.contains("asks for latency") && moves.asked_by.is_empty(), "{}", moves.why);
    // No gain, or none known: stay.
    assert_eq!(policies.place(&india, Some(&regions[3]), &c).home.as_deref(), Some("mumbai"));
    let nobody = class("FR", &[]);
    assert_eq!(policies.place(&nobody, Some(&regions[2]), &c).home.as_deref(), Some("singapore"));
}

#[test]
fn an_equal_round_trip_is_no_reason_to_move() {
    let policies = parse(r#"@law("P") @reason("any") permit (principal, action, resource);"#);
    let regions = ["a", "b"].map(|id| region(id, "US", "US", id, None));
    let header = "from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source";
    let rows = format!("{header}\nuser-US,a,1,9,0,user-dc,M,S\nuser-US,b,1,9,0,user-dc,M,S\n");
    let (latency, categories) = (Latency::parse_csv(&rows).unwrap(), one());
    let mut c = on(date(2020, 1, 1), &categories, &regions, &latency);
    c.for_latency = true;
    assert_eq!(policies.place(&class("US", &[]), Some(&regions[1]), &c).home.as_deref(), Some("b"));
}

#[test]
fn the_present_region_need_not_be_open() {
    let (policies, regions, latency, categories) = (parse(OUT_OF_CHINA), maker("CN"), latency(), one());
    let mut c = on(date(2015, 6, 30), &categories, &regions, &latency);
    c.for_latency = true;
    let placed = policies.place(&class("IN", &[]), Some(&regions[3]), &c);
    assert_eq!(placed.home.as_deref(), Some("mumbai"));
    assert!(matches!(placed.verdicts[3].outcome, Outcome::Permitted { rtt_ms: Some(28.0), .. }));
}

#[test]
fn every_category_must_be_permitted_and_transfers_too() {
    let policies = parse(
        r#"@law("P") @reason("any") permit (principal, action, resource);
           @law("H") @reason("health") forbid (principal, action == Action::"store", resource == Region::"singapore")
           when { context.category == "health" };
           @law("T") @reason("export") forbid (principal, action == Action::"transfer", resource == Region::"oregon")
           when { context.source_country == "CN" };"#,
    );
    let (regions, latency) = (maker("CN"), latency());
    let categories = vec!["health".to_owned(), "profile".to_owned()];
    let c = on(date(2014, 11, 1), &categories, &regions, &latency);
    let fresh = policies.place(&class("US", &[]), None, &c);
    assert_eq!(fresh.home.as_deref(), Some("oregon"), "a sign-up is no transfer");
    let gone = [regions[1].clone(), regions[2].clone()];
    let c = Circumstances { regions: &gone, ..c };
    let stuck = policies.place(&class("US", &[]), Some(&regions[0]), &c);
    assert_eq!((stuck.home.as_deref(), stuck.must_leave), (None, true));
    assert_eq!(stuck.asked_by[0].policy_id, "not-a-region");
    let refused: Vec<_> = stuck
        .verdicts
        .iter()
        .map(|v| match &v.outcome {
            Outcome::Refused { action, category, rules } => {
                (*action, category.as_str(), rules[0].law.as_str())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(refused, [(Action::Transfer, "health", "T"), (Action::Store, "health", "H")]);
}

#[test]
fn missing_numbers_sort_last_and_ties_go_by_name() {
    let policies = parse(r#"@law("P") @reason("any") permit (principal, action, resource);"#);
    let regions = ["c", "a", "b"].map(|id| region(id, "US", "US", id, None));
    let categories = one();
    let table = |rows: &str| {
        Latency::parse_csv(&format!("from,to,rtt_low,rtt_typ,loss_pct_typ,kind,quality,source\n{rows}"))
            .unwrap()
    };
    let home = |rows: &str| {
        let latency = table(rows);
        let c = on(date(2020, 1, 1), &categories, &regions, &latency);
        policies.place(&class("US", &[]), None, &c).home.unwrap()
    };
    assert_eq!(home(""), "a");
    assert_eq!(home("user-US,c,1,900,0,user-dc,E,S\n"), "c");
    assert_eq!(home("user-US,c,1,9,0,user-dc,E,S\nuser-US,b,2,9,0,user-dc,E,S\n"), "b");
    let estimate = table("user-US,c,1,9,0,user-dc,E,S\n");
    let c = on(date(2020, 1, 1), &categories, &regions, &estimate);
    let placed = policies.place(&class("US", &[]), None, &c);
    assert!(placed.why.contains("9 ms, estimated"), "{}", placed.why);
    assert!(matches!(
        placed.verdicts[0].outcome,
        Outcome::Permitted { quality: Some(Quality::Estimated), rtt_ms: Some(9.0), .. }
    ));
}

#[test]
fn nothing_asked_is_nothing_permitted() {
    let policies = parse(r#"@law("P") @reason("any") permit (principal, action, resource);"#);
    let (regions, latency) = (maker("CN"), latency());
    let none = on(date(2014, 11, 1), &[], &regions, &latency);
    assert_eq!(policies.place(&class("US", &[]), None, &none).home, None);
    let rows = policies.admission(&regions[0], &[], none.mechanisms);
    assert!(rows.iter().all(|r| !r.allowed));
    let unknown =
        policies.place(&Class::default(), Some(&regions[0]), &Circumstances { categories: &one(), ..none });
    assert_eq!((unknown.home, unknown.must_leave), (None, true));
    assert!(unknown.why.contains("residence is not known"), "{}", unknown.why);
}
