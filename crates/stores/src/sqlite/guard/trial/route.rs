//! The mover's side of the guard, by the calls of `Records`.

use super::{Place, passes, refuses, spec};
use crate::records::{BatchRow, GuardSpec, Mode, State, SubjectId, Transition};
use crate::sqlite::Sqlite;
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

async fn open(place: &Place) -> Sqlite {
    Sqlite::open(&place.path(), Arc::new(place.layout.clone()), false).await.unwrap()
}

fn ids(all: &[i64]) -> Vec<SubjectId> {
    all.iter().map(|i| SubjectId(i.to_string())).collect()
}

fn to(from: &'static [State], to: State) -> Transition<'static> {
    Transition { from, to, epoch: None, deadline: None, before_deadline: false }
}

#[track_caller]
fn schema<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Schema { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

/// Observe, backfill, enforce: nothing is refused before the last step (DESIGN 4, "not an outage").
#[tokio::test]
async fn adoption_step_by_step() {
    let place = Place::shop();
    place.conn.execute_batch("DELETE FROM domicile_home").unwrap();
    place.mode("observe");
    let db = open(&place).await;
    passes(&place.app(), "UPDATE orders SET total = 2");
    let status = db.status(true).await.unwrap();
    assert_eq!((status.mode, status.unhomed, status.installed), (Some(Mode::Observe), 10, true));
    assert_eq!(status.observed, [("main.orders".into(), "subject without a home".into(), 10)]);
    assert!(schema(db.set_mode(Mode::Enforce).await).contains("10 subjects have no home yet"));
    let mut after = None;
    loop {
        let some = db.unhomed(after.as_ref(), 4).await.unwrap();
        let Some(last) = some.last().cloned() else { break };
        let some: Vec<_> = some.into_iter().map(|s| (s, 1)).collect();
        assert_eq!(db.adopt(&some).await.unwrap(), some.len() as u64);
        assert_eq!(db.adopt(&some).await.unwrap(), 0, "who has a row keeps it");
        after = Some(last);
    }
    assert_eq!(after, Some(SubjectId("10".into())), "in the order of numbers, not of texts");
    db.set_mode(Mode::Enforce).await.unwrap();
    let status = db.status(true).await.unwrap();
    assert_eq!((status.mode, status.unhomed, status.subjects[&State::Home]), (Some(Mode::Enforce), 0, 10));
    assert!(status.faults.is_empty(), "{:?}", status.faults);
    refuses(&place.app(), "INSERT INTO accounts(id, country) VALUES (77, 'CN')", "RS001");
    // Installing again keeps mode and rows.
    db.install(&spec()).await.unwrap();
    assert_eq!(db.status(false).await.unwrap().mode, Some(Mode::Enforce));
    passes(&place.app(), "UPDATE accounts SET country = 'IN' WHERE id = 3");
    let observed = db.status(false).await.unwrap().observed;
    assert!(
        observed.iter().any(|(_, reason, n)| reason.starts_with("country changed") && *n == 1),
        "{observed:?}"
    );
    assert!(db.missing_privileges().await.unwrap().is_empty());
    place.put(2, "w");
    assert!(schema(db.remove().await).contains("1 subjects are under way"));
    assert!(schema(db.set_mode(Mode::Observe).await).contains("1 subjects are under way"));
    place.put(2, "h");
    db.remove().await.unwrap();
    db.remove().await.unwrap();
    assert_eq!(place.texts("SELECT count(*) FROM sqlite_master WHERE name LIKE 'domicile%'"), ["0"]);
    assert!(!db.status(true).await.unwrap().installed);
    assert!(schema(db.set_mode(Mode::Enforce).await).contains("not installed"));
}

#[tokio::test]
async fn a_guard_for_waves_costs_nothing_between_them() {
    let place = Place::shop();
    let db = open(&place).await;
    let triggers = || {
        place.texts(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name <> 'domicile_signup'",
        )[0]
        .clone()
    };
    let all = triggers();
    db.arm(false).await.unwrap();
    assert_eq!(triggers(), all, "no effect where the guard is always on");
    db.set_mode(Mode::Wave).await.unwrap();
    assert_eq!(triggers(), "0");
    assert!(db.status(false).await.unwrap().faults.is_empty());
    let print = db.fingerprint().await.unwrap();
    for _ in 0..2 {
        db.arm(true).await.unwrap();
        assert_eq!(triggers(), all);
    }
    db.install(&GuardSpec { wave_only: true, ..spec() }).await.unwrap();
    assert_eq!(triggers(), all, "armed stays armed");
    assert_eq!(db.fingerprint().await.unwrap()["(schema)"], print["(schema)"]);
    place.put(2, "w");
    db.arm(false).await.unwrap();
    assert_eq!(triggers(), all, "an away subject is still protected");
    refuses(&place.app(), "UPDATE orders SET total = 9 WHERE id = 20", "RS001");
    place.put(2, "h");
    db.arm(false).await.unwrap();
    assert_eq!(triggers(), "0");
    db.set_mode(Mode::Enforce).await.unwrap();
    assert_eq!(triggers(), all);
}

/// The whole way of a batch, at the source.
#[tokio::test]
async fn states_change_only_in_order_and_only_for_the_batch() {
    let place = Place::shop();
    let db = open(&place).await;
    let (one, two) = (db.take_lease("w1/1").await.unwrap(), db.take_lease("w1/2").await.unwrap());
    let who = ids(&[1, 2, 99]);
    place
        .conn
        .execute_batch(
            "INSERT INTO domicile_changed(subject, tbl, key, sub) VALUES (1, 'main.orders', '[10]', 0)",
        )
        .unwrap();
    let marked = db.change_state(&one, &who, to(&[State::Home], State::Marking)).await.unwrap();
    assert_eq!(marked, ids(&[1, 2]));
    assert!(
        db.change_state(&two, &who, to(&[State::Home, State::Marking], State::Moving))
            .await
            .unwrap()
            .is_empty()
    );
    let limit = Duration::from_millis(300);
    assert_eq!(
        db.change_state_waiting(&one, &marked, to(&[State::Marking], State::Moving), limit).await.unwrap(),
        marked
    );
    assert_eq!(db.status(false).await.unwrap().changed, 0, "entries of an aborted move are gone");
    let rows = db.homes(&who).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].state, rows[0].generation, rows[0].batch.as_deref()),
        (State::Moving, 2, Some("w1/1"))
    );
    passes(&place.app(), "UPDATE orders SET total = 5 WHERE id IN (10, 20)");
    let fence =
        Transition { deadline: Some(Duration::from_secs(60)), ..to(&[State::Moving], State::Fencing) };
    assert_eq!(db.change_state(&one, &marked, fence).await.unwrap(), marked);
    let fence =
        Transition { deadline: Some(Duration::from_secs(60)), ..to(&[State::Fencing], State::Fenced) };
    assert_eq!(db.change_state_waiting(&one, &marked, fence, limit).await.unwrap(), marked);
    assert_eq!(db.status(false).await.unwrap().changed, 2, "un-fencing and fencing keep entries");
    // Sealing demands the deadline (A1, U1): subject 2's has passed.
    place.conn.execute("UPDATE domicile_home SET deadline = 1 WHERE subject = 2", []).unwrap();
    let seal = Transition { before_deadline: true, ..to(&[State::Fenced], State::Sealed) };
    assert_eq!(db.change_state(&one, &marked, seal).await.unwrap(), ids(&[1]));
    refuses(&place.app(), "UPDATE orders SET total = 5 WHERE id = 10", "RS001");
    passes(&place.app(), "UPDATE orders SET total = 5 WHERE id = 20");
    assert_eq!(place.state(2).as_deref(), Some("m"));
    let away = Transition { epoch: Some(2), ..to(&[State::Sealed], State::Away) };
    assert_eq!(db.change_state(&one, &ids(&[1]), away).await.unwrap(), ids(&[1]));
    assert_eq!(db.homes(&ids(&[1])).await.unwrap()[0].epoch, 2);
    let entries: Vec<i64> = place
        .texts("SELECT id FROM domicile_changed WHERE subject = 2")
        .iter()
        .map(|i| i.parse().unwrap())
        .collect();
    db.forget(&one, &entries).await.unwrap();
    passes(&place.app(), "UPDATE orders SET total = 6 WHERE id = 20");
    db.forget(&one, &entries).await.unwrap();
    assert_eq!(
        place.recorded().iter().filter(|r| r.starts_with("2 ")).count(),
        1,
        "a number is never given twice"
    );
    assert_eq!(db.drop_homes(&two, &ids(&[1]), State::Away).await.unwrap(), 0, "not that batch's");
    assert_eq!(db.drop_homes(&one, &ids(&[1, 2]), State::Away).await.unwrap(), 1);
    assert_eq!(place.recorded().iter().filter(|r| r.starts_with("1 ")).count(), 0);
    let back = db.change_state(&one, &ids(&[2]), to(&[State::Moving], State::Home)).await.unwrap();
    assert_eq!(db.homes(&back).await.unwrap()[0].batch, None);
}

