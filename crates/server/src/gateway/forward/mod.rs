//! Sends a request to its subject's home, and brings the answer back as it streams.

mod headers;
mod idle;
mod replay;
mod upgrade;
mod upstream;

pub(super) use headers::{Hop, clean_answer, clean_request, is_upgrade};
pub(super) use idle::IdleLimit;
pub(super) use replay::Replay;
pub(super) use upgrade::{EventStream, Tethers, join};
pub(super) use upstream::{Broke, Upstreams};
