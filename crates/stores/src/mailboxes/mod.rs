//! Mailboxes: what a relay keeps in its region's database, as any application under the guard would.
//!
//! The role is an ordinary one, so the guard refuses what does not belong here: [`Refusal`]. Whoever adds a
//! statement writes it once for both engines (`$1`, `$2`, ...) and hands it to [`Mailboxes::run`]; messages and
//! their receipts, of which there are thousands a second, have SQL of their own and are committed in groups ([`mail`]).

mod channel;
mod consents;
mod expiry;
mod group;
mod holders;
mod keys;
mod locks;
mod mail;
mod postgres;
mod refusal;
mod registration;
pub mod schema;
mod sqlite;
mod tags;

pub use channel::{Channel, SAID_BYTES_MAX};
pub use consents::{Effect, GIVEN, Holder, Kept, REPLACED, WITHDRAWN, Waiting};
pub use expiry::{Cursor, Expired, Ledger};
pub use keys::{Keys, OneTime};
pub use mail::{Acknowledged, Fill, Message, Unread};
pub use refusal::Refusal;
pub use registration::{Agreed, AttemptLimits, NewAttempt, Owner, Proven, Tag};
pub use tags::{Charge, Charged, Found};

use crate::control::{Rows, Statement, Value};
use crate::{Error, Result};
use expiry::Over;
use group::Group;
use holders::Holding;
use mail::{Look, Receipt};
use secrecy::SecretString;
use std::path::Path;
use std::sync::Arc;

/// Transactions that commit messages at once, on PostgreSQL: while one waits for the disk, the next gathers.
const LANES: usize = 3;

/// A region's mailboxes.
pub struct Mailboxes {
    engine: Arc<Engine>,
    messages: Group<Message, bool>,
    receipts: Group<Receipt, usize>,
    holders: Group<Holding, Option<Holder>>,
    looks: Group<Look, Vec<Unread>>,
    over: Group<Over, u64>,
}

impl std::fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailboxes").field("store", &self.name()).finish_non_exhaustive()
    }
}

/// Where they are kept.
enum Engine {
    Postgres(Box<postgres::Postgres>),
    Sqlite(sqlite::Sqlite),
}

impl Mailboxes {
    /// Opens `sqlite:PATH` (relative to `base_dir`, created where it is absent) or
    /// `postgres://USER@HOST/DATABASE`, by an ordinary role. `secret` is the password where the URL holds none. To be
    /// called within a Tokio runtime.
    ///
    /// # Errors
    /// `Setting` for a URL that can't work, `Unreachable`.
    pub async fn open(url: &str, base_dir: &Path, secret: Option<SecretString>) -> Result<Self> {
        let (engine, lanes) = if let Some(path) = url.strip_prefix("sqlite:") {
            (Engine::Sqlite(sqlite::Sqlite::open(path, base_dir).await?), 1)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            (Engine::Postgres(Box::new(postgres::Postgres::open(url, secret).await?)), LANES)
        } else {
            let what = "the URL of a region's records begins with `sqlite:` or `postgres://`";
            return Err(Error::Setting { what: what.into() });
        };
        let engine = Arc::new(engine);
        let (messages, receipts) = (Group::start(&engine, lanes), Group::start(&engine, lanes));
        let (holders, looks) = (Group::start(&engine, lanes), Group::start(&engine, lanes));
        // One: what is over is in no hurry.
        let over = Group::start(&engine, 1);
        Ok(Self { engine, messages, receipts, holders, looks, over })
    }

    /// Begins to listen to the relays of this region that run in other processes. SQLite has none: there this process is the only
    /// relay from now on, or refuses to be one.
    ///
    /// # Errors
    /// The database's; another relay has the file.
    pub async fn channel(&self) -> Result<Option<Channel>> {
        match &*self.engine {
            Engine::Postgres(db) => db.channel().await.map(Some),
            Engine::Sqlite(db) => db.be_alone().await.map(|()| None),
        }
    }

    /// The store's name for messages, without secrets.
    pub fn name(&self) -> &str {
        match &*self.engine {
            Engine::Postgres(db) => db.name(),
            Engine::Sqlite(db) => db.name(),
        }
    }

    /// The service's tables as SQL of this engine.
    pub fn schema(&self) -> &'static str {
        match &*self.engine {
            Engine::Postgres(_) => schema::POSTGRES,
            Engine::Sqlite(_) => schema::SQLITE,
        }
    }

    /// Makes the tables where they are not there yet.
    ///
    /// # Errors
    /// The database's; on PostgreSQL the role must own the schema, which a relay's own role need not.
    pub async fn prepare(&self) -> Result<(), Refusal> {
        match &*self.engine {
            Engine::Postgres(db) => db.batch(schema::POSTGRES).await,
            Engine::Sqlite(db) => db.batch(schema::SQLITE).await,
        }
    }

    /// Runs the statements as one transaction; the answer has one element for each. Booleans come back as 0 and 1.
    ///
    /// # Errors
    /// A refusal; but for `Unknown` nothing was done.
    pub async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, Refusal> {
        self.engine.run(statements).await
    }

    /// Runs one statement as a transaction of its own.
    ///
    /// # Errors
    /// As [`Mailboxes::run`].
    pub async fn ask(&self, sql: &'static str, params: Vec<Value>) -> Result<Rows, Refusal> {
        Ok(self.run(vec![Statement::new(sql, params)]).await?.pop().unwrap_or_default())
    }

    /// The statement by which a new mailbox is announced to the guard, to stand before the insert of its row in the
    /// same transaction. `epoch` is the one that the directory gave.
    pub fn sign_up(&self, mailbox: &str, epoch: u64) -> Statement {
        let sql = match &*self.engine {
            Engine::Postgres(_) => "SELECT domicile.sign_up($1, $2) IS NULL",
            Engine::Sqlite(_) => "INSERT INTO domicile_signup(subject, epoch) VALUES ($1, $2)",
        };
        Statement::new(sql, vec![mailbox.into(), Value::Int(i64::try_from(epoch).unwrap_or(i64::MAX))])
    }
}

impl Engine {
    async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, Refusal> {
        match self {
            Self::Postgres(db) => db.run(statements).await,
            Self::Sqlite(db) => db.run(statements).await,
        }
    }
}
