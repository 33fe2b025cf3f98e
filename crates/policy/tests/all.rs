//! Integration tests of the policy crate, one module a matter.
#![allow(missing_docs)]

#[path = "policy/classes.rs"]
mod classes;
#[path = "policy/deciding.rs"]
mod deciding;
#[path = "policy/faults.rs"]
mod faults;
#[path = "policy/placing.rs"]
mod placing;
#[path = "policy/properties.rs"]
mod properties;
#[path = "policy/shipped.rs"]
mod shipped;
#[path = "policy/world.rs"]
mod world;
