//! The messaging service's tables, one text an engine. They are ordinary tables of an ordinary application: the
//! data map names them, so they move with their mailbox.
//!
//! `mailbox.consents` has the purposes that are agreed to now, for the policies (`principal in Consent::"region_move"`); it
//! follows from `mailbox_consent`, and is written with it.
//!
//! Times are milliseconds since 1970 by the relay's clock. Ids are base64url texts.

/// PostgreSQL.
pub const POSTGRES: &str = "\
CREATE TABLE IF NOT EXISTS mailbox(
  id text PRIMARY KEY, country text NOT NULL, device text NOT NULL, device_key bytea NOT NULL,
  number_sealed bytea, identity bytea, fallback bytea, discoverable boolean NOT NULL, created_ms bigint NOT NULL,
  consents text NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS mailbox_by_device ON mailbox(device);
CREATE TABLE IF NOT EXISTS mailbox_tag(
  mailbox text NOT NULL REFERENCES mailbox(id), region text NOT NULL, generation bigint NOT NULL,
  locator bytea NOT NULL, entry bytea NOT NULL, PRIMARY KEY (mailbox, region, generation));
CREATE INDEX IF NOT EXISTS mailbox_tag_by_locator ON mailbox_tag(region, generation, locator);
CREATE TABLE IF NOT EXISTS mailbox_consent(
  mailbox text NOT NULL REFERENCES mailbox(id), purpose text NOT NULL, seq bigint NOT NULL,
  state text NOT NULL, record bytea NOT NULL, PRIMARY KEY (mailbox, purpose, seq));
CREATE TABLE IF NOT EXISTS mailbox_key(
  mailbox text NOT NULL REFERENCES mailbox(id), id text NOT NULL, key bytea NOT NULL, PRIMARY KEY (mailbox, id));
CREATE TABLE IF NOT EXISTS mailbox_message(
  mailbox text NOT NULL REFERENCES mailbox(id), id text NOT NULL, body bytea NOT NULL,
  received_ms bigint NOT NULL, expires_ms bigint NOT NULL, PRIMARY KEY (mailbox, id));
CREATE INDEX IF NOT EXISTS mailbox_message_by_expiry ON mailbox_message(expires_ms);
CREATE TABLE IF NOT EXISTS mailbox_delivered(
  mailbox text NOT NULL REFERENCES mailbox(id), id text NOT NULL, until_ms bigint NOT NULL, PRIMARY KEY (mailbox, id));
CREATE INDEX IF NOT EXISTS mailbox_delivered_by_end ON mailbox_delivered(until_ms);
CREATE TABLE IF NOT EXISTS mailbox_viewer(
  mailbox text NOT NULL REFERENCES mailbox(id), viewer text NOT NULL, PRIMARY KEY (mailbox, viewer));
CREATE TABLE IF NOT EXISTS mailbox_budget(
  mailbox text NOT NULL REFERENCES mailbox(id), region text NOT NULL, generation bigint NOT NULL,
  spent bigint NOT NULL, since_ms bigint NOT NULL, PRIMARY KEY (mailbox, region, generation));
CREATE TABLE IF NOT EXISTS mailbox_waiting(
  device text PRIMARY KEY, device_key bytea NOT NULL, record bytea NOT NULL, expires_ms bigint NOT NULL);
CREATE INDEX IF NOT EXISTS mailbox_waiting_by_end ON mailbox_waiting(expires_ms);
CREATE TABLE IF NOT EXISTS mailbox_attempt(
  id text PRIMARY KEY, device text NOT NULL, number_mac bytea NOT NULL, code_mac bytea NOT NULL,
  tries bigint NOT NULL, expires_ms bigint NOT NULL);
CREATE INDEX IF NOT EXISTS mailbox_attempt_by_number ON mailbox_attempt(number_mac);
CREATE INDEX IF NOT EXISTS mailbox_attempt_by_device ON mailbox_attempt(device);
";

