//! Putting the guard into a file, taking it out, and seeing whether it is still whole.
//!
//! Every function runs inside the caller's transaction.

use super::shape::{Shape, Term};
use super::{Plan, Trigger, admission, signup, tables, triggers};
use crate::Error;
use crate::records::{Admission, GuardSpec, Mode};
use crate::sqlite::fault::Fault;
use crate::sqlite::quote::ident;
use domicile_datamap::layout::{Layout, Owner};
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The key under which [`fingerprint`] says whether anything of the schema was touched.
const WHOLE_SCHEMA: &str = "(schema)";

/// A fault of the schema, in words.
pub(crate) fn schema_fault(store: &str, what: impl Into<String>) -> Fault {
    Error::Schema { store: store.into(), what: what.into() }.into()
}

/// The mode as `domicile_region` writes it.
pub(crate) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Enforce => "enforce",
        Mode::Wave => "wave",
    }
}

/// The mode and whether triggers stand; `None` where no guard is installed.
pub(crate) fn mode(conn: &Connection) -> Result<Option<(Mode, bool)>, Fault> {
    if !is_installed(conn)? {
        return Ok(None);
    }
    let row = conn
        .query_row("SELECT mode, waves FROM domicile_region", [], |r| {
            Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?))
        })
        .optional()?;
    Ok(row.map(|(word, waves)| match word.as_str() {
        "observe" => (Mode::Observe, true),
        "wave" => (Mode::Wave, waves > 0),
        _ => (Mode::Enforce, true),
    }))
}

fn is_installed(conn: &Connection) -> Result<bool, Fault> {
    let n: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_master WHERE name = 'domicile_region'", [], |r| {
            r.get(0)
        })?;
    Ok(n > 0)
}

/// Makes or updates tables and triggers. A new guard starts in `observe`, an old one keeps its mode.
///
/// # Errors
/// [`Error::Schema`] for a table of the map that is gone, another region's guard, or a root key of a type
/// in which a subject's text does not name one value.
pub(crate) fn install(
    conn: &Connection,
    store: &str,
    layout: &Layout,
    spec: &GuardSpec,
) -> Result<(), Fault> {
    let before = schema_version(conn)?;
    let shapes = shapes(conn, store, layout)?;
    let (key_type, collation) = subject_type(conn, store, layout, &shapes)?;
    refuse_another(conn, store, spec)?;
    for view in ["domicile_signup", "domicile_homes"] {
        conn.execute_batch(&format!("DROP VIEW IF EXISTS {view}"))?;
    }
    for statement in tables::statements(key_type, &collation) {
        conn.execute_batch(&statement)?;
    }
    refuse_other_subjects(conn, store, key_type)?;
    for statement in signup::statements() {
        conn.execute_batch(&statement)?;
    }
    put_region(conn, layout, spec)?;
    put_admission(conn, &spec.admission)?;
    let (_, armed) = mode(conn)?.unwrap_or((Mode::Observe, true));
    replace_triggers(conn, &Plan { layout, shapes: &shapes, admission: &spec.admission }, armed)?;
    own_schema_since(conn, before)
}

/// Drops the mapped tables' triggers and, with `armed`, makes them anew: after the user's own, so that
/// they fire first.
pub(crate) fn replace_triggers(conn: &Connection, plan: &Plan<'_>, armed: bool) -> Result<(), Fault> {
    for name in own_triggers(conn)?.keys() {
        conn.execute_batch(&format!("DROP TRIGGER {}", ident(name)))?;
    }
    if armed {
        for trigger in triggers(plan) {
            conn.execute_batch(&trigger.sql)?;
        }
    }
    Ok(())
}

/// Makes (or drops) the triggers that `layout` asks for, with the rules kept in the file.
pub(crate) fn set_armed(conn: &Connection, store: &str, layout: &Layout, armed: bool) -> Result<(), Fault> {
    let before = schema_version(conn)?;
    let (shapes, admission) = (shapes(conn, store, layout)?, kept_admission(conn)?);
    replace_triggers(conn, &Plan { layout, shapes: &shapes, admission: &admission }, armed)?;
    own_schema_since(conn, before)
}

