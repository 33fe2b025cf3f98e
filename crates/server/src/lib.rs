//! The processes that answer requests: the gateway, which brings each request to its subject's home, and
//! the directory service, which tells applications where that is.

pub mod admin;
pub mod body;
pub mod cdn;
pub mod directory;
pub mod edge;
pub mod gateway;
pub mod genuine;
pub mod listen;
pub mod problem;
pub mod token;

pub use body::Body;
pub use problem::Problem;
