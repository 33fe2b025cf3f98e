//! Installing the guard, its modes, and giving subjects their first row.

use super::Postgres;
use super::guard::{self, letter, privileges, triggers};
use super::hazards;
use super::pool::Conn;
use super::quote::{cast, literal};
use crate::Hazard;
use crate::error::{Error, Result};
use crate::records::{GuardSpec, GuardStatus, Mode, State, SubjectId};
use domicile_datamap::layout::{Layout, Owner};

/// How long `install` and `arm` wait for one table's writers before they give up and let the
/// application go on, in milliseconds: while they wait, new writers queue behind them.
const TABLE_WAIT_MS: u32 = 3_000;

/// Whether somebody works, or begins to, who needs the triggers: see [`crate::records::ARMED`].
const ARMED_FOR: &str = "select exists (select from domicile.lease where batch like '%/armed')";

/// Subjects by state, with the milliseconds until the first deadline of each.
const STATES: &str = "select state::text, count(*), \
     (extract(epoch from min(deadline) - clock_timestamp()) * 1000)::int8 from domicile.home group by 1";

impl Postgres {
    pub(super) async fn missing_privileges(&self) -> Result<Vec<(String, String)>> {
        let conn = self.conn().await?;
        privileges::missing(&conn, &self.layout, self.role()).await
    }

    pub(super) async fn look_for_hazards(&self) -> Result<Vec<Hazard>> {
        let conn = self.conn().await?;
        hazards::look(&conn, &self.layout).await
    }

    pub(super) async fn install(&self, spec: &GuardSpec) -> Result<()> {
        let mut conn = self.conn().await?;
        let identity = self.read_identity().await?;
        let unfit = hazards::unfit_columns(&conn, &self.layout).await?;
        if !unfit.is_empty() {
            let lines: Vec<String> = unfit.iter().map(Hazard::to_string).collect();
            return Err(Error::Schema { store: self.store_name(), what: lines.join("\n") });
        }
        conn.begin(&format!(
            "BEGIN; SET LOCAL lock_timeout = {TABLE_WAIT_MS}; \
             SELECT pg_advisory_xact_lock(hashtextextended('domicile.install', 0))"
        ))
        .await?;
        let script = guard::script(&self.layout, spec, self.role(), &identity);
        // CRASH: one transaction, so a guard is installed whole or not at all; repeating it is safe.
        conn.batch("installing the guard", &script.join(";\n")).await?;
        conn.commit().await
    }

    pub(super) async fn set_mode(&self, mode: Mode) -> Result<()> {
        match mode {
            Mode::Enforce => self.enforce().await,
            Mode::Observe => self.switch("observe", true, "").await,
            Mode::Wave => {
                self.nothing_moves("be armed by waves only").await?;
                self.switch("wave", false, "").await
            }
        }
    }

    /// To `enforce`, so that afterwards no write of a subject without a row is in flight or passes.
    ///
    /// The mode and the gate's closing commit together: from then on new writers of such subjects are
    /// refused. Those in flight hold the gate and are waited for. Only then is it final that nobody is
    /// unhomed; if somebody is, the old mode comes back.
    async fn enforce(&self) -> Result<()> {
        let conn = self.conn().await?;
        let before = mode_of(&conn).await?;
        self.all_homed(&conn).await?;
        self.switch("enforce", true, "update domicile.gate set open = false where open").await?;
        let settled = match self.drain_gate(&conn).await {
            Ok(()) => self.all_homed(&conn).await,
            Err(e) => Err(e),
        };
        if settled.is_err() && before != Mode::Enforce {
            // CRASH: here the mode is `enforce` with somebody unhomed, who is refused until backfill
            // and enforce are called again.
            self.switch(word(before), before != Mode::Wave, "").await?;
        }
        settled
    }

    /// One transaction: the mode, whether the triggers are armed, and the gate. A mode that lets
    /// subjects without a row pass needs an open gate.
    async fn switch(&self, mode: &str, armed: bool, also: &str) -> Result<()> {
        let gate = if also.is_empty() { self.open_gate() } else { also.to_owned() };
        let mut conn = self.conn().await?;
        conn.begin(&format!("BEGIN; SET LOCAL lock_timeout = {TABLE_WAIT_MS}")).await?;
        let was = conn
            .query_opt(
                "reading the guard's mode",
                "select mode, armed from domicile.region for no key update",
                &[],
            )
            .await?
            .ok_or_else(|| self.not_installed())?;
        // The region's row is ours: who says from here on that a wave begins arms the triggers after us.
        let begins = conn.query_one("looking who keeps the guard armed", ARMED_FOR, &[]).await?;
        let armed = if begins.get(0) { armed || was.get::<_, bool>(1) } else { armed };
        let mut sql =
            vec![format!("update domicile.region set mode = {}, armed = {armed}", literal(mode)), gate];
        if was.get::<_, bool>(1) != armed {
            sql.extend(triggers::armed(&self.layout, armed));
        }
        conn.batch("setting the guard's mode", &sql.join(";\n")).await?;
        conn.commit().await
    }