/// SQLite.
pub const SQLITE: &str = "\
CREATE TABLE IF NOT EXISTS mailbox(
  id TEXT PRIMARY KEY NOT NULL, country TEXT NOT NULL, device TEXT NOT NULL, device_key BLOB NOT NULL,
  number_sealed BLOB, identity BLOB, fallback BLOB, discoverable INTEGER NOT NULL, created_ms INTEGER NOT NULL,
  consents TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS mailbox_by_device ON mailbox(device);
CREATE TABLE IF NOT EXISTS mailbox_tag(
  mailbox TEXT NOT NULL REFERENCES mailbox(id), region TEXT NOT NULL, generation INTEGER NOT NULL,
  locator BLOB NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (mailbox, region, generation));
CREATE INDEX IF NOT EXISTS mailbox_tag_by_locator ON mailbox_tag(region, generation, locator);
CREATE TABLE IF NOT EXISTS mailbox_consent(
  mailbox TEXT NOT NULL REFERENCES mailbox(id), purpose TEXT NOT NULL, seq INTEGER NOT NULL,
  state TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (mailbox, purpose, seq));
CREATE TABLE IF NOT EXISTS mailbox_key(
  mailbox TEXT NOT NULL REFERENCES mailbox(id), id TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (mailbox, id));
CREATE TABLE IF NOT EXISTS mailbox_message(
  mailbox TEXT NOT NULL REFERENCES mailbox(id), id TEXT NOT NULL, body BLOB NOT NULL,
  received_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, PRIMARY KEY (mailbox, id));
CREATE INDEX IF NOT EXISTS mailbox_message_by_expiry ON mailbox_message(expires_ms);
CREATE TABLE IF NOT EXISTS mailbox_delivered(
  mailbox TEXT NOT NULL REFERENCES mailbox(id), id TEXT NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (mailbox, id));
CREATE INDEX IF NOT EXISTS mailbox_delivered_by_end ON mailbox_delivered(until_ms);
CREATE TABLE IF NOT EXISTS mailbox_viewer(
  mailbox TEXT NOT NULL REFERENCES mailbox(id), viewer TEXT NOT NULL, PRIMARY KEY (mailbox, viewer));
CREATE TABLE IF NOT EXISTS mailbox_budget(
  mailbox TEXT NOT NULL REFERENCES mailbox(id), region TEXT NOT NULL, generation INTEGER NOT NULL,
  spent INTEGER NOT NULL, since_ms INTEGER NOT NULL, PRIMARY KEY (mailbox, region, generation));
CREATE TABLE IF NOT EXISTS mailbox_waiting(
  device TEXT PRIMARY KEY NOT NULL, device_key BLOB NOT NULL, record BLOB NOT NULL, expires_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS mailbox_waiting_by_end ON mailbox_waiting(expires_ms);
CREATE TABLE IF NOT EXISTS mailbox_attempt(
  id TEXT PRIMARY KEY NOT NULL, device TEXT NOT NULL, number_mac BLOB NOT NULL, code_mac BLOB NOT NULL,
  tries INTEGER NOT NULL, expires_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS mailbox_attempt_by_number ON mailbox_attempt(number_mac);
CREATE INDEX IF NOT EXISTS mailbox_attempt_by_device ON mailbox_attempt(device);
";

/// The root of the data map, and what belongs to it; the last two tables of the schema belong to nobody yet.
pub const ROOT: &str = "mailbox";
/// Tables that move with their mailbox, by their column `mailbox`.
pub const OWNED: [&str; 7] = [
    "mailbox_tag",
    "mailbox_consent",
    "mailbox_key",
    "mailbox_message",
    "mailbox_delivered",
    "mailbox_viewer",
    "mailbox_budget",
];
/// Tables of devices without a mailbox: unmapped, each row ends by itself.
pub const UNMAPPED: [&str; 2] = ["mailbox_waiting", "mailbox_attempt"];
