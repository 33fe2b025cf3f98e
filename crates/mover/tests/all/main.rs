//! The whole route on real engines.
#![allow(missing_docs, reason = "tests")]

mod asked;
mod both;
mod crash;
mod full;
mod fuse;
mod load;
mod memory;
mod outage;
mod pace;
mod pen;
mod sides;
mod standby;
mod trouble;
mod whole;
mod world;
