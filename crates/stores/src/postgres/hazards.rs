//! What stands in the way of the guard or of a move in this database besides privileges.
//!
//! Each look is one statement whose parameter `$1` are table names in quotes and whose rows are
//! (what was found, what mends it). docs/data.md has the codes.

use super::guard::path::Path;
use super::guard::{privileges, qualified};
use super::pool::Conn;
use super::quote::ident;
use super::snapshot::{Call, params};
use crate::Hazard;
use crate::error::Result;
use domicile_datamap::catalogue::TableName;
use domicile_datamap::layout::{Layout, Owner};
use tokio_postgres::Row;

const WHAT: &str = "looking for hazards";

/// One kind of hazard.
struct Look {
    code: &'static str,
    why: &'static str,
    sql: &'static str,
}

/// Of the mapped tables `t(oid, x)` and their partitions.
const OF_MAPPED: &[Look] = &[
    Look {
        code: "prepared-transaction",
        why: "it may hold a subject's lock over a restart",
        sql: "select 'prepared transaction of role ' || p.owner || ' since ' || p.prepared::date, \
            'COMMIT PREPARED ' || quote_literal(p.gid) || ', or ROLLBACK PREPARED' \
            from pg_prepared_xacts p where p.database = current_database()",
    },
    Look {
        code: "subscription",
        why: "a row that the guard refuses would stop the whole subscription",
        sql: "select 'subscription ' || quote_ident(s.subname) || ' applies into ' || t.x, \
            'ALTER SUBSCRIPTION ' || quote_ident(s.subname) || ' DISABLE, and take the table out of its publication' \
            from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid join t on t.oid = r.srrelid",
    },
    Look {
        code: "row-security",
        why: "the guard and the mover would not see rows",
        sql: "select 'row security of ' || t.x || ' is forced on its owner', 'ALTER TABLE ' || t.x || ' NO FORCE ROW LEVEL SECURITY' \
            from pg_class c join t on t.oid = c.oid where c.relrowsecurity and c.relforcerowsecurity \
              and not (select rolbypassrls or rolsuper from pg_roles where rolname = session_user) \
            union all select 'row security of ' || t.x || ' applies to us', 'GRANT ' || c.relowner::regrole || ' TO ' || quote_ident(session_user) \
            from pg_class c join t on t.oid = c.oid where c.relrowsecurity and not c.relforcerowsecurity \
              and not pg_has_role(session_user, c.relowner, 'USAGE') \
              and not (select rolbypassrls or rolsuper from pg_roles where rolname = session_user)",
    },
    Look {
        code: "inheritance",
        why: "a row of the one looks like a row of the other, and moves with neither",
        sql: "select i.inhrelid::regclass || ' inherits from ' || i.inhparent::regclass, \
            'ALTER TABLE ' || i.inhrelid::regclass || ' NO INHERIT ' || i.inhparent::regclass || ', or make it a partition' \
            from pg_inherits i join pg_class c on c.oid = i.inhrelid \
            where not c.relispartition and c.relkind in ('r', 'f') and (i.inhrelid in (select oid from t) or i.inhparent in (select oid from t))",
    },
    Look {
        code: "key-deferrable",
        why: "INSERT ... ON CONFLICT, which brings changed rows over, can't use such a key",
        sql: "select 'the primary key of ' || t.x || ' is deferrable', \
            'ALTER TABLE ' || t.x || ' DROP CONSTRAINT ' || quote_ident(c.relname) || ', ADD CONSTRAINT ' || quote_ident(c.relname) || ' ' || \
              replace(replace(pg_get_constraintdef(k.oid), ' DEFERRABLE', ''), ' INITIALLY DEFERRED', '') \
            from pg_index i join t on t.oid = i.indrelid join pg_class c on c.oid = i.indexrelid \
            join pg_constraint k on k.conindid = i.indexrelid and k.contype = 'p' where i.indisprimary and not i.indimmediate",
    },
    // `conperiod` is PostgreSQL 18's, `conenforced` too.
    Look {
        code: "temporal-key",
        why: "its columns are compared as periods, and a row's way to its subject needs equality",
        sql: "select 'constraint ' || quote_ident(k.conname) || ' of ' || t.x || ' is temporal (WITHOUT OVERLAPS or PERIOD)', \
            'exclude the table from the data map, or give it a key of single values' \
            from pg_constraint k join t on t.oid = k.conrelid where (to_jsonb(k) ->> 'conperiod')::bool and k.contype in ('p', 'f')",
    },
    Look {
        code: "foreign-key-not-valid",
        why: "a row whose parent is missing belongs to nobody: it would neither move nor be erased",
        sql: "select 'foreign key ' || quote_ident(k.conname) || ' of ' || t.x || ' does not hold for all rows', \
            case when (to_jsonb(k) ->> 'conenforced')::bool is false then 'ALTER TABLE ' || t.x || ' ALTER CONSTRAINT ' || quote_ident(k.conname) || ' ENFORCED' \
            else 'ALTER TABLE ' || t.x || ' VALIDATE CONSTRAINT ' || quote_ident(k.conname) end \
            from pg_constraint k join t on t.oid = k.conrelid where k.contype = 'f' and not k.convalidated and k.conparentid = 0",
    },
    Look {
        code: "replica-role",
        why: "foreign keys would not be checked in what the mover writes",
        sql: "select 'session_replication_role is ' || current_setting('session_replication_role') || ' for role ' || quote_ident(session_user), \
            'ALTER ROLE ' || quote_ident(session_user) || ' RESET session_replication_role' \
            where current_setting('session_replication_role') <> 'origin'",
    },
    Look {
        code: "encoding",
        why: "bytes that are no text of any encoding can't be compared or sent",
        sql: "select 'the database has encoding SQL_ASCII', 'make it anew with encoding UTF8' where current_setting('server_encoding') = 'SQL_ASCII'",
    },
];

