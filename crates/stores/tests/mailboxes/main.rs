//! Mailboxes on both engines, under a guard that enforces: by an ordinary role, as a relay opens them.

#[path = "../layouts/mod.rs"]
mod layouts;
mod stage;
mod suite;
