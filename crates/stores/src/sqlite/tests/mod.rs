//! Records on SQLite, tried on real files. The guard's triggers have their own trials; here its tables
//! stand without them, but for what the tests say.

mod changing;
mod copying;
mod describing;
mod erasing;
mod traces;
mod waiting;

use super::snapshot::Open;
use super::{Sqlite, catalogue};
use crate::records::{Key, KeySet, Lease, Pick, Snapshot, SubjectId, TableDigest, Writing};
use domicile_datamap::catalogue::{Catalogue, Engine, TableName};
use domicile_datamap::layout::{
    AttributePath, Layout, MappedTable, MovedColumn, ObjectRule, ObjectSource, Owner, Personal,
    ReferenceTable, WithoutRow,
};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;

/// Users with a cycle (avatar), a self-reference, a key of two columns with a blob, a table without
/// rowid, a generated column, a row of two subjects (recipient answered `null`) and columns without type.
const SCHEMA: &str = r#"
CREATE TABLE users(id INTEGER PRIMARY KEY, country TEXT NOT NULL, email TEXT UNIQUE,
  avatar INTEGER REFERENCES photos(id) ON DELETE SET NULL);
CREATE TABLE photos(id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  object TEXT);
CREATE TABLE orders(id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES Users ON DELETE CASCADE,
  note, code TEXT NOT NULL UNIQUE ON CONFLICT REPLACE, parent INTEGER REFERENCES orders(id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "item ""s"""(order_id INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE, line BLOB NOT NULL, val,
  amount REAL, twice AS (amount * 2) STORED, PRIMARY KEY (order_id, line)) WITHOUT ROWID;
CREATE TABLE notes(id TEXT PRIMARY KEY NOT NULL, o INTEGER NOT NULL, l BLOB NOT NULL, body,
  FOREIGN KEY (o, l) REFERENCES "item ""s""" (order_id, line) ON DELETE CASCADE);
CREATE TABLE messages(id INTEGER PRIMARY KEY, sender INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  recipient INTEGER REFERENCES users(id) ON DELETE CASCADE, body TEXT);
CREATE TABLE countries(code TEXT PRIMARY KEY, name TEXT NOT NULL, head TEXT, seat INTEGER NOT NULL REFERENCES seats(id));
CREATE TABLE seats(id INTEGER PRIMARY KEY);
CREATE TABLE loose(a, b);
CREATE INDEX photos_user ON photos(user_id);
CREATE INDEX orders_user ON orders(user_id);
CREATE INDEX orders_parent ON orders(parent);
CREATE INDEX notes_item ON notes(o, l);
CREATE INDEX messages_sender ON messages(sender);
CREATE INDEX messages_recipient ON messages(recipient);
CREATE INDEX users_avatar ON users(avatar);
CREATE UNIQUE INDEX users_folded ON users(lower(email)) WHERE email IS NOT NULL;
CREATE TRIGGER shout AFTER INSERT ON loose BEGIN SELECT 1; END;
PRAGMA user_version = 7;
"#;

/// The guard's tables that the mover's reads and writes touch.
const GUARD: &str = "
CREATE TABLE domicile_home(subject INTEGER PRIMARY KEY, state TEXT NOT NULL, epoch INTEGER NOT NULL, batch TEXT, gen INTEGER NOT NULL DEFAULT 0);
CREATE TABLE domicile_changed(id INTEGER PRIMARY KEY, subject INTEGER NOT NULL, tbl TEXT NOT NULL, key TEXT NOT NULL, sub INTEGER NOT NULL);
CREATE TABLE domicile_lease(batch TEXT PRIMARY KEY, token INTEGER NOT NULL);
CREATE TABLE domicile_exempt(one INTEGER NOT NULL);
INSERT INTO domicile_lease VALUES ('w1/1', 3);";

const USERS: usize = 0;
const PHOTOS: usize = 1;
const ORDERS: usize = 2;
const ITEMS: usize = 3;
const NOTES: usize = 4;
const MESSAGES: usize = 5;

/// A file with that schema, opened as a region.
struct Region {
    folder: tempfile::TempDir,
    store: Sqlite,
}

impl Region {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(statements: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("region.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(SCHEMA).unwrap();
        conn.execute_batch(GUARD).unwrap();
        conn.execute_batch(statements).unwrap();
        let layout = Arc::new(layout(&catalogue::read(&conn).map_err(|e| format!("{e:?}")).unwrap()));
        drop(conn);
        let store = Sqlite::open(&path, layout, false).await.unwrap();
        store.enter_wal().await.unwrap();
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("region.db")
    }

    /// A connection as an application has it.
    fn app(&self) -> Connection {
        let conn = Connection::open(self.path()).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        conn
    }

    async fn snapshot(&self) -> Box<dyn Snapshot> {
        Box::new(Open::reading(&self.store.cell, &self.store.layout).await.unwrap())
    }

    async fn writing(&self) -> Box<dyn Writing> {
        Box::new(Open::writing(&self.store.cell, &self.store.layout, &lease()).await.unwrap())
    }

    async fn digests(&self, subjects: &[SubjectId]) -> Vec<TableDigest> {
        self.snapshot().await.digests(subjects).await.unwrap()
    }

    fn one<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.app().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn lease() -> Lease {
    Lease { batch: "w1/1".into(), token: 3 }
}

fn ids(all: &[&str]) -> Vec<SubjectId> {
    all.iter().map(|id| SubjectId((*id).to_owned())).collect()
}

fn keys(all: &[(usize, &[&str])]) -> KeySet {
    all.iter().map(|(ix, keys)| (*ix, keys.iter().map(|k| Key((*k).to_owned())).collect())).collect()
}

/// Gives the subjects into the hands of the batch at the target, as `arrive` does.
fn arrive(to: &Region, subjects: &[SubjectId]) {
    for subject in subjects {
        let sql =
            "INSERT OR REPLACE INTO domicile_home(subject, state, epoch, batch) VALUES (?1, 'a', 2, 'w1/1')";
        to.app().execute(sql, [&subject.0]).unwrap();
    }
}

/// Copies all rows of the subjects, as the stage `copy` does: parents first, cycles closed at the end.
async fn copy(from: &Region, to: &Region, subjects: &[SubjectId]) -> u64 {
    arrive(to, subjects);
    let (mut source, mut target) = (from.snapshot().await, to.writing().await);
    let mut written = 0;
    for ix in 0..from.store.layout.tables.len() {
        let rows = source.rows(ix, Pick::Subjects(subjects), true).await.unwrap();
        written += target.load(ix, rows).await.unwrap();
    }
    for (ix, table) in from.store.layout.tables.iter().enumerate() {
        if !table.null_first.is_empty() {
            let rows = source.rows(ix, Pick::Subjects(subjects), false).await.unwrap();
            target.upsert(ix, rows).await.unwrap();
        }
    }
    target.commit().await.unwrap();
    source.close().await.unwrap();
    written
}

fn layout(catalogue: &Catalogue) -> Layout {
    let derived = |parent, link: &[(&str, &str)]| Owner::Derived {
        parent,
        link: link.iter().map(|(c, p)| ((*c).to_owned(), (*p).to_owned())).collect(),
        deferrable: false,
    };
    let direct = |column: &str| Owner::Direct { column: column.to_owned() };
    let mut tables = vec![
        mapped(catalogue, "users", Owner::Root { column: "id".into() }),
        mapped(catalogue, "photos", direct("user_id")),
        mapped(catalogue, "orders", direct("user_id")),
        mapped(catalogue, "item \"s\"", derived(ORDERS, &[("order_id", "id")])),
        mapped(catalogue, "notes", derived(ITEMS, &[("o", "order_id"), ("l", "line")])),
        mapped(catalogue, "messages", direct("sender")),
    ];
    tables[USERS].null_first = vec!["avatar".into()];
    tables[ORDERS].null_first = vec!["parent".into()];
    tables[ORDERS].children = vec![ITEMS];
    tables[ITEMS].children = vec![NOTES];
    tables[MESSAGES].blanked = vec!["recipient".into()];
    let object = ObjectSource::Column { table: PHOTOS, column: "object".into() };
    Layout {
        engine: Engine::Sqlite,
        tables,
        country: AttributePath { hops: Vec::new(), column: "country".into() },
        citizenship: None,
        flags: None,
        consents: None,
        references: vec![
            reference(catalogue, "seats", Personal::Copy),
            reference(catalogue, "countries", Personal::Stub),
        ],
        excluded: Vec::new(),
        dropped_foreign_keys: Vec::new(),
        objects: vec![ObjectRule {
            source: object,
            without_row: WithoutRow::Deny,
            category: "photos".into(),
        }],
        declared: Vec::new(),
        safe_triggers: Vec::new(),
        hash: "0".into(),
    }
}

fn mapped(catalogue: &Catalogue, name: &str, owner: Owner) -> MappedTable {
    let table = catalogue.table(&TableName::new("main", name)).unwrap();
    MappedTable {
        name: table.name.clone(),
        owner,
        category: "c".into(),
        columns: moved(table),
        key: table.primary_key.clone(),
        uniques: table.uniques.clone(),
        foreign_keys: table.foreign_keys.clone(),
        children: Vec::new(),
        null_first: Vec::new(),
        blanked: Vec::new(),
        refusing: Vec::new(),
        partitioned: false,
        leaves: Vec::new(),
    }
}

fn moved(table: &domicile_datamap::catalogue::Table) -> Vec<MovedColumn> {
    let kept = table.columns.iter().filter(|c| !c.generated);
    kept.map(|c| MovedColumn {
        name: c.name.clone(),
        type_name: c.type_name.clone(),
        not_null: c.not_null,
        identity: false,
    })
    .collect()
}

fn reference(catalogue: &Catalogue, name: &str, personal: Personal) -> ReferenceTable {
    let table = catalogue.table(&TableName::new("main", name)).unwrap();
    ReferenceTable {
        name: table.name.clone(),
        columns: moved(table),
        key: table.primary_key.clone(),
        foreign_keys: table.foreign_keys.clone(),
        personal,
        category: "shared".into(),
    }
}
