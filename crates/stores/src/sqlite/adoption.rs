//! Adoption: from a file without a guard to one that enforces, and what planning reads of subjects.
//!
//! The `Records` implementation in the parent module delegates here; see the promises there.

use super::guard::admission::attribute;
use super::guard::installed::{self, schema_fault};
use super::guard::words::NOW_MS;
use super::homes::state_of;
use super::quote::{column, ident};
use super::{Fault, Sqlite};
use crate::records::{GuardSpec, GuardStatus, Mode, State, SubjectFacts, SubjectId, words};
use crate::{Error, Result};
use domicile_datamap::layout::{Layout, Owner};
use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Says so where a call needs the guard and the file has none.
const NOT_INSTALLED: &str = "the guard is not installed; run `guard install`";

impl Sqlite {
    /// Nothing, or that this user can't write the file or its folder (where the journal stands).
    pub(super) async fn missing_privileges(&self) -> Result<Vec<(String, String)>> {
        let tried = self
            .cell
            .with_connection("try to write", |conn| {
                let version: i64 =
                    conn.query_row("SELECT user_version FROM pragma_user_version", [], |r| r.get(0))?;
                // A write that changes nothing and is rolled back: BEGIN alone does not open the journal.
                conn.execute_batch(&format!("BEGIN IMMEDIATE; PRAGMA user_version = {version}; ROLLBACK"))?;
                Ok(())
            })
            .await;
        let name = self.cell.name().to_owned();
        match tried {
            Ok(()) => Ok(Vec::new()),
            Err(Error::Denied { grant, .. }) => Ok(vec![(format!("write {name}"), grant)]),
            Err(Error::Unreachable { .. }) if self.cell.path().exists() => {
                let grant = "let this user write the file and its folder (chmod u+w)".to_owned();
                Ok(vec![(format!("write beside {name}"), grant)])
            }
            Err(other) => Err(other),
        }
    }

    /// See [`crate::Records::install`].
    pub(super) async fn install(&self, spec: &GuardSpec) -> Result<()> {
        let (name, layout, spec) = (self.cell.name().to_owned(), self.layout.clone(), spec.clone());
        // CRASH: one transaction; the file has the old guard or the new one.
        self.write("install the guard", None, move |conn| installed::install(conn, &name, &layout, &spec))
            .await
    }

    /// See [`crate::Records::set_mode`]. Back to `observe` or `wave` only while no subject is under way.
    pub(super) async fn set_mode(&self, mode: Mode) -> Result<()> {
        let (name, layout) = (self.cell.name().to_owned(), self.layout.clone());
        self.write("set the guard's mode", None, move |conn| set_mode(conn, &name, &layout, mode)).await
    }

    /// See [`crate::Records::status`]. Subjects whose country changed to a forbidden one are listed among
    /// the observed, until the next plan has moved them.
    pub(super) async fn status(&self, deep: bool) -> Result<GuardStatus> {
        let (name, layout) = (self.cell.name().to_owned(), self.layout.clone());
        self.read("read the guard's status", move |conn| status(conn, &name, &layout, deep)).await
    }

    /// See [`crate::Records::remove`].
    pub(super) async fn remove(&self) -> Result<()> {
        let name = self.cell.name().to_owned();
        self.write("remove the guard", None, move |conn| {
            if installed::mode(conn)?.is_none() {
                return Ok(());
            }
            refuse_under_way(conn, &name, "the guard can't be removed")?;
            installed::uninstall(conn)
        })
        .await
    }

    /// See [`crate::Records::arm`]. Disarming is put off while any subject is under way or away: the
    /// last wave to end disarms.
    pub(super) async fn arm(&self, armed: bool) -> Result<()> {
        let (name, layout) = (self.cell.name().to_owned(), self.layout.clone());
        self.write("arm the guard", None, move |conn| {
            let Some((Mode::Wave, now)) = installed::mode(conn)? else { return Ok(()) };
            if now == armed || (!armed && (under_way(conn)? > 0 || armed_for_somebody(conn)?)) {
                return Ok(());
            }
            conn.execute("UPDATE domicile_region SET waves = ?1", [i64::from(armed)])?;
            installed::set_armed(conn, &name, &layout, armed)
        })
        .await
    }

    /// See [`crate::Records::canonical`].
    pub(super) async fn canonical(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        let root = &self.layout.tables[0];
        let Owner::Root { column: key } = &root.owner else { return Ok(subjects.to_vec()) };
        let declared = root.columns.iter().find(|c| &c.name == key).map_or("", |c| c.type_name.as_str());
        let declared = declared.to_uppercase();
        let text = !declared.contains("INT") && ["CHAR", "CLOB", "TEXT"].iter().any(|t| declared.contains(t));
        if text {
            return Ok(subjects.to_vec());
        }
        let spelled = |s: &SubjectId| SubjectId(number(&s.0).unwrap_or_else(|| s.0.clone()));
        Ok(subjects.iter().map(spelled).collect())
    }

