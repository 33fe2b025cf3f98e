//! Policy files with something wrong: every fault with its place, its line and what to do.

use domicile_policy::{Fault, Policies};

fn faults(text: &str) -> Vec<Fault> {
    let files = [
        (
            "good.cedar".to_owned(),
            "@law(\"L\") @reason(\"R\") permit (principal, action, resource);".to_owned(),
        ),
        ("policies/bad.cedar".to_owned(), text.to_owned()),
    ];
    match Policies::parse(&files, &["scc".into()]) {
        Ok(_) => panic!("no fault was found in {text}"),
        Err(faults) => faults.0,
    }
}

fn at(fault: &Fault) -> (&str, usize, usize) {
    (&fault.file, fault.line, fault.column)
}

#[test]
fn a_syntax_error_has_its_line_and_column() {
    let found = faults("// one; two\n@law(\"L\") @reason(\"R\")\npermit (principal, action, resourc);\n");
    assert_eq!(at(&found[0]), ("policies/bad.cedar", 3, 28));
    assert_eq!(found[0].source_line, "permit (principal, action, resourc);");
    let printed = found[0].to_string();
    assert!(printed.starts_with("policies/bad.cedar:3:28: "), "{printed}");
    let caret = printed.lines().find(|l| l.trim_start().starts_with("| ") && l.contains('^')).unwrap();
    let line = printed.lines().find(|l| l.contains("resourc)")).unwrap();
    assert_eq!(caret.find('^'), line.find("resourc)"), "{printed}");
    assert!(printed.contains("fix: "), "{printed}");
}

#[test]
fn a_policy_without_its_end_is_named() {
    let found = faults("@law(\"L\") @reason(\"R\")\npermit (principal, action, resource)\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].file, "policies/bad.cedar");
    assert!(found[0].line >= 2, "{}", found[0]);
}

#[test]
fn law_and_reason_are_demanded() {
    let found = faults(
        "\n@reason(\"R\")\npermit (principal, action, resource);\n@law(\" \")\nforbid (principal, action, resource);",
    );
    let words: Vec<_> = found.iter().map(|f| (f.line, f.what.as_str())).collect();
    assert_eq!(
        words,
        [
            (2, "the policy has no `@law`"),
            (4, "the policy has no `@law`"),
            (4, "the policy has no `@reason`")
        ]
    );
    assert!(found[0].fix.contains("@law(\"...\")"));
}

fn wrong(condition: &str) -> Fault {
    let text = format!(
        "@law(\"L\") @reason(\"R\")\npermit (principal, action, resource)\nwhen {{ {condition} }};\n"
    );
    let found = faults(&text);
    assert_eq!(at(&found[0]).1, 3, "{}", found[0]);
    found.into_iter().next().unwrap()
}

#[test]
fn validation_errors_have_their_line() {
    let typo = wrong("principal.residense == \"IN\"");
    assert!(typo.what.contains("residense"), "{typo}");
    assert!(typo.fix.contains("residence"), "{typo}");
    assert_eq!(typo.column, 8);
    assert!(wrong("principal.residence == 3").what.contains("type"));
    assert!(wrong("principal in Group::\"x\"").what.contains("Group"));
    let mechanism = wrong("context.mechanisms.bcr");
    assert!(mechanism.what.contains("bcr"), "{mechanism}");
    let text =
        "@law(\"L\") @reason(\"R\") permit (principal, action, resource) when { context.mechanisms.bcr };";
    assert_eq!(faults(text).len(), 1, "one fault, not one for each action");
    assert!(mechanism.fix.contains("domicile.toml"), "{mechanism}");
    assert!(wrong("principal.flags.contains(\"x\")").fix.contains("principal in Flag::"));
    let action =
        faults("@law(\"L\") @reason(\"R\")\npermit (principal, action == Action::\"keep\", resource);");
    assert!(action[0].what.contains("keep") && action[0].line == 2, "{}", action[0]);
}

#[test]
fn names_are_unique_and_classes_have_none() {
    let twice = faults("@id(\"good#1\") @law(\"L\") @reason(\"R\")\npermit (principal, action, resource);");
    assert!(twice[0].what.contains("already at good.cedar:1"), "{}", twice[0]);
    let named = faults("@law(\"L\") @reason(\"R\") permit (principal == Class::\"x\", action, resource);");
    assert!(named[0].what.contains("classes have no names"), "{}", named[0]);
    let files = vec![("a.cedar".to_owned(), String::new()); 2];
    let again = Policies::parse(&files, &[]).unwrap_err();
    assert!(again.to_string().contains("given twice"));
}

#[test]
fn a_template_is_refused() {
    let found = faults("@law(\"L\") @reason(\"R\")\npermit (principal in ?principal, action, resource);");
    assert_eq!(found[0].file, "policies/bad.cedar");
}

#[test]
fn all_faults_are_told_at_once() {
    let found = faults(
        "permit (principal, action, resource);\nforbid (;\n@law(\"L\") @reason(\"R\") permit (principal, action, resource) when { principal.x };",
    );
    assert_eq!(found.iter().map(|f| f.line).collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn a_policy_that_can_never_apply_is_a_warning() {
    let text = "@law(\"L\") @reason(\"R\")\nforbid (principal, action, resource) when { false };".to_owned();
    let policies = Policies::parse(&[("w.cedar".to_owned(), text)], &[]).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(policies.warnings().len(), 1);
    assert_eq!(policies.warnings()[0].file, "w.cedar");
}
