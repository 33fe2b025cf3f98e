//! The audit: traces of known identifiers where they must not be.
//!
//! It imports no other crate of ours, neither the mover nor the data map nor the guard, and reads every
//! catalogue itself: a mistake shared with what it checks would hide itself.

mod calling;
mod classes;
mod decode;
mod digests;
mod examine;
mod filter;
mod finding;
mod forms;
mod identifier;
mod keys;
mod level;
mod place;
mod report;
mod scan;
mod search;
mod table;
mod wanted;

pub use calling::Country;
pub use examine::{Examiner, Limits};
pub use finding::{Encoding, Finding, Fingerprint, Hit};
pub use forms::Forms;
pub use identifier::{BadList, IDENTIFIERS_MAX, Identifier, Kind, LENGTH_BYTES_MAX, LENGTH_BYTES_MIN, Unfit};
pub use place::{Place, Step};
pub use report::{Controls, Report, Scanned, Unseen, cannot_see};
pub use scan::{Found, Scan};
pub use wanted::Wanted;
