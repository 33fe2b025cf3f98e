//! The directory service: where a subject lives, for applications that are not behind our gateway.
//!
//! JSON over HTTP, described by docs/directory.openapi.json, which is also what `/openapi.json` answers. A home
//! has an epoch that grows with each move; it is the answer's `ETag`, so an application keeps what it was told and asks
//! whether that still holds, or waits until it does not (long poll).
//!
//! Stations of a request: [`token`](crate::token) -> [`routes`] -> [`request`] (what was sent, checked) -> [`homes`] or [`claims`] ->
//! the control store. Every refusal is a [`Problem`](crate::Problem) that names nobody. Nothing of a request is logged.
//!
//! Limits on what a stranger can grow: [`DirectoryLimits`] here, the connections' in [`ConnectionLimits`](crate::listen::ConnectionLimits).

mod claims;
mod follow;
pub(crate) mod fuzzed;
mod homes;
mod limits;
mod measure;
mod placing;
mod refusals;
mod request;
mod routes;
mod service;
mod spelling;

pub use limits::DirectoryLimits;
pub(crate) use measure::MEASURED as DIRECTORY_MEASURED;
pub use placing::Placing;
pub use routes::{DirectoryService, OPENAPI};
pub use service::Served;
pub use spelling::Spelling;
