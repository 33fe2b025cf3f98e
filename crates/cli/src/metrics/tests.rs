use super::*;
use std::collections::BTreeSet;

/// Everything that a move can tell.
fn events() -> Vec<Event> {
    let batch = || "w1/00001".to_owned();
    let pause = Duration::from_millis(40);
    vec![
        Event::Wave {
            wave: "w1".into(),
            from: "us".into(),
            to: "de".into(),
            subjects: 10,
            rows: 80,
            resumed: true,
            moved: 2,
        },
        Event::Stage { batch: batch(), stage: "copy" },
        Event::Copied { rows: 16, bytes: 900 },
        Event::Objects { objects: 2, bytes: 70 },
        Event::Stage { batch: batch(), stage: "fence" },
        Event::Activated { subjects: 3, pause },
        Event::Activated { subjects: 1, pause: Duration::from_secs(60) },
        Event::Left { subjects: 1, code: "busy", why: "its writers never paused".into() },
        Event::Again { batch: batch(), code: "differs", why: "they differ".into() },
    ]
}

#[tokio::test]
async fn what_is_told_is_counted() {
    let metrics = Metrics::default();
    events().iter().for_each(|event| metrics.note(event));
    let text = metrics.text().await;
    for line in [
        "domicile_wave_subjects{from=\"us\",to=\"de\",wave=\"w1\"} 10",
        "domicile_wave_subjects_moved{from=\"us\",to=\"de\",wave=\"w1\"} 6",
        "domicile_subjects_moved_total{from=\"us\",to=\"de\"} 4",
        "domicile_subjects_left_total{from=\"us\",to=\"de\",code=\"busy\"} 1",
        "domicile_rows_copied_total{from=\"us\",to=\"de\"} 16",
        "domicile_row_bytes_copied_total{from=\"us\",to=\"de\"} 900",
        "domicile_object_bytes_copied_total{from=\"us\",to=\"de\"} 70",
        "domicile_batches_in_flight{from=\"us\",to=\"de\"} 1",
        "domicile_retries_total{from=\"us\",to=\"de\",code=\"differs\"} 1",
        "domicile_subject_pause_seconds_bucket{from=\"us\",to=\"de\",le=\"0.025\"} 0",
        "domicile_subject_pause_seconds_bucket{from=\"us\",to=\"de\",le=\"0.05\"} 3",
        "domicile_subject_pause_seconds_bucket{from=\"us\",to=\"de\",le=\"10\"} 3",
        "domicile_subject_pause_seconds_bucket{from=\"us\",to=\"de\",le=\"+Inf\"} 4",
        "domicile_subject_pause_seconds_count{from=\"us\",to=\"de\"} 4",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.contains("domicile_stage_seconds_total{from=\"us\",to=\"de\",stage=\"copy\"} "), "{text}");
    metrics.note(&Event::Paused);
    metrics.note(&Event::Stage { batch: "w1/00001".into(), stage: "cutover" });
    assert!(metrics.text().await.contains("\ndomicile_paused 1\n"), "a batch under way ends in the pause");
    metrics.note(&Event::Stage { batch: "w1/00002".into(), stage: "copy" });
    assert!(metrics.text().await.contains("\ndomicile_paused 0\n"));
    metrics.note(&Event::Ended { batch: "w1/00002".into() });
    metrics.note(&Event::TakenOver { batch: "w1/00001".into() });
    metrics.note(&Event::CeilingReached {
        wave: "w1".into(),
        ceiling: "active_sessions",
        why: String::new(),
    });
    let text = metrics.text().await;
    assert!(text.contains("domicile_batches_in_flight{from=\"us\",to=\"de\"} 0"), "{text}");
    assert!(text.contains("domicile_lease_losses_total{from=\"us\",to=\"de\"} 1"), "{text}");
    assert!(text.contains("domicile_ceiling_waiting{ceiling=\"active_sessions\"} 1"), "{text}");
    metrics.note(&Event::CeilingClear { wave: "w1".into() });
    assert!(metrics.text().await.contains("domicile_ceiling_waiting{ceiling=\"active_sessions\"} 0"));
}

/// Words of a text that are names of metrics, without what Prometheus adds to a histogram's.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|w| w.starts_with("domicile_"));
    ours.map(|w| {
        let ends = ["_bucket", "_sum", "_count"];
        let bare = ends.iter().find_map(|end| w.strip_suffix(end)).unwrap_or(w);
        bare.to_owned()
    })
    .collect()
}

#[test]
fn alerts_dashboard_and_guide_use_the_names_there_are() {
    let mut known: BTreeSet<String> = METRICS.iter().map(|m| m.name.to_owned()).collect();
    assert_eq!(known.len(), METRICS.len(), "a name stands there twice");
    known.extend(domicile_server::metric_names().into_iter().map(str::to_owned));
    known.insert(crate::commands::serve::LOG_LINES_DROPPED.to_owned());
    let alerts = include_str!("../../../../docs/observability/alerts.yml");
    let dashboard = include_str!("../../../../docs/observability/dashboard.json");
    for (file, text) in [("alerts.yml", alerts), ("dashboard.json", dashboard)] {
        let used = names_in(text);
        assert!(!used.is_empty(), "{file} uses none");
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} uses {unknown:?}");
    }
    serde_json::from_str::<serde_json::Value>(dashboard).expect("JSON");
    let documented = names_in(include_str!("../../../../docs/operate.md"));
    assert_eq!(documented, known, "docs/operate.md names all of them and no other");
}

#[test]
fn a_label_holds_any_name() {
    assert_eq!(labelled("region", "a\"b\\c\nd"), r#"region="a\"b\\c\nd""#);
}
