//! The directory's promises, each on SQLite and on a real PostgreSQL.

mod canary;
mod claims;
mod claims_model;
mod faults;
mod gateways;
mod homes;
mod late_swaps;
mod model;
mod schema;
mod sharing;
mod stage;
mod waves;
