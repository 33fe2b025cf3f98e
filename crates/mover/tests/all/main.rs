//! The whole route on real engines.
#![allow(missing_docs, reason = "tests")]

mod asked;
mod back;
mod both;
mod crash;
mod full;
mod fuse;
mod gateways;
mod load;
mod memory;
mod outage;
mod pace;
mod pen;
mod rest;
mod restored;
mod sides;
mod standby;
mod thawed;
mod trouble;
mod whole;
mod world;