    /// Opens a new round of the gate and closes those before it.
    fn open_gate(&self) -> String {
        format!(
            "update domicile.gate set open = false where open; \
             insert into domicile.gate (round, slot, open) \
             select coalesce((select max(round) from domicile.gate), 0) + 1, n, true from generate_series(0, {}) n",
            guard::GATE_SLOTS - 1
        )
    }

    /// Waits for writers that passed without a row under a closed round, and fails those that still
    /// hold a snapshot from before it.
    async fn drain_gate(&self, conn: &Conn) -> Result<()> {
        conn.execute(
            "waiting for writers of unknown subjects",
            "delete from domicile.gate where not open",
            &[],
        )
        .await?;
        Ok(())
    }

    /// After rows were given to subjects in a mode that lets subjects without one pass: no write that
    /// passed without a row is in flight once this returns.
    pub(super) async fn turn_gate(&self) -> Result<()> {
        let mut conn = self.conn().await?;
        if mode_of(&conn).await? == Mode::Enforce {
            return Ok(());
        }
        conn.begin("BEGIN; SELECT FROM domicile.region FOR NO KEY UPDATE").await?;
        conn.batch("turning the gate", &self.open_gate()).await?;
        conn.commit().await?;
        self.drain_gate(&conn).await
    }

    async fn all_homed(&self, conn: &Conn) -> Result<()> {
        let n = unhomed_count(conn, &self.layout).await?;
        if n == 0 {
            return Ok(());
        }
        Err(Error::Schema {
            store: self.store_name(),
            what: format!("{n} subjects have no row in domicile.home: run `domicile guard backfill` first"),
        })
    }

    async fn nothing_moves(&self, what: &str) -> Result<()> {
        let conn = self.conn().await?;
        let moving = conn
            .query(
                "counting subjects",
                "select state::text, count(*) from domicile.home where state <> 'h' group by 1 order by 1",
                &[],
            )
            .await?;
        if moving.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = moving
            .iter()
            .map(|r| {
                format!("{} {:?}", r.get::<_, i64>(1), guard::state(r.get(0)).expect("checked by the table"))
            })
            .collect();
        Err(Error::Schema {
            store: self.store_name(),
            what: format!(
                "the guard cannot {what} while subjects are not at home: {}",
                list.join(", ").to_lowercase()
            ),
        })
    }

    pub(super) async fn status(&self, deep: bool) -> Result<GuardStatus> {
        let conn = self.conn().await?;
        let mut status = GuardStatus {
            installed: installed(&conn).await?,
            mode: None,
            subjects: Default::default(),
            unhomed: 0,
            observed: Vec::new(),
            changed: 0,
            fence_left_ms: None,
            faults: Vec::new(),
        };
        if !status.installed {
            return Ok(status);
        }
        // Sent together: over a long line a round trip each would be felt.
        let (mode, states, changed, observed) = tokio::try_join!(
            mode_of(&conn),
            conn.query("counting subjects", STATES, &[]),
            conn.query_one("counting changes", "select count(*) from domicile.changed", &[]),
            observed(&conn, &self.layout),
        )?;
        (status.mode, status.observed) = (Some(mode), observed);
        for row in states {
            let state = guard::state(row.get(0)).expect("checked by the table");
            status.subjects.insert(state, row.get::<_, i64>(1) as u64);
            if matches!(state, State::Fencing | State::Fenced) {
                let left: Option<i64> = row.get(2);
                status.fence_left_ms = status.fence_left_ms.into_iter().chain(left).min();
            }
        }
        status.changed = changed.get::<_, i64>(0) as u64;
        if deep {
            status.unhomed = unhomed_count(&conn, &self.layout).await?;
        }
        status.faults = privileges::faults(&conn, &self.layout, self.role()).await?;
        Ok(status)
    }

    pub(super) async fn remove(&self) -> Result<()> {
        let mut conn = self.conn().await?;
        if !installed(&conn).await? {
            return Ok(());
        }
        self.nothing_moves("be removed").await?;
        let policies = conn.query("looking for policies", privileges::POLICIES_ON_US, &[]).await?;
        if let Some(first) = policies.first() {
            return Err(Error::Schema {
                store: self.store_name(),
                what: format!(
                    "row security policy {} uses domicile.is_home: drop it first",
                    first.get::<_, String>(0)
                ),
            });
        }
        conn.begin(&format!("BEGIN; SET LOCAL lock_timeout = {TABLE_WAIT_MS}")).await?;
        // The triggers' tables first: once they are ours, no writer and no move is under way.
        conn.batch("removing the guard's triggers", &triggers::detach()).await?;
        self.nothing_moves("be removed").await?;
        conn.batch("removing the guard", "drop schema domicile cascade").await?;
        conn.commit().await
    }

