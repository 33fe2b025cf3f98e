//! The audit: traces of known identifiers where they must not be.
//!
//! It imports no other crate of ours, neither the mover nor the data map nor the guard, and reads every
//! catalogue itself: a mistake shared with what it checks would hide itself.

mod calling;
mod capture;
mod controls;
pub mod database;
pub mod dump;
mod examine;
mod files;
mod finding;
mod har;
pub mod hosts;
mod identifier;
pub mod objects;
mod place;
pub mod report;
mod scan;
mod unpack;
mod wanted;

pub use calling::Country;
pub use capture::{Captured, FLOWS_MAX, Flow};
pub use examine::{Examiner, Limits, Progress};
pub use finding::{Encoding, Finding, Fingerprint, Hit};
pub use identifier::{Identifier, Kind};
pub use place::{Place, Step};
pub use report::{Controls, Report, Scanned, Unseen};
pub use scan::{Found, Scan};
pub use wanted::{Forms, Wanted};
