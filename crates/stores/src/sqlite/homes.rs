//! The states of subjects: what the mover changes in `domicile_home` on a subject's way.
//!
//! SQLite has one writer at a time. So there is nobody to wait for inside a transaction of ours: when
//! it holds the write lock, no application is in the middle of a write. The two steps of mark and fence
//! (finding 1) are kept for the mover's sake and are both one short transaction.
//!
//! INVARIANT: every statement names the batch. A subject in another batch's hands is never touched.

use super::guard::installed::schema_fault;
use super::guard::words::NOW_MS;
use super::{Fault, Sqlite};
use crate::records::{HomeRow, Lease, State, SubjectId, Transition};
use crate::{Error, Result};
use rusqlite::{Connection, OptionalExtension, Row};
use std::time::Duration;

/// The letter that `domicile_home.state` holds.
pub(crate) fn letter(state: State) -> &'static str {
    match state {
        State::Home => "h",
        State::Marking => "k",
        State::Moving => "m",
        State::Fencing => "g",
        State::Fenced => "f",
        State::Sealed => "s",
        State::Arriving => "a",
        State::Away => "w",
    }
}

/// The state of a letter.
pub(crate) fn state_of(letter: &str) -> Result<State, Fault> {
    Ok(match letter {
        "h" => State::Home,
        "k" => State::Marking,
        "m" => State::Moving,
        "g" => State::Fencing,
        "f" => State::Fenced,
        "s" => State::Sealed,
        "a" => State::Arriving,
        "w" => State::Away,
        other => return Err(schema_fault("domicile_home", format!("`{other}` is no state"))),
    })
}

/// What [`home_row`] reads.
pub(super) const HOME_ROWS: &str =
    "SELECT CAST(subject AS TEXT), state, epoch, gen, batch FROM domicile_home";

pub(super) fn home_row(row: &Row<'_>) -> Result<HomeRow, Fault> {
    Ok(HomeRow {
        subject: SubjectId(row.get(0)?),
        state: state_of(&row.get::<_, String>(1)?)?,
        epoch: row.get::<_, i64>(2)? as u64,
        generation: row.get(3)?,
        batch: row.get(4)?,
    })
}

impl Sqlite {
    /// See [`crate::Records::homes`].
    pub(super) async fn homes(&self, subjects: &[SubjectId]) -> Result<Vec<HomeRow>> {
        let subjects = subjects.to_vec();
        self.read("read homes", move |conn| {
            let mut statement = conn.prepare_cached(&format!("{HOME_ROWS} WHERE subject = ?1"))?;
            let mut all = Vec::with_capacity(subjects.len());
            for subject in &subjects {
                let mut rows = statement.query([&subject.0])?;
                if let Some(row) = rows.next()? {
                    all.push(home_row(row)?);
                }
            }
            Ok(all)
        })
        .await
    }

    /// See [`crate::Records::change_state`].
    pub(super) async fn change_state(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
    ) -> Result<Vec<SubjectId>> {
        let step = Step::of(lease, change, false);
        let subjects = subjects.to_vec();
        // CRASH: all of these subjects have the new state, or none; resume asks for their states.
        self.write("change states", Some(lease), move |conn| step.take(conn, subjects)).await
    }

    /// See [`crate::Records::change_state_waiting`]. No writer can be in flight while we write, so nobody
    /// is waited for but the file's lock, and there are no stragglers but those in another state.
    pub(super) async fn change_state_waiting(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
        _limit: Duration,
    ) -> Result<Vec<SubjectId>> {
        let step = Step::of(lease, change, true);
        let subjects = subjects.to_vec();
        self.write("change states", Some(lease), move |conn| step.take(conn, subjects)).await
    }

    /// See [`crate::Records::arrive`].
    pub(super) async fn arrive(&self, lease: &Lease, subjects: &[(SubjectId, u64)]) -> Result<()> {
        let (name, batch, subjects) = (self.cell.name().to_owned(), lease.batch.clone(), subjects.to_vec());
        // CRASH: all arrive or none; the call may be repeated.
        self.write("let subjects arrive", Some(lease), move |conn| {
            for (subject, epoch) in &subjects {
                arrive(conn, &name, &batch, subject, *epoch)?;
            }
            Ok(())
        })
        .await
    }

    /// See [`crate::Records::drop_homes`].
    pub(super) async fn drop_homes(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        state: State,
    ) -> Result<u64> {
        let (batch, subjects) = (lease.batch.clone(), subjects.to_vec());
        // CRASH: rows and their entries go together; the call may be repeated.
        self.write("drop homes", Some(lease), move |conn| drop_homes(conn, &subjects, state, &batch)).await
    }

