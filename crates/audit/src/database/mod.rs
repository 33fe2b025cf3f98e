//! Databases: every table that the catalogue knows, mapped or not, read value by value.
//!
//! The caller opens the connection; what is there is asked of the database itself, in one read-only
//! snapshot, in bounded memory.

pub mod postgres;
pub mod raw;
pub(crate) mod rows;
pub mod sqlite;

/// Why a database could not be read at all. What of it could not be read is in the report's `unseen`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL's words. They are about statements of ours and hold no value of a row.
    #[error("{0}")]
    Postgres(String),
    /// SQLite's words.
    #[error("{0}")]
    Sqlite(String),
}
