//! A database of its own for each test, with some mailboxes at home.

use crate::layouts::{Way, layout};
use domicile_stores::Records;
use domicile_stores::mailboxes::{Mailboxes, Message, schema};
use domicile_stores::postgres::Postgres;
use domicile_stores::records::{Admission, GuardSpec, Mode};
use domicile_stores::sqlite::Sqlite;
use domicile_testbed::postgres::Cluster;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Mailboxes that are at home here.
pub const OWNERS: [&str; 4] = ["ann", "bob", "cid", "dot"];
/// One of them, with its device.
pub const ANN: (&str, &str) = ("ann", "d-ann");

pub struct Stage {
    pub mailboxes: Arc<Mailboxes>,
    place: Place,
}

enum Place {
    Postgres(String),
    Sqlite(tempfile::TempDir),
}

pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::start();
        cluster.sql(
            "postgres",
            "create role owner; create role mover login in role owner; create role relay login",
        );
        cluster
    })
}

impl Stage {
    pub async fn postgres(test: &str) -> Self {
        let name = format!("m_{test}");
        cluster().sql("postgres", &format!("create database {name} owner owner"));
        cluster().sql(&name, &format!("set role owner; {} {}", schema::POSTGRES, rows("''")));
        cluster().sql(&name, "grant select, insert, update, delete on all tables in schema public to relay");
        let url = cluster().url("mover", &name);
        let catalogue = Postgres::catalogue_of(&url, None).await.unwrap();
        let layout = Arc::new(layout(&catalogue, &tables("public"), "country"));
        guard(&Postgres::open(&url, None, layout).await.unwrap()).await;
        let url = cluster().url("relay", &name);
        let mailboxes = Arc::new(Mailboxes::open(&url, Path::new("."), None).await.unwrap());
        Self { mailboxes, place: Place::Postgres(name) }
    }

    pub async fn sqlite(_test: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.db");
        let db = rusqlite::Connection::open(&file).unwrap();
        db.execute_batch(&format!("PRAGMA journal_mode = WAL; {} {}", schema::SQLITE, rows("x''"))).unwrap();
        let catalogue = Sqlite::catalogue_of(&file).await.unwrap();
        let layout = Arc::new(layout(&catalogue, &tables("main"), "country"));
        guard(&Sqlite::open(&file, layout, false).await.unwrap()).await;
        let mailboxes = Mailboxes::open("sqlite:records.db", folder.path(), None).await.unwrap();
        Self { mailboxes: Arc::new(mailboxes), place: Place::Sqlite(folder) }
    }

    /// Puts a mailbox into a state of the guard: `f` fenced, `w` away, `h` home.
    pub fn put(&self, mailbox: &str, state: &str) {
        match &self.place {
            Place::Postgres(name) => {
                let sql = format!(
                    "update domicile.home set state = '{state}', gen = gen + 1, epoch = 7, \
                     deadline = case '{state}' when 'f' then clock_timestamp() + interval '1 hour' end where subject = '{mailbox}'"
                );
                let ran = cluster().script("mover", name, &sql);
                assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
            }
            Place::Sqlite(folder) => {
                let sql = format!(
                    "UPDATE domicile_home SET state = '{state}', gen = gen + 1, epoch = 7, \
                     deadline = CASE '{state}' WHEN 'f' THEN 99999999999999 END WHERE subject = '{mailbox}'"
                );
                self.app(folder).execute_batch(&sql).unwrap();
            }
        }
    }

    fn app(&self, folder: &tempfile::TempDir) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(folder.path().join("records.db")).unwrap();
        db.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        db
    }

    /// Ends every connection of the relay, as a server that restarts does. SQLite has none.
    pub fn end_connections(&self) {
        if let Place::Postgres(name) = &self.place {
            let sql = format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' and usename = 'relay'"
            );
            cluster().sql("postgres", &sql);
        }
    }

    /// Unread ids of a mailbox, oldest first, at the time 1000.
    pub async fn unread(&self, mailbox: &str) -> Vec<String> {
        let all = self.mailboxes.unread(mailbox, 1000, 1000).await.unwrap();
        all.into_iter().map(|m| m.id).collect()
    }
}

/// A message that is received at 1000 and expires at 2000.
pub fn message(mailbox: &str, id: &str) -> Message {
    Message {
        mailbox: mailbox.to_owned(),
        id: id.to_owned(),
        body: bytes::Bytes::from_static(b"sealed"),
        received_ms: 1000,
        expires_ms: 2000,
    }
}

/// `empty` is how the engine writes no bytes.
fn rows(empty: &str) -> String {
    let one = |id: &str| {
        format!(
            "INSERT INTO mailbox(id, country, device, device_key, discoverable, created_ms) VALUES ('{id}', 'CN', 'd-{id}', {empty}, true, 0); \
             INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) \
             VALUES ('{id}', 'cloud_messaging', 1, 'given', {empty}), ('{id}', 'presence', 1, 'given', {empty});"
        )
    };
    OWNERS.map(one).concat()
}

fn tables(schema: &str) -> Vec<(&'static str, Way<'static>)> {
    let named = |table: &str| &*format!("{schema}.{table}").leak();
    let owned = schema::OWNED.into_iter().map(|table| (named(table), Way::Direct("mailbox")));
    std::iter::once((named(schema::ROOT), Way::Root("id"))).chain(owned).collect()
}

async fn guard(records: &dyn Records) {
    let admission = vec![Admission { country: "CN".into(), allowed: true, rule: "at home".into() }];
    let spec =
        GuardSpec { region: "beijing".into(), service: "messages".into(), wave_only: false, admission };
    records.install(&spec).await.unwrap();
    let unhomed = records.unhomed(None, 1_000).await.unwrap();
    records.adopt(&unhomed.into_iter().map(|s| (s, 1)).collect::<Vec<_>>()).await.unwrap();
    records.set_mode(Mode::Enforce).await.unwrap();
}
