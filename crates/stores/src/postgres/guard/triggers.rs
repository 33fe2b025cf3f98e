//! Where the triggers hang, and how they are armed.

use super::{
    COMMIT_TRIGGER, COUNTRY_TRIGGER, ROW_TRIGGER, TRUNCATE_TRIGGER, admission, function, path::Path,
    qualified, run_once,
};
use crate::postgres::quote::{ident, literal};
use domicile_datamap::catalogue::TableName;
use domicile_datamap::layout::{Layout, MappedTable, Owner};

/// Every trigger that must be there: (table or leaf, its name, the function without its schema).
pub(in crate::postgres) fn expected(layout: &Layout) -> Vec<(TableName, String, String)> {
    let mut all = Vec::new();
    for table in &layout.tables {
        let mut here = vec![
            (ROW_TRIGGER.to_owned(), function::row_function(table)),
            (TRUNCATE_TRIGGER.to_owned(), "domicile.truncating".to_owned()),
        ];
        if let Some(at_commit) = commit_function(layout, table) {
            here.push((COMMIT_TRIGGER.to_owned(), at_commit));
        }
        for (n, _) in admission::watched(layout).filter(|(_, t)| t.name == table.name) {
            here.push((format!("{COUNTRY_TRIGGER}{n}"), admission::watch_function(n, &table.name)));
        }
        for name in std::iter::once(&table.name).chain(&table.leaves) {
            all.extend(here.iter().map(|(t, f)| (name.clone(), t.clone(), f.clone())));
        }
    }
    all
}

/// The function that a table needs at commit, if any. The root has no path of its own, and the others
/// have no country, so one name is enough.
fn commit_function(layout: &Layout, table: &MappedTable) -> Option<String> {
    match table.owner {
        Owner::Root { .. } => (!layout.country.hops.is_empty()).then(|| admission::commit_function(table)),
        _ => Path::of(layout, table).deferrable.then(|| function::commit_function(table)),
    }
}

/// Takes off triggers of ours that the map no longer asks for. A leaf's clones go with their parent's.
pub(super) fn retire(layout: &Layout) -> String {
    let kept: Vec<_> = expected(layout)
        .iter()
        .map(|(table, trigger, _)| {
            format!("({}::pg_catalog.regclass, {})", literal(&qualified(table)), literal(trigger))
        })
        .collect();
    drop_where(&format!("(g.tgrelid::pg_catalog.regclass, g.tgname::text) not in ({})", kept.join(", ")))
}

/// Takes all triggers off, for `remove`.
pub(in crate::postgres) fn detach() -> String {
    drop_where("true")
}

fn drop_where(condition: &str) -> String {
    run_once(&format!(
        "declare t record; begin \
         for t in select g.tgname, g.tgrelid::pg_catalog.regclass c from pg_catalog.pg_trigger g \
           where g.tgname like '00\\_domicile%' and g.tgparentid = 0 and not g.tgisinternal and {condition} loop \
           execute pg_catalog.format('drop trigger %I on %s', t.tgname, t.c); \
         end loop; end"
    ))
}

/// Hangs the triggers on every table and leaf.
///
/// The mover is exempt in WHEN: by `session_user`, which no `SET ROLE` and no setting changes, and in
/// WHEN, so that its rows never enter the trigger queue at all. ENABLE ALWAYS, since a session may set
/// replica role and a subscription applies with it (attack A7). TRUNCATE triggers do not reach leaves
/// by themselves.
pub(super) fn attach(layout: &Layout, mover: &str) -> Vec<String> {
    let when = format!("session_user <> {}", literal(mover));
    let mut all = Vec::new();
    for table in &layout.tables {
        let on = qualified(&table.name);
        all.push(format!(
            "create or replace trigger {} after insert or update or delete on {on} for each row when ({when}) \
             execute function {}()",
            ident(ROW_TRIGGER),
            function::row_function(table)
        ));
        if let Some(at_commit) = commit_function(layout, table) {
            all.push(at_commit_trigger(table, &at_commit, mover));
        }
        for (n, _) in admission::watched(layout).filter(|(_, t)| t.name == table.name) {
            all.push(admission::watch_trigger(layout, n, table, &when));
        }
        for name in std::iter::once(&table.name).chain(&table.leaves) {
            all.push(format!(
                "create or replace trigger {} before truncate on {} for each statement when ({when}) \
                 execute function domicile.truncating()",
                ident(TRUNCATE_TRIGGER),
                qualified(name)
            ));
        }
    }
    all.extend(armed(layout, true));
    // A wave guard that is not armed stays so.
    all.push(run_once(&format!(
        "begin if exists (select from domicile.region where mode = 'wave' and not armed) then {}; end if; end",
        armed(layout, false).join("; ")
    )));
    all
}

/// Whoever owns a partitioned table makes its next partition, and needs EXECUTE for the trigger that
/// comes with it. Not PUBLIC: hung on a table of one's own, these would write into our tables.
pub(super) fn grants(layout: &Layout) -> String {
    let all: Vec<_> = expected(layout)
        .iter()
        .map(|(table, _, function)| {
            format!(
                "({}::pg_catalog.regclass, {})",
                literal(&qualified(table)),
                literal(&format!("{function}()"))
            )
        })
        .collect();
    run_once(&format!(
        "declare t record; begin \
         for t in select distinct c.relowner::pg_catalog.regrole r, v.f from (values {}) v(c, f) \
           join pg_catalog.pg_class c on c.oid = v.c loop \
           execute pg_catalog.format('grant execute on function %s to %s', t.f, t.r); \
         end loop; end",
        all.join(", ")
    ))
}

/// A constraint trigger can't be replaced, and dropping one shuts readers out: it is made anew only
/// where it is absent or exempts another role.
fn at_commit_trigger(table: &MappedTable, function: &str, mover: &str) -> String {
    let root = matches!(table.owner, Owner::Root { .. });
    let (on, name) = (qualified(&table.name), ident(COMMIT_TRIGGER));
    run_once(&format!(
        "begin \
         if not exists (select from pg_catalog.pg_trigger g where g.tgrelid = {}::pg_catalog.regclass \
           and g.tgname = {} and pg_catalog.strpos(pg_catalog.pg_get_triggerdef(g.oid), {}) > 0) then \
         drop trigger if exists {name} on {on}; \
         create constraint trigger {name} after insert{} on {on} deferrable initially deferred \
         for each row when (session_user <> {}) execute function {function}(); \
         end if; end",
        literal(&on),
        literal(COMMIT_TRIGGER),
        literal(&format!("{}::", literal(mover))),
        if root { "" } else { " or update" },
        literal(mover),
    ))
}

/// Arms or disarms every trigger. Takes SHARE ROW EXCLUSIVE on each table: it waits for the writers
/// in flight, so that none is left that ran without the guard.
pub(in crate::postgres) fn armed(layout: &Layout, armed: bool) -> Vec<String> {
    let how = if armed { "enable always" } else { "disable" };
    let mut all: Vec<String> = expected(layout)
        .into_iter()
        .map(|(table, trigger, _)| {
            format!("alter table {} {how} trigger {}", qualified(&table), ident(&trigger))
        })
        .collect();
    all.dedup();
    all
}
