//! The cache before a real HTTP origin on loopback.

mod deceived;
mod judged;
mod many;
mod origin;
mod stale;
mod stored;
