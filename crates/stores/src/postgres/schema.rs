//! An empty database's schema, made by `pg_dump`, and run elsewhere; and what identifies a database.

use super::{Postgres, quote};
use crate::error::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;

/// Between two looks at the standbys.
const STANDBY_PAUSE: Duration = Duration::from_millis(10);

impl Postgres {
    pub(super) async fn read_identity(&self) -> Result<String> {
        let sql = "SELECT s.system_identifier::text || '/' || d.oid::text \
            FROM pg_control_system() AS s, pg_database AS d WHERE d.datname = current_database()";
        let row = self.conn().await?.query_one("reading the system identifier", sql, &[]).await?;
        Ok(row.get(0))
    }

    /// A standby that takes over begins a timeline of its own with its first record.
    pub(super) async fn read_incarnation(&self) -> Result<String> {
        let sql = "SELECT s.system_identifier::text || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) \
            FROM pg_control_system() AS s";
        let row = self.conn().await?.query_one("reading the timeline", sql, &[]).await?;
        Ok(row.get(0))
    }

    /// A commit of its own, since a server flushes up to the commit that waits: a message in the log is the
    /// least that can be committed.
    pub(super) async fn flush_log(&self) -> Result<()> {
        let sql = "SELECT pg_logical_emit_message(true, 'domicile', '')::text";
        self.conn().await?.query_one("flushing the log", sql, &[]).await?;
        Ok(())
    }

    /// Waits until every standby named in the URL (`standbys=a,b`, their `application_name`) has
    /// flushed all WAL written before the call. Reading their positions needs `pg_monitor`.
    pub(super) async fn wait_until_flushed(&self, limit: Duration) -> Result<Vec<String>> {
        let names = &self.pool.target().standbys;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let conn = self.conn().await?;
        let what = "waiting for standbys";
        let at = conn.query_one(what, "SELECT pg_current_wal_flush_lsn()::text", &[]).await?;
        let at: String = at.get(0);
        let end = Instant::now() + limit;
        let sql = "SELECT n.name, coalesce(bool_or(r.flush_lsn >= $2::text::pg_lsn), false), \
            pg_has_role('pg_monitor', 'USAGE') FROM unnest($1::text[]) AS n(name) \
            LEFT JOIN pg_stat_replication AS r ON r.application_name = n.name GROUP BY n.name";
        loop {
            let rows = conn.query(what, sql, &[names, &at]).await?;
            if rows.first().is_some_and(|row| !row.get::<_, bool>(2)) {
                return Err(Error::Denied {
                    store: self.store_name(),
                    what: "pg_stat_replication".to_owned(),
                    grant: format!("GRANT pg_monitor TO {}", quote::ident(self.role())),
                });
            }
            let behind = rows.iter().filter(|r| !r.get::<_, bool>(1)).map(|r| r.get::<_, String>(0));
            let behind: Vec<String> = behind.collect();
            if behind.is_empty() {
                return Ok(names.clone());
            }
            if Instant::now() >= end {
                return Err(Error::Behind { store: self.store_name(), standbys: behind, waited: limit });
            }
            tokio::time::sleep(STANDBY_PAUSE).await;
        }
    }

