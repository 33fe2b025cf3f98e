//! The handset: a process of its own in the namespace, with a modem, a clock of its own, and the client under test.

mod account;
mod clock;
mod http;
pub mod leaky;
mod modem;
pub mod process;
pub mod quiet;
pub mod remote;

use crate::event::Event;
use clock::Clock;
pub use http::PROXY;
#[cfg(test)]
pub use http::request;
use modem::Modem;

/// The client under test: whatever it does, it does when it is told of something.
trait Client {
    /// Something happened to the phone, or its owner did something. The client may read all of the phone.
    fn on(&mut self, event: &Event, phone: &Modem) -> Result<(), String>;
    /// Time passed: what an alarm of the client's would have woken it for.
    fn tick(&mut self, clock: &Clock, phone: &Modem) -> Result<(), String>;
}
