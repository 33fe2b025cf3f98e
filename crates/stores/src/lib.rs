//! The only crate that speaks PostgreSQL, SQLite and object stores.
//!
//! [`records`] is the promise a region's record database makes to the mover, kept twice: in
//! [`postgres`] and in [`sqlite`]. [`objects`] is the same for object stores. [`control`] is the plain
//! SQL that the directory writes to its control store; [`mailboxes`] is what a messaging relay keeps in its region. The guard's SQL is generated here, too, since
//! it is the database that keeps it.

pub mod control;
pub mod error;
pub mod failpoints;
mod hazard;
pub mod mailboxes;
pub mod objects;
pub mod planted;
pub mod postgres;
pub mod records;
pub mod sqlite;

pub use error::{Error, Result};
pub use hazard::Hazard;
pub use records::{Records, Snapshot, Writing};
