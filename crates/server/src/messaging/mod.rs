//! The relay: consent, registration, discovery and messages of one region's mailboxes.
//!
//! A device speaks only to its home relay. Stations of a request: [`routes`] -> [`admit`] (whose it is: token, proof, and
//! what the database says of the consent now) -> the door it knocks at. What another region knows is asked there by [`others`] and
//! [`relays`], never by the device. Every refusal is a [`Problem`](crate::Problem) that names nobody, and nothing of a request is logged.
//!
//! - INVARIANT: nothing is done for a device whose consent to that purpose is not in the database as given, whatever its token says.
//! - INVARIANT: a number is in memory while its request is answered, sealed in the database, and nowhere else.
//!
//! Limits on what a stranger can grow: [`MessagingLimits`], [`MailLimits`].

mod admit;
mod calls;
mod consents;
mod discovery;
mod fills;
mod filters;
mod keys;
mod limits;
mod mail;
mod measure;
mod messages;
mod moving;
mod neighbours;
mod notices;
mod others;
mod outgoing;
mod parks;
mod presence;
mod rates;
mod refusals;
mod region;
mod register;
mod relays;
mod routes;
mod secrets;
mod settings;
mod shared;
mod sms;
mod sweep;
mod tags;
mod verified;
mod waiting;

pub use calls::MailCall;
pub use limits::MessagingLimits;
pub use mail::{Mail, MailLimits, MailSettings};
pub(crate) use measure::MEASURED as RELAY_MEASURED;
pub use region::Speaker;
pub use routes::Relay;
pub use secrets::{RelayKeys, new_service_key, service_key};
pub use settings::{RelayListed, RelaySettings};
pub use shared::RelayParts;
pub use sms::{FileSms, HttpSms, Sms, SmsError};

/// Today, in UTC: generations of keys end for everybody at once.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
