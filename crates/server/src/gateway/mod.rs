//! The gateway: brings each request to the home of its subject, and holds writes while a subject is under its fence.
//!
//! A request's way, each station a file:
//!
//! ```text
//! check -> subject (named: login, sign-up) -> home -> park -> forward -> (refused? home again)
//! ```
//!
//! [`follow`] runs beside it: it keeps the gateway's lease, hears of every move, and tells `park` whom to hold.

mod answer;
mod check;
mod count;
mod deliver;
mod follow;
mod forward;
pub(crate) mod fuzzed;
pub(crate) mod home;
mod measure;
mod named;
mod park;
mod running;
mod settings;
mod subject;
mod trip;

pub use count::Counts;
pub(crate) use measure::MEASURED;
pub use measure::{Histogram, explained};
pub(crate) use running::GAUGES;
pub use running::Gateway;
pub use settings::{Limits, LoginRoute, Settings, SignUpRoute, SubjectRule, Upstream};
pub use subject::jwt::{JwtRule, Keys, KeysError};
pub use trip::{Hears, Watch};
