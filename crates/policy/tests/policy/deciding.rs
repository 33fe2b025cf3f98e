//! Single decisions: rules with their place, defaults, mechanisms, explanations.

use crate::world::{NO_MECHANISMS, class, country, maker, parse, region};
use domicile_policy::{Action, Class, Context, Decision, Effect, Policies};
use std::collections::BTreeMap;

const RULES: &str = r#"// head; with a semicolon
@law("L1")
@reason("R1")
permit (principal, action, resource);

@id("no-logs") @law("L2") @reason("R2")
forbid (principal, action in [Action::"log", Action::"support"], resource)
when { context.category == "messages" };
"#;

fn ask(policies: &Policies, class: &Class, action: Action, category: &str) -> Decision {
    let context = Context { category, source: None, mechanisms: &NO_MECHANISMS };
    policies.decide(class, action, &maker("CN")[1], &context)
}

#[test]
fn rules_come_with_file_line_law_and_reason() {
    let policies = parse(RULES);
    let yes = ask(&policies, &class("IN", &[]), Action::Store, "messages");
    assert!(yes.allowed);
    let rule = &yes.rules[0];
    assert_eq!((rule.policy_id.as_str(), rule.file.as_str(), rule.line), ("test#1", "test.cedar", 2));
    assert_eq!((rule.effect, yes.text()), (Effect::Permit, "L1: R1".to_owned()));

    let no = ask(&policies, &class("IN", &[]), Action::Log, "messages");
    assert!(!no.allowed);
    assert_eq!((no.rules[0].policy_id.as_str(), no.rules[0].line, no.rules.len()), ("no-logs", 6, 1));
    assert!(ask(&policies, &class("IN", &[]), Action::Log, "profile").allowed);
}

#[test]
fn no_permit_is_a_no_that_says_so() {
    let policies = parse("");
    let no = ask(&policies, &class("IN", &[]), Action::Store, "profile");
    assert!(!no.allowed && policies.is_empty());
    assert_eq!(no.rules[0].effect, Effect::Builtin);
    assert_eq!(
        no.text(),
        "no policy permits `store` of `profile` data of residents of IN in region `oregon` (country US, operator CN)"
    );
}

#[test]
fn unknown_residence_is_a_no_whatever_policies_say() {
    let no = ask(&parse(RULES), &Class::default(), Action::Store, "profile");
    assert!(!no.allowed);
    assert_eq!(no.rules[0].policy_id, "unknown-residence");
}

#[test]
fn flags_consents_and_citizenship_are_seen() {
    let policies = parse(
        r#"@law("L") @reason("R") permit (principal in Consent::"cloud", action, resource)
           when { principal.citizenship != "IN" };
           @law("L") @reason("R") forbid (principal in Flag::"air-force", action, resource);"#,
    );
    let mut somebody = class("SG", &[]);
    assert!(!ask(&policies, &somebody, Action::Store, "x").allowed);
    somebody.consents.insert("cloud".into());
    assert!(ask(&policies, &somebody, Action::Store, "x").allowed);
    somebody.citizenship = Some(country("IN"));
    assert!(!ask(&policies, &somebody, Action::Store, "x").allowed);
    somebody.citizenship = None;
    somebody.flags.insert("air-force".into());
    assert!(!ask(&policies, &somebody, Action::Store, "x").allowed);
}

#[test]
fn a_mechanism_counts_only_while_in_force() {
    let files = [(
        "m.cedar".to_owned(),
        r#"@law("SCC") @reason("clauses") permit (principal, action == Action::"transfer", resource)
           when { context.mechanisms["scc-2021"] && context.source_country == "DE" };"#
            .to_owned(),
    )];
    let policies =
        Policies::parse(&files, &["scc-2021".into(), "bcr".into()]).unwrap_or_else(|f| panic!("{f}"));
    let berlin = region("berlin", "DE", "DE", "Berlin", None);
    let asked = |on: Option<bool>, source| {
        let mechanisms: BTreeMap<_, _> = on.map(|on| ("scc-2021".to_owned(), on)).into_iter().collect();
        let context = Context { category: "profile", source, mechanisms: &mechanisms };
        policies.decide(&class("DE", &[]), Action::Transfer, &maker("US")[1], &context).allowed
    };
    assert!(asked(Some(true), Some(&berlin)));
    assert!(!asked(Some(false), Some(&berlin)));
    assert!(!asked(None, Some(&berlin)));
    assert!(!asked(Some(true), None));
}

#[test]
fn explain_asks_everything_and_says_what_nothing_enforces() {
    let policies = parse(RULES);
    let regions = maker("CN");
    let categories = ["messages".to_owned(), "profile".to_owned()];
    let lines = policies.explain(&class("IN", &[]), Some(&regions[0]), &regions, &categories, &NO_MECHANISMS);
    // Eight actions at four regions, seven at the present one.
    assert_eq!(lines.len(), (8 * 4 + 7) * 2);
    let log = lines.iter().find(|l| l.action == Action::Log && l.category == "messages").unwrap();
    assert!(!log.decision.allowed && log.enforced_by.is_none());
    assert!(lines.iter().any(|l| l.action == Action::Store && l.enforced_by.is_some()));
}

#[test]
fn the_hash_follows_meaning_and_words_but_not_layout() {
    let hash = |text: &str| parse(text).hash().to_owned();
    let one = hash(RULES);
    assert_eq!(one.len(), 64);
    assert_eq!(one, hash(&RULES.replace("// head; with a semicolon", "\n\n // other")));
    assert_ne!(one, hash(&RULES.replace("R2", "R3")));
    assert_ne!(one, hash(&RULES.replace("\"messages\"", "\"photos\"")));
    let files = [("test.cedar".to_owned(), RULES.to_owned())];
    let with = Policies::parse(&files, &["scc".into()]).unwrap_or_else(|f| panic!("{f}"));
    assert_ne!(one, with.hash());
    assert!(with.schema_text().contains("\"scc\": Bool"));
}
