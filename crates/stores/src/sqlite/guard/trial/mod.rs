//! The guard tried on real files, with an application's own connections beside the mover's.
//!
//! Each test names the finding or attack it stands for and what breaks it. The application's
//! connections are as applications open them: foreign keys on or off, `recursive_triggers` off, WAL
//! or rollback journal.

mod admitted;
mod chaos;
mod owners;
mod replaced;
mod route;
mod schema;
mod states;

use super::installed;
use super::shape::Shape;
use crate::records::{Admission, GuardSpec};
use domicile_datamap::layout::{AttributePath, Layout, MappedTable, MovedColumn, Owner};
use domicile_datamap::{Engine, TableName};
use rusqlite::{Connection, params};

/// accounts <- orders <- items, unique e-mail; notes are direct, too, with a composite text key.
pub(super) const SHOP: &str = "
    CREATE TABLE accounts(id INTEGER PRIMARY KEY, email TEXT UNIQUE, country TEXT, name TEXT);
    CREATE TABLE orders(id INTEGER PRIMARY KEY, account_id INTEGER REFERENCES accounts(id) ON DELETE CASCADE ON UPDATE CASCADE,
      code TEXT UNIQUE, total INTEGER);
    CREATE TABLE items(id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES orders(id) ON DELETE CASCADE ON UPDATE CASCADE,
      qty INTEGER);
    CREATE TABLE notes(account_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE, title TEXT NOT NULL, body TEXT,
      PRIMARY KEY (account_id, title)) WITHOUT ROWID;";

/// A file with a guard in it.
pub(super) struct Place {
    dir: tempfile::TempDir,
    pub(super) layout: Layout,
    pub(super) conn: Connection,
}

pub(super) fn root(column: &str) -> Owner {
    Owner::Root { column: column.into() }
}

pub(super) fn direct(column: &str) -> Owner {
    Owner::Direct { column: column.into() }
}

pub(super) fn derived(parent: usize, link: &[(&str, &str)]) -> Owner {
    let link = link.iter().map(|(c, p)| ((*c).into(), (*p).into())).collect();
    Owner::Derived { parent, link, deferrable: false }
}

pub(super) fn spec() -> GuardSpec {
    let rule = |country: &str, allowed, rule: &str| Admission {
        country: country.into(),
        allowed,
        rule: rule.into(),
    };
    GuardSpec {
        region: "beijing".into(),
        service: "cloud".into(),
        wave_only: false,
        admission: vec![
            rule("CN", true, "stored at home"),
            rule("IN", false, "India's users are kept in India (law 7, it's so)"),
            rule("BR", false, "Brazil's users are kept in Brazil"),
            rule("TÜRKIYE", true, "stored at home"),
        ],
    }
}

impl Place {
    /// The shop with ten accounts at home, each with an order, an item and a note.
    pub(super) fn shop() -> Self {
        let mut place = Self::new(
            SHOP,
            &[
                ("accounts", root("id")),
                ("orders", direct("account_id")),
                ("items", derived(1, &[("order_id", "id")])),
                ("notes", direct("account_id")),
            ],
        );
        place.fill();
        place.mode("enforce");
        place
    }

    fn fill(&mut self) {
        self.exempt(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
               INSERT INTO accounts SELECT i, 'u' || i || '@x', 'CN', 'n' FROM n;
             INSERT INTO orders SELECT id * 10, id, 'c' || id, 1 FROM accounts;
             INSERT INTO items SELECT id * 10, id, 1 FROM orders;
             INSERT INTO notes SELECT id, 'a', 'b' FROM accounts;
             INSERT INTO domicile_home(subject, state, epoch, gen) SELECT id, 'h', 1, 1 FROM accounts;",
        );
    }

    /// Any schema, guarded, in `observe`, empty.
    pub(super) fn new(schema: &str, owners: &[(&str, Owner)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("region.db")).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF").unwrap();
        conn.execute_batch(schema).unwrap();
        let layout = layout(&conn, owners);
        let place = Self { dir, layout, conn };
        place.install(&spec());
        place
    }

    pub(super) fn install(&self, spec: &GuardSpec) {
        self.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        installed::install(&self.conn, "sqlite:test", &self.layout, spec).unwrap();
        self.conn.execute_batch("COMMIT").unwrap();
    }

    /// The application's connection.
    pub(super) fn app(&self) -> Connection {
        let app = self.app_without_keys();
        app.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        app
    }

    /// The application's connection as SQLite opens it by default.
    pub(super) fn app_without_keys(&self) -> Connection {
        let app = Connection::open(self.path()).unwrap();
        app.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF").unwrap();
        app.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        app
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("region.db")
    }

