//! The directory's tables, and whether they and our key belong together.

use crate::read::Columns;
use crate::{Directory, DirectoryKey, Error, Repeat, Result};
use domicile_stores::control::{Dialect, Statement, Value};

/// Version of the tables below. A change adds a step to [`tables`] that can be repeated. 2: leases on
/// batches, workers. 3: what workers wait for. 4: gateways, parks. 5: claims.
const VERSION: i64 = 5;
/// Tries to create the tables while others create them, too.
const MIGRATE_MAX: u32 = 5;

impl Directory {
    /// Creates what is missing of the directory's tables. Safe to repeat, and by several at once.
    ///
    /// # Errors
    /// `OtherKey`, `TooNew`, or the store's.
    pub async fn migrate(&self) -> Result<()> {
        let dialect = self.store.dialect().await?;
        let mut tries = 0;
        loop {
            // CRASH: one transaction where the engine can (CockroachDB: statement by statement), and
            // every statement can be repeated.
            match self.run(Repeat::Safe, tables(dialect, &self.key)).await {
                Ok(_) => break,
                // Two that create the same table collide in PostgreSQL's own catalogue.
                Err(Error::Store(domicile_stores::Error::Taken { .. })) if tries < MIGRATE_MAX => tries += 1,
                Err(error) => return Err(error),
            }
        }
        self.ready().await.map(drop)
    }
}

/// Are the tables there, of our version, and filled under our key?
pub(crate) async fn check(directory: &Directory) -> Result<Dialect> {
    let (dialect, store) = (directory.store.dialect().await?, directory.name());
    let there = match dialect {
        Dialect::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = 'directory_meta'",
        Dialect::Postgres | Dialect::PostgresLike => {
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname = 'directory_meta' AND n.nspname = current_schema()"
        }
    };
    if directory.ask(Statement::new(there, vec![])).await?.rows.is_empty() {
        return Err(Error::Absent { store });
    }
    let meta = directory.ask(Statement::new("SELECT version, key_check FROM directory_meta", vec![])).await?;
    let Some(row) = meta.rows.first() else { return Err(Error::Absent { store }) };
    let mut columns = Columns::of(directory, row);
    let (found, key_check) = (columns.int()?, columns.bytes()?);
    if found > VERSION {
        return Err(Error::TooNew { store, found, known: VERSION });
    }
    if key_check != directory.key.check() {
        return Err(Error::OtherKey { store });
    }
    if found < VERSION {
        // An older program made it; from here on older programs refuse it.
        directory.run(Repeat::Safe, tables(dialect, &directory.key)).await?;
    }
    Ok(dialect)
}

/// Milliseconds since 1970 by the store's clock: leases of all workers hang on that one.
pub(crate) fn now_ms(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        Dialect::Postgres | Dialect::PostgresLike => {
            "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
        }
    }
}

