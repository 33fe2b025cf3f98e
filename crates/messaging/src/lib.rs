//! Opt-in messages between users of different regions: the protocol and the device's side of it.
//!
//! Nothing leaves a device before its owner agrees, and no server ever learns a contact's number.
//!
//! The way of a message: [`consent`] is given and signed by both sides; a [`token`] says so for ten minutes and a
//! [`proof`] shows in each request who holds the device's key; a [`number`] is proven and found again by its tag only
//! ([`discovery`]); what is sent and answered is in [`wire`].

pub mod consent;
pub mod device;
pub mod discovery;
pub mod fuzzed;
pub mod number;
pub mod proof;
mod random;
pub mod region;
pub mod registration;
pub mod sealing;
pub mod session;
pub mod token;
pub mod wire;

pub use ed25519_dalek::{SigningKey, VerifyingKey};