    /// Writes as the mover does: the exempt row inside its own transaction.
    pub(super) fn exempt(&self, sql: &str) {
        self.conn
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; INSERT INTO domicile_exempt VALUES (1); {sql}; DELETE FROM domicile_exempt; COMMIT"
            ))
            .unwrap();
    }

    pub(super) fn mode(&self, mode: &str) {
        self.conn.execute("UPDATE domicile_region SET mode = ?1", [mode]).unwrap();
    }

    /// Puts a subject into a state, without a deadline.
    pub(super) fn put(&self, subject: i64, state: &str) {
        self.put_until(subject, state, None);
    }

    /// Puts a subject into a state that ends at `deadline` (ms since 1970).
    pub(super) fn put_until(&self, subject: i64, state: &str, deadline: Option<i64>) {
        let n = self
            .conn
            .execute(
                "UPDATE domicile_home SET state = ?2, deadline = ?3, batch = 'w1/1' WHERE subject = ?1",
                params![subject, state, deadline],
            )
            .unwrap();
        assert_eq!(n, 1);
    }

    pub(super) fn state(&self, subject: i64) -> Option<String> {
        self.texts(&format!("SELECT state FROM domicile_home WHERE subject = {subject}")).pop()
    }

    /// Every recorded change, `subject table key`, with `+` where the subtree is meant. Sorted, each once.
    pub(super) fn recorded(&self) -> Vec<String> {
        self.texts(
            "SELECT DISTINCT subject || ' ' || substr(tbl, 6) || ' ' || key || CASE sub WHEN 1 THEN '+' ELSE '' END
             FROM domicile_changed ORDER BY 1",
        )
    }

    pub(super) fn forget(&self) {
        self.conn.execute("DELETE FROM domicile_changed", []).unwrap();
    }

    /// The first column of a query's rows.
    pub(super) fn texts(&self, sql: &str) -> Vec<String> {
        let mut statement = self.conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |r| r.get::<_, rusqlite::types::Value>(0)).unwrap();
        rows.map(|v| match v.unwrap() {
            rusqlite::types::Value::Text(t) => t,
            rusqlite::types::Value::Integer(i) => i.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
    }
}

/// The message of a refusal; panics if the statement passed.
#[track_caller]
pub(super) fn refused(app: &Connection, sql: &str) -> String {
    match app.execute_batch(sql) {
        Ok(()) => panic!("passed: {sql}"),
        Err(rusqlite::Error::SqliteFailure(_, Some(text))) => text,
        Err(other) => panic!("{other}"),
    }
}

/// Refused with a text that begins so; and the transaction, if there was one, is gone.
#[track_caller]
pub(super) fn refuses(app: &Connection, sql: &str, begins: &str) {
    let text = refused(app, sql);
    assert!(text.starts_with(begins), "{sql}: {text}");
    assert!(app.is_autocommit(), "a transaction is left open after: {sql}");
}

#[track_caller]
pub(super) fn passes(app: &Connection, sql: &str) {
    if let Err(e) = app.execute_batch(sql) {
        panic!("{sql}: {e}");
    }
}

/// A layout over what the file has; foreign keys and the like are not what these tests are about.
fn layout(conn: &Connection, owners: &[(&str, Owner)]) -> Layout {
    let tables = owners
        .iter()
        .map(|(name, owner)| {
            let mut statement = conn
                .prepare("SELECT name, type, pk FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")
                .unwrap();
            let columns: Vec<(String, String, i64)> = statement
                .query_map([name], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let mut key: Vec<_> = columns.iter().filter(|c| c.2 > 0).map(|c| (c.2, c.0.clone())).collect();
            key.sort();
            MappedTable {
                name: TableName::new("main", *name),
                owner: owner.clone(),
                category: "all".into(),
                columns: columns
                    .iter()
                    .map(|(name, type_name, _)| MovedColumn {
                        name: name.clone(),
                        type_name: type_name.clone(),
                        not_null: false,
                        identity: false,
                    })
                    .collect(),
                key: key.into_iter().map(|(_, name)| name).collect(),
                uniques: Vec::new(),
                foreign_keys: Vec::new(),
                children: Vec::new(),
                null_first: Vec::new(),
                blanked: Vec::new(),
                refusing: Vec::new(),
                partitioned: false,
                leaves: Vec::new(),
            }
        })
        .collect();
    Layout {
        engine: Engine::Sqlite,
        tables,
        country: AttributePath { hops: Vec::new(), column: "country".into() },
        citizenship: None,
        flags: None,
        consents: None,
        references: Vec::new(),
        excluded: Vec::new(),
        dropped_foreign_keys: Vec::new(),
        objects: Vec::new(),
        declared: Vec::new(),
        safe_triggers: Vec::new(),
        hash: "map-1".into(),
    }
}

/// The shape of a table, for tests of the generator.
pub(super) fn shape(conn: &Connection, table: &str) -> Shape {
    Shape::read(conn, table).unwrap()
}
