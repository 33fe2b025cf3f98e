//! States of subjects: reading them, and the two ways to change them.
//!
//! Every statement that writes reads the lease's token first, in the same statement ([`HELD`]).
//! Under a fence a round trip is part of the pause, so each call here is one.

use super::Postgres;
use super::adoption::root;
use super::guard::{self, letter, privileges};
use crate::error::{Error, Result};
use crate::records::{HomeRow, Lease, State, SubjectFacts, SubjectId, Transition};
use futures::future::{join, join_all};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_postgres::Row;

/// A CTE that holds one row if the token is still ours, locked until the transaction ends: a takeover
/// bumps the token at once and then waits for this lock (see `journal::take_lease`). `$1`: batch, `$2`: token.
pub(super) const HELD: &str = "held as materialized \
     (select 1 from domicile.lease l where l.batch = $1 and l.token = $2 for key share)";

impl Postgres {
    pub(super) async fn subjects(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectFacts>> {
        let (key, _, ty) = root(&self.layout);
        let sql = format!(
            "{} where ($1::text is null or r.{key} > $1::text::{ty}) order by r.{key} limit $2::bigint",
            self.facts_query()
        );
        let after = after.map(|s| s.0.as_str());
        let rows = self.conn().await?.query("reading subjects", &sql, &[&after, &i64::from(limit)]).await?;
        Ok(rows.iter().map(facts).collect())
    }

    pub(super) async fn facts(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectFacts>> {
        let (key, _, ty) = root(&self.layout);
        let sql = format!("{} where r.{key} = any ($1::text[]::{ty}[]) order by r.{key}", self.facts_query());
        let rows = self.conn().await?.query("reading subjects", &sql, &[&texts(subjects)]).await?;
        Ok(rows.iter().map(facts).collect())
    }

    fn facts_query(&self) -> String {
        let (key, root, _) = root(&self.layout);
        let path = |p: &Option<_>| p.as_ref().map_or("null".to_owned(), |p| guard::attribute(p, "r"));
        format!(
            "select r.{key}::text, btrim({})::text, btrim({})::text, ({})::text, \
             (select h.state::text from domicile.home h where h.subject = r.{key}) from {root} r",
            guard::attribute(&self.layout.country, "r"),
            path(&self.layout.citizenship),
            path(&self.layout.flags)
        )
    }

    pub(super) async fn homes(&self, subjects: &[SubjectId]) -> Result<Vec<HomeRow>> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "select subject::text, state::text, epoch, gen, batch from domicile.home \
             where subject = any ($1::text[]::{ty}[]) order by subject"
        );
        let rows = self.conn().await?.query("reading homes", &sql, &[&texts(subjects)]).await?;
        Ok(rows
            .iter()
            .map(|r| HomeRow {
                subject: SubjectId(r.get(0)),
                state: guard::state(r.get(1)).expect("checked by the table"),
                epoch: r.get::<_, i64>(2) as u64,
                generation: r.get(3),
                batch: r.get(4),
            })
            .collect())
    }

    /// Step 1 of a fence or mark, sealing, activating: a non-key update, which waits for no writer's
    /// KEY SHARE. Rows that an owner change holds are skipped; the caller tries those again.
    pub(super) async fn change_state(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
    ) -> Result<Vec<SubjectId>> {
        let (_, _, ty) = root(&self.layout);
        // Entries left by an abort say nothing any more once the subject is marked anew.
        let forget = match change.to {
            State::Marking => ", c as (delete from domicile.changed c using p where c.subject = p.subject)",
            _ => "",
        };
        let sql = format!(
            "with {HELD}, p as materialized (select h.subject from domicile.home h \
               where h.subject = any ($3::text[]::{ty}[]) and exists (select from held) and {} \
               for no key update of h skip locked), \
             u as (update domicile.home h set {} from p where h.subject = p.subject returning h.subject::text){forget} \
             select exists (select from held), array(select u.subject from u)",
            self.eligible(change),
            set(change, false)
        );
        let (from, epoch, deadline) = parameters(change);
        let conn = self.conn().await?;
        let row = conn
            .query_one(
                "changing states",
                &sql,
                &[&lease.batch, &lease.token, &texts(subjects), &from, &epoch, &deadline],
            )
            .await?;
        self.require(lease, row.get(0))?;
        Ok(row.get::<_, Vec<String>>(1).into_iter().map(SubjectId).collect())
    }

