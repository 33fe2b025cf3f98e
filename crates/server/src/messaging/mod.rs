//! The relay: consent, registration, discovery and messages of one region's mailboxes.
//!
//! A device speaks only to its home relay. Stations of a request: [`relay`] (routes) -> [`admit`] (whose it is: token, proof, and
//! what the database says of the consent now) -> the door it knocks at. What another region knows is asked there by [`peers`], never
//! by the device. Every refusal is a [`Problem`](crate::Problem) that names nobody, and nothing of a request is logged.
//!
//! - INVARIANT: nothing is done for a device whose consent to that purpose is not in the database as given, whatever its token says.
//! - INVARIANT: a number is in memory while its request is answered, sealed in the database, and nowhere else.
//!
//! Limits on what a stranger can grow: [`MessagingLimits`].

mod calls;
mod fills;
mod keys;
mod limits;
mod mail;
mod messages;
mod moving;
mod nonces;
mod outgoing;
mod parks;
mod presence;
mod rates;
mod refusals;
mod relays;
mod sms;
mod sweep;

pub use calls::MailCall;
pub use limits::MessagingLimits;
pub use mail::{Mail, MailLimits, MailSettings};
pub use sms::{FileSms, HttpSms, Sms, SmsError};
