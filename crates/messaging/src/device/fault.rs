//! What can go wrong at a device.

use crate::consent::Purpose;
use crate::discovery::BlindFault;
use crate::region::RegionFault;
use crate::session::SessionFault;
use crate::wire::{Problem, RegionName};

/// Why a device did not do it. Names no number, contact or text.
#[derive(Debug, thiserror::Error)]
pub enum DeviceFault {
    /// Reading or writing its file.
    #[error("the device's file: {0}")]
    File(#[from] std::io::Error),
    /// Another process has it open.
    #[error("another process uses this device")]
    InUse,
    /// Creating one where there is one.
    #[error("there is a device in this file already")]
    Exists,
    /// No device, or of another version.
    #[error("this file is not a device of this version")]
    NotADevice,
    /// The file was put back from a copy of before.
    #[error("this file is an older copy of the device")]
    OlderCopy,
    /// The relay has other terms than those that the owner was shown.
    #[error("the terms for {0} have changed: nothing was agreed to")]
    TermsChanged(Purpose),
    /// Nothing was opened and nothing sent.
    #[error("the owner has not agreed to {0}: nothing was sent")]
    NoConsent(Purpose),
    /// The number's home is another region, with terms of its own.
    #[error("the home of this number is {0}: agree to the terms there, then register again")]
    HomeElsewhere(RegionName),
    /// This needs a mailbox.
    #[error("this device has no registered number yet")]
    NotRegistered,
    /// Registration was not started, or for nothing.
    #[error("no registration was started")]
    NotStarted,
    /// Not in the contacts.
    #[error("there is no such contact")]
    NoContact,
    /// Not a user, as far as known: SMS is the way.
    #[error("this contact has no mailbox: send an SMS")]
    NotAUser,
    /// It is found with another identity than before.
    #[error("this contact has another identity than before: nothing was sent")]
    IdentityChanged,
    /// To its own mailbox.
    #[error("this is the device's own number")]
    Oneself,
    /// A device has one number.
    #[error("this device has a number already")]
    HasNumber,
    /// Too many contacts, messages or tries.
    #[error("{0}")]
    Limit(&'static str),
    /// The relay's answers lead nowhere.
    #[error("{0}")]
    Endless(&'static str),
    /// No answer.
    #[error("the relay does not answer: {0}")]
    Unreachable(#[from] super::Unreachable),
    /// The relay says no.
    #[error("the relay says: {} ({})", .0.title, .0.code.as_str())]
    Refused(Box<Problem>),
    /// An answer of another form.
    #[error("the relay's answer is not what this endpoint answers")]
    Answer,
    /// A statement that is not believed.
    #[error(transparent)]
    Region(#[from] RegionFault),
    /// A region that the statement does not list, or an older move.
    #[error("the relay names a new home that its signed statement does not list")]
    MovedNowhere,
    /// The service's signature on a consent does not hold.
    #[error("the relay's signature on the consent does not hold")]
    Countersignature,
    /// Discovery's answer does not hold.
    #[error(transparent)]
    Blind(#[from] BlindFault),
    /// Keys or bodies do not hold.
    #[error(transparent)]
    Session(#[from] SessionFault),
}

impl DeviceFault {
    /// A word that programs may rely on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(_) => "device-file",
            Self::InUse => "device-in-use",
            Self::Exists => "device-exists",
            Self::NotADevice => "not-a-device",
            Self::OlderCopy => "device-older-copy",
            Self::TermsChanged(_) => "terms-changed",
            Self::NoConsent(_) => "no-consent",
            Self::HomeElsewhere(_) => "home-elsewhere",
            Self::NotRegistered => "not-registered",
            Self::NotStarted => "registration-not-started",
            Self::NoContact => "no-contact",
            Self::NotAUser => "not-a-user",
            Self::IdentityChanged => "identity-changed",
            Self::Oneself => "oneself",
            Self::HasNumber => "device-known",
            Self::Limit(_) => "limit",
            Self::Endless(_) => "relay-answer",
            Self::Unreachable(_) => "relay-unreachable",
            Self::Refused(problem) => problem.code.as_str(),
            Self::Answer => "relay-answer",
            Self::Region(_) => "region-not-believed",
            Self::MovedNowhere => "moved-nowhere",
            Self::Countersignature => "countersignature",
            Self::Blind(_) => "discovery-not-believed",
            Self::Session(_) => "session",
        }
    }
}