/// Takes everything out.
pub(crate) fn uninstall(conn: &Connection) -> Result<(), Fault> {
    for name in own_triggers(conn)?.keys() {
        conn.execute_batch(&format!("DROP TRIGGER {}", ident(name)))?;
    }
    for (kind, name) in tables::ALL {
        conn.execute_batch(&format!("DROP {kind} IF EXISTS {name}"))?;
    }
    Ok(())
}

/// What is missing, altered or in the guard's way, a line each.
pub(crate) fn faults(
    conn: &Connection,
    store: &str,
    layout: &Layout,
    armed: bool,
) -> Result<Vec<String>, Fault> {
    let mut faults = Vec::new();
    let map: String = conn.query_row("SELECT map_hash FROM domicile_region", [], |r| r.get(0))?;
    if map != layout.hash {
        faults.push("the guard was installed with another data map; run `guard install` again".into());
    }
    if !armed {
        return Ok(faults);
    }
    let shapes = match shapes(conn, store, layout) {
        Ok(shapes) => shapes,
        Err(Fault::Store(Error::Schema { what, .. })) => return Ok(vec![what]),
        Err(other) => return Err(other),
    };
    let admission = kept_admission(conn)?;
    let found = own_triggers(conn)?;
    for Trigger { table, name, sql } in triggers(&Plan { layout, shapes: &shapes, admission: &admission }) {
        match found.get(&name) {
            None => {
                faults.push(format!("main.{table}: trigger `{name}` is missing; run `guard install` again"))
            }
            Some(is) if *is != sql => {
                faults.push(format!(
                    "main.{table}: trigger `{name}` or its table was altered; run `guard install` again"
                ));
            }
            Some(_) => {}
        }
    }
    faults.extend(ahead_of_us(conn)?);
    Ok(faults)
}

/// User triggers made after the guard's that may say RAISE(IGNORE): they fire first, and what they
/// ignore the guard never sees.
fn ahead_of_us(conn: &Connection) -> Result<Vec<String>, Fault> {
    let mut statement = conn.prepare(
        "SELECT u.tbl_name, u.name FROM sqlite_master u WHERE u.type = 'trigger'
           AND u.name NOT LIKE 'domicile\\_%' ESCAPE '\\' AND u.sql LIKE '%raise%ignore%'
           AND u.rowid > (SELECT min(d.rowid) FROM sqlite_master d WHERE d.type = 'trigger'
             AND d.tbl_name = u.tbl_name AND d.name LIKE 'domicile\\_%' ESCAPE '\\') ORDER BY 1, 2",
    )?;
    let lines = statement.query_map([], |r| {
        let (table, name): (String, String) = (r.get(0)?, r.get(1)?);
        Ok(format!("main.{table}: trigger `{name}` fires before the guard and may RAISE(IGNORE); run `guard install` again"))
    })?;
    Ok(lines.collect::<rusqlite::Result<_>>()?)
}

