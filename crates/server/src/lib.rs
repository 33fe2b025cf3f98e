//! The processes that answer requests: the gateway, which brings each request to its subject's home, and
//! the directory service, which tells applications where that is.

pub mod admin;
pub mod body;
pub mod cdn;
pub mod directory;
pub mod edge;
#[doc(hidden)]
pub mod fuzzed;
pub mod gateway;
pub mod genuine;
pub mod listen;
pub mod messaging;
mod names;
pub mod problem;
pub mod token;
pub mod trace;

pub use body::Body;
pub use names::metric_names;
pub use problem::{Elsewhere, Problem};
