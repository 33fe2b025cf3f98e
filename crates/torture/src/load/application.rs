//! The application's own connection to a region.

use super::log::Outcome;
use super::transaction::{Isolation, Transaction};
use crate::ground::Place;
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// Waits of the application's statements: for one another and for the file's lock.
const PATIENCE: &str = "SET lock_timeout = '1500ms'; SET statement_timeout = '4s'";
const PATIENCE_SQLITE: Duration = Duration::from_millis(1500);
/// A refused writer connects again after this long.
const AGAIN: Duration = Duration::from_millis(60);

/// A connection, made when it is needed.
pub struct Application {
    place: Place,
    session: Session,
}

enum Session {
    None,
    Postgres(Client),
    Sqlite(rusqlite::Connection),
}

impl Application {
    pub fn new(place: Place) -> Self {
        Self { place, session: Session::None }
    }

    /// Sends a transaction and says how it ended. A broken connection is made anew the next time.
    pub async fn send(&mut self, transaction: &Transaction) -> Outcome {
        if !self.connect().await {
            tokio::time::sleep(AGAIN).await;
            return Outcome::Down;
        }
        let outcome = match &mut self.session {
            Session::Postgres(client) => send_postgres(client, transaction).await,
            Session::Sqlite(db) => tokio::task::block_in_place(|| send_sqlite(db, transaction)),
            Session::None => Outcome::Down,
        };
        if matches!(outcome, Outcome::Down | Outcome::Unknown) {
            self.session = Session::None;
        }
        outcome
    }

    async fn connect(&mut self) -> bool {
        if !matches!(self.session, Session::None) {
            return true;
        }
        self.session = match &self.place {
            Place::Postgres(url) => {
                let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await else {
                    return false;
                };
                tokio::spawn(connection);
                if client.batch_execute(PATIENCE).await.is_err() {
                    return false;
                }
                Session::Postgres(client)
            }
            Place::Sqlite(file) => {
                let Ok(db) = rusqlite::Connection::open(file) else { return false };
                if db.pragma_update(None, "foreign_keys", true).is_err()
                    || db.busy_timeout(PATIENCE_SQLITE).is_err()
                {
                    return false;
                }
                Session::Sqlite(db)
            }
        };
        true
    }
}

/// What went wrong before COMMIT: nothing was done.
enum Stop {
    NotHere,
    Error(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        Stop::Error(error)
    }
}

/// The server ends the connection itself: classes 57P and 08, and what the driver says of a broken socket.
fn is_gone(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_none_or(|db| db.code().code().starts_with("57P") || db.code().code().starts_with("08"))
}

fn refused(error: &tokio_postgres::Error) -> Outcome {
    Outcome::Refused(error.code().map_or("none", |code| code.code()).to_owned())
}

async fn send_postgres(client: &Client, t: &Transaction) -> Outcome {
    if t.isolation == Isolation::None && t.statements.len() == 1 {
        return match client.execute(t.statements[0].0.as_str(), &[]).await {
            Ok(rows) if t.statements[0].1.is_none_or(|wanted| wanted == rows) => Outcome::Done,
            Ok(_) => Outcome::NotHere,
            Err(error) if is_gone(&error) => Outcome::Unknown,
            Err(error) => refused(&error),
        };
    }
    let outcome = match statements(client, t).await {
        Ok(()) if t.changed_mind => Outcome::Refused("changed-mind".to_owned()),
        Ok(()) => match client.batch_execute("COMMIT").await {
            Ok(()) => return Outcome::Done,
            // Cancelled at the end or cut off: it may have been done.
            Err(error) if is_gone(&error) || error.code().is_some_and(|c| c.code().starts_with("57")) => {
                return Outcome::Unknown;
            }
            Err(error) => refused(&error),
        },
        Err(Stop::NotHere) => Outcome::NotHere,
        Err(Stop::Error(error)) if is_gone(&error) => return Outcome::Down,
        Err(Stop::Error(error)) => refused(&error),
    };
    match client.batch_execute("ROLLBACK").await {
        Ok(()) => outcome,
        Err(_) => Outcome::Down,
    }
}

async fn statements(client: &Client, t: &Transaction) -> Result<(), Stop> {
    client.batch_execute(&format!("BEGIN {}", t.isolation.words())).await?;
    if !t.old.is_zero() {
        client.batch_execute("SELECT count(*) FROM accounts").await?;
        tokio::time::sleep(t.old).await;
    }
    if t.detour {
        let first = &t.statements[0].0;
        client.batch_execute(&format!("SAVEPOINT detour; {first}; ROLLBACK TO detour")).await?;
    }
    for (sql, wanted) in &t.statements {
        let rows = client.execute(sql.as_str(), &[]).await?;
        if wanted.is_some_and(|wanted| wanted != rows) {
            return Err(Stop::NotHere);
        }
    }
    tokio::time::sleep(t.held).await;
    Ok(())
}

/// SQLite answers at once or not at all: nothing is unknown, since this process is never killed.
fn send_sqlite(db: &mut rusqlite::Connection, t: &Transaction) -> Outcome {
    let outcome = match statements_sqlite(db, t) {
        Ok(true) if t.changed_mind => Outcome::Refused("changed-mind".to_owned()),
        Ok(true) => match db.execute_batch("COMMIT") {
            Ok(()) => return Outcome::Done,
            Err(error) => Outcome::Refused(word_of(&error)),
        },
        Ok(false) => Outcome::NotHere,
        Err(error) => Outcome::Refused(word_of(&error)),
    };
    // The guard's refusals have rolled back already.
    if !db.is_autocommit() {
        let _ = db.execute_batch("ROLLBACK");
    }
    outcome
}

/// False: a row was not there.
fn statements_sqlite(db: &rusqlite::Connection, t: &Transaction) -> rusqlite::Result<bool> {
    let old = !t.old.is_zero();
    db.execute_batch(if old { "BEGIN" } else { "BEGIN IMMEDIATE" })?;
    if old {
        db.query_row("SELECT count(*) FROM accounts", [], |_| Ok(()))?;
        std::thread::sleep(t.old / 4);
    }
    if t.detour {
        let first = &t.statements[0].0;
        db.execute_batch(&format!("SAVEPOINT detour; {first}; ROLLBACK TO detour"))?;
    }
    for (sql, wanted) in &t.statements {
        let rows = db.execute(sql, [])? as u64;
        if wanted.is_some_and(|wanted| wanted != rows) {
            return Ok(false);
        }
    }
    // The whole file waits for it.
    std::thread::sleep(t.held / 20);
    Ok(true)
}

fn word_of(error: &rusqlite::Error) -> String {
    let text = error.to_string();
    let known = ["RS001", "RS002", "FOREIGN KEY", "UNIQUE", "locked", "busy"];
    known.into_iter().find(|word| text.contains(word)).map_or(text.clone(), str::to_owned)
}