fn tables(dialect: Dialect, key: &DirectoryKey) -> Vec<Statement> {
    let bytes = if dialect == Dialect::Sqlite { "BLOB" } else { "BYTEA" };
    let mut all = Vec::new();
    if dialect == Dialect::Postgres {
        all.push(Statement::new("SELECT pg_advisory_xact_lock(748291)::text", vec![]));
    }
    let ddl = [
        format!(
            "CREATE TABLE IF NOT EXISTS directory_meta (one BIGINT PRIMARY KEY CHECK (one = 1), \
             version BIGINT NOT NULL, key_check {bytes} NOT NULL, waves BIGINT NOT NULL)"
        ),
        "CREATE TABLE IF NOT EXISTS directory_feed (service TEXT PRIMARY KEY, \
         head BIGINT NOT NULL CHECK (head >= 0))"
            .to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS directory_home (service TEXT NOT NULL, \
             subject {bytes} NOT NULL CHECK (length(subject) = 16), region TEXT, \
             epoch BIGINT NOT NULL CHECK (epoch >= 1), attempt BIGINT NOT NULL CHECK (attempt >= 0), \
             changed_seq BIGINT NOT NULL CHECK (changed_seq >= 1), PRIMARY KEY (service, subject))"
        ),
        "CREATE INDEX IF NOT EXISTS directory_home_feed ON directory_home (service, changed_seq, subject)"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS directory_wave (id TEXT PRIMARY KEY, number BIGINT NOT NULL UNIQUE, \
         service TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, plan_hash TEXT NOT NULL, \
         predicate TEXT NOT NULL, counts TEXT NOT NULL, state TEXT NOT NULL, \
         ended BIGINT NOT NULL CHECK (ended IN (0, 1)), asked BIGINT NOT NULL CHECK (asked IN (0, 1, 2)), \
         note TEXT NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL, holder TEXT, \
         token BIGINT NOT NULL CHECK (token >= 0), expires_ms BIGINT NOT NULL)"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS directory_batch (batch TEXT PRIMARY KEY, wave TEXT NOT NULL, \
         holder TEXT, token BIGINT NOT NULL CHECK (token >= 1), expires_ms BIGINT NOT NULL)"
            .to_owned(),
        "CREATE INDEX IF NOT EXISTS directory_batch_wave ON directory_batch (wave)".to_owned(),
        "CREATE TABLE IF NOT EXISTS directory_worker (worker TEXT PRIMARY KEY, seen_ms BIGINT NOT NULL, \
         expires_ms BIGINT NOT NULL)"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS directory_wait (wave TEXT NOT NULL, worker TEXT NOT NULL, \
         why TEXT NOT NULL, expires_ms BIGINT NOT NULL, PRIMARY KEY (wave, worker))"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS directory_gateway (service TEXT NOT NULL, gateway TEXT NOT NULL, \
         seen_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, PRIMARY KEY (service, gateway))"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS directory_park_head (service TEXT PRIMARY KEY, head BIGINT NOT NULL)"
            .to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS directory_park (service TEXT NOT NULL, number BIGINT NOT NULL, \
             subject {bytes} NOT NULL CHECK (length(subject) = 16), expires_ms BIGINT NOT NULL, \
             PRIMARY KEY (service, number, subject))"
        ),
        "CREATE TABLE IF NOT EXISTS directory_park_seen (service TEXT NOT NULL, number BIGINT NOT NULL, \
         gateway TEXT NOT NULL, PRIMARY KEY (service, number, gateway))"
            .to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS directory_claim (service TEXT NOT NULL, \
             claim {bytes} NOT NULL CHECK (length(claim) = 16), \
             subject {bytes} NOT NULL CHECK (length(subject) = 16), \
             attempt {bytes} NOT NULL CHECK (length(attempt) = 16), \
             committed BIGINT NOT NULL CHECK (committed IN (0, 1)), expires_ms BIGINT NOT NULL, \
             PRIMARY KEY (service, claim))"
        ),
        "CREATE INDEX IF NOT EXISTS directory_claim_subject ON directory_claim (service, subject)".to_owned(),
        "CREATE INDEX IF NOT EXISTS directory_claim_time ON directory_claim (service, expires_ms) \
         WHERE committed = 0"
            .to_owned(),
        // One wave at a time carries out one part of one plan.
        "CREATE UNIQUE INDEX IF NOT EXISTS directory_wave_open ON directory_wave \
         (service, plan_hash, source, target) WHERE ended = 0"
            .to_owned(),
    ];
    all.extend(ddl.into_iter().map(|sql| Statement::new(sql, vec![])));
    all.extend(triggers(dialect).iter().map(|sql| Statement::new(*sql, vec![])));
    all.push(Statement::new(
        "INSERT INTO directory_meta (one, version, key_check, waves) VALUES (1, $1, $2, 0) \
         ON CONFLICT (one) DO NOTHING",
        vec![Value::Int(VERSION), Value::Bytes(key.check().to_vec())],
    ));
    let raise = "UPDATE directory_meta SET version = $1 WHERE version < $1";
    all.push(Statement::new(raise, vec![Value::Int(VERSION)]));
    all
}

/// INVARIANT: what the statements' WHERE clauses keep, the engine keeps against everybody else, too.
/// Engines that only speak PostgreSQL's protocol need not know PL/pgSQL; they keep the CHECKs alone.
fn triggers(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::PostgresLike => &[],
        Dialect::Sqlite => &[
            "CREATE TRIGGER IF NOT EXISTS directory_home_grows BEFORE UPDATE ON directory_home \
             WHEN NEW.service <> OLD.service OR NEW.subject <> OLD.subject \
               OR NEW.epoch NOT IN (OLD.epoch, OLD.epoch + 1) OR NEW.changed_seq < OLD.changed_seq \
               OR (NEW.epoch = OLD.epoch AND (NEW.attempt < OLD.attempt OR NEW.region IS NOT OLD.region)) \
             BEGIN SELECT RAISE(ABORT, 'a subject''s epoch only grows'); END",
            "CREATE TRIGGER IF NOT EXISTS directory_home_stays BEFORE DELETE ON directory_home \
             BEGIN SELECT RAISE(ABORT, 'a subject''s row is never deleted'); END",
        ],
        Dialect::Postgres => &[
            "CREATE OR REPLACE FUNCTION directory_home_grows() RETURNS trigger LANGUAGE plpgsql \
             SET search_path = pg_catalog, pg_temp AS $body$ BEGIN \
               IF TG_OP = 'DELETE' THEN RAISE EXCEPTION 'a subject''s row is never deleted'; END IF; \
               IF NEW.service <> OLD.service OR NEW.subject <> OLD.subject \
                 OR NEW.epoch NOT IN (OLD.epoch, OLD.epoch + 1) OR NEW.changed_seq < OLD.changed_seq \
                 OR (NEW.epoch = OLD.epoch \
                     AND (NEW.attempt < OLD.attempt OR NEW.region IS DISTINCT FROM OLD.region)) \
               THEN RAISE EXCEPTION 'a subject''s epoch only grows'; END IF; \
               RETURN NEW; END $body$",
            "CREATE OR REPLACE TRIGGER directory_home_grows BEFORE UPDATE OR DELETE ON directory_home \
             FOR EACH ROW EXECUTE FUNCTION directory_home_grows()",
        ],
    }
}
