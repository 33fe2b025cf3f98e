//! The handset: a process of its own in the namespace, with a modem, a clock of its own, and the client under test.

mod account;
mod clock;
pub mod closed;
pub mod faulty;
mod http;
pub mod leaky;
mod modem;
pub mod process;
pub mod quiet;
pub mod remote;
pub mod rest;

use crate::event::Event;
use clock::Clock;
pub use http::PROXY;
#[cfg(test)]
pub use http::request;
use modem::Modem;

/// Of a message: its receiver is away, and the carrier is to take it.
pub const USE_SMS: &str = "use-sms";
/// Of a message: it is at the receiver's home.
pub const KEPT: &str = "kept";

/// The client under test: whatever it does, it does when it is told of something.
trait Client {
    /// Something happened to the phone, or its owner did something. The client may read all of the phone. What it says became
    /// of it is for the test: [`USE_SMS`], [`KEPT`], or nothing.
    fn on(&mut self, event: &Event, phone: &Modem) -> Result<&'static str, String>;
    /// Time passed: what an alarm of the client's would have woken it for.
    fn tick(&mut self, clock: &Clock, phone: &Modem) -> Result<(), String>;
}
