//! What the installing role may not do, what stands in the guard's way, and what is wrong with it.

use super::{qualified, triggers};
use crate::error::Result;
use crate::postgres::pool::Conn;
use crate::postgres::quote::ident;
use crate::postgres::snapshot::{Call, params};
use domicile_datamap::catalogue::TableName;
use domicile_datamap::layout::Layout;
use tokio_postgres::Row;

/// Row security policies that call our function: dropping our schema would drop them silently.
pub(in crate::postgres) const POLICIES_ON_US: &str = "select format('%I on %s', p.polname, p.polrelid::regclass) \
     from pg_depend d join pg_policy p on p.oid = d.objid and d.classid = 'pg_policy'::regclass \
     join pg_proc f on f.oid = d.refobjid and d.refclassid = 'pg_proc'::regclass \
     where f.pronamespace = 'domicile'::regnamespace";

/// (what is missing, the GRANT that mends it), each once.
pub(in crate::postgres) async fn missing(
    conn: &Conn,
    layout: &Layout,
    role: &str,
) -> Result<Vec<(String, String)>> {
    let mut all = on_database(conn, role).await?;
    let mapped = names(layout).into_iter().map(|name| (name, true));
    let shared = layout.references.iter().map(|table| (table.name.clone(), false));
    let tables: Vec<(TableName, bool)> = mapped.chain(shared).collect();
    let calls: Vec<Call<'_>> = tables
        .iter()
        .map(|(table, _)| (ON_TABLE.to_owned(), params(&[&table.schema, &table.name, &WANTED])))
        .collect();
    let answers = conn.query_all("looking at privileges", &calls).await?;
    for ((table, mapped), rows) in tables.iter().zip(answers) {
        all.extend(rows.iter().flat_map(|row| on_table(row, table, role, *mapped)));
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|(_, grant)| seen.insert(grant.clone()));
    Ok(all)
}

async fn on_database(conn: &Conn, role: &str) -> Result<Vec<(String, String)>> {
    let sql = "select current_database()::text, has_database_privilege(current_database(), 'CREATE'), \
         has_database_privilege(current_database(), 'TEMPORARY'), \
         coalesce((select pg_has_role(session_user, n.nspowner, 'USAGE') from pg_namespace n where n.nspname = 'domicile'), false), \
         to_regnamespace('domicile') is not null";
    let row = conn.query_one("looking at privileges", sql, &[]).await?;
    let (database, to) = (ident(row.get(0)), ident(role));
    let (ours, exists): (bool, bool) = (row.get(3), row.get(4));
    let mut all = Vec::new();
    if !row.get::<_, bool>(1) && !ours {
        all.push((
            format!("CREATE on database {database}"),
            format!("GRANT CREATE ON DATABASE {database} TO {to}"),
        ));
    }
    if !row.get::<_, bool>(2) {
        all.push((
            format!("TEMPORARY on database {database}"),
            format!("GRANT TEMPORARY ON DATABASE {database} TO {to}"),
        ));
    }
    if exists && !ours {
        all.push(("ownership of schema domicile".to_owned(), format!("ALTER SCHEMA domicile OWNER TO {to}")));
    }
    Ok(all)
}

/// What the mover does with rows.
const WANTED: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

const ON_TABLE: &str = "select has_schema_privilege(n.oid, 'USAGE'), c.oid is null, coalesce(pg_has_role(session_user, c.relowner, 'USAGE'), false), \
         coalesce(c.relowner::regrole::text, ''), \
         array(select p from unnest($3::text[]) p where c.oid is not null and not has_table_privilege(c.oid, p)) \
         from pg_namespace n left join pg_class c on c.relnamespace = n.oid and c.relname = $2 where n.nspname = $1";

/// `mapped`: triggers have to be hung and armed, which only the table's owner may.
fn on_table(row: &Row, table: &TableName, role: &str, mapped: bool) -> Vec<(String, String)> {
    let to = ident(role);
    let mut all = Vec::new();
    if !row.get::<_, bool>(0) {
        let schema = ident(&table.schema);
        all.push((format!("USAGE on schema {schema}"), format!("GRANT USAGE ON SCHEMA {schema} TO {to}")));
    }
    if row.get::<_, bool>(1) {
        // The comparison of schemas names a table that is absent.
        return all;
    }
    if mapped && !row.get::<_, bool>(2) {
        let owner: String = row.get(3);
        all.push((format!("membership in {owner}, which owns {table}"), format!("GRANT {owner} TO {to}")));
    }
    let lacking: Vec<String> = row.get(4);
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        all.push((
            format!("{lacking} on {table}"),
            format!("GRANT {lacking} ON {} TO {to}", qualified(table)),
        ));
    }
    all
}

/// Mapped tables and their leaves.
pub(in crate::postgres) fn names(layout: &Layout) -> Vec<TableName> {
    layout.tables.iter().flat_map(|t| std::iter::once(&t.name).chain(&t.leaves)).cloned().collect()
}

