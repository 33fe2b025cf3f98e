//! Relays over sockets, on both engines, under the real guard: consent, registration, discovery, and every bad input.

mod agreed;
mod consent;
mod crash;
mod find;
mod held;
mod moved;
mod phone;
mod refused;
mod register;
mod rolled;
#[path = "../mail_story/site.rs"]
#[allow(dead_code)]
mod site;
mod stage;

/// What went wrong, in words.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
