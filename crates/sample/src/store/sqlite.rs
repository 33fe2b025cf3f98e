//! The application's database in a SQLite file.

use super::pool::Pool;
use super::{Note, Person, Refusal, Write, Written, new_id};
use rusqlite::{Connection, Error, OptionalExtension, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS people(
  id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL UNIQUE, country TEXT NOT NULL, region_written TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes(
  id TEXT PRIMARY KEY NOT NULL, person_id TEXT NOT NULL REFERENCES people(id), key TEXT NOT NULL,
  text TEXT NOT NULL, region_written TEXT NOT NULL, UNIQUE (person_id, key));
CREATE TABLE IF NOT EXISTS photos(
  person_id TEXT NOT NULL REFERENCES people(id), name TEXT NOT NULL, body BLOB NOT NULL,
  region_written TEXT NOT NULL, PRIMARY KEY (person_id, name));";

/// Connections of one instance to one file: a writer and some readers. Each reads the whole schema anew when the
/// guard changes it.
const CONNECTIONS_MAX: usize = 4;
/// The mover's transactions are short, but while one writes, the file is locked.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// A region's SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    region: Arc<str>,
    pool: Pool<Connection>,
    /// One writer of this process at a time: SQLite has one in all, and lets the others sleep and look again.
    writer: tokio::sync::Mutex<()>,
}

impl Sqlite {
    pub(super) fn open(path: &str, region: &str) -> Result<Self, Refusal> {
        let sqlite = Self {
            path: path.into(),
            region: region.into(),
            pool: Pool::new(CONNECTIONS_MAX),
            writer: tokio::sync::Mutex::default(),
        };
        connect(&sqlite.path).map_err(refusal)?;
        Ok(sqlite)
    }

    pub(super) async fn prepare(&self) -> Result<(), Refusal> {
        self.run(|db| db.execute_batch(&format!("PRAGMA journal_mode = WAL; {TABLES}"))).await
    }

    /// Runs a transaction on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        transaction: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let mut taken = self.pool.take().await;
        let (idle, path) = (taken.connection.take(), self.path.clone());
        let at_work = tokio::task::spawn_blocking(move || {
            let mut db = idle.map_or_else(|| connect(&path), Ok)?;
            let done = transaction(&mut db);
            Ok::<_, Error>((db, done))
        });
        let (db, done) = at_work.await.map_err(|e| Refusal::Broken(e.to_string()))?.map_err(refusal)?;
        taken.give_back(db);
        done.map_err(refusal)
    }

    pub(super) async fn write(&self, person: &str, write: Write) -> Result<Written, Refusal> {
        let (person, region, id) = (person.to_owned(), self.region.clone(), new_id()?);
        let asked = person.clone();
        let turn = self.writer.lock().await;
        let written = self
            .run(move |db| {
                let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let written = written(&transaction, &person, &region, id, write)?;
                transaction.commit()?;
                Ok(written)
            })
            .await?;
        drop(turn);
        if written == Written::NoSuchNote {
            // No row was touched and no trigger saw it: is it the note that is missing, or the person?
            self.here(&asked).await?;
        }
        Ok(written)
    }

    async fn here(&self, person: &str) -> Result<(), Refusal> {
        let sql = "SELECT id FROM people WHERE id = ?1";
        let found = self.text(sql, person).await?;
        if found.is_none() { Err(Refusal::NotHere) } else { Ok(()) }
    }

    async fn text(&self, sql: &'static str, param: &str) -> Result<Option<String>, Refusal> {
        let param = param.to_owned();
        self.run(move |db| db.prepare_cached(sql)?.query_row([param], |r| r.get(0)).optional()).await
    }

    pub(super) async fn sign_up(&self, person: Person, epoch: Option<i64>) -> Result<bool, Refusal> {
        let region = self.region.clone();
        let _turn = self.writer.lock().await;
        self.run(move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(epoch) = epoch {
                let sql = "INSERT INTO domicile_signup(subject, epoch) VALUES (?1, ?2)";
                transaction.execute(sql, params![person.id, epoch])?;
            }
            let sql = "INSERT INTO people(id, email, country, region_written) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (id) DO NOTHING";
            let new = transaction.execute(sql, params![person.id, person.email, person.country, region])?;
            transaction.commit()?;
            Ok(new == 1)
        })
        .await
    }

    pub(super) async fn notes(&self, person: &str) -> Result<Vec<Note>, Refusal> {
        let owner = person.to_owned();
        let notes: Vec<Note> = self
            .run(move |db| {
                let sql = "SELECT id, text FROM notes WHERE person_id = ?1 ORDER BY key";
                let mut statement = db.prepare_cached(sql)?;
                let notes = statement.query_map([owner], |r| Ok(Note { id: r.get(0)?, text: r.get(1)? }))?;
                notes.collect()
            })
            .await?;
        if notes.is_empty() {
            self.here(person).await?;
        }
        Ok(notes)
    }

    pub(super) async fn note(&self, person: &str, id: &str) -> Result<Option<Note>, Refusal> {
        let key = [person.to_owned(), id.to_owned()];
        let note = self
            .run(move |db| {
                let sql = "SELECT id, text FROM notes WHERE person_id = ?1 AND id = ?2";
                let note = |r: &rusqlite::Row<'_>| Ok(Note { id: r.get(0)?, text: r.get(1)? });
                db.prepare_cached(sql)?.query_row(key, note).optional()
            })
            .await?;
        if note.is_none() {
            self.here(person).await?;
        }
        Ok(note)
    }

    pub(super) async fn photo(&self, person: &str, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let key = [person.to_owned(), name.to_owned()];
        self.run(move |db| {
            let sql = "SELECT body FROM photos WHERE person_id = ?1 AND name = ?2";
            db.prepare_cached(sql)?.query_row(key, |r| r.get(0)).optional()
        })
        .await
    }

    pub(super) async fn by_email(&self, email: &str) -> Result<Option<String>, Refusal> {
        self.text("SELECT id FROM people WHERE email = ?1", email).await
    }
}

