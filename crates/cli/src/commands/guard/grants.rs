//! `guard grants`: the statements that a plain role needs, as those who may run them with psql.

use super::at;
use crate::config::Region;
use crate::failure::Result;
use crate::open::Mapped;
use crate::screen::Answer;
use domicile_datamap::{Engine, TableName};
use serde_json::json;
use std::collections::BTreeSet;

/// The statements for each region.
pub(super) async fn run(mapped: &Mapped<'_>, regions: &[&Region]) -> Result<Answer> {
    if mapped.layout.engine == Engine::Sqlite {
        let text = "SQLite has no roles: whoever may write the file may do everything.\n\
                    Keep the file to the application's user and Domicile's (chmod 600 or 660).";
        return Ok(Answer::new(text, json!({ "regions": [] })));
    }
    let (mut text, mut list) = (String::new(), Vec::new());
    for region in regions {
        let role = region.records.role().unwrap_or("domicile").to_owned();
        if !mapped.prepared().any(|r| r.id() == region.id()) {
            let (id, statements) = (region.id(), at_an_empty_region(mapped, region, &role));
            text.push_str(&format!(
                "-- region {id}: as the owner of the database, before: domicile region prepare {id}\n{STOP}\n{}\n\n",
                statements.join("\n")
            ));
            list.push(json!({ "region": id, "role": role, "statements": statements }));
            continue;
        }
        let records = mapped.records(region).await?;
        let missing = records.missing_privileges().await.map_err(at(region))?;
        let mut statements = statements(mapped, region, &role);
        // The owner's name is known to the live database alone; the rest is said above already.
        let more = missing.iter().map(|(_, grant)| format!("{};", grant.trim_end_matches(';')));
        let more: Vec<String> =
            more.filter(|g| !g.contains(" ON ") && !statements_say(&statements, g)).collect();
        let (mut membership, more): (Vec<String>, Vec<String>) =
            more.into_iter().partition(|g| g.starts_with("GRANT "));
        if mapped.config.limits.has_ceilings() {
            // To see how far standbys are behind, and who is at a statement.
            membership.push(format!("GRANT pg_read_all_stats TO {};", quoted(&role)));
        }
        statements.extend(more);
        text.push_str(&at_a_region(region.id(), missing.is_empty(), &statements, &membership));
        statements.extend(membership);
        list.push(json!({ "region": region.id(), "role": role, "statements": statements }));
    }
    Ok(Answer::new(text.trim_end(), json!({ "regions": list })))
}

/// For psql. Membership comes last, for who may give it is often another one than the tables' owner.
fn at_a_region(id: &str, complete: bool, statements: &[String], membership: &[String]) -> String {
    let head = if complete { "nothing is missing any more; this is what the role has" } else { OWNERS };
    let mut text = format!("-- region {id}: {head}\n{STOP}\n{}\n", statements.join("\n"));
    if !membership.is_empty() {
        text.push_str(&format!("{ADMINS}\n{}\n", membership.join("\n")));
    }
    format!("{text}\n")
}

/// Who may run the statements on database, schemas and tables.
const OWNERS: &str = "as the owner of the database and its tables, or a superuser";
/// Without it psql goes on after an error, and exits with 0.
const STOP: &str = "\\set ON_ERROR_STOP on";
/// Since PostgreSQL 15 no role may give membership in itself.
const ADMINS: &str = "-- as a superuser, or a role that has the one named first WITH ADMIN OPTION\n\
                      -- (being that role is not enough):";

fn statements_say(known: &[String], grant: &str) -> bool {
    known.iter().any(|k| k.replace('"', "") == grant.replace('"', ""))
}

/// What `region prepare` needs: it makes the tables, which then belong to the role. Schema `public` is there
/// already, and since PostgreSQL 15 nobody but its owner may create in it.
fn at_an_empty_region(mapped: &Mapped<'_>, region: &Region, role: &str) -> Vec<String> {
    let (to, layout) = (quoted(role), &mapped.layout);
    let mut names = layout.tables.iter().map(|t| &t.name).chain(layout.references.iter().map(|r| &r.name));
    let mut all = statements(mapped, region, role);
    all.truncate(1);
    if names.any(|name| name.schema == "public") {
        all.push(format!("GRANT USAGE, CREATE ON SCHEMA public TO {to};"));
    }
    all
}

/// What the data map says is needed, whatever the role has already.
fn statements(mapped: &Mapped<'_>, region: &Region, role: &str) -> Vec<String> {
    let (role, layout) = (quoted(role), &mapped.layout);
    // A partition's own privileges count when it is dumped, fingerprinted and guarded by itself.
    let mapped_tables = layout.tables.iter().flat_map(|t| std::iter::once(&t.name).chain(&t.leaves));
    let tables: Vec<&TableName> = mapped_tables.chain(layout.references.iter().map(|r| &r.name)).collect();
    let schemas: BTreeSet<&str> = tables.iter().map(|t| t.schema.as_str()).collect();
    let address = region.records.of(&mapped.service.name);
    let database = address.database().map_or("DATABASE".to_owned(), quoted);
    let mut all = vec![format!("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {role};")];
    all.extend(schemas.iter().map(|s| format!("GRANT USAGE ON SCHEMA {} TO {role};", quoted(s))));
    let names: Vec<String> =
        tables.iter().map(|t| format!("{}.{}", quoted(&t.schema), quoted(&t.name))).collect();
    all.push(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON\n  {}\n  TO {role};", names.join(",\n  ")));
    all
}

/// An SQL identifier for people to read: quoted only where it must be.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain && !name.is_empty() { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
