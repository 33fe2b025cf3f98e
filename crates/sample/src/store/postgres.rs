//! The application's database on PostgreSQL.

use super::pool::Pool;
use super::{Note, Person, Refusal, Write, Written, new_id};
use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error, NoTls, Row, Statement};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS people(
  id text PRIMARY KEY, email text NOT NULL UNIQUE, country text NOT NULL, region_written text NOT NULL);
CREATE TABLE IF NOT EXISTS notes(
  id text PRIMARY KEY, person_id text NOT NULL REFERENCES people(id), key text NOT NULL, text text NOT NULL,
  region_written text NOT NULL, UNIQUE (person_id, key));
CREATE TABLE IF NOT EXISTS photos(
  person_id text NOT NULL REFERENCES people(id), name text NOT NULL, body bytea NOT NULL,
  region_written text NOT NULL, PRIMARY KEY (person_id, name));";

const ADD: &str = "INSERT INTO notes(id, person_id, key, text, region_written) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (person_id, key) DO NOTHING RETURNING id";
const KEY: &str = "SELECT id FROM notes WHERE person_id = $1 AND key = $2";
const CHANGE: &str =
    "UPDATE notes SET text = $3, region_written = $4 WHERE person_id = $1 AND id = $2 RETURNING id";
const REMOVE: &str = "DELETE FROM notes WHERE person_id = $1 AND id = $2 RETURNING id";
const PHOTO: &str = "INSERT INTO photos(person_id, name, body, region_written) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (person_id, name) DO UPDATE SET body = excluded.body, region_written = excluded.region_written \
     RETURNING name";
const HERE: &str = "SELECT 1 FROM people WHERE id = $1";
const SIGN_UP: &str = "SELECT domicile.sign_up($1, $2)";
const JOIN: &str = "INSERT INTO people(id, email, country, region_written) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (id) DO NOTHING RETURNING id";

/// Connections of one instance to one region. A writer that waits for a lock holds one.
const CONNECTIONS_MAX: usize = 16;
/// Tries of a transaction that lost against another one (40001, 40P01), each a little later than the last.
const TRIES_MAX: u32 = 20;
/// The first wait between two tries; the n-th is n times as long.
const WAIT: Duration = Duration::from_millis(3);

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A region's PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    config: Config,
    region: String,
    pool: Pool<Session>,
}

/// A connection and what it has prepared.
#[derive(Debug)]
struct Session {
    client: Client,
    prepared: HashMap<&'static str, Statement>,
}

/// What is done or left undone as a whole.
#[derive(Clone, Copy)]
enum Transaction<'a> {
    /// One statement.
    One(&'static str, Params<'a>),
    /// The claim that the directory answered, then the person's row.
    SignUp(Params<'a>, Params<'a>),
}

impl Session {
    async fn run(&mut self, transaction: Transaction<'_>) -> Result<Vec<Row>, Error> {
        let (claim, join) = match transaction {
            Transaction::One(sql, params) => return self.rows(sql, params).await,
            Transaction::SignUp(claim, join) => (claim, join),
        };
        self.client.batch_execute("BEGIN").await?;
        match self.signed_up(claim, join).await {
            Ok(rows) => self.client.batch_execute("COMMIT").await.map(|()| rows),
            Err(e) => {
                self.client.batch_execute("ROLLBACK").await?;
                Err(e)
            }
        }
    }

    async fn signed_up(&mut self, claim: Params<'_>, join: Params<'_>) -> Result<Vec<Row>, Error> {
        self.rows(SIGN_UP, claim).await?;
        self.rows(JOIN, join).await
    }

    async fn rows(&mut self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        if !self.prepared.contains_key(sql) {
            let statement = self.client.prepare(sql).await?;
            self.prepared.insert(sql, statement);
        }
        self.client.query(&self.prepared[sql], params).await
    }
}

impl Postgres {
    pub(super) fn open(url: &str, region: &str) -> Result<Self, Refusal> {
        // What a wrong URL holds is not repeated: it may hold a password.
        let config =
            Config::from_str(url).map_err(|_| Refusal::Broken("this is no URL of a store".into()))?;
        Ok(Self { config, region: region.to_owned(), pool: Pool::new(CONNECTIONS_MAX) })
    }

    pub(super) async fn prepare(&self) -> Result<(), Refusal> {
        let session = self.connect().await.map_err(refusal)?;
        session.client.batch_execute(TABLES).await.map_err(refusal)
    }

