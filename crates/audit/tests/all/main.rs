//! The audit on real databases, dumps and object stores.

mod databases;
mod dumps;
mod files;
mod reports;
mod sarif;
mod stores;
mod wanted;
