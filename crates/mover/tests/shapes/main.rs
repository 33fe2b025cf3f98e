//! All shapes of data, through the whole route on real PostgreSQL: plan, move under writers, compare every row
//! of both regions by plain SQL, erase, move back, compare again.
#![allow(missing_docs, reason = "tests")]

mod beats;
mod keys;
mod land;
mod large;
mod links;
mod partitions;
mod refused;
mod settings;
mod tables;
mod types;
mod values;
mod versions;