/// Of the mapped and the shared tables.
const OF_ALL: &[Look] = &[Look {
    code: "rule",
    why: "what is written by key would be rewritten, or refused, and an erase would find nothing to do",
    sql: "select 'rule ' || quote_ident(r.rulename) || ' on ' || t.x, \
        'DROP RULE ' || quote_ident(r.rulename) || ' ON ' || t.x || ' (a trigger can do the same)' \
        from pg_rewrite r join t on t.oid = r.ev_class where r.rulename <> '_RETURN'",
}];

/// All of them, by what they say.
pub(super) async fn look(conn: &Conn, layout: &Layout) -> Result<Vec<Hazard>> {
    let mapped: Vec<String> = privileges::names(layout).iter().map(qualified).collect();
    let all: Vec<String> =
        mapped.iter().cloned().chain(layout.references.iter().map(|r| qualified(&r.name))).collect();
    let named = "with t as materialized (select to_regclass(x)::oid as oid, x from unnest($1::text[]) x)";
    let of = |looks: &'static [Look], names| looks.iter().map(move |look| (look, names));
    let looks: Vec<(&Look, &Vec<String>)> = of(OF_MAPPED, &mapped).chain(of(OF_ALL, &all)).collect();
    let calls: Vec<Call<'_>> =
        looks.iter().map(|(look, names)| (format!("{named} {}", look.sql), params(&[*names]))).collect();
    let answers = conn.query_all(WHAT, &calls).await?;
    let mut found = Vec::new();
    for ((look, _), rows) in looks.iter().zip(answers) {
        let hazard = |row: Row| Hazard { code: look.code, what: row.get(0), why: look.why, fix: row.get(1) };
        found.extend(rows.into_iter().map(hazard));
    }
    found.extend(unfit_columns(conn, layout).await?);
    // Rows that are hidden from us can't be asked.
    if found.iter().all(|hazard| hazard.code != "row-security") {
        found.extend(large_objects(conn, layout).await?);
    }
    found.sort_by(|a, b| a.what.cmp(&b.what));
    found.dedup();
    Ok(found)
}

/// Columns of the oid of a large object: the object stays behind.
async fn large_objects(conn: &Conn, layout: &Layout) -> Result<Vec<Hazard>> {
    let any = "select exists (select from pg_largeobject_metadata)";
    if !conn.query_one(WHAT, any, &[]).await?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let names: Vec<String> = layout.tables.iter().map(|t| qualified(&t.name)).collect();
    let sql = "select t.n::integer, a.attname::text from unnest($1::text[]) with ordinality t(x, n) \
        join pg_attribute a on a.attrelid = to_regclass(t.x)::oid and a.attnum > 0 and not a.attisdropped \
        join pg_type y on y.oid = a.atttypid where 'oid'::regtype in (y.oid, y.typbasetype) order by 1, a.attnum";
    let mut found = Vec::new();
    for row in conn.query(WHAT, sql, &[&names]).await? {
        let table = &names[row.get::<_, i32>(0) as usize - 1];
        let column = ident(row.get(1));
        let points = format!(
            "select exists (select from {table} where {column}::oid in (select oid from pg_largeobject_metadata))"
        );
        if conn.query_one(WHAT, &points, &[]).await?.get::<_, bool>(0) {
            found.push(Hazard {
                code: "large-object",
                what: format!("{table}: column {column} points at large objects"),
                why: "a large object (lo) is no part of its row: its contents would stay at the old home",
                fix: format!(
                    "keep the bytes in the row: a column bytea filled by lo_get({column}), or an object store; \
                     then lo_unlink and drop {column}"
                ),
            });
        }
    }
    Ok(found)
}

/// A column that leads to a subject or tells rows apart.
struct Used<'a> {
    table: &'a TableName,
    column: &'a str,
    /// The trigger functions declare variables of its type, which begin as NULL.
    declared: bool,
    root: bool,
}

