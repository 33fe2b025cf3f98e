//! Regions, residency policies, and the choice of a home.
//!
//! Pure: no file, no socket, no clock. Texts come in, decisions with their reasons go out; `today` is an
//! argument. What policies decide here, the guard (in `stores`) and the mover enforce.
//!
//! The way of a question: [`Policies::parse`] turns Cedar files into checked [`Policies`]; a subject's
//! attributes make a [`Class`]; [`Policies::decide`] answers one (class, action, region, category);
//! [`Policies::place`] asks as often as it takes to find the subject's home.

mod class;
mod country;
mod decide;
mod explain;
mod fault;
mod known;
mod latency;
mod mentioned;
mod place;
mod policies;
mod region;
mod rule;
mod schema;
mod spellings;
mod statement;

pub use class::{Class, ClassId, ClassTable, Placer};
pub use country::{Country, WrongCountry};
pub use decide::Decision;
pub use explain::{Admission, Explained};
pub use fault::{Fault, Faults};
pub use latency::{Latency, LatencyFault, Link, Quality};
pub use mentioned::Mentioned;
pub use place::{Circumstances, Outcome, Placement, Verdict};
pub use policies::Policies;
pub use region::{Action, Context, Mechanism, Region, in_force};
pub use rule::{Effect, Rule, RuleText};
pub use schema::SCHEMA_VERSION;