/// One text a mapped table (its SQL, its indexes' and triggers'), and one for the schema as a whole.
///
/// A table rebuilt with the same text (SQLite's 12-step ALTER, triggers copied over) lost the writes made
/// while the triggers were gone; only the schema's version tells. The guard's own changes are taken off it.
pub(crate) fn fingerprint(conn: &Connection, layout: &Layout) -> Result<BTreeMap<String, String>, Fault> {
    let mut all = BTreeMap::new();
    let mut statement = conn.prepare(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE lower(tbl_name) = lower(?1) ORDER BY type, name",
    )?;
    for table in &layout.tables {
        let mut text = String::new();
        let mut rows = statement.query([&table.name.name])?;
        while let Some(row) = rows.next()? {
            let (kind, name, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            text.push_str(&format!("{kind} {name} {}\n", hex::encode(Sha256::digest(sql.as_bytes()))));
        }
        all.insert(table.name.to_string(), text);
    }
    let own: i64 = conn.query_row("SELECT own_schema FROM domicile_region", [], |r| r.get(0))?;
    all.insert(WHOLE_SCHEMA.into(), (schema_version(conn)? - own).to_string());
    Ok(all)
}

/// The file's schema version: grows with every change of the schema, and by one with VACUUM.
pub(crate) fn schema_version(conn: &Connection) -> Result<i64, Fault> {
    Ok(conn.query_row("SELECT schema_version FROM pragma_schema_version", [], |r| r.get(0))?)
}

/// Counts the schema's changes since version `before` as Domicile's own, so that [`fingerprint`] does
/// not take them for somebody else's. Inside the transaction that made them.
pub(crate) fn own_schema_since(conn: &Connection, before: i64) -> Result<(), Fault> {
    let made = schema_version(conn)? - before;
    conn.execute("UPDATE domicile_region SET own_schema = own_schema + ?1", [made])?;
    Ok(())
}

/// The shapes of all mapped tables.
fn shapes(conn: &Connection, store: &str, layout: &Layout) -> Result<Vec<Shape>, Fault> {
    let mut all = Vec::new();
    for table in &layout.tables {
        let shape = Shape::read(conn, &table.name.name)?;
        if shape.columns.is_empty() {
            return Err(schema_fault(
                store,
                format!("{}: the data map has this table, the file has not", table.name),
            ));
        }
        all.push(shape);
    }
    Ok(all)
}

/// The type and collation for columns that hold a subject: those of the root's key, so that both
/// compare alike. Only types whose text names one value, since that text is what the mover carries.
fn subject_type(
    conn: &Connection,
    store: &str,
    layout: &Layout,
    shapes: &[Shape],
) -> Result<(&'static str, String), Fault> {
    let root = &layout.tables[0];
    let Owner::Root { column } = &root.owner else {
        return Err(schema_fault(
            store,
            format!("{}: the first table of the data map is not its root", root.name),
        ));
    };
    let declared: Option<String> = conn
        .query_row(
            "SELECT upper(type) FROM pragma_table_xinfo(?1) WHERE name = ?2",
            [&root.name.name, column],
            |r| r.get(0),
        )
        .optional()?;
    let Some(declared) = declared else {
        return Err(schema_fault(store, format!("{}: column `{column}` is gone", root.name)));
    };
    let unique = shapes[0].uniques.iter().find_map(|u| match u.terms.as_slice() {
        [Term::Column { name, collation }] if name == column && u.predicate.is_none() => {
            Some(collation.clone())
        }
        _ => None,
    });
    let Some(collation) = unique else {
        return Err(schema_fault(
            store,
            format!("{}: the subject's key `{column}` is not unique", root.name),
        ));
    };
    let has = |part: &[&str]| part.iter().any(|p| declared.contains(p));
    // SQLite's own rules of affinity, in its order (datatype3.html, 3.1).
    let kind = if declared == "INTEGER"
        && shapes[0].uniques[0].terms.len() == 1
        && root.key == [column.clone()]
    {
        "INTEGER"
    } else if has(&["INT"]) {
        "INT"
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        "TEXT"
    } else if declared.is_empty() || has(&["BLOB", "REAL", "FLOA", "DOUB"]) || declared == "ANY" {
        let what = format!(
            "{}: the subject's key `{column}` is of type `{declared}`; it must be INTEGER, TEXT or NUMERIC",
            root.name
        );
        return Err(schema_fault(store, what));
    } else {
        "NUMERIC"
    };
    Ok((kind, collation))
}

fn refuse_another(conn: &Connection, store: &str, spec: &GuardSpec) -> Result<(), Fault> {
    if !is_installed(conn)? {
        return Ok(());
    }
    let (region, service, version): (String, String, i64) =
        conn.query_row("SELECT region, service, version FROM domicile_region", [], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?))
        })?;
    if version != tables::VERSION {
        let what =
            format!("the guard's tables are of version {version}, this program's of {}", tables::VERSION);
        return Err(schema_fault(store, what));
    }
    if region != spec.region || service != spec.service {
        let what = format!("the file holds the guard of region `{region}`, service `{service}`");
        return Err(schema_fault(store, what));
    }
    Ok(())
}

