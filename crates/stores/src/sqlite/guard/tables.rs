//! The guard's own tables (ARCHITECTURE, "The guard's tables"), in the region's file since SQLite has no
//! schemas. Two that only SQLite needs: `domicile_exempt` and `domicile_pending`.

use super::words::state_words;
use crate::sqlite::quote::ident;

/// The version of these tables; an older one is refused, not migrated, until there is one to migrate.
pub(crate) const VERSION: i64 = 1;

/// Everything the guard makes besides its triggers, dropped by `remove` in this order.
pub(crate) const ALL: [(&str, &str); 14] = [
    ("VIEW", "domicile_signup"),
    ("VIEW", "domicile_homes"),
    ("TABLE", "domicile_region"),
    ("TABLE", "domicile_home"),
    ("TABLE", "domicile_changed"),
    ("TABLE", "domicile_pending"),
    ("TABLE", "domicile_admission"),
    ("TABLE", "domicile_misplaced"),
    ("TABLE", "domicile_observed"),
    ("TABLE", "domicile_list"),
    ("TABLE", "domicile_member"),
    ("TABLE", "domicile_batch"),
    ("TABLE", "domicile_lease"),
    ("TABLE", "domicile_exempt"),
];

/// The statements that make what is not there yet. `key_type` and `key_collation` are those of the
/// root's key column, so that a subject compares here as it does there.
pub(crate) fn statements(key_type: &str, key_collation: &str) -> Vec<String> {
    let subject = format!("subject {key_type} NOT NULL COLLATE {}", ident(key_collation));
    let mut all = vec![
        "CREATE TABLE IF NOT EXISTS domicile_region(one INTEGER PRIMARY KEY CHECK (one = 1), region TEXT NOT NULL, \
         service TEXT NOT NULL, mode TEXT NOT NULL, waves INTEGER NOT NULL, gen INTEGER NOT NULL, \
         version INTEGER NOT NULL, identity TEXT NOT NULL, map_hash TEXT NOT NULL, owner_role TEXT NOT NULL, \
         own_schema INTEGER NOT NULL)"
            .to_owned(),
        // No index on (subject, gen): with one writer at a time no older snapshot can write.
        format!(
            "CREATE TABLE IF NOT EXISTS domicile_home({subject}, state TEXT NOT NULL \
             CHECK (state IN ('h', 'k', 'm', 'g', 'f', 's', 'a', 'w')), epoch INTEGER NOT NULL, \
             gen INTEGER NOT NULL, batch TEXT, deadline INTEGER, PRIMARY KEY (subject))"
        ),
        "CREATE INDEX IF NOT EXISTS domicile_home_under_way ON domicile_home(state) WHERE state <> 'h'".to_owned(),
        // AUTOINCREMENT: an entry's number is never given again, so that a `forget` that arrives twice
        // can't remove a younger entry.
        format!(
            "CREATE TABLE IF NOT EXISTS domicile_changed(id INTEGER PRIMARY KEY AUTOINCREMENT, {subject}, \
             tbl TEXT NOT NULL, key TEXT NOT NULL, sub INTEGER NOT NULL)"
        ),
        "CREATE INDEX IF NOT EXISTS domicile_changed_subject ON domicile_changed(subject, id)".to_owned(),
        format!("CREATE TABLE IF NOT EXISTS domicile_pending(tbl TEXT NOT NULL, key TEXT NOT NULL, {subject})"),
        "CREATE INDEX IF NOT EXISTS domicile_pending_tbl ON domicile_pending(tbl)".to_owned(),
        "CREATE TABLE IF NOT EXISTS domicile_admission(country TEXT PRIMARY KEY NOT NULL, \
         allowed INTEGER NOT NULL, rule TEXT NOT NULL) WITHOUT ROWID"
            .to_owned(),
        format!(
            "CREATE TABLE IF NOT EXISTS domicile_misplaced({subject}, rule TEXT NOT NULL, \
             at TEXT NOT NULL DEFAULT (datetime('now')), PRIMARY KEY (subject))"
        ),
        "CREATE TABLE IF NOT EXISTS domicile_observed(tbl TEXT NOT NULL, reason TEXT NOT NULL, \
         n INTEGER NOT NULL, at TEXT, PRIMARY KEY (tbl, reason)) WITHOUT ROWID"
            .to_owned(),
        format!("CREATE TABLE IF NOT EXISTS domicile_list(list TEXT NOT NULL, {subject}, PRIMARY KEY (list, subject))"),
        "CREATE TABLE IF NOT EXISTS domicile_batch(batch TEXT PRIMARY KEY NOT NULL, wave TEXT NOT NULL, \
         number INTEGER NOT NULL, record TEXT NOT NULL)"
            .to_owned(),
        format!("CREATE TABLE IF NOT EXISTS domicile_member(batch TEXT NOT NULL, {subject}, PRIMARY KEY (batch, subject))"),
        "CREATE INDEX IF NOT EXISTS domicile_batch_wave ON domicile_batch(wave, number)".to_owned(),
        "CREATE INDEX IF NOT EXISTS domicile_member_subject ON domicile_member(subject)".to_owned(),
        "CREATE TABLE IF NOT EXISTS domicile_lease(batch TEXT PRIMARY KEY NOT NULL, token INTEGER NOT NULL, \
         pid INTEGER NOT NULL, started TEXT NOT NULL)"
            .to_owned(),
        "CREATE TABLE IF NOT EXISTS domicile_exempt(one INTEGER NOT NULL)".to_owned(),
    ];
    all.push(format!(
        "CREATE VIEW IF NOT EXISTS domicile_homes(subject, state, epoch, batch, ends) AS SELECT subject, {}, epoch, \
         batch, datetime(deadline / 1000, 'unixepoch') FROM domicile_home",
        state_words("state")
    ));
    all
}
