//! One region's database: people, their notes and photos, on PostgreSQL or SQLite.
//!
//! Every write is one transaction. What the database says of a refusal is turned into a [`Refusal`] here, by
//! its code; who answers HTTP never sees an engine.

mod pool;
mod postgres;
mod sqlite;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Who signs up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The subject's id, at most 200 bytes.
    pub id: String,
    /// Unique in a region.
    pub email: String,
    /// ISO 3166-1 code or name.
    pub country: String,
}

/// One note as its owner reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// 32 hexadecimal digits, drawn by the application.
    pub id: String,
    /// What it says.
    pub text: String,
}

/// A write for one person. It may be tried again, here or in another region.
#[derive(Debug, Clone)]
pub enum Write {
    /// A new note; the second time with the same key it is the first one.
    Add {
        /// The idempotency key, unique for each person.
        key: String,
        /// What it says.
        text: String,
    },
    /// Another text for a note.
    Change {
        /// The note.
        id: String,
        /// What it says from now on.
        text: String,
    },
    /// A note goes.
    Remove {
        /// The note.
        id: String,
    },
    /// A photo; one of the same name is replaced.
    Photo {
        /// Its name.
        name: String,
        /// The image.
        body: Bytes,
    },
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The note of this id is new.
    New(String),
    /// A note with this key was there before: its id.
    Before(String),
    /// Done.
    Done,
    /// The person is here and has no such note.
    NoSuchNote,
}

/// Why a region's database did not do it. Nothing of it was done: the transaction was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// RS001: not writable here now. Look the home up, try there.
    #[error("not writable here now")]
    NotWritable,
    /// The person's own row is not in this region (a stale route). Look the home up, try there.
    #[error("this person is not in this region")]
    NotHere,
    /// RS002: policy forbids it; its reason.
    #[error("{0}")]
    Forbidden(String),
    /// The e-mail address belongs to somebody else.
    #[error("the e-mail address is taken")]
    Taken,
    /// The database or the directory failed; a code, never a value.
    #[error("the database failed: {0}")]
    Broken(String),
}

/// A region's database.
#[derive(Debug)]
pub enum Store {
    /// PostgreSQL.
    Postgres(Box<postgres::Postgres>),
    /// A SQLite file.
    Sqlite(sqlite::Sqlite),
}

impl Store {
    /// `postgres://...` or `sqlite:PATH`. `region` is written into each row, for whoever checks.
    ///
    /// # Errors
    /// Where the URL is neither, or SQLite's file can't be opened.
    pub fn open(url: &str, region: &str) -> Result<Self, Refusal> {
        match url.strip_prefix("sqlite:") {
            Some(path) => Ok(Self::Sqlite(sqlite::Sqlite::open(path, region)?)),
            None => Ok(Self::Postgres(Box::new(postgres::Postgres::open(url, region)?))),
        }
    }

    /// Makes the tables where they are not there yet.
    ///
    /// # Errors
    /// What the database says.
    pub async fn prepare(&self) -> Result<(), Refusal> {
        match self {
            Self::Postgres(db) => db.prepare().await,
            Self::Sqlite(db) => db.prepare().await,
        }
    }

    /// Writes in one transaction.
    ///
    /// # Errors
    /// A refusal; then nothing was done.
    pub async fn write(&self, person: &str, write: &Write) -> Result<Written, Refusal> {
        match self {
            Self::Postgres(db) => db.write(person, write).await,
            Self::Sqlite(db) => db.write(person, write.clone()).await,
        }
    }

    /// Signs somebody up; `epoch` is the directory's, where the directory was asked. False: was here before.
    ///
    /// # Errors
    /// A refusal; then nothing was done.
    pub async fn sign_up(&self, person: &Person, epoch: Option<i64>) -> Result<bool, Refusal> {
        match self {
            Self::Postgres(db) => db.sign_up(person, epoch).await,
            Self::Sqlite(db) => db.sign_up(person.clone(), epoch).await,
        }
    }

    /// All notes of a person, oldest key first.
    ///
    /// # Errors
    /// [`Refusal::NotHere`] where the person is not in this region.
    pub async fn notes(&self, person: &str) -> Result<Vec<Note>, Refusal> {
        match self {
            Self::Postgres(db) => db.notes(person).await,
            Self::Sqlite(db) => db.notes(person).await,
        }
    }

    /// One note of a person.
    ///
    /// # Errors
    /// [`Refusal::NotHere`] where the person is not in this region.
    pub async fn note(&self, person: &str, id: &str) -> Result<Option<Note>, Refusal> {
        match self {
            Self::Postgres(db) => db.note(person, id).await,
            Self::Sqlite(db) => db.note(person, id).await,
        }
    }

    /// One photo of a person.
    ///
    /// # Errors
    /// What the database says.
    pub async fn photo(&self, person: &str, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        match self {
            Self::Postgres(db) => db.photo(person, name).await,
            Self::Sqlite(db) => db.photo(person, name).await,
        }
    }

    /// Whose e-mail address is it?
    ///
    /// # Errors
    /// What the database says.
    pub async fn by_email(&self, email: &str) -> Result<Option<String>, Refusal> {
        match self {
            Self::Postgres(db) => db.by_email(email).await,
            Self::Sqlite(db) => db.by_email(email).await,
        }
    }
}

/// 128 bits of chance, as 32 hexadecimal digits.
///
/// # Errors
/// Where the system has none.
fn new_id() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Refusal::Broken(e.to_string()))?;
    Ok(hex::encode(bytes))
}