    /// Step 2: a key update, which waits exactly for the subject's writers. One subject a transaction,
    /// so that one slow writer holds nobody else's fence, and all statements sent before the first
    /// answer: each is executed and committed by itself (a Sync after each), in one round trip.
    ///
    /// The limit is statement_timeout, set and reset in the same flight: lock_timeout starts anew with
    /// each writer waited for and bounds nothing (attack A3).
    pub(super) async fn change_state_waiting(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
        limit: Duration,
    ) -> Result<Vec<SubjectId>> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "with {HELD}, u as (update domicile.home h set {} where h.subject = $3::text::{ty} \
               and exists (select from held) and {} returning h.subject) \
             select exists (select from held), exists (select from u)",
            set(change, true),
            self.eligible(change)
        );
        let (from, epoch, deadline) = parameters(change);
        let conn = self.conn().await?;
        conn.prepared("changing states", &sql).await?;
        let limit = format!("SET statement_timeout = {}", limit.as_millis().max(1));
        let steps = subjects.iter().map(|subject| async {
            let asked: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
                [&lease.batch, &lease.token, &subject.0, &from, &epoch, &deadline];
            conn.query_one("changing states", &sql, &asked).await
        });
        // Polled in this order, so sent in this order; sent with the first poll, so the timeout is
        // reset even if the caller stops waiting.
        let (before, (answers, after)) = join(
            conn.batch("setting a time limit", &limit),
            join(
                join_all(steps.map(Box::pin)),
                conn.batch("resetting the time limit", "RESET statement_timeout"),
            ),
        )
        .await;
        before?;
        let mut changed = Vec::new();
        for (subject, answer) in subjects.iter().zip(answers) {
            match answer {
                Ok(row) => {
                    self.require(lease, row.get(0))?;
                    if row.get(1) {
                        changed.push(subject.clone());
                    }
                }
                // A straggler, or the victim of a deadlock with an owner change: as it was.
                Err(e) if e.is_again() => {}
                Err(e) => return Err(e),
            }
        }
        after?;
        Ok(changed)
    }

    /// Which rows a transition may touch. `$1`: batch, `$4`: states before.
    fn eligible(&self, change: Transition<'_>) -> String {
        let in_time = if change.before_deadline { " and h.deadline > clock_timestamp()" } else { "" };
        format!("h.state = any ($4::text[]::\"char\"[]) and (h.batch is null or h.batch = $1){in_time}")
    }

    pub(super) async fn arrive(&self, lease: &Lease, subjects: &[(SubjectId, u64)]) -> Result<()> {
        let (_, _, ty) = root(&self.layout);
        let (who, epochs): (Vec<&str>, Vec<i64>) =
            subjects.iter().map(|(s, e)| (s.0.as_str(), *e as i64)).unzip();
        let sql = format!(
            "with {HELD}, u as (insert into domicile.home as h (subject, state, epoch, batch) \
               select s.who::{ty}, '{a}', s.epoch, $1 from unnest($3::text[], $4::bigint[]) s(who, epoch) \
               where exists (select from held) \
               on conflict (subject) do update set state = '{a}', epoch = excluded.epoch, batch = $1, deadline = null \
                 where h.state = '{w}' or (h.state = '{a}' and h.batch = $1) returning h.subject) \
             select exists (select from held), (select count(*) from u)",
            a = letter(State::Arriving),
            w = letter(State::Away)
        );
        let mut conn = self.conn().await?;
        conn.begin("BEGIN").await?;
        let row = conn.query_one("opening homes", &sql, &[&lease.batch, &lease.token, &who, &epochs]).await?;
        if let Err(lost) = self.require(lease, row.get(0)) {
            conn.rollback().await?;
            return Err(lost);
        }
        let in_the_way = subjects.len() as i64 - row.get::<_, i64>(1);
        if in_the_way != 0 {
            conn.rollback().await?;
            return Err(Error::Schema {
                store: self.store_name(),
                what: format!(
                    "{in_the_way} subjects of batch {} have a home or another move here",
                    lease.batch
                ),
            });
        }
        // CRASH: rows `arriving` without a copy; the copy is repeated, or abort drops them.
        conn.commit().await?;
        drop(conn);
        self.turn_gate().await
    }

    pub(super) async fn drop_homes(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        state: State,
    ) -> Result<u64> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "with {HELD}, u as (delete from domicile.home h where h.subject = any ($3::text[]::{ty}[]) \
               and exists (select from held) and h.state = $4::text::\"char\" and h.batch = $1 returning h.subject), \
             c as (delete from domicile.changed c using u where c.subject = u.subject), \
             m as (delete from domicile.misplaced m using u where m.subject = u.subject) \
             select exists (select from held), (select count(*) from u)"
        );
        let conn = self.conn().await?;
        let state = letter(state);
        let row = conn
            .query_one("dropping homes", &sql, &[&lease.batch, &lease.token, &texts(subjects), &state])
            .await?;
        self.require(lease, row.get(0))?;
        Ok(row.get::<_, i64>(1) as u64)
    }

    pub(super) async fn forget(&self, lease: &Lease, entries: &[i64]) -> Result<()> {
        let sql = format!(
            "with {HELD}, d as (delete from domicile.changed c where c.id = any ($3::bigint[]) and exists (select from held)) \
             select exists (select from held)"
        );
        let row = self
            .conn()
            .await?
            .query_one("removing recorded changes", &sql, &[&lease.batch, &lease.token, &entries])
            .await?;
        self.require(lease, row.get(0))
    }

    pub(super) async fn fingerprint(&self) -> Result<BTreeMap<String, String>> {
        let names = privileges::names(&self.layout);
        let quoted: Vec<String> = names.iter().map(guard::qualified).collect();
        let rows =
            self.conn().await?.query("taking fingerprints", privileges::FINGERPRINT, &[&quoted]).await?;
        let texts: BTreeMap<String, String> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        Ok(names.iter().zip(&quoted).map(|(n, q)| (n.to_string(), texts[q].clone())).collect())
    }

    /// `LeaseLost` unless the token was held.
    pub(super) fn require(&self, lease: &Lease, held: bool) -> Result<()> {
        if held { Ok(()) } else { Err(Error::LeaseLost { batch: lease.batch.clone() }) }
    }
}

