//! States of subjects: reading them, and the two ways to change them.
//!
//! Every statement that writes reads the lease's token first, in the same statement ([`HELD`]).
//! Under a fence a round trip is part of the pause, so each call here is one.

use super::Postgres;
use super::adoption::root;
use super::guard::{self, letter, privileges};
use super::pool::Conn;
use crate::error::{Error, Result};
use crate::records::{HomeRow, Lease, State, SubjectFacts, SubjectId, Transition, words};
use futures::future::{join, join_all};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A CTE that holds one row if the token is still ours and was given by this server, locked until the transaction ends: a
/// takeover changes the token at once and then waits for this lock (see `journal::take_lease`). `$1`: batch, `$2`: token.
///
/// INVARIANT: a lease does not outlive its server. A standby that takes over may have forgotten what was done under it
/// (ATTACKS A10): its holder would go on from what is not there. The timeline is read from memory.
pub(super) const HELD: &str = "held as materialized \
     (select 1 from domicile.lease l where l.batch = $1 and l.token = $2 \
     and l.timeline = left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) for key share)";

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
            "select r.{key}::text, btrim({})::text, btrim({})::text, ({})::text, ({})::text, \
             (select h.state::text from domicile.home h where h.subject = r.{key}) from {root} r",
            guard::attribute(&self.layout.country, "r"),
            path(&self.layout.citizenship),
            path(&self.layout.flags),
            path(&self.layout.consents)
        )
    }

    fn homes_text(&self) -> String {
        let (_, _, ty) = root(&self.layout);
        format!("{HOME_ROWS} where subject = any ($1::text[]::{ty}[]) order by subject")
    }

    pub(super) async fn homes(&self, subjects: &[SubjectId]) -> Result<Vec<HomeRow>> {
        let rows = self.conn().await?.query("reading homes", &self.homes_text(), &[&texts(subjects)]).await?;
        Ok(rows.iter().map(home_row).collect())
    }

    /// Step 1 of a fence or mark, sealing, activating: a non-key update, which waits for no writer's
    /// KEY SHARE. Rows that an owner change holds are skipped; the caller tries those again.
    ///
    /// Marking and going home also drop the entries of the subjects changed: they say nothing any more. A
    /// writer in flight may add one to a subject that went home; the next mark drops it.
    pub(super) async fn change_state(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
    ) -> Result<Vec<SubjectId>> {
        self.change(Step::First, lease, subjects, change).await
    }

    /// Step 2: a key update, which waits exactly for the subject's writers. First one statement for all whom
    /// nobody writes, which waits for nobody; then each of the rest by itself.
    ///
    /// INVARIANT: the first holds up nobody else's fence and can't deadlock with one: FOR UPDATE conflicts with the
    /// KEY SHARE of every writer in flight, and a row so held is skipped. A writer that comes later reads the state
    /// that step 1 committed and is refused; one with an older snapshot finds the key changed (40001), as after a
    /// step 2 that waited.
    pub(super) async fn change_state_waiting(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
        limit: Duration,
    ) -> Result<Vec<SubjectId>> {
        let mut changed = self.change(Step::Second, lease, subjects, change).await?;
        let done: HashSet<&SubjectId> = changed.iter().collect();
        let rest: Vec<SubjectId> = subjects.iter().filter(|s| !done.contains(s)).cloned().collect();
        if !rest.is_empty() {
            changed.extend(self.change_one_by_one(lease, &rest, change, limit).await?);
        }
        Ok(changed)
    }

    /// One statement for all of the subjects that it can have at once. Those that others hold are skipped.
    async fn change(
        &self,
        step: Step,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
    ) -> Result<Vec<SubjectId>> {
        let (to, who) = (To::of(change), texts(subjects));
        let asked = to.after(&[&lease.batch, &lease.token, &who]);
        let row = self.conn().await?.query_one("changing states", &self.change_text(step), &asked).await?;
        self.require(lease, row.get(0)).await?;
        Ok(row.get::<_, Vec<String>>(1).into_iter().map(SubjectId).collect())
    }

    /// One text a step for all transitions, so that a connection that marked has it prepared when it fences.
    fn change_text(&self, step: Step) -> String {
        let (_, _, ty) = root(&self.layout);
        let (lock, bump, more) = match step {
            Step::First => ("no key update", "", ENTRIES_SAY_NOTHING),
            Step::Second => ("update", "gen = h.gen + 1, ", ""),
        };
        format!(
            "with {HELD}, p as materialized (select h.subject from domicile.home h \
               where h.subject = any ($3::text[]::{ty}[]) and exists (select from held) and {ELIGIBLE} \
               for {lock} of h skip locked), \
             u as (update domicile.home h set {bump}{SET} from p where h.subject = p.subject returning h.subject::text), \
             {more}{COMMIT} \
             select exists (select from held), array(select u.subject from u), (select s from commits)"
        )
    }

    /// Opens so many connections and prepares on each what a fence runs, which would otherwise be part of the first
    /// pauses.
    pub(super) async fn warm(&self, connections: usize) -> Result<()> {
        let texts = [
            self.change_text(Step::First),
            self.change_text(Step::Second),
            self.one_text(),
            self.homes_text(),
        ];
        let conns = join_all((0..connections).map(|_| self.conn())).await;
        let conns: Vec<Conn> = conns.into_iter().collect::<Result<_>>()?;
        let on_each = conns.iter().flat_map(|conn| {
            texts.iter().map(move |sql| async move { conn.prepared("preparing for fences", sql).await })
        });
        join_all(on_each).await.into_iter().collect()
    }

    /// One subject a transaction, so that one slow writer holds nobody else's fence, and all statements sent
    /// before the first answer: each is executed and committed by itself (a Sync after each), in one round trip.
    ///
    /// The limit is statement_timeout, set and reset in the same flight: lock_timeout starts anew with
    /// each writer waited for and bounds nothing (attack A3).
    async fn change_one_by_one(
        &self,
        lease: &Lease,
        subjects: &[SubjectId],
        change: Transition<'_>,
        limit: Duration,
    ) -> Result<Vec<SubjectId>> {
        let (sql, to) = (self.one_text(), To::of(change));
        let conn = self.conn().await?;
        conn.prepared("changing states", &sql).await?;
        let limit = format!("SET statement_timeout = {}", limit.as_millis().max(1));
        let steps = subjects.iter().map(|subject| {
            let (conn, sql, to) = (&conn, &sql, &to);
            async move {
                let asked = to.after(&[&lease.batch, &lease.token, &subject.0]);
                conn.query_one("changing states", sql, &asked).await
            }
        });
        // Polled in this order, so sent in this order; sent with the first poll, so the timeout is
        // reset even if the caller stops waiting.
        let (before, (answers, after)) = join(
            conn.batch("setting a time limit", &limit),
            join(join_all(steps), conn.batch("resetting the time limit", "RESET statement_timeout")),
        )
        .await;
        before?;
        after?;
        let mut changed = Vec::new();
        for (subject, answer) in subjects.iter().zip(answers) {
            match answer {
                Ok(row) => {
                    self.require(lease, row.get(0)).await?;
                    if row.get(1) {
                        changed.push(subject.clone());
                    }
                }
                // A straggler, or the victim of a deadlock with an owner change: as it was.
                Err(e) if e.is_again() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(changed)
    }

    fn one_text(&self) -> String {
        let (_, _, ty) = root(&self.layout);
        format!(
            "with {HELD}, u as (update domicile.home h set gen = h.gen + 1, {SET} where h.subject = $3::text::{ty} \
               and exists (select from held) and {ELIGIBLE} returning h.subject), \
             {COMMIT} \
             select exists (select from held), exists (select from u), (select s from commits)"
        )
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
        let asked: &[&(dyn ToSql + Sync)] = &[&lease.batch, &lease.token, &who, &epochs];
        let row = conn.begin_and_ask("BEGIN", "opening homes", &sql, asked).await?.expect("it has one row");
        if !row.get::<_, bool>(0) {
            conn.rollback().await?;
            return self.require(lease, false).await;
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
        self.require(lease, row.get(0)).await?;
        Ok(row.get::<_, i64>(1) as u64)
    }

    pub(super) async fn forget(&self, lease: &Lease, entries: &[i64]) -> Result<()> {
        let sql = format!(
            "with {HELD}, d as (delete from domicile.changed c where c.id = any ($3::bigint[]) and exists (select from held)), \
             commits as materialized (select pg_catalog.set_config('synchronous_commit', 'off', true) as s) \
             select exists (select from held), (select s from commits)"
        );
        // Entries that a crash brings back are applied once more, which changes nothing: no need to
        // wait for the disk.
        let row = self
            .conn()
            .await?
            .query_one("removing recorded changes", &sql, &[&lease.batch, &lease.token, &entries])
            .await?;
        self.require(lease, row.get(0)).await
    }

    pub(super) async fn fingerprint(&self) -> Result<BTreeMap<String, String>> {
        let names = privileges::names(&self.layout);
        let quoted: Vec<String> = names.iter().map(guard::qualified).collect();
        let rows =
            self.conn().await?.query("taking fingerprints", privileges::FINGERPRINT, &[&quoted]).await?;
        let texts: BTreeMap<String, String> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        Ok(names.iter().zip(&quoted).map(|(n, q)| (n.to_string(), texts[q].clone())).collect())
    }

    /// Unless the token was held: `LeaseLost`, or `Unreachable` where another server gave it.
    pub(super) async fn require(&self, lease: &Lease, held: bool) -> Result<()> {
        if held { Ok(()) } else { Err(not_held(&self.conn().await?, &self.store_name(), lease).await) }
    }
}

/// Why a lease does not hold. It is looked up only then: as a rule it does.
pub(super) async fn not_held(conn: &Conn, store: &str, lease: &Lease) -> Error {
    let sql = "select exists (select from domicile.lease l where l.batch = $1 and l.token = $2)";
    match conn.query_one("reading the lease", sql, &[&lease.batch, &lease.token]).await {
        Ok(row) if row.get(0) => Error::Unreachable {
            store: store.to_owned(),
            why: "another server has taken its place since the lease was taken; what was begun begins again"
                .to_owned(),
        },
        Ok(_) => Error::LeaseLost { batch: lease.batch.clone() },
        Err(error) => error,
    }
}

/// The two steps of a fence or mark, by the locks they take. Sealing and activating are like the first.
#[derive(Clone, Copy)]
enum Step {
    First,
    Second,
}

/// A subject that is marked, or is at home again, has no use for entries of before.
const ENTRIES_SAY_NOTHING: &str =
    "c as (delete from domicile.changed c using p where $5::text in ('k', 'h') and c.subject = p.subject), ";

/// Which rows a transition may touch: never those in another batch's hands. Parameters as in [`To`].
const ELIGIBLE: &str = "h.state = any ($4::text[]::\"char\"[]) and (h.batch is null or h.batch = $1) \
     and (not $8::boolean or h.deadline > clock_timestamp())";

/// What a transition sets. A subject at home belongs to no batch; one that is away stays its batch's
/// until erase.
const SET: &str = "state = $5::text::\"char\", epoch = coalesce($6::bigint, h.epoch), \
     batch = case when $5::text = 'h' then null else $1 end, \
     deadline = clock_timestamp() + $7::bigint * interval '1 microsecond'";

/// How the statement's own commit waits for the disk: set for this transaction only, before it commits.
/// Three flushes in a pause instead of thirteen for a group of ten.
const COMMIT: &str = "commits as materialized \
     (select pg_catalog.set_config('synchronous_commit', $9::text, true) as s)";

/// `$4` to `$9` of a transition: states before, state after, epoch, deadline in microseconds from
/// now, only before the old deadline, `synchronous_commit`.
struct To {
    from: Vec<&'static str>,
    to: &'static str,
    epoch: Option<i64>,
    deadline_us: Option<i64>,
    in_time: bool,
    commit: &'static str,
}

impl To {
    fn of(change: Transition<'_>) -> Self {
        Self {
            from: change.from.iter().map(|s| letter(*s)).collect(),
            to: letter(change.to),
            epoch: change.epoch.map(|e| e as i64),
            deadline_us: change.deadline.map(|d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)),
            in_time: change.before_deadline,
            commit: if change.may_be_forgotten() { "off" } else { "on" },
        }
    }

    /// All parameters, `$1` to `$3` given.
    fn after<'a>(&'a self, first: &[&'a (dyn ToSql + Sync)]) -> Vec<&'a (dyn ToSql + Sync)> {
        let rest: [&(dyn ToSql + Sync); 6] =
            [&self.from, &self.to, &self.epoch, &self.deadline_us, &self.in_time, &self.commit];
        first.iter().copied().chain(rest).collect()
    }
}

/// What [`home_row`] reads.
pub(super) const HOME_ROWS: &str = "select subject::text, state::text, epoch, gen, batch from domicile.home";

pub(super) fn home_row(row: &Row) -> HomeRow {
    HomeRow {
        subject: SubjectId(row.get(0)),
        state: guard::state(row.get(1)).expect("checked by the table"),
        epoch: row.get::<_, i64>(2) as u64,
        generation: row.get(3),
        batch: row.get(4),
    }
}

fn facts(row: &Row) -> SubjectFacts {
    let listed = |n: usize| words(row.get::<_, Option<&str>>(n).unwrap_or_default());
    let filled = |n: usize| row.get::<_, Option<String>>(n).filter(|c| !c.is_empty());
    SubjectFacts {
        subject: SubjectId(row.get(0)),
        country: filled(1),
        citizenship: filled(2),
        flags: listed(3),
        consents: listed(4),
        state: row.get::<_, Option<&str>>(5).and_then(guard::state),
    }
}

pub(super) fn texts(subjects: &[SubjectId]) -> Vec<&str> {
    subjects.iter().map(|s| s.0.as_str()).collect()
}
