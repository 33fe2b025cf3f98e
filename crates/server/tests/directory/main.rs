//! The directory service over sockets: a real server on a real control store, and real clients.

mod claims;
mod clients;
mod homes;
mod limits;
mod schemathesis;
mod stage;
mod wait;
