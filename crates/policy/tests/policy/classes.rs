//! Classes: Cedar runs once per class, category, action and region, never per subject.

use crate::world::{class, country, latency, maker, on, parse};
use domicile_policy::{ClassTable, Placer};
use jiff::civil::date;

const RULES: &str = r#"
@law("A") @reason("a") forbid (principal in Flag::"air-force", action, resource) when { resource.operator == "CN" };
@law("B") @reason("b") permit (principal, action, resource) when { principal.residence != "CN" };
"#;

#[test]
fn what_no_policy_mentions_makes_no_class() {
    let policies = parse(RULES);
    let mentioned = policies.mentioned();
    assert!(mentioned.attributes.iter().eq(["residence"]));
    assert!(mentioned.flags.iter().eq(["air-force"]) && mentioned.consents.is_empty());
    let mut table = ClassTable::new(&policies);
    let plain = table.intern(&class("IN", &[]));
    assert_eq!(plain, table.intern(&class("IN", &["vip"])));
    let mut citizen = class("IN", &["vip", "beta"]);
    citizen.citizenship = Some(country("BR"));
    citizen.consents.insert("marketing".into());
    assert_eq!(plain, table.intern(&citizen));
    assert_ne!(plain, table.intern(&class("IN", &["air-force", "vip"])));
    assert_ne!(plain, table.intern(&class("BR", &[])));
    assert_eq!(table.len(), 3);
    assert_eq!(table.class(plain), Some(&class("IN", &[])));
}

#[test]
fn nested_and_negated_mentions_are_found() {
    let policies = parse(
        r#"@law("L") @reason("R") permit (principal, action, resource) unless {
             if context.category == "x" then !(principal in [Flag::"a", Flag::"b"]) && resource != Region::"r1"
             else ["IN"].contains(principal["citizenship"]) || principal in Consent::"c" };"#,
    );
    let m = policies.mentioned();
    assert!(m.flags.iter().eq(["a", "b"]) && m.consents.iter().eq(["c"]) && m.regions.iter().eq(["r1"]));
    assert!(m.attributes.iter().eq(["citizenship"]));
}

#[test]
fn cedar_runs_once_a_class_not_once_a_subject() {
    let policies = parse(RULES);
    let (regions, latency) = (maker("CN"), latency());
    let categories = ["messages".to_owned(), "profile".to_owned()];
    let mut placer = Placer::new(&policies, on(date(2014, 11, 1), &categories, &regions, &latency));
    let kinds = [class("IN", &[]), class("BR", &["vip"]), class("BR", &[]), class("SG", &["air-force"])];
    for n in 0..10_000 {
        let id = placer.intern(&kinds[n % kinds.len()]);
        assert!(placer.place(id, Some(0)).is_some());
    }
    assert_eq!(placer.classes().len(), 3);
    // IN and BR: store at five regions and transfer to four, for two categories; air-force: the first store at
    // each of five regions is refused, and no more is asked there.
    assert_eq!(policies.evaluations(), 2 * (5 + 4) * 2 + 5);
    let id = placer.intern(&kinds[0]);
    assert!(placer.place(id, Some(99)).is_none());
}
