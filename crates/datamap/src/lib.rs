//! Which rows and objects belong to a subject.
//!
//! Pure: takes a [`Catalogue`] (what the database has) and a [`DataMap`] (what the user wrote) and
//! returns a [`Layout`] (the tables in dependency order, each with its way to the subject) or the
//! list of problems and unanswered questions. No I/O, no clock, no SQL.
//!
//! The way of a map: [`init::propose`] writes it, the user answers its questions, [`check::check`]
//! resolves it, [`diff::diff`] compares two regions by it.

mod access;
mod answers;
pub mod ask;
mod canonical;
pub mod catalogue;
pub mod check;
pub mod diff;
pub mod init;
pub mod layout;
pub mod map;
pub mod name;
mod numbers;
mod order;
mod owner;
pub mod problem;
pub mod read;
mod relations;
mod words;
pub mod write;

pub use access::{Unindexed, unindexed};
pub use catalogue::{Catalogue, Engine, TableName};
pub use check::{check, dropped_but_present};
pub use diff::diff;
pub use init::propose;
pub use layout::{Layout, MappedTable, Owner};
pub use map::DataMap;
pub use numbers::{Clash, Giver, Numbers, clashes, join_strides};
pub use problem::Problem;
pub use read::in_the_files_words;