/// Triggers that are missing, not armed as they should be, or that no longer call our function for
/// everybody but the mover; and functions that are missing or not ours.
pub(in crate::postgres) async fn faults(conn: &Conn, layout: &Layout, role: &str) -> Result<Vec<String>> {
    let sql = "select r.armed or r.mode <> 'wave', r.map_hash, r.owner_role from domicile.region r";
    let Some(region) = conn.query_opt("reading the guard's row", sql, &[]).await? else {
        return Ok(vec!["the guard's own row is missing: run `domicile guard install`".to_owned()]);
    };
    let mut faults = Vec::new();
    if region.get::<_, &str>(1) != layout.hash {
        faults.push("the guard was installed for another data map: run `domicile guard install`".to_owned());
    }
    if region.get::<_, &str>(2) != role {
        faults.push("the guard was installed by another role, which alone is exempt from it".to_owned());
    }
    let wanted = if region.get::<_, bool>(0) { "A" } else { "D" };
    let expected = triggers::expected(layout);
    let on: Vec<String> = expected.iter().map(|(t, _, _)| qualified(t)).collect();
    let named: Vec<&str> = expected.iter().map(|(_, n, _)| n.as_str()).collect();
    let calls: Vec<String> = expected.iter().map(|(_, _, f)| format!("{f}()")).collect();
    let sql = "select e.i::integer, to_regclass(e.t) is null, g.tgenabled::text, \
           g.tgfoid = to_regprocedure(e.f)::oid and strpos(pg_get_triggerdef(g.oid), quote_literal(session_user)) > 0 \
         from unnest($1::text[], $2::text[], $3::text[]) with ordinality e(t, n, f, i) \
         left join pg_trigger g on g.tgrelid = to_regclass(e.t)::oid and g.tgname = e.n order by e.i";
    for row in conn.query("looking at triggers", sql, &[&on, &named, &calls]).await? {
        let (table, trigger, _) = &expected[row.get::<_, i32>(0) as usize - 1];
        let enabled: Option<&str> = row.get(2);
        let fault = match enabled {
            _ if row.get::<_, bool>(1) => "the table is gone",
            None => "is missing",
            Some(e) if e != wanted && wanted == "A" => "does not always fire",
            Some(e) if e != wanted => "is armed though no wave is open",
            Some(_) if row.get::<_, Option<bool>>(3) != Some(true) => "was altered",
            Some(_) => continue,
        };
        faults.push(format!("{table}: trigger {trigger} {fault}"));
    }
    Ok(faults)
}

/// Describes every mapped table and leaf as one text: file node, columns, triggers with how they
/// fire and who changed ours last (so that one switched off and on again shows), our function's text, inheritance,
/// the partitions at all levels, row security (finding 5). Parameter `$1`: names quoted.
pub(in crate::postgres) const FINGERPRINT: &str = "select x.name, coalesce(( \
     select concat_ws(E'\\n', \
       concat('file ', c.relfilenode, ' kind ', c.relkind, ' security ', c.relrowsecurity, c.relforcerowsecurity), \
       (select string_agg(concat_ws(' ', 'column', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attisdropped, \
           a.attgenerated, a.attidentity), E'\\n' order by a.attnum) \
         from pg_attribute a where a.attrelid = c.oid and a.attnum > 0), \
       (select string_agg(concat_ws(' ', 'trigger', g.tgenabled, g.tgname, case when g.tgname like '00_domicile%' then g.xmin end, \
           g.tgfoid, g.tgtype, g.tgattr, g.tgargs, g.tgqual, g.tgdeferrable, g.tginitdeferred, g.tgoldtable, g.tgnewtable, \
           case when f.pronamespace = to_regnamespace('domicile') then concat(md5(f.prosrc), f.prosecdef, f.proconfig, f.proowner) end), \
           E'\\n' order by g.tgname) \
         from pg_trigger g join pg_proc f on f.oid = g.tgfoid where g.tgrelid = c.oid), \
       (select string_agg(concat('parent ', i.inhparent::regclass, case when i.inhdetachpending then ' detaching' end), E'\\n' order by i.inhparent) \
         from pg_inherits i where i.inhrelid = c.oid), \
       (with recursive below(child, parent, detaching) as (select inhrelid, inhparent, inhdetachpending from pg_inherits where inhparent = c.oid \
           union all select i.inhrelid, i.inhparent, i.inhdetachpending from pg_inherits i join below b on i.inhparent = b.child) \
         select string_agg(concat('child ', b.child::regclass, ' of ', b.parent, case when b.detaching then ' detaching' end), E'\\n' order by b.child) \
         from below b)) \
     from pg_class c where c.oid = to_regclass(x.name)), 'gone') from unnest($1::text[]) x(name)";