/// The target: who may arrive, and that one who may not takes the whole call with him.
#[tokio::test]
async fn arriving() {
    let place = Place::shop();
    let db = open(&place).await;
    let lease = db.take_lease("w2/1").await.unwrap();
    let come = |all: &[i64]| all.iter().map(|i| (SubjectId(i.to_string()), 7)).collect::<Vec<_>>();
    place.put(2, "w");
    db.arrive(&lease, &come(&[2, 50])).await.unwrap();
    db.arrive(&lease, &come(&[2, 50])).await.unwrap();
    assert_eq!(
        place.texts("SELECT state || epoch || batch FROM domicile_home WHERE subject IN (2, 50)"),
        ["a7w2/1", "a7w2/1"]
    );
    schema(db.arrive(&lease, &come(&[51, 3])).await);
    assert_eq!(place.state(51), None, "all or none");
    let other = db.take_lease("w2/2").await.unwrap();
    schema(db.arrive(&other, &come(&[50])).await);
    refuses(&place.app(), "INSERT INTO orders(account_id) VALUES (50)", "RS001");
    let live = Transition { epoch: Some(7), ..to(&[State::Arriving], State::Home) };
    assert_eq!(db.change_state(&lease, &ids(&[50]), live).await.unwrap().len(), 1);
    assert_eq!(db.drop_homes(&lease, &ids(&[2, 50]), State::Arriving).await.unwrap(), 1);
}

