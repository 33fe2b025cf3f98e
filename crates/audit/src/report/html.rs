//! The report as one page: no script, nothing fetched, light and dark, ready to be printed.

use super::{Asked, Report, Verdict, how, kind};
use crate::Finding;
use std::collections::BTreeMap;
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn html(report: &Report, asked: &Asked) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Audit: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        title(report)
    );
    let class = match report.verdict() {
        Verdict::Found => "found",
        Verdict::Nothing => "clean",
        Verdict::ProvesNothing | Verdict::NotWhole => "broken",
    };
    let _ = writeln!(
        page,
        "<h1>Domicile audit</h1>\n<p class=\"verdict {class}\"><strong>{}</strong></p>",
        title(report)
    );
    let _ = writeln!(page, "<p>{}</p>", escaped(&super::sentence(report, asked)));
    head(&mut page, report, asked);
    findings(&mut page, report);
    unseen(&mut page, report);
    page.push_str("<h2>What no search of this kind sees</h2>\n<ul>\n");
    for what in super::cannot_see() {
        let _ = writeln!(page, "<li>{}</li>", escaped(what));
    }
    page.push_str("</ul>\n");
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn title(report: &Report) -> String {
    match report.verdict() {
        Verdict::Found => super::counted(report.found(), "trace") + " found",
        Verdict::Nothing => "nothing found".to_owned(),
        Verdict::NotWhole => "nothing found, but not all was read".to_owned(),
        Verdict::ProvesNothing => "a control was missed: this run proves nothing".to_owned(),
    }
}

fn head(page: &mut String, report: &Report, asked: &Asked) {
    let targets = asked.targets.iter().map(|target| format!("<code>{}</code>", escaped(target)));
    let rows = [
        ("Looked for", escaped(&asked.in_words())),
        ("In", targets.collect::<Vec<_>>().join("<br>")),
        ("Read", escaped(&super::read(report))),
        ("Accepted", super::accepted(report).unwrap_or_default()),
        ("Controls", escaped(&super::controls(report))),
        ("At", escaped(&asked.at)),
    ];
    page.push_str("<dl>\n");
    for (label, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(page, "<dt>{label}</dt><dd>{value}</dd>");
    }
    page.push_str("</dl>\n");
}

fn findings(page: &mut String, report: &Report) {
    let mut places: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        places.entry(super::group(&finding.place)).or_default().push(finding);
    }
    if places.is_empty() {
        return;
    }
    let _ = writeln!(page, "<h2>Found</h2>\n<p class=\"note\">{}</p>", escaped(super::FINGERPRINTS));
    for (place, findings) in places {
        let _ = writeln!(
            page,
            "<section>\n<h3>{}</h3>\n<table>\n<thead><tr><th>Kind</th><th>Identifier</th><th>At</th><th>Bytes</th><th>Written as</th></tr></thead>\n<tbody>",
            escaped(&place)
        );
        for finding in findings {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                kind(finding.kind),
                finding.identifier,
                escaped(&super::detail(finding)),
                finding.length_bytes,
                escaped(&how(finding))
            );
        }
        page.push_str("</tbody>\n</table>\n</section>\n");
    }
    if report.more_findings > 0 {
        let _ = writeln!(page, "<p>And {} more beyond the bound of a report.</p>", report.more_findings);
    }
}

fn unseen(page: &mut String, report: &Report) {
    if report.unseen.is_empty() {
        return;
    }
    page.push_str("<h2>Not seen</h2>\n<ul>\n");
    for unseen in &report.unseen {
        let _ = writeln!(
            page,
            "<li><b>{}</b> <code>{}</code>: {}</li>",
            super::gap(report, unseen),
            escaped(&unseen.place.to_string()),
            escaped(&unseen.why)
        );
    }
    if report.more_unseen > 0 {
        let _ = writeln!(page, "<li>and {} more</li>", report.more_unseen);
    }
    page.push_str("</ul>\n");
}

/// Text between tags or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What would turn the direction of the page around, or ring.
            c if c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) =>
            {
                let _ = write!(out, "{}", c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}
