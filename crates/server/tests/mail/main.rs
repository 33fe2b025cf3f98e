//! A relay's mail below whoever says who asks: two relays of two regions with their guard and the real mover.

mod delivery;
mod limits;
#[path = "../mail_story/site.rs"]
mod site;
mod stage;

/// What went wrong, in words.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
