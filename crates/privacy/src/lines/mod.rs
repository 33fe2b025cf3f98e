//! The lines of the table: what each plays and how it is judged.

pub mod good;
pub mod leaks;
pub mod plants;
mod t1;
mod t2;
mod t3;
mod t4;
mod t5;
mod t6;
mod t7;
mod t9;

use crate::event::Act;
use crate::fault::Fault;
use crate::scene::Played;
use crate::world::zone::Zone;
use std::fmt;

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// A fresh phone.
    T1,
    /// An account, no consent.
    T2,
    /// Messaging alone is agreed to.
    T3,
    /// Contact discovery is agreed to.
    T4,
    /// Sending.
    T5,
    /// Withdrawing.
    T6,
    /// After a move.
    T7,
    /// The client that leaks.
    T8,
    /// All of it.
    T9,
}

impl Line {
    /// In order.
    pub const ALL: [Self; 9] =
        [Self::T1, Self::T2, Self::T3, Self::T4, Self::T5, Self::T6, Self::T7, Self::T8, Self::T9];
    /// Those that the client that leaks must fail.
    pub const LEAKING: [Self; 4] = [Self::T1, Self::T2, Self::T3, Self::T4];

    /// What happens, and what must be.
    pub fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::T1 => (
                "fresh phone, SIM, Wi-Fi, a contact, SMS, MMS and calls, ten idle minutes",
                "no packet at all",
            ),
            Self::T2 => {
                ("signed in to an account, nothing agreed to", "the account's endpoint only, no identifiers")
            }
            Self::T3 => {
                ("messaging agreed to, nothing else", "the home relay only, no contact, IMEI or IMSI")
            }
            Self::T4 => {
                ("a non-user's card opened twice", "nothing sent the second time, nothing kept of the number")
            }
            Self::T5 => (
                "a message to somebody online and to somebody offline",
                "offline: told to use SMS, no extra request",
            ),
            Self::T6 => ("consent withdrawn", "silence at once, not to be found, keys deleted"),
            Self::T7 => ("moved to another region", "no packet to the old region"),
            Self::T8 => ("a client that leaks as in 2014", "fails T1 to T4 in every writing"),
            Self::T9 => ("all captures of the good client", "the home region's endpoints only"),
        }
    }

    /// The script of one of [`LEAKING`](Self::LEAKING) up to where it needs no other party than the phone's owner.
    pub fn script(self) -> Vec<Act> {
        match self {
            Self::T1 => t1::script(),
            Self::T2 => t2::script(),
            Self::T3 => t3::script(),
            Self::T4 => t4::script(),
            _ => Vec::new(),
        }
    }

    /// The faults of a capture under the line's rule.
    pub fn judge(self, played: &Played, zone: &Zone) -> Vec<Fault> {
        match self {
            Self::T1 => t1::judge(played, zone),
            Self::T2 => t2::judge(played, zone),
            Self::T3 => t3::judge(played, zone),
            Self::T4 => t4::judge(played, zone),
            _ => vec![Fault::NotBuilt(self.to_string())],
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
