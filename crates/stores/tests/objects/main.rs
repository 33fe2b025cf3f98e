//! One conformance suite for object stores, run on folders and on a real S3 server (SeaweedFS), and
//! what only one of them can do.

mod changing;
mod conformance;
mod copying;
mod erasing;
mod failing;
mod stage;
