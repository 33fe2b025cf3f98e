//! The route of a subject's data from one region to another.
//!
//! The folder is the route: [`plan`](mod@plan), `copy`, `catch_up`, `verify`, `fence`, `cutover`,
//! `activate`, [`erase`](mod@erase), `evidence`, one file a stage, each taking the record of the one before.
//! `route.rs` holds the only `match` on a stage; a batch that begins and one that resumes run the same
//! loop. A [`wave`] is the batches that one command moves together.

mod activate;
pub mod armed;
mod batch;
mod batches;
mod brought;
mod carried;
mod catch_up;
mod ceilings;
mod copy;
mod cutover;
pub mod erase;
mod error;
mod evidence;
mod fence;
mod gateways;
mod halt;
mod hold;
mod journal;
mod last_copy;
mod leave;
mod limits;
mod members;
pub mod missing;
mod objects;
pub mod outside;
mod pace;
mod paced;
pub mod plan;
mod preflight;
mod prints;
pub mod progress;
mod recheck;
pub mod reconcile;
mod record;
mod report;
pub mod rest;
mod route;
mod service;
mod tied;
mod turn;
mod verify;
pub mod wave;
mod worker;

pub use ceilings::ceilings_problem;
pub use error::{Error, Result};
pub use evidence::{Evidence, Retention, with_residue};
pub use limits::Limits;
pub use pace::Pace;
pub use plan::{Ask, Plan, PlannedMove};
pub use preflight::preflight;
pub use report::WaveReport;
pub use service::{Region, Rules, Service};
pub use worker::{Did, Part, WorkerName, is_for_workers};
