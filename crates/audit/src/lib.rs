//! The audit: traces of known identifiers where they must not be.
//!
//! It imports no other crate of ours, neither the mover nor the data map nor the guard, and reads every
//! catalogue itself: a mistake shared with what it checks would hide itself.

mod calling;
mod capture;
mod classes;
mod controls;
mod cpu;
pub mod database;
mod decode;
mod digests;
pub mod dump;
mod examine;
mod files;
mod filter;
mod finding;
mod forms;
#[doc(hidden)]
pub mod fuzzed;
mod gap;
mod har;
pub mod hosts;
mod identifier;
mod keys;
mod level;
pub mod objects;
mod place;
pub mod report;
mod scan;
mod search;
mod table;
mod unpack;
mod wanted;

pub use calling::Country;
pub use capture::{Captured, FLOWS_MAX, Flow};
pub use controls::Canaries;
pub use examine::{Examiner, Limits, Progress};
pub use finding::{Encoding, Finding, Fingerprint, Hit};
pub use forms::Forms;
pub use gap::{Gap, Gaps};
pub use identifier::{BadList, IDENTIFIERS_MAX, Identifier, Kind, LENGTH_BYTES_MAX, LENGTH_BYTES_MIN, Unfit};
pub use place::{Place, Step};
pub use report::{Controls, Report, Scanned, Unseen, cannot_see};
pub use scan::{Found, Scan};
pub use wanted::Wanted;