    /// See [`crate::Records::forget`].
    pub(super) async fn forget(&self, lease: &Lease, entries: &[i64]) -> Result<()> {
        let entries = entries.to_vec();
        // CRASH: entries that stay are applied once more, which changes nothing.
        self.write("forget recorded changes", Some(lease), move |conn| {
            let mut delete = conn.prepare_cached("DELETE FROM domicile_changed WHERE id = ?1")?;
            for id in entries {
                delete.execute([id])?;
            }
            Ok(())
        })
        .await
    }
}

/// One change of state, ready for a closure.
struct Step {
    sql: String,
    batch: String,
    to: State,
    epoch: Option<i64>,
    deadline_ms: Option<i64>,
    marks: bool,
}

impl Step {
    fn of(lease: &Lease, change: Transition<'_>, bump: bool) -> Self {
        let from: Vec<_> = change.from.iter().map(|s| format!("'{}'", letter(*s))).collect();
        let in_time = if change.before_deadline {
            format!(" AND (deadline IS NULL OR deadline >= {NOW_MS})")
        } else {
            String::new()
        };
        // Back at home the subject is in nobody's hands.
        let batch = if change.to == State::Home { "NULL" } else { "?2" };
        let sql = format!(
            "UPDATE domicile_home SET state = ?3, epoch = coalesce(?4, epoch), gen = gen + {}, batch = {batch}, \
             deadline = {NOW_MS} + ?5 WHERE subject = ?1 AND state IN ({}) AND (batch IS NULL OR batch = ?2){in_time}",
            i32::from(bump),
            from.join(", "),
        );
        Self {
            sql,
            batch: lease.batch.clone(),
            to: change.to,
            epoch: change.epoch.map(|e| e as i64),
            deadline_ms: change.deadline.map(|d| d.as_millis() as i64),
            marks: change.to == State::Moving && change.from.contains(&State::Marking),
        }
    }

    fn take(&self, conn: &Connection, subjects: Vec<SubjectId>) -> Result<Vec<SubjectId>, Fault> {
        let mut update = conn.prepare_cached(&self.sql)?;
        let mut changed = Vec::new();
        for subject in subjects {
            let fresh = self.marks && self.is_marking(conn, &subject)?;
            let params = (&subject.0, &self.batch, letter(self.to), self.epoch, self.deadline_ms);
            if update.execute(params)? > 0 {
                // Entries an aborted move left behind say nothing about the copy that begins now, and none
                // say anything of a subject at home.
                if fresh || self.to == State::Home {
                    forget_subject(conn, &subject)?;
                }
                changed.push(subject);
            }
        }
        Ok(changed)
    }

    fn is_marking(&self, conn: &Connection, subject: &SubjectId) -> Result<bool, Fault> {
        let marking = conn
            .prepare_cached("SELECT state = 'k' FROM domicile_home WHERE subject = ?1")?
            .query_row([&subject.0], |r| r.get(0))
            .optional()?;
        Ok(marking.unwrap_or(false))
    }
}

fn forget_subject(conn: &Connection, subject: &SubjectId) -> Result<(), Fault> {
    for table in ["domicile_changed", "domicile_pending"] {
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE subject = ?1"))?.execute([&subject.0])?;
    }
    Ok(())
}

/// One subject comes: no row yet, `away` from an earlier move, or `arriving` in this very batch.
fn arrive(conn: &Connection, name: &str, batch: &str, subject: &SubjectId, epoch: u64) -> Result<(), Fault> {
    let n = conn
        .prepare_cached(
            "INSERT INTO domicile_home(subject, state, epoch, gen, batch) VALUES (?1, 'a', ?2, 1, ?3)
             ON CONFLICT (subject) DO UPDATE SET state = 'a', epoch = excluded.epoch, gen = gen + 1,
               batch = excluded.batch, deadline = NULL
             WHERE state = 'w' OR (state = 'a' AND batch = excluded.batch)",
        )?
        .execute((&subject.0, epoch as i64, batch))?;
    if n > 0 {
        return Ok(());
    }
    let what = "a subject that is to arrive is here already, in another batch's hands or at home".to_owned();
    Err(Error::Schema { store: name.to_owned(), what }.into())
}

/// Removes those of the homes that are in that state and in that batch's hands or nobody's, with their entries.
pub(super) fn drop_homes(
    conn: &Connection,
    subjects: &[SubjectId],
    state: State,
    batch: &str,
) -> Result<u64, Fault> {
    let mut gone = 0;
    for subject in subjects {
        let n = conn
            .prepare_cached(
                "DELETE FROM domicile_home WHERE subject = ?1 AND state = ?2 AND (batch IS NULL OR batch = ?3)",
            )?
            .execute((&subject.0, letter(state), batch))?;
        if n > 0 {
            forget_subject(conn, subject)?;
            conn.prepare_cached("DELETE FROM domicile_misplaced WHERE subject = ?1")?
                .execute([&subject.0])?;
        }
        gone += n as u64;
    }
    Ok(gone)
}
