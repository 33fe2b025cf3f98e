//! The whole route on real engines.
#![allow(missing_docs, reason = "tests")]

mod crash;
mod fuse;
mod load;
mod memory;
mod trouble;
mod whole;
mod world;
