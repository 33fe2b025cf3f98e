//! The journal of batches: read one at a time, and asked for members without their records.

use crate::suite::{Fixture, spec, subject};
use domicile_stores::records::{BatchRow, SubjectId};
use std::collections::BTreeSet;

fn row(wave: &str, number: u32, subjects: &[u32]) -> BatchRow {
    BatchRow {
        batch: format!("{wave}/{number}"),
        wave: wave.to_owned(),
        subjects: subjects.iter().copied().map(subject).collect(),
        record: serde_json::json!({ "wave": wave, "number": number }),
    }
}

/// Batches come by id, in order of their numbers; members are those of the wave that was asked for.
pub async fn batch_by_batch(fixture: &dyn Fixture) {
    let pair = fixture.pair("journal").await;
    let records = pair.source.records.as_ref();
    records.install(&spec("here")).await.expect("install");
    let all = [row("w1", 10, &[4]), row("w1", 2, &[1, 2]), row("w2", 1, &[1, 3])];
    records.open_batches(&all).await.expect("open batches");

    let ids = |wave| async move { records.batch_ids(wave).await.expect("batch ids") };
    assert_eq!(ids("w1").await, ["w1/2", "w1/10"]);
    assert_eq!(ids("w2").await, ["w2/1"]);
    assert!(ids("w3").await.is_empty());
    for expected in &all {
        let found = records.batch(&expected.batch).await.expect("batch");
        assert_eq!(found.as_ref(), Some(expected));
    }
    assert_eq!(records.batch("w1/3").await.expect("batch"), None);

    let asked: Vec<SubjectId> = (1..=5).map(subject).collect();
    let members = |wave| {
        let asked = &asked;
        async move {
            let found = records.members(wave, asked).await.expect("members");
            let distinct: BTreeSet<SubjectId> = found.iter().cloned().collect();
            assert_eq!(distinct.len(), found.len(), "each once");
            distinct.into_iter().map(|s| s.0).collect::<Vec<_>>()
        }
    };
    assert_eq!(members("w1").await, ["1", "2", "4"]);
    assert_eq!(members("w2").await, ["1", "3"]);
    assert!(members("w3").await.is_empty());
    assert!(records.members("w1", &[]).await.expect("members").is_empty());
    let count = |wave| async move { records.count_members(wave).await.expect("count members") };
    assert_eq!((count("w1").await, count("w2").await, count("w3").await), (3, 2, 0));

    let lease = records.take_lease("w1/2").await.expect("lease");
    records.close_batch(&lease).await.expect("close batch");
    assert_eq!((ids("w1").await, members("w1").await), (vec!["w1/10".to_owned()], vec!["4".to_owned()]));
    assert_eq!(count("w1").await, 1);
}

/// A subject is found by its text, so one key has one spelling.
pub async fn one_spelling(fixture: &dyn Fixture) {
    let pair = fixture.pair("spelling").await;
    pair.source.records.install(&spec("here")).await.expect("install");
    let typed: Vec<SubjectId> = ["007", "7", " 12 ", "-3"].map(|s| SubjectId(s.to_owned())).to_vec();
    let found = pair.source.records.canonical(&typed).await.expect("canonical");
    let found: Vec<&str> = found.iter().map(|s| s.0.as_str()).collect();
    assert_eq!(found, ["7", "7", "12", "-3"]);
    let listed = pair.source.records.subjects(None, 1).await.expect("subjects");
    let again = pair.source.records.canonical(&[listed[0].subject.clone()]).await.expect("canonical");
    assert_eq!(again[0], listed[0].subject, "what the store prints is a spelling already");
}
