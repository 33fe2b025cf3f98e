//! The report's forms: all say the same, none shows an identifier, and names of strangers do no harm.

use crate::wanted::{MAIL, NUMBER, wanted};
use domicile_audit::hosts::Hosts;
use domicile_audit::report::{self, Asked, Verdict};
use domicile_audit::{Controls, Examiner, Gap, Limits, Place, Report, Step};
use serde_json::Value;

/// A report with a finding of each sort of place, with hostile names.
pub fn sample() -> (Report, Asked) {
    let wanted = wanted();
    let mut examiner = Examiner::new(&wanted, Limits::default());
    let bytes = format!("-- {MAIL} or +{NUMBER}, again {MAIL}");
    let flow = |to: &str, host: Option<&str>| Step::Flow {
        transport: "tcp",
        from: "10.0.0.2:5000".into(),
        to: to.into(),
        host: host.map(str::to_owned),
        country: None,
    };
    let places = [
        Place(vec![Step::File(format!("logs/<script>alert(1)</script>&\"'\u{202e}\n{MAIL}.log"))]),
        Place(vec![
            Step::Database("postgres://a@h/d".into()),
            Step::Table("s".into(), "t".into()),
            Step::Column("c".into()),
            Step::Key("7".into()),
        ]),
        Place(vec![Step::File("a.pcap".into()), Step::Packet(3), flow("203.0.113.9:443", None)]),
        Place(vec![Step::File("b.pcap".into()), flow("198.51.100.1:80", Some("unknown.example"))]),
        Place(vec![Step::File("c.har".into()), Step::Entry(0, "api.example".into())]),
    ];
    for place in &places {
        examiner.target();
        examiner.read(place, bytes.as_bytes()).expect("bytes in memory");
    }
    examiner.unseen(&places[0], Gap::Encrypted, format!("encrypted for {MAIL}"));
    let mut report = examiner.finish();
    report.controls = Controls { planted: 46, missed: vec![] };
    let targets = vec![format!("logs/{MAIL}"), "a.pcap".into()];
    let mut asked = Asked::new(&wanted, 2, 1, targets, "2014-10-01T00:00:00Z".into());
    let mut hosts = Hosts::parse("[[host]]\nis = \"203.0.113.0/24\"\ncountry = \"CN\"\nowner = \"Maker\"")
        .expect("hosts");
    hosts.add("api.example", "US".into(), None).expect("a name");
    hosts.tell(&mut report);
    report::hide(&mut report, &mut asked, &wanted);
    (report, asked)
}

#[test]
fn no_form_shows_an_identifier() {
    let (report, asked) = sample();
    assert_eq!(report.findings.len(), 15);
    let forms = [
        report::text(&report, &asked),
        report::json(&report, &asked).to_string(),
        report::sarif(&report, &asked).to_string(),
        report::html(&report, &asked),
        format!("{report:?} {asked:?}"),
    ];
    for form in forms {
        assert!(!form.contains(MAIL) && !form.contains("canary.lin") && !form.contains(NUMBER), "{form}");
        let shown = form.contains("CN, Maker") && form.contains("country unknown");
        assert!(shown, "{form}");
    }
}

/// As one line: the text is laid out for a terminal.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_text_says_what_was_looked_for_and_what_not() {
    let (report, asked) = sample();
    let text = report::text(&report, &asked);
    for part in [
        "2 identifiers: 1 phone, 1 e-mail; digests also with 1 salt",
        "46 of 46 found",
        "15 traces of 2 identifiers found.",
        "not seen",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let clean = Report { controls: Controls { planted: 46, missed: vec![] }, ..Report::default() };
    assert_eq!(clean.verdict(), Verdict::Nothing);
    let text = report::text(&clean, &asked);
    assert!(line(&text).contains("That says nothing of what was not read"));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    // What was not seen makes absence unproven, unless its sort was accepted.
    let mut gap = Report { findings: Vec::new(), ..report.clone() };
    assert_eq!(gap.verdict(), Verdict::NotWhole);
    let text = report::text(&gap, &asked);
    assert!(line(&text).contains("not all of it was read: 1 encrypted"), "{text}");
    assert!(line(&text).contains(" encrypted logs/"), "{text}");
    gap.accepted.insert(Gap::Encrypted);
    assert_eq!(gap.verdict(), Verdict::Nothing);
    let text = report::text(&gap, &asked);
    assert!(text.contains("accepted      not seen, and no gap: encrypted\n"), "{text}");
    assert!(
        line(&text).contains(" known logs/") && report::html(&gap, &asked).contains("no gap: encrypted"),
        "{text}"
    );
    let missed =
        Report { controls: Controls { planted: 46, missed: vec!["base64 in zip".into()] }, ..report };
    assert_eq!(missed.verdict(), Verdict::ProvesNothing);
    assert!(
        line(&report::text(&missed, &asked))
            .contains("This run proves nothing: 1 of 46 planted controls were missed (base64 in zip).")
    );
}

#[test]
fn the_page_is_whole_and_escaped() {
    let (report, asked) = sample();
    let page = report::html(&report, &asked);
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("));
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    for tag in ["table", "section", "main", "ul", "dl", "body", "html"] {
        assert_eq!(
            page.matches(&format!("<{tag}")).count(),
            page.matches(&format!("</{tag}>")).count(),
            "{tag}"
        );
    }
    assert!(!page.contains('\u{202e}'));
}

/// The rules of SARIF 2.1.0 (OASIS, sections 3.13, 3.14, 3.19, 3.27, 3.28 and 3.30) that this uses.
#[test]
fn sarif_keeps_its_rules() {
    let (report, asked) = sample();
    let sarif = report::sarif(&report, &asked);
    assert_eq!((&sarif["version"], sarif["runs"].as_array().map(Vec::len)), (&Value::from("2.1.0"), Some(1)));
    let run = &sarif["runs"][0];
    let driver = &run["tool"]["driver"];
    assert!(driver["name"].is_string() && driver["version"].is_string());
    let rules = driver["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), report.findings.len());
    for result in results {
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(result["ruleId"], rules[index]["id"]);
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().expect("a level")));
        assert!(result["message"]["text"].as_str().is_some_and(|t| !t.is_empty()));
        assert!(result["partialFingerprints"].as_object().is_some_and(|f| f.values().all(Value::is_string)));
        for location in result["locations"].as_array().expect("locations") {
            let logical = location["logicalLocations"][0]["fullyQualifiedName"].as_str();
            assert!(logical.is_some_and(|name| !name.is_empty()));
            let Some(physical) = location.get("physicalLocation") else { continue };
            let uri = physical["artifactLocation"]["uri"].as_str().expect("a URI");
            assert!(uri.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&b)), "{uri}");
            let region = &physical["region"];
            assert!(region.is_null() || region["byteOffset"].is_u64() && region["byteLength"].is_u64());
        }
    }
    for invocation in run["invocations"].as_array().expect("invocations") {
        assert!(invocation["executionSuccessful"].is_boolean());
        for note in invocation["toolExecutionNotifications"].as_array().expect("notifications") {
            assert!(note["message"]["text"].is_string() && note["level"].is_string());
        }
    }
}