    async fn connect(&self) -> Result<Session, Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(Session { client, prepared: HashMap::new() })
    }

    /// Runs one statement as a transaction of its own.
    async fn run(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Refusal> {
        self.transact(Transaction::One(sql, params)).await
    }

    /// Runs a transaction; again where it lost against another one.
    async fn transact(&self, transaction: Transaction<'_>) -> Result<Vec<Row>, Refusal> {
        let mut taken = self.pool.take().await;
        let idle = taken.connection.take().filter(|s| !s.client.is_closed());
        let mut session = match idle {
            Some(session) => session,
            None => self.connect().await.map_err(refusal)?,
        };
        let mut tries = 1;
        loop {
            match session.run(transaction).await {
                Err(e) if lost_a_race(&e) && tries < TRIES_MAX => {
                    tokio::time::sleep(WAIT * tries).await;
                    tries += 1;
                }
                done => {
                    taken.give_back(session);
                    return done.map_err(refusal);
                }
            }
        }
    }

    pub(super) async fn write(&self, person: &str, write: &Write) -> Result<Written, Refusal> {
        let rows = match write {
            Write::Add { key, text } => return self.add(person, key, text).await,
            Write::Change { id, text } => self.run(CHANGE, &[&person, id, text, &self.region]).await?,
            Write::Remove { id } => self.run(REMOVE, &[&person, id]).await?,
            Write::Photo { name, body } => {
                self.run(PHOTO, &[&person, name, &body.as_ref(), &self.region]).await?
            }
        };
        if !rows.is_empty() {
            return Ok(Written::Done);
        }
        // No row was touched and no trigger saw it: is it the note that is missing, or the person?
        self.here(person).await.map(|()| Written::NoSuchNote)
    }

    async fn add(&self, person: &str, key: &str, text: &str) -> Result<Written, Refusal> {
        let id = new_id()?;
        if !self.run(ADD, &[&id, &person, &key, &text, &self.region]).await?.is_empty() {
            return Ok(Written::New(id));
        }
        match self.run(KEY, &[&person, &key]).await?.first() {
            Some(row) => Ok(Written::Before(row.get(0))),
            // Its owner removed it between the two statements.
            None => Ok(Written::NoSuchNote),
        }
    }

    async fn here(&self, person: &str) -> Result<(), Refusal> {
        let rows = self.run(HERE, &[&person]).await?;
        if rows.is_empty() { Err(Refusal::NotHere) } else { Ok(()) }
    }

    pub(super) async fn sign_up(&self, person: &Person, epoch: Option<i64>) -> Result<bool, Refusal> {
        let join: Params<'_> = &[&person.id, &person.email, &person.country, &self.region];
        let rows = match epoch {
            Some(epoch) => self.transact(Transaction::SignUp(&[&person.id, &epoch], join)).await?,
            None => self.run(JOIN, join).await?,
        };
        Ok(!rows.is_empty())
    }

    pub(super) async fn notes(&self, person: &str) -> Result<Vec<Note>, Refusal> {
        let rows =
            self.run("SELECT id, text FROM notes WHERE person_id = $1 ORDER BY key", &[&person]).await?;
        if rows.is_empty() {
            self.here(person).await?;
        }
        Ok(rows.iter().map(|r| Note { id: r.get(0), text: r.get(1) }).collect())
    }

    pub(super) async fn note(&self, person: &str, id: &str) -> Result<Option<Note>, Refusal> {
        let rows =
            self.run("SELECT id, text FROM notes WHERE person_id = $1 AND id = $2", &[&person, &id]).await?;
        if rows.is_empty() {
            self.here(person).await?;
        }
        Ok(rows.first().map(|r| Note { id: r.get(0), text: r.get(1) }))
    }

    pub(super) async fn photo(&self, person: &str, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        let sql = "SELECT body FROM photos WHERE person_id = $1 AND name = $2";
        Ok(self.run(sql, &[&person, &name]).await?.first().map(|r| r.get(0)))
    }

    pub(super) async fn by_email(&self, email: &str) -> Result<Option<String>, Refusal> {
        let rows = self.run("SELECT id FROM people WHERE email = $1", &[&email]).await?;
        Ok(rows.first().map(|r| r.get(0)))
    }
}

fn code(e: &Error) -> &str {
    e.code().map_or("no answer", |c| c.code())
}

fn lost_a_race(e: &Error) -> bool {
    ["40001", "40P01"].contains(&code(e))
}

/// What the guard says, by its documented codes; everything else is the database's.
fn refusal(e: Error) -> Refusal {
    match code(&e) {
        "RS001" => Refusal::NotWritable,
        "RS002" => Refusal::Forbidden(e.as_db_error().map_or_else(String::new, |e| e.message().to_owned())),
        // Notes and photos have one parent, the person.
        "23503" => Refusal::NotHere,
        "23505" => Refusal::Taken,
        other => Refusal::Broken(other.to_owned()),
    }
}
