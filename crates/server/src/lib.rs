//! The processes that answer requests: the gateway, which brings each request to its subject's home, and
//! the directory service, which tells applications where that is.

pub mod body;
pub mod cdn;
pub mod edge;
pub mod genuine;
pub mod problem;

pub use body::Body;
pub use problem::Problem;
