//! Mailboxes on both engines, under a guard that enforces: by an ordinary role, as a relay opens them.

#[path = "../layouts/mod.rs"]
#[allow(dead_code)]
mod layouts;
mod stage;
mod suite;