fn refuse_other_subjects(conn: &Connection, store: &str, key_type: &str) -> Result<(), Fault> {
    let kept: String = conn.query_row(
        "SELECT type FROM pragma_table_info('domicile_home') WHERE name = 'subject'",
        [],
        |r| r.get(0),
    )?;
    if kept != key_type {
        let what = format!(
            "the guard keeps subjects of type {kept}, the data map's root has {key_type}; remove the guard first"
        );
        return Err(schema_fault(store, what));
    }
    Ok(())
}

fn put_region(conn: &Connection, layout: &Layout, spec: &GuardSpec) -> Result<(), Fault> {
    let mut identity = [0u8; 16];
    getrandom::fill(&mut identity).map_err(|e| Error::Failed {
        store: spec.region.clone(),
        what: "draw an identity".into(),
        why: e.to_string(),
    })?;
    conn.execute(
        "INSERT INTO domicile_region(one, region, service, mode, waves, gen, version, identity, map_hash, owner_role, own_schema)
         VALUES (1, ?1, ?2, 'observe', 0, 1, ?3, ?4, ?5, '', 0)
         ON CONFLICT (one) DO UPDATE SET gen = gen + 1, map_hash = excluded.map_hash",
        (&spec.region, &spec.service, tables::VERSION, hex::encode(identity), &layout.hash),
    )?;
    Ok(())
}

fn put_admission(conn: &Connection, admission: &[Admission]) -> Result<(), Fault> {
    conn.execute("DELETE FROM domicile_admission", [])?;
    // A spelling that two entries share is allowed only where both are: policy denies by default.
    let mut put = conn.prepare(
        "INSERT INTO domicile_admission(country, allowed, rule) VALUES (?1, ?2, ?3)
         ON CONFLICT (country) DO UPDATE SET allowed = excluded.allowed, rule = excluded.rule WHERE NOT excluded.allowed",
    )?;
    for entry in admission {
        for spelling in admission::spellings(entry) {
            put.execute((spelling, entry.allowed, &entry.rule))?;
        }
    }
    Ok(())
}

fn kept_admission(conn: &Connection) -> Result<Vec<Admission>, Fault> {
    let mut statement =
        conn.prepare("SELECT country, allowed, rule FROM domicile_admission ORDER BY country")?;
    let rows = statement
        .query_map([], |r| Ok(Admission { country: r.get(0)?, allowed: r.get(1)?, rule: r.get(2)? }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The guard's triggers on mapped tables, name -> SQL.
fn own_triggers(conn: &Connection) -> Result<BTreeMap<String, String>, Fault> {
    let mut statement = conn.prepare(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'domicile\\_%' ESCAPE '\\'
           AND tbl_name <> 'domicile_signup'",
    )?;
    let all = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(all)
}

/// Counts a VACUUM of ours, begun at schema version `before`, as Domicile's own change. VACUUM can't stand
/// inside a transaction, so somebody else may have changed the schema meanwhile: then the version grew by
/// more than VACUUM's one, and stays a change that [`fingerprint`] shows.
pub(crate) fn after_vacuum(conn: &Connection, before: i64) -> Result<(), Fault> {
    if !is_installed(conn)? {
        return Ok(());
    }
    conn.execute_batch("BEGIN IMMEDIATE")?;
    if schema_version(conn)? == before + 1 {
        own_schema_since(conn, before)?;
    }
    conn.execute_batch("COMMIT")?;
    Ok(())
}