    pub(super) async fn dump_schema(&self) -> Result<String> {
        let sql = "SELECT current_setting('server_version_num')::integer / 10000";
        let server: i32 = self.conn().await?.query_one("reading the version", sql, &[]).await?.get(0);
        let program = pg_dump(server).ok_or_else(|| Error::Setting {
            what: format!(
                "no pg_dump of version {server} or newer was found below /usr/lib/postgresql or in PATH: \
                 install PostgreSQL's client"
            ),
        })?;
        // The password goes into the child's environment, never into its arguments.
        let output = Command::new(&program)
            .args([
                "--schema-only",
                "--no-owner",
                "--no-privileges",
                "--no-publications",
                "--no-subscriptions",
            ])
            .args([
                "--no-tablespaces",
                "--no-table-access-method",
                "--exclude-schema=domicile",
                "--no-password",
            ])
            .env("PGOPTIONS", "-c search_path=pg_catalog")
            .env("PGCONNECT_TIMEOUT", "10")
            .envs(self.pool.target().for_libpq())
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|e| self.dump_failed(&format!("{}: {e}", program.display())))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(self.dump_denied(&said).unwrap_or_else(|| self.dump_failed(said.trim())));
        }
        let sql =
            String::from_utf8(output.stdout).map_err(|_| self.dump_failed("the schema is not UTF-8"))?;
        Ok(self.without_ours(&sql))
    }

    /// pg_dump locks every table of the database, also those that nobody mapped.
    fn dump_denied(&self, said: &str) -> Option<Error> {
        let (kind, name) = denied(said)?;
        let role = quote::ident(self.role());
        let grant = match kind {
            "schema" => format!("GRANT USAGE ON SCHEMA {name} TO {role}"),
            "sequence" => format!("GRANT SELECT ON SEQUENCE {name} TO {role}"),
            _ => format!("GRANT SELECT ON {name} TO {role}"),
        };
        let what = format!("{kind} {name}, which pg_dump reads");
        Some(Error::Denied { store: self.store_name(), what, grant })
    }

    fn dump_failed(&self, why: &str) -> Error {
        Error::Failed {
            store: self.store_name(),
            what: "pg_dump --schema-only".to_owned(),
            why: why.to_owned(),
        }
    }

    /// Leaves out Domicile's triggers and the foreign keys that must not stand at regions.
    fn without_ours(&self, dump: &str) -> String {
        let dropped = self.layout.dropped_foreign_keys.iter();
        let dropped: Vec<(String, String)> = dropped
            .map(|(table, key)| {
                (format!(" {}.{} ", table.schema, table.name), format!("ADD CONSTRAINT {key} FOREIGN KEY"))
            })
            .collect();
        let keeps = |statement: &&str| {
            // pg_dump quotes only names that need it: compared without quotes.
            let flat = statement.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ");
            let ours = flat.contains("TRIGGER 00_domicile");
            let gone = flat.starts_with("ALTER TABLE")
                && dropped.iter().any(|(table, key)| flat.contains(table) && flat.contains(key));
            !ours && !gone
        };
        let kept: Vec<&str> = statements(dump).into_iter().filter(keeps).collect();
        kept.join("\n\n") + "\n"
    }

    /// CRASH: one transaction: the schema is there or it isn't.
    pub(super) async fn execute_schema(&self, sql: &str) -> Result<()> {
        let what = "creating the schema";
        let body = statements(sql).join("\n");
        let mut conn = self.conn().await?;
        // As pg_dump's own script has it: names are qualified, and a function may name a later table.
        conn.begin("BEGIN; SET LOCAL search_path = ''; SET LOCAL check_function_bodies = off").await?;
        conn.batch(what, &body).await.map_err(asking_for_create)?;
        conn.commit().await
    }
}

/// The server says no more than that the schema was denied; to make tables in it USAGE is not enough.
fn asking_for_create(error: Error) -> Error {
    match error {
        Error::Denied { store, what, grant } => {
            let grant = grant.replace("GRANT USAGE ON SCHEMA", "GRANT USAGE, CREATE ON SCHEMA");
            Error::Denied { store, what, grant }
        }
        other => other,
    }
}

