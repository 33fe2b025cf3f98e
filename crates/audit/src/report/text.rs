//! The report for people, at a terminal.

use super::{Asked, Report, Verdict, counted, how, kind, size};
use crate::Finding;
use std::collections::BTreeMap;

/// Findings shown of one place; the rest are counted. `--json` has them all.
const SHOWN_MAX: usize = 20;

/// Columns of a terminal.
const WIDTH: usize = 80;

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
    out.push_str(&wrapped(&unseen(report)));
    if report.verdict() == Verdict::Nothing {
        out.push_str("\nwhat no search of this kind sees\n");
        out.extend(super::cannot_see().iter().map(|what| wrapped(&format!("  - {what}\n"))));
    }
    out.push_str(&wrapped(&format!("\n{}\n", super::sentence(report, asked))));
    if !report.findings.is_empty() {
        out.push_str(&wrapped(&format!("{}\n", super::FINGERPRINTS)));
    }
    out
}

/// Lines longer than a terminal is wide go on in the next one, a little further in; a word stays whole, as it may be a path.
fn wrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        let further = if indent == 0 { 0 } else { indent + 2 };
        out.push_str(&line[..indent]);
        let mut column = indent;
        for (n, word) in bare.split(' ').enumerate() {
            let length = word.chars().count();
            if n > 0 && column + 1 + length > WIDTH {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                out.push_str(&" ".repeat(further));
                column = further;
            } else if n > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
        out.push('\n');
    }
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