/// Columns of keys and of the way to the subject that the guard can't work with: found before it is
/// installed, since every write would fail otherwise.
pub(super) async fn unfit_columns(conn: &Conn, layout: &Layout) -> Result<Vec<Hazard>> {
    let used = used(layout);
    let tables: Vec<String> = used.iter().map(|u| qualified(u.table)).collect();
    let columns: Vec<&str> = used.iter().map(|u| u.column).collect();
    let sql = "with recursive c as ( \
          select k.n, a.atttypid, format_type(a.atttypid, a.atttypmod) as named, a.attcollation, a.attrelid, a.attnum \
          from unnest($1::text[], $2::text[]) with ordinality k(t, col, n) \
          join pg_attribute a on a.attrelid = to_regclass(k.t)::oid and a.attname = k.col), \
        b(n, t, strict) as (select n, atttypid, false from c \
          union all select b.n, y.typbasetype, b.strict or y.typnotnull or exists (select from pg_constraint k \
            where k.contypid = y.oid and pg_get_constraintdef(k.oid) ~* 'is not null') \
          from b join pg_type y on y.oid = b.t and y.typtype = 'd') \
        select c.n::integer, c.named, \
          exists (select from pg_operator o where o.oprname = '=' and o.oprleft = y.oid and o.oprright = y.oid \
            and o.oprnamespace <> 'pg_catalog'::regnamespace) and not exists (select from pg_operator o where o.oprname = '=' \
            and o.oprleft = y.oid and o.oprright = y.oid and o.oprnamespace = 'pg_catalog'::regnamespace), \
          b.strict, b.t <> c.atttypid, format_type(y.oid, null), \
          coalesce((select not l.collisdeterministic from pg_collation l where l.oid = c.attcollation), false), \
          coalesce((select quote_ident(l.collname) from pg_collation l where l.oid = c.attcollation), '') \
        from c join b on b.n = c.n join pg_type y on y.oid = b.t and y.typtype <> 'd' order by c.n";
    let mut found = Vec::new();
    for row in conn.query(WHAT, sql, &[&tables, &columns]).await? {
        let u = &used[row.get::<_, i32>(0) as usize - 1];
        let (named, base): (&str, &str) = (row.get(1), row.get(5));
        found.extend(u.unfit(named, base, row.get(2), row.get(3), row.get(4), (row.get(6), row.get(7))));
    }
    found.sort_by(|a, b| a.what.cmp(&b.what));
    found.dedup();
    Ok(found)
}

fn used(layout: &Layout) -> Vec<Used<'_>> {
    let mut all = Vec::new();
    for table in &layout.tables {
        let path = Path::of(layout, table);
        let root = matches!(table.owner, Owner::Root { .. });
        for column in &path.own {
            let declared = root || (path.derived() && path.deferrable);
            all.push(Used { table: &table.name, column, declared, root });
        }
        for column in &table.key {
            all.push(Used { table: &table.name, column, declared: false, root: false });
        }
    }
    all
}

impl Used<'_> {
    fn unfit(
        &self,
        named: &str,
        base: &str,
        own_equality: bool,
        strict: bool,
        domain: bool,
        (fuzzy, collation): (bool, &str),
    ) -> Option<Hazard> {
        let at = format!("{}: key column {}", self.table, ident(self.column));
        let (table, column) = (qualified(self.table), ident(self.column));
        let retype = |ty: &str| format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {ty}");
        if own_equality {
            return Some(Hazard {
                code: "key-equality",
                what: format!("{at} has type {named}, which the guard cannot compare"),
                why: "its `=` is not pg_catalog's, so that equal keys would be two to the guard",
                fix: format!("{} (a unique index on lower(...) can stand for citext)", retype("text")),
            });
        }
        if fuzzy {
            return Some(Hazard {
                code: "key-collation",
                what: format!("{at} has the nondeterministic collation {collation}"),
                why: "keys that are written differently would be equal, and one subject or row would have two names",
                fix: format!("{} COLLATE \"C\"", retype(named)),
            });
        }
        if strict && self.declared {
            return Some(Hazard {
                code: "key-domain",
                what: format!("{at} has the domain {named}, which takes no NULL"),
                why: "the guard's functions could not begin, and every write would fail",
                fix: format!("{}; the column itself can be NOT NULL", retype(base)),
            });
        }
        let many =
            ["numeric", "real", "double precision", "json", "jsonb", "xml", "money", "character", "interval"];
        if self.root && domain && (many.contains(&base) || base.ends_with("[]")) {
            return Some(Hazard {
                code: "key-domain",
                what: format!("{at} has the domain {named} over {base}"),
                why: "equal values of this type can be written differently, so one subject would have two names",
                fix: "use a key of integer, uuid or text type".to_owned(),
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_unfit_only_where_null_is_declared() {
        let table = TableName::new("public", "people");
        let used = |declared| Used { table: &table, column: "id", declared, root: declared };
        let of = |declared| used(declared).unfit("public.strict", "bigint", false, true, true, (false, ""));
        assert_eq!(of(true).unwrap().code, "key-domain");
        assert_eq!(of(false), None);
        assert_eq!(used(true).unfit("bigint", "bigint", false, false, false, (false, "")), None);
    }
}
