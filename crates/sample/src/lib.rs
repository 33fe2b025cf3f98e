//! A sample: a small application as Domicile's users write it, and what a test of a move needs beside it.
//!
//! - [`app`]: notes of people over HTTP, one process a region. It knows of Domicile what the documents say, and
//!   imports none of its crates.
//! - [`load`]: many people who write, each acknowledged write in a log.
//! - [`check`]: compares the log with all regions' databases by plain SQL.

pub mod app;
pub mod check;
pub mod directory;
pub mod load;
pub mod store;
