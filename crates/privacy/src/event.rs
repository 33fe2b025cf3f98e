//! What happens to the phone and what its owner does with it; the script of a line is a list of these.

use serde::{Deserialize, Serialize};

/// One thing that happens. Each reaches the client under test, which may do with it what it likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The phone is started for the first time.
    FirstStart,
    /// A SIM is put in.
    Sim,
    /// A Wi-Fi is joined.
    Wifi,
    /// A contact is added; its number in E.164.
    ContactAdded(String),
    /// The owner writes an SMS to a number.
    SmsSent(String),
    /// An SMS comes from a number.
    SmsReceived(String),
    /// The owner sends an MMS to a number.
    MmsSent(String),
    /// An MMS comes from a number.
    MmsReceived(String),
    /// The owner calls a number.
    Called(String),
    /// A number calls.
    Rang(String),
    /// Nobody touches the phone for so many of its seconds.
    Idle(u64),
    /// The owner signs in to the account that the home region keeps.
    SignedIn,
    /// The owner agrees to a purpose (`cloud_messaging`, `contact_discovery`, `presence`, `region_move`).
    Agreed(String),
    /// The owner takes it back.
    Withdrew(String),
    /// The owner opens a contact's card.
    CardOpened(String),
    /// The owner writes a message over IP to a number; where the receiver is away, an SMS goes instead.
    Sent(String),
    /// The owner looks whether messages have come.
    Looked,
}

/// What the director asks of the handset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Let it happen.
    Event(Event),
    /// Send a mark: a packet of the test's own that says in the capture what comes next.
    Mark(String),
}

impl Event {
    /// In a word, for a picture.
    pub fn word(&self) -> &'static str {
        match self {
            Self::FirstStart => "start",
            Self::Sim => "SIM",
            Self::Wifi => "Wi-Fi",
            Self::ContactAdded(_) => "contact",
            Self::SmsSent(_) | Self::SmsReceived(_) => "SMS",
            Self::MmsSent(_) | Self::MmsReceived(_) => "MMS",
            Self::Called(_) | Self::Rang(_) => "call",
            Self::Idle(_) => "idle",
            Self::SignedIn => "sign in",
            Self::Agreed(_) => "consent",
            Self::Withdrew(_) => "withdraw",
            Self::CardOpened(_) => "card",
            Self::Sent(_) => "message",
            Self::Looked => "look",
        }
    }
}

impl From<Event> for Act {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}