    /// See [`crate::Records::unhomed`].
    pub(super) async fn unhomed(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectId>> {
        let (name, layout, after) = (self.cell.name().to_owned(), self.layout.clone(), after.cloned());
        self.read("read subjects without a home", move |conn| {
            installed::mode(conn)?.ok_or_else(|| schema_fault(&name, NOT_INSTALLED))?;
            let root = Root::of(&layout);
            let sql = format!(
                "SELECT CAST({key} AS TEXT) FROM {from} WHERE {} AND {} ORDER BY {key} LIMIT {limit}",
                root.without_home(),
                root.after(after.is_some()),
                key = root.key,
                from = root.from
            );
            let mut statement = conn.prepare_cached(&sql)?;
            let params: Vec<String> = after.into_iter().map(|s| s.0).collect();
            let rows =
                statement.query_map(rusqlite::params_from_iter(params), |r| Ok(SubjectId(r.get(0)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// See [`crate::Records::adopt`].
    pub(super) async fn adopt(&self, subjects: &[(SubjectId, u64)]) -> Result<u64> {
        let subjects = subjects.to_vec();
        // CRASH: the batch is adopted as a whole or not at all; backfill asks for the unhomed again.
        self.write("adopt subjects", None, move |conn| {
            let mut put = conn.prepare_cached(
                "INSERT INTO domicile_home(subject, state, epoch, gen) VALUES (?1, 'h', ?2, 1) ON CONFLICT (subject) DO NOTHING",
            )?;
            let mut adopted = 0;
            for (subject, epoch) in &subjects {
                adopted += put.execute((&subject.0, *epoch as i64))? as u64;
            }
            Ok(adopted)
        })
        .await
    }

    /// See [`crate::Records::subjects`].
    pub(super) async fn subjects(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<SubjectFacts>> {
        let (layout, after) = (self.layout.clone(), after.cloned());
        self.read("read subjects", move |conn| {
            let root = Root::of(&layout);
            let condition = format!("{} ORDER BY {} LIMIT {limit}", root.after(after.is_some()), root.key);
            let params: Vec<String> = after.into_iter().map(|s| s.0).collect();
            facts_where(conn, &layout, &condition, &params)
        })
        .await
    }

    /// See [`crate::Records::facts`].
    pub(super) async fn facts(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectFacts>> {
        let (layout, subjects) = (self.layout.clone(), subjects.to_vec());
        self.read("read facts of subjects", move |conn| {
            let condition = format!("{} = ?1", Root::of(&layout).key);
            let mut all = Vec::with_capacity(subjects.len());
            for subject in subjects {
                all.extend(facts_where(conn, &layout, &condition, &[subject.0])?);
            }
            Ok(all)
        })
        .await
    }

    /// See [`crate::Records::fingerprint`].
    pub(super) async fn fingerprint(&self) -> Result<BTreeMap<String, String>> {
        let layout: Arc<Layout> = self.layout.clone();
        self.read("read the fingerprint", move |conn| installed::fingerprint(conn, &layout)).await
    }
}

/// A number as a column of integer or numeric affinity keeps and prints it; `None`: it stays text.
fn number(text: &str) -> Option<String> {
    let bare = text.trim();
    if let Ok(whole) = bare.parse::<i64>() {
        return Some(whole.to_string());
    }
    if !bare.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    // 7.0 and 7e0 are kept as the integer 7; beyond 2^53 a double no longer says which integer.
    let real = bare.parse::<f64>().ok().filter(|r| r.fract() == 0.0 && r.abs() < 9_007_199_254_740_992.0)?;
    Some((real as i64).to_string())
}

/// The root table in a query, as `r`.
struct Root {
    from: String,
    key: String,
}

impl Root {
    fn of(layout: &Layout) -> Self {
        let table = &layout.tables[0];
        let key = match &table.owner {
            Owner::Root { column: key } | Owner::Direct { column: key } => column("r", key),
            // INVARIANT of the layout: the first table is the root.
            Owner::Derived { link, .. } => column("r", &link[0].0),
        };
        Self { from: format!("{} AS r", ident(&table.name.name)), key }
    }

    fn after(&self, given: bool) -> String {
        if given { format!("{} > ?1", self.key) } else { format!("{} IS NOT NULL", self.key) }
    }

    fn without_home(&self) -> String {
        format!("NOT EXISTS (SELECT 1 FROM domicile_home AS h WHERE h.subject = {})", self.key)
    }
}

fn set_mode(conn: &Connection, name: &str, layout: &Layout, mode: Mode) -> Result<(), Fault> {
    let Some((before, armed)) = installed::mode(conn)? else { return Err(schema_fault(name, NOT_INSTALLED)) };
    if before == mode {
        return Ok(());
    }
    if mode == Mode::Enforce {
        refuse_unhomed(conn, name, layout)?;
    } else {
        refuse_under_way(conn, name, "the guard can't enforce less")?;
    }
    conn.execute("UPDATE domicile_region SET mode = ?1, waves = 0", [installed::mode_word(mode)])?;
    let arm = mode != Mode::Wave;
    if arm != armed { installed::set_armed(conn, name, layout, arm) } else { Ok(()) }
}

/// Under the write lock, so that no subject can come between the question and the new mode.
fn refuse_unhomed(conn: &Connection, name: &str, layout: &Layout) -> Result<(), Fault> {
    let unhomed = count_unhomed(conn, layout)?;
    if unhomed == 0 {
        return Ok(());
    }
    Err(schema_fault(name, format!("{unhomed} subjects have no home yet; run `guard backfill` first")))
}

fn count_unhomed(conn: &Connection, layout: &Layout) -> Result<u64, Fault> {
    let root = Root::of(layout);
    let sql = format!("SELECT count(*) FROM {} WHERE {}", root.from, root.without_home());
    Ok(conn.query_row(&sql, [], |r| r.get::<_, i64>(0))? as u64)
}

/// Subjects in any state but `home`.
fn under_way(conn: &Connection) -> Result<u64, Fault> {
    Ok(conn.query_row("SELECT count(*) FROM domicile_home WHERE state <> 'h'", [], |r| r.get::<_, i64>(0))?
        as u64)
}

fn refuse_under_way(conn: &Connection, name: &str, what: &str) -> Result<(), Fault> {
    match under_way(conn)? {
        0 => Ok(()),
        n => Err(schema_fault(name, format!("{what} while {n} subjects are under way or away"))),
    }
}

fn status(conn: &Connection, name: &str, layout: &Layout, deep: bool) -> Result<GuardStatus, Fault> {
    let mut status = GuardStatus {
        installed: false,
        mode: None,
        subjects: BTreeMap::new(),
        unhomed: 0,
        observed: Vec::new(),
        changed: 0,
        fence_left_ms: None,
        faults: Vec::new(),
    };
    let Some((mode, armed)) = installed::mode(conn)? else { return Ok(status) };
    status.installed = true;
    status.mode = Some(mode);
    let mut states = conn.prepare("SELECT state, count(*) FROM domicile_home GROUP BY state")?;
    let mut rows = states.query([])?;
    while let Some(row) = rows.next()? {
        let (letter, n): (String, i64) = (row.get(0)?, row.get(1)?);
        status.subjects.insert(state_of(&letter)?, n as u64);
    }
    let fences = format!("SELECT min(deadline) - {NOW_MS} FROM domicile_home WHERE state IN ('g', 'f')");
    status.fence_left_ms = conn.query_row(&fences, [], |r| r.get(0))?;
    if deep {
        status.unhomed = count_unhomed(conn, layout)?;
    }
    let mut observed = conn.prepare(
        "SELECT tbl, reason, n FROM domicile_observed UNION ALL
         SELECT ?1, 'country changed to one that policy forbids here: ' || rule, count(*) FROM domicile_misplaced GROUP BY rule
         ORDER BY 1, 2",
    )?;
    let rows = observed.query_map([layout.tables[0].name.to_string()], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get::<_, i64>(2)? as u64))
    })?;
    status.observed = rows.collect::<rusqlite::Result<_>>()?;
    status.changed =
        conn.query_row("SELECT count(*) FROM domicile_changed", [], |r| r.get::<_, i64>(0))? as u64;
    status.faults = installed::faults(conn, name, layout, armed)?;
    Ok(status)
}

fn facts_where(
    conn: &Connection,
    layout: &Layout,
    condition: &str,
    params: &[String],
) -> Result<Vec<SubjectFacts>, Fault> {
    let root = Root::of(layout);
    let text = |path: Option<&domicile_datamap::layout::AttributePath>| {
        path.map_or("NULL".to_owned(), |p| format!("trim(CAST({} AS TEXT))", attribute(p, "r")))
    };
    let state = match installed::mode(conn)? {
        Some(_) => format!("(SELECT state FROM domicile_home AS h WHERE h.subject = {})", root.key),
        None => "NULL".to_owned(),
    };
    let sql = format!(
        "SELECT CAST({} AS TEXT), {}, {}, {}, {}, {state} FROM {} WHERE {condition}",
        root.key,
        text(Some(&layout.country)),
        text(layout.citizenship.as_ref()),
        text(layout.flags.as_ref()),
        text(layout.consents.as_ref()),
        root.from
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(params))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(facts_of(row)?);
    }
    Ok(all)
}

fn facts_of(row: &Row<'_>) -> Result<SubjectFacts, Fault> {
    let state: Option<State> = row.get::<_, Option<String>>(5)?.map(|s| state_of(&s)).transpose()?;
    let listed = |column: usize| -> Result<Vec<String>, Fault> {
        Ok(match row.get(column)? {
            Value::Text(text) => words(&text),
            _ => Vec::new(),
        })
    };
    Ok(SubjectFacts {
        subject: SubjectId(row.get(0)?),
        country: row.get(1)?,
        citizenship: row.get(2)?,
        flags: listed(3)?,
        consents: listed(4)?,
        state,
    })
}

/// Whether somebody works, or begins to, who needs the triggers: see [`crate::records::ARMED`].
fn armed_for_somebody(conn: &rusqlite::Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM domicile_lease WHERE batch LIKE '%/armed')";
    conn.query_row(sql, [], |row| row.get(0))
}
