//! With the guard in the file: after a subject has left, neither its rows nor its key stand anywhere in
//! the bytes, the guard's own tables included.

use super::{Region, Sqlite, catalogue, mapped};
use crate::records::{Admission, BatchRow, GuardSpec, Mode, Records, State, Transition};
use crate::records::{Lease, SubjectId};
use domicile_datamap::layout::Owner;
use rusqlite::Connection;
use std::sync::Arc;

const GONE: &str = "+91-98450-77701";
const STAYS: &str = "+86-10-77702-7";

const SCHEMA: &str = "
CREATE TABLE person(phone TEXT PRIMARY KEY NOT NULL, country TEXT NOT NULL);
CREATE TABLE contact(person TEXT NOT NULL REFERENCES person(phone) ON DELETE CASCADE, name TEXT NOT NULL, body TEXT,
  PRIMARY KEY (person, name));";

fn change(from: &[State], to: State, epoch: Option<u64>) -> Transition<'_> {
    Transition { from, to, epoch, deadline: None, before_deadline: false }
}

fn count(path: &std::path::Path, needle: &str) -> usize {
    ["", "-wal", "-journal"]
        .iter()
        .map(|suffix| std::fs::read(format!("{}{suffix}", path.display())).unwrap_or_default())
        .map(|bytes| bytes.windows(needle.len()).filter(|w| *w == needle.as_bytes()).count())
        .sum()
}

#[tokio::test]
async fn nothing_of_a_subject_that_left_stands_in_the_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("region.db");
    let app = Connection::open(&path).unwrap();
    app.execute_batch(SCHEMA).unwrap();
    app.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    for phone in [GONE, STAYS] {
        app.execute("INSERT INTO person VALUES (?1, 'IN')", [phone]).unwrap();
        app.execute("INSERT INTO contact VALUES (?1, 'me ' || ?1, ?1)", [phone]).unwrap();
    }
    let catalogue = catalogue::read(&app).map_err(|e| format!("{e:?}")).unwrap();
    let mut layout = (*Region::new().await.store.layout).clone();
    layout.tables = vec![
        mapped(&catalogue, "person", Owner::Root { column: "phone".into() }),
        mapped(&catalogue, "contact", Owner::Direct { column: "person".into() }),
    ];
    (layout.objects, layout.references) = (Vec::new(), Vec::new());
    let store: Box<dyn Records> = Box::new(Sqlite::open(&path, Arc::new(layout), false).await.unwrap());
    let gone = vec![SubjectId(GONE.into())];

    guard(store.as_ref()).await;
    let lease = leave(store.as_ref(), &app, &gone).await;
    assert!(count(&path, GONE) > 10 && count(&path, STAYS) > 2);

    let away = vec![(gone[0].clone(), 2)];
    assert_eq!(store.erase_some(&lease, &away, 100).await.unwrap().values().sum::<u64>(), 13);
    assert!(store.erase_some(&lease, &away, 100).await.unwrap().is_empty());
    assert_eq!(store.drop_homes(&lease, &gone, State::Away).await.unwrap(), 1);
    store.close_batch(&lease).await.unwrap();
    store.drop_list("w1").await.unwrap();
    let before = store.fingerprint().await.unwrap();
    store.scrub().await.unwrap();
    assert_eq!(count(&path, GONE), 0);
    assert!(count(&path, STAYS) > 2, "the scan finds what is there");
    assert_eq!(store.fingerprint().await.unwrap(), before, "a scrub is no change of schema");
}

async fn guard(store: &dyn Records) {
    let india = Admission { country: "IN".into(), allowed: true, rule: "test".into() };
    let spec =
        GuardSpec { region: "here".into(), service: "s".into(), wave_only: false, admission: vec![india] };
    let path = store.identity().await.unwrap();
    store.install(&spec).await.unwrap();
    assert_ne!(store.identity().await.unwrap(), path, "its own id once it has one");
    assert_eq!(store.adopt(&[(SubjectId(GONE.into()), 1), (SubjectId(STAYS.into()), 1)]).await.unwrap(), 2);
    store.set_mode(Mode::Enforce).await.unwrap();
}

/// The subject on its way from `home` to `away`, with recorded changes, a list and a journal.
async fn leave(store: &dyn Records, app: &Connection, gone: &[SubjectId]) -> Lease {
    store.extend_list("w1", gone).await.unwrap();
    let (batch, record) = ("w1/1".to_owned(), serde_json::json!({}));
    store
        .open_batches(&[BatchRow { batch, wave: "w1".into(), subjects: gone.to_vec(), record }])
        .await
        .unwrap();
    let lease = store.take_lease("w1/1").await.unwrap();
    let limit = std::time::Duration::from_secs(5);
    let moved = store.change_state(&lease, gone, change(&[State::Home], State::Marking, None)).await.unwrap();
    assert_eq!(moved, gone);
    let moving = change(&[State::Marking], State::Moving, None);
    assert_eq!(store.change_state_waiting(&lease, gone, moving, limit).await.unwrap(), gone);
    for i in 0..11 {
        app.execute("INSERT INTO contact VALUES (?1, ?1 || ?2, ?1)", rusqlite::params![GONE, i]).unwrap();
    }
    let entries = store.snapshot().await.unwrap().changes(gone, 100).await.unwrap();
    assert_eq!(entries.len(), 11);
    for (from, to, epoch) in [
        (State::Moving, State::Fencing, None),
        (State::Fencing, State::Fenced, None),
        (State::Fenced, State::Sealed, None),
        (State::Sealed, State::Away, Some(2)),
    ] {
        let from = [from];
        assert_eq!(
            store.change_state_waiting(&lease, gone, change(&from, to, epoch), limit).await.unwrap(),
            gone
        );
    }
    let refused = app.execute("UPDATE contact SET body = '' WHERE person = ?1", [GONE]).unwrap_err();
    assert!(refused.to_string().starts_with("RS001"), "{refused}");
    lease
}