/// A script's statements, without comments between them, psql's own commands (`\restrict`) and the
/// session's settings. Text inside quotes, dollar quotes and comments is never taken for an end.
fn statements(script: &str) -> Vec<&str> {
    let bytes = script.as_bytes();
    let (mut found, mut start, mut at) = (Vec::new(), None, 0);
    while at < bytes.len() {
        let rest = &script[at..];
        let between = start.is_none();
        if between && (rest.starts_with('\\') || rest.starts_with("--")) {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if between && rest.starts_with(|c: char| c.is_ascii_whitespace() || c == ';') {
            at += 1;
        } else {
            let from = *start.get_or_insert(at);
            if bytes[at] == b';' {
                found.push(&script[from..=at]);
                start = None;
            }
            at += token(rest);
        }
    }
    found.extend(start.map(|from| &script[from..]));
    found.retain(|s| !s.starts_with("SET ") && !s.starts_with("SELECT pg_catalog.set_config("));
    found
}

/// Length in bytes of the quoted text, comment or single character that `rest` begins with.
fn token(rest: &str) -> usize {
    let after =
        |open: usize, close: &str| rest[open..].find(close).map_or(rest.len(), |n| open + n + close.len());
    match rest.as_bytes()[0] {
        // A doubled quote is two quoted texts side by side. An E'' string may escape its quote.
        b'E' if rest.starts_with("E'") => {
            let mut escaped = false;
            let end = rest.bytes().enumerate().skip(2).find(|(_, b)| {
                let ends = *b == b'\'' && !escaped;
                escaped = *b == b'\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |(n, _)| n + 1)
        }
        b'\'' => after(1, "'"),
        b'"' => after(1, "\""),
        b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
        b'/' if rest.starts_with("/*") => after(2, "*/"),
        b'$' => match rest[1..].find('$').map(|n| &rest[..n + 2]) {
            Some(tag) if tag[1..tag.len() - 1].chars().all(|c| c.is_alphanumeric() || c == '_') => {
                after(tag.len(), tag)
            }
            _ => 1,
        },
        _ => rest.chars().next().map_or(1, char::len_utf8),
    }
}

/// `pg_dump` of the newest version found in Debian's folders, else PATH's. It refuses a server newer than
/// itself, so an older one in those folders is passed over.
fn pg_dump(server: i32) -> Option<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(i32, PathBuf)> = debian
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin/pg_dump"))))
        .filter(|(version, _)| *version >= server)
        .collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|dir| dir.join("pg_dump"));
    let all = versions.into_iter().rev().map(|(_, program)| program).chain(in_path);
    all.into_iter().find(|program| program.is_file())
}

/// What pg_dump was refused: kind and name, with the schema where its query names it.
fn denied(said: &str) -> Option<(&str, String)> {
    let (_, after) = said.split_once("permission denied for ")?;
    let (kind, name) = after.lines().next()?.split_once(' ')?;
    let bare = name.trim();
    let bare = bare.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(bare);
    let bare = quote::ident(bare);
    let named = |word: &&str| {
        let last = word.rsplit_once('.').map(|(_, last)| last);
        last.is_some_and(|last| last == bare || quote::ident(last) == bare)
    };
    let query = said.split_once("Query was: ").map_or("", |(_, query)| query);
    let whole = query.split([' ', ',', ';', '\n']).find(named);
    Some((kind, whole.map_or(bare.clone(), str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn a_script_is_cut_at_its_statements_only() {
        let script = "-- a comment; with a semicolon\n\\restrict abc\nSET client_encoding = 'UTF8';\n\
            SELECT pg_catalog.set_config('search_path', '', false);\n\n\
            CREATE FUNCTION a.f() RETURNS text LANGUAGE plpgsql AS $_$\nBEGIN\n\nSET x = 1;\n\n\
            -- kept; here\nRETURN 'it''s; ü';\nEND;\n$_$;\n\
            COMMENT ON TABLE a.t IS 'one; two';\nCREATE TABLE a.\"x;y\" (z text DEFAULT E'\\';');\n";
        let found = statements(script);
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].starts_with("CREATE FUNCTION") && found[0].contains("-- kept; here\n"));
        assert!(found[0].contains("\nSET x = 1;\n") && found[0].ends_with("$_$;"));
        assert_eq!(found[1], "COMMENT ON TABLE a.t IS 'one; two';");
        assert_eq!(found[2], "CREATE TABLE a.\"x;y\" (z text DEFAULT E'\\';');");
    }

    #[test]
    fn what_pg_dump_was_refused() {
        let said = "pg_dump: error: query failed: ERROR:  permission denied for table event_2025\n\
            pg_dump: detail: Query was: LOCK TABLE public.event, public.event_2025 IN ACCESS SHARE MODE\n";
        assert_eq!(super::denied(said), Some(("table", "public.event_2025".to_owned())));
        let said = "pg_dump: error: query failed: ERROR:  permission denied for schema \"Odd\"\n";
        assert_eq!(super::denied(said), Some(("schema", "\"Odd\"".to_owned())));
        assert_eq!(super::denied("pg_dump: error: connection refused"), None);
    }
}
