//! The report for people, at a terminal.

use super::{Asked, Report, Verdict, counted, how, kind, size};
use crate::Finding;
use std::collections::BTreeMap;

/// Findings shown of one place; the rest are counted. `--json` has them all.
const SHOWN_MAX: usize = 20;

/// The report in words.
pub fn text(report: &Report, asked: &Asked) -> String {
    let mut out = String::new();
    for (label, lines) in head(report, asked) {
        for (n, line) in lines.iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            out.push_str(&format!("{label:<14}{line}\n"));
        }
    }
    out.push_str(&found(report));
    out.push_str(&unseen(report));
    if report.verdict() == Verdict::Nothing {
        out.push_str("\nwhat no search of this kind sees\n");
        out.extend(super::cannot_see().iter().map(|what| format!("  {what}\n")));
    }
    out.push_str(&format!("\n{}\n", super::sentence(report, asked)));
    out
}

type Lines = Vec<String>;

fn head(report: &Report, asked: &Asked) -> Vec<(&'static str, Lines)> {
    vec![
        ("looked for", vec![asked.in_words()]),
        ("in", asked.targets.iter().map(|target| target.escape_debug().to_string()).collect()),
        ("read", vec![super::read(report)]),
        ("accepted", super::accepted(report).into_iter().collect()),
        ("controls", vec![super::controls(report)]),
    ]
}

fn found(report: &Report) -> String {
    let mut places: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        places.entry(super::group(&finding.place)).or_default().push(finding);
    }
    let mut out = String::new();
    for (place, findings) in places {
        out.push_str(&format!("\n{place}\n"));
        for finding in findings.iter().take(SHOWN_MAX) {
            let at = super::detail(finding);
            out.push_str(&format!(
                "  {:<7} {}  {at}, {}: {}\n",
                kind(finding.kind),
                finding.identifier,
                size(finding.length_bytes),
                how(finding)
            ));
        }
        if findings.len() > SHOWN_MAX {
            out.push_str(&format!("  and {} more there: --json has them\n", findings.len() - SHOWN_MAX));
        }
    }
    if report.more_findings > 0 {
        out.push_str(&format!(
            "\nand {} beyond the bound of a report\n",
            counted(report.more_findings, "finding")
        ));
    }
    out
}

fn unseen(report: &Report) -> String {
    if report.unseen.is_empty() {
        return String::new();
    }
    let mut out = String::from("\nnot seen\n");
    for unseen in &report.unseen {
        let gap = super::gap(report, unseen);
        out.push_str(&format!("  {gap:<9}  {}: {}\n", unseen.place, unseen.why));
    }
    if report.more_unseen > 0 {
        out.push_str(&format!("  and {} more\n", report.more_unseen));
    }
    out
}

impl Verdict {
    /// One word of it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Found => "found",
            Verdict::Nothing => "nothing-found",
            Verdict::NotWhole => "not-all-read",
            Verdict::ProvesNothing => "control-missed",
        }
    }
}
