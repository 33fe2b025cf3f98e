//! Parking: while a subject is under its fence its writes wait here, first in first out, their bodies unread; reads go on.
//!
//! Every write passes through its subject's [`Lanes::enter`], so that a park can wait for those under way. A lane that
//! nobody is in takes no memory.

mod lane;
mod parks;

pub(super) use lane::{Bounds, Lanes, Pass, Turned};
pub(super) use parks::Parks;
