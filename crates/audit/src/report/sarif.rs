//! The report as SARIF 2.1.0 (OASIS), for programs that show findings of many tools.

use super::{Asked, Report};
use crate::{Finding, Kind, Place, Step};
use serde_json::{Value, json};

/// Kinds in the order of their rules.
const KINDS: [Kind; 5] = [Kind::Phone, Kind::Email, Kind::Imei, Kind::Imsi, Kind::Free];

/// The report as one run. Holds no identifier.
pub fn sarif(report: &Report, asked: &Asked) -> Value {
    let rules = KINDS.map(|kind| {
        let name = super::kind(kind);
        json!({
            "id": format!("identifier/{}", rule(kind)),
            "shortDescription": { "text": format!("A known {name} stands where it must not") },
            "defaultConfiguration": { "level": "error" },
        })
    });
    let notes = report.unseen.iter().map(|unseen| {
        json!({
            "level": if report.counts(unseen.gap) { "warning" } else { "note" },
            "message": { "text": format!("not seen ({}): {}: {}", unseen.gap.word(), unseen.place, unseen.why) },
            "locations": [location(&unseen.place, None)],
        })
    });
    let missed = report.controls.missed.iter().map(|name| {
        json!({ "level": "error", "message": { "text": format!("a positive control was missed: {name}") } })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "domicile audit",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "utf16CodeUnits",
            "invocations": [{
                "executionSuccessful": report.controls.missed.is_empty() && report.missing().next().is_none(),
                "toolExecutionNotifications": notes.chain(missed).collect::<Vec<_>>(),
            }],
            "results": report.findings.iter().map(result).collect::<Vec<_>>(),
            "properties": {
                "asked": asked, "scanned": report.scanned, "controls": report.controls,
                "more_findings": report.more_findings, "more_unseen": report.more_unseen,
                "gaps": report.gaps, "accepted": report.accepted, "verdict": report.verdict().word(),
            },
        }],
    })
}

fn rule(kind: Kind) -> &'static str {
    match kind {
        Kind::Phone => "phone",
        Kind::Email => "email",
        Kind::Imei => "imei",
        Kind::Imsi => "imsi",
        Kind::Free => "free",
    }
}

fn result(finding: &Finding) -> Value {
    let index = KINDS.iter().position(|kind| *kind == finding.kind);
    let text = format!(
        "{} {}, {}: {}",
        super::kind(finding.kind),
        finding.identifier,
        super::how(finding),
        finding.place
    );
    json!({
        "ruleId": format!("identifier/{}", rule(finding.kind)),
        "ruleIndex": index,
        "level": "error",
        "message": { "text": text },
        "locations": [location(&finding.place, Some(finding))],
        "partialFingerprints": { "identifier/v1": finding.identifier },
    })
}

fn location(place: &Place, finding: Option<&Finding>) -> Value {
    let mut location = json!({ "logicalLocations": [{ "fullyQualifiedName": place.to_string() }] });
    let uri = match place.0.first() {
        Some(Step::File(path)) => Some(encoded(path)),
        Some(Step::Database(url) | Step::Object(url)) => Some(encoded(url)),
        _ => None,
    };
    let Some(uri) = uri else { return location };
    let mut physical = json!({ "artifactLocation": { "uri": uri } });
    // Offsets count in the innermost place: they are the artefact's only where that is the file itself.
    if let (Some(finding), [Step::File(_)]) = (finding, place.0.as_slice()) {
        physical["region"] =
            json!({ "byteOffset": finding.offset_bytes, "byteLength": finding.length_bytes });
    }
    location["physicalLocation"] = physical;
    location
}

/// A path or URL as a URI reference (RFC 3986).
fn encoded(text: &str) -> String {
    let mut uri = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => uri.push(byte.into()),
            b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'@' | b'=' | b'&' | b'+' | b',' => {
                uri.push(byte.into())
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}
