//! What all tests look for, and how they read a report.

use domicile_audit::{Examiner, Finding, Forms, Identifier, Kind, Limits, Report, Step, Wanted};

/// The number that stands in columns of numbers.
pub const NUMBER: &str = "4915123456789";
/// The address that stands everywhere else.
pub const MAIL: &str = "canary.lin@residue.example";

pub fn wanted() -> Wanted {
    let identifiers = vec![
        Identifier::new(Kind::Phone, &format!("+{NUMBER}"), None).expect("a number"),
        Identifier::new(Kind::Email, MAIL, None).expect("an address"),
    ];
    Wanted::new(identifiers, &Forms::default(), None)
}

/// Runs a search on a thread that may block.
pub fn report(search: impl FnOnce(&mut Examiner<'_>)) -> Report {
    let wanted = wanted();
    let mut examiner = Examiner::new(&wanted, Limits::default());
    search(&mut examiner);
    examiner.finish()
}

/// The findings in a column of a table.
pub fn in_column<'r>(report: &'r Report, table: &str, column: &str) -> Vec<&'r Finding> {
    let here = |f: &&Finding| {
        f.place.0.iter().any(|s| matches!(s, Step::Table(_, name) if name == table))
            && f.place.0.iter().any(|s| matches!(s, Step::Column(name) if name == column))
    };
    report.findings.iter().filter(here).collect()
}

/// The findings in a table.
pub fn in_table<'r>(report: &'r Report, table: &str) -> Vec<&'r Finding> {
    let here = |f: &&Finding| f.place.0.iter().any(|s| matches!(s, Step::Table(_, name) if name == table));
    report.findings.iter().filter(here).collect()
}

/// The keys that findings name.
pub fn keys(findings: &[&Finding]) -> Vec<String> {
    let steps = findings.iter().flat_map(|f| &f.place.0);
    steps.filter_map(|s| if let Step::Key(key) = s { Some(key.clone()) } else { None }).collect()
}

/// What can't be seen of a place whose words hold this text.
pub fn unseen(report: &Report, text: &str) -> Vec<String> {
    let here = report.unseen.iter().filter(|u| u.place.to_string().contains(text));
    here.map(|u| u.why.clone()).collect()
}