/// A8, F1 [M]: the worker before us wakes up; what it holds is worth nothing, in any call.
#[tokio::test]
async fn a_lease_taken_over_changes_nothing() {
    let place = Place::shop();
    let db = open(&place).await;
    let old = db.take_lease("w1/1").await.unwrap();
    let new = db.take_lease("w1/1").await.unwrap();
    assert_ne!(new.token, old.token);
    let lost =
        |r: Result<()>| assert!(matches!(&r, Err(Error::LeaseLost { batch }) if batch == "w1/1"), "{r:?}");
    lost(db.change_state(&old, &ids(&[1]), to(&[State::Home], State::Marking)).await.map(drop));
    lost(
        db.change_state_waiting(&old, &ids(&[1]), to(&[State::Home], State::Moving), Duration::ZERO)
            .await
            .map(drop),
    );
    lost(db.arrive(&old, &[(SubjectId("60".into()), 2)]).await);
    lost(db.drop_homes(&old, &ids(&[1]), State::Home).await.map(drop));
    lost(db.forget(&old, &[1]).await);
    lost(db.put_batch(&old, &serde_json::json!({})).await);
    lost(db.close_batch(&old).await);
    assert_eq!(place.state(1).as_deref(), Some("h"));
    assert_eq!(place.texts("SELECT count(*) FROM domicile_exempt"), ["0"]);
    assert_eq!(db.change_state(&new, &ids(&[1]), to(&[State::Home], State::Marking)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_journal_and_the_lists() {
    let place = Place::shop();
    let db = open(&place).await;
    let batch = |n: u32, who: &[i64]| BatchRow {
        batch: format!("w1/{n}"),
        wave: "w1".into(),
        subjects: ids(who),
        record: serde_json::json!({"stage": "plan", "n": n}),
    };
    let all = [batch(2, &[3, 1]), batch(10, &[4]), batch(1, &[2])];
    db.open_batches(&all).await.unwrap();
    let lease = db.take_lease("w1/2").await.unwrap();
    db.put_batch(&lease, &serde_json::json!({"stage": "copy"})).await.unwrap();
    db.open_batches(&[batch(2, &[9])]).await.unwrap();
    assert_eq!(db.batch_ids("w1").await.unwrap(), ["w1/1", "w1/2", "w1/10"]);
    let second = db.batch("w1/2").await.unwrap().unwrap();
    assert_eq!((&second.subjects, &second.record), (&ids(&[3, 1]), &serde_json::json!({"stage": "copy"})));
    assert_eq!(db.batch("w1/1").await.unwrap().as_ref(), Some(&all[2]));
    db.close_batch(&lease).await.unwrap();
    assert_eq!(db.batch_ids("w1").await.unwrap(), ["w1/1", "w1/10"]);
    assert!(matches!(db.put_batch(&lease, &serde_json::json!({})).await, Err(Error::LeaseLost { .. })));
    let stray = db.take_lease("w9/1").await.unwrap();
    assert!(schema(db.put_batch(&stray, &serde_json::json!({})).await).contains("not in the journal"));

    db.extend_list("p1", &ids(&[10, 9, 9])).await.unwrap();
    db.extend_list("p1", &ids(&[2, 10])).await.unwrap();
    assert_eq!(db.list("p1", None, 2).await.unwrap(), ids(&[2, 9]));
    assert_eq!(db.list("p1", Some(&SubjectId("9".into())), 9).await.unwrap(), ids(&[10]));
    db.drop_list("p1").await.unwrap();
    assert!(db.list("p1", None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn facts_of_subjects() {
    let mut place = Place::shop();
    place.layout.flags =
        Some(domicile_datamap::layout::AttributePath { hops: Vec::new(), column: "name".into() });
    let db = open(&place).await;
    passes(&place.app(), "UPDATE accounts SET name = 'b, a  b', country = ' IN ' WHERE id = 2");
    place.exempt(
        "UPDATE accounts SET country = NULL WHERE id = 10; DELETE FROM domicile_home WHERE subject = 10",
    );
    let facts = db.facts(&ids(&[10, 2, 77])).await.unwrap();
    assert_eq!(facts.len(), 2);
    assert_eq!((facts[0].country.as_deref(), facts[0].state), (None, None));
    assert_eq!((facts[1].country.as_deref(), facts[1].state), (Some("IN"), Some(State::Home)));
    assert_eq!(facts[1].flags, ["a", "b"]);
    let first = db.subjects(None, 9).await.unwrap();
    assert_eq!(first.last().map(|f| f.subject.0.as_str()), Some("9"));
    assert_eq!(db.subjects(Some(&first[8].subject), 9).await.unwrap().len(), 1);
}

/// S13 [M sq]: a deferred transaction that read before somebody's commit can't write afterwards, whatever the
/// busy timeout. That is the application's to know; ours begin with the write lock.
#[tokio::test]
async fn a_deferred_application_must_retry_and_we_never_do() {
    let place = Place::shop();
    let db = open(&place).await;
    let lease = db.take_lease("w1/1").await.unwrap();
    let app = place.app();
    passes(&app, "BEGIN; SELECT * FROM accounts");
    db.change_state(&lease, &ids(&[2]), to(&[State::Home], State::Marking)).await.unwrap();
    let text = super::refused(&app, "UPDATE orders SET total = 9 WHERE id = 30");
    assert!(text.contains("locked"), "{text}");
    passes(&app, "ROLLBACK; BEGIN IMMEDIATE; UPDATE orders SET total = 9 WHERE id = 30; COMMIT");
    // Our own write waits for an application's transaction in progress, then sees all of it.
    passes(&app, "BEGIN IMMEDIATE; UPDATE orders SET total = 9 WHERE id = 40");
    let who = ids(&[4]);
    let mark = db.change_state(&lease, &who, to(&[State::Home], State::Marking));
    let release = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        passes(&app, "COMMIT");
    };
    assert_eq!(tokio::join!(mark, release).0.unwrap().len(), 1);
}
