//! The report for programs. `audit_format` grows when a reader of the old shape could misread the new one.

use super::{Asked, Report};
use serde_json::{Value, json};

/// Version of the shape.
pub const FORMAT: u32 = 1;

/// The report as JSON; holds no identifier, only fingerprints.
pub fn json(report: &Report, asked: &Asked) -> Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "identifier": finding.identifier, "kind": finding.kind, "where": finding.place.to_string(),
            "place": finding.place, "offset_bytes": finding.offset_bytes, "length_bytes": finding.length_bytes,
            "how": finding.how,
        })
    });
    let unseen = report
        .unseen
        .iter()
        .map(|unseen| json!({ "where": unseen.place.to_string(), "place": unseen.place, "gap": unseen.gap, "why": unseen.why }));
    json!({
        "audit_format": FORMAT,
        "verdict": report.verdict().word(),
        "asked": asked,
        "findings": findings.collect::<Vec<_>>(),
        "more_findings": report.more_findings,
        "scanned": report.scanned,
        "unseen": unseen.collect::<Vec<_>>(),
        "more_unseen": report.more_unseen,
        "gaps": report.gaps,
        "accepted": report.accepted,
        "controls": report.controls,
        "captures": report.captures,
        "cannot_see": super::cannot_see(),
    })
}