    pub(super) async fn arm(&self, armed: bool) -> Result<()> {
        let conn = self.conn().await?;
        if mode_of(&conn).await? != Mode::Wave {
            return Ok(());
        }
        drop(conn);
        if !armed && self.nothing_moves("be disarmed").await.is_err() {
            // Another wave is open, or rows of subjects that left are not erased yet and still need
            // their guard: the last one to close disarms.
            return Ok(());
        }
        self.switch("wave", armed, "").await?;
        if armed { self.turn_gate().await } else { Ok(()) }
    }

    pub(super) async fn canonical(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "select s.who::{ty}::text from unnest($1::text[]) with ordinality s(who, n) order by s.n"
        );
        let who: Vec<&str> = subjects.iter().map(|s| s.0.as_str()).collect();
        let rows = self.conn().await?.query("reading keys of subjects", &sql, &[&who]).await?;
        Ok(rows.iter().map(|r| SubjectId(r.get(0))).collect())
    }

    pub(super) async fn unhomed(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectId>> {
        let (key, root, ty) = root(&self.layout);
        let sql = format!(
            "select r.{key}::text from {root} r where ($1::text is null or r.{key} > $1::text::{ty}) \
             and not exists (select from domicile.home h where h.subject = r.{key}) order by r.{key} limit $2::bigint"
        );
        let after = after.map(|s| s.0.as_str());
        let rows = self
            .conn()
            .await?
            .query("listing subjects without a row", &sql, &[&after, &i64::from(limit)])
            .await?;
        Ok(rows.iter().map(|r| SubjectId(r.get(0))).collect())
    }

    pub(super) async fn adopt(&self, subjects: &[(SubjectId, u64)]) -> Result<u64> {
        let (_, _, ty) = root(&self.layout);
        let (who, epochs): (Vec<&str>, Vec<i64>) =
            subjects.iter().map(|(s, e)| (s.0.as_str(), *e as i64)).unzip();
        let sql = format!(
            "insert into domicile.home (subject, state, epoch) \
             select s.who::{ty}, {}, s.epoch from unnest($1::text[], $2::bigint[]) s(who, epoch) on conflict do nothing",
            literal(letter(crate::records::State::Home))
        );
        let conn = self.conn().await?;
        let adopted = conn.execute("adopting subjects", &sql, &[&who, &epochs]).await?;
        // CRASH: rows without the turn of the gate; calling it again adopts nobody and turns it.
        if mode_of(&conn).await? == Mode::Wave {
            self.turn_gate().await?;
        }
        Ok(adopted)
    }

    /// What to say where the guard's own row is absent.
    pub(super) fn not_installed(&self) -> Error {
        Error::Schema {
            store: self.store_name(),
            what: "the guard is not installed: run `domicile guard install`".to_owned(),
        }
    }
}

/// The root: (subject column quoted, table quoted, type to cast text to).
pub(super) fn root(layout: &Layout) -> (String, String, String) {
    let table = &layout.tables[0];
    let Owner::Root { column } = &table.owner else {
        unreachable!("tables[0] is the root: invariant of Layout");
    };
    let ty = &table.columns.iter().find(|c| &c.name == column).expect("the root's key is a column").type_name;
    (super::quote::ident(column), guard::qualified(&table.name), cast(ty))
}

/// The mode as the database has it.
pub(super) async fn mode_of(conn: &Conn) -> Result<Mode> {
    let row = conn.query_one("reading the guard's mode", "select mode from domicile.region", &[]).await?;
    Ok(match row.get::<_, &str>(0) {
        "enforce" => Mode::Enforce,
        "wave" => Mode::Wave,
        _ => Mode::Observe,
    })
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Enforce => "enforce",
        Mode::Wave => "wave",
    }
}

async fn installed(conn: &Conn) -> Result<bool> {
    let row = conn
        .query_one("looking for the guard", "select to_regclass('domicile.region') is not null", &[])
        .await?;
    Ok(row.get(0))
}

async fn unhomed_count(conn: &Conn, layout: &Layout) -> Result<u64> {
    let (key, root, _) = root(layout);
    let sql = format!(
        "select count(*) from {root} r where not exists (select from domicile.home h where h.subject = r.{key})"
    );
    Ok(conn.query_one("counting subjects without a row", &sql, &[]).await?.get::<_, i64>(0) as u64)
}

/// Would-be refusals by table and reason, what was beyond the limit, and subjects that no longer fit.
async fn observed(conn: &Conn, layout: &Layout) -> Result<Vec<(String, String, u64)>> {
    let sql = format!(
        "select tbl, reason, count(*) from domicile.observed group by 1, 2 \
         union all select '', 'more than {max} in all: the rest is only counted', last_value - {max} \
           from domicile.observed_n where last_value > {max} \
         union all select $1, 'country no longer permitted here: ' || rule, count(*) from domicile.misplaced m \
           join domicile.home h on h.subject = m.subject where h.state not in ('a', 'w') group by rule \
         order by 1, 2",
        max = guard::OBSERVED_ROWS_MAX
    );
    let root = layout.tables[0].name.to_string();
    let rows = conn.query("counting what was observed", &sql, &[&root]).await?;
    Ok(rows.iter().map(|r| (r.get(0), r.get(1), r.get::<_, i64>(2) as u64)).collect())
}