/// One write inside its transaction.
fn written(db: &Connection, person: &str, region: &str, id: String, write: Write) -> Result<Written, Error> {
    let rows = match write {
        Write::Add { key, text } => return added(db, person, region, id, &key, &text),
        Write::Change { id, text } => db
            .prepare_cached(
                "UPDATE notes SET text = ?3, region_written = ?4 WHERE person_id = ?1 AND id = ?2",
            )?
            .execute(params![person, id, text, region])?,
        Write::Remove { id } => db
            .prepare_cached("DELETE FROM notes WHERE person_id = ?1 AND id = ?2")?
            .execute(params![person, id])?,
        Write::Photo { name, body } => db
            .prepare_cached(
                "INSERT INTO photos(person_id, name, body, region_written) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (person_id, name) DO UPDATE SET body = excluded.body, region_written = ?4",
            )?
            .execute(params![person, name, body.as_ref(), region])?,
    };
    Ok(if rows == 0 { Written::NoSuchNote } else { Written::Done })
}

fn added(
    db: &Connection,
    person: &str,
    region: &str,
    id: String,
    key: &str,
    text: &str,
) -> Result<Written, Error> {
    let sql = "INSERT INTO notes(id, person_id, key, text, region_written) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (person_id, key) DO NOTHING";
    if db.prepare_cached(sql)?.execute(params![id, person, key, text, region])? == 1 {
        return Ok(Written::New(id));
    }
    let sql = "SELECT id FROM notes WHERE person_id = ?1 AND key = ?2";
    db.prepare_cached(sql)?.query_row([person, key], |r| r.get(0)).map(Written::Before)
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY_MAX)?;
    db.execute_batch("PRAGMA foreign_keys = ON")?;
    Ok(db)
}

/// What the guard says, by its documented words; everything else is the database's.
fn refusal(e: Error) -> Refusal {
    let Error::SqliteFailure(failure, Some(message)) = &e else { return Refusal::Broken(e.to_string()) };
    match message.as_str() {
        text if text.starts_with("RS001") => Refusal::NotWritable,
        text if text.starts_with("RS002") => Refusal::Forbidden(text.to_owned()),
        // Notes and photos have one parent, the person.
        text if text.starts_with("FOREIGN KEY") => Refusal::NotHere,
        text if text.starts_with("UNIQUE") => Refusal::Taken,
        _ => Refusal::Broken(format!("{:?}", failure.code)),
    }
}