/// The SET list. A subject at home, or away for good, waits for nothing; the batch stays on `away`
/// until erase.
fn set(change: Transition<'_>, bump: bool) -> String {
    let batch = if change.to == State::Home { "null" } else { "$1" };
    format!(
        "state = '{}', {}epoch = coalesce($5::bigint, h.epoch), batch = {batch}, \
         deadline = clock_timestamp() + $6::bigint * interval '1 microsecond'",
        letter(change.to),
        if bump { "gen = h.gen + 1, " } else { "" }
    )
}

/// `$4`, `$5`, `$6` of a transition.
fn parameters(change: Transition<'_>) -> (Vec<&'static str>, Option<i64>, Option<i64>) {
    (
        change.from.iter().map(|s| letter(*s)).collect(),
        change.epoch.map(|e| e as i64),
        change.deadline.map(|d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)),
    )
}

fn facts(row: &Row) -> SubjectFacts {
    let mut flags: Vec<String> = row
        .get::<_, Option<&str>>(3)
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|f| !f.is_empty())
        .map(str::to_owned)
        .collect();
    flags.sort();
    flags.dedup();
    let filled = |n: usize| row.get::<_, Option<String>>(n).filter(|c| !c.is_empty());
    SubjectFacts {
        subject: SubjectId(row.get(0)),
        country: filled(1),
        citizenship: filled(2),
        flags,
        state: row.get::<_, Option<&str>>(4).and_then(guard::state),
    }
}

pub(super) fn texts(subjects: &[SubjectId]) -> Vec<&str> {
    subjects.iter().map(|s| s.0.as_str()).collect()
}
