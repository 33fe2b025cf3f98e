//! What is wrong with a line: each fault says what was seen and where in the capture.

use crate::carried::Carried;
use std::fmt;

/// One thing that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The handset spoke with somebody it had no business with.
    Spoke(Spoke),
    /// It asked the resolver for a name that it had no business with.
    Asked {
        /// The name.
        name: String,
        /// The first packet that asked.
        packet: u64,
        /// The country of the host of that name, where the hosts table knows it.
        country: Option<String>,
    },
    /// TLS named a host that the handset had no business with, or nobody: in the clear.
    Named {
        /// The name in the ClientHello.
        name: Option<String>,
        /// The packet.
        packet: u64,
    },
    /// A request was in the clear where everything is to be encrypted.
    Clear {
        /// Whom it went to.
        host: String,
        /// The packet.
        packet: u64,
    },
    /// While the phone was at rest something of the client's waited for a time of the wall's clock, which does not run faster.
    Waits(String),
    /// Something was on the wire that is no conversation with anybody: not IP.
    Noise {
        /// What.
        what: String,
        /// The first packet.
        packet: u64,
    },
    /// An identifier was seen where it must not be.
    Carried(Carried),
    /// An identifier stands in a file that must not have it: a dump, a log.
    Kept {
        /// Whose, where and how, in words.
        what: String,
    },
    /// Something that has to be so is not.
    Wrong(String),
    /// The line could not be judged: what it rests on is missing.
    Unproven(String),
    /// What the line needs is not built.
    NotBuilt(String),
}

/// Packets to or from one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoke {
    /// Its name in the hosts table, else its address.
    pub host: String,
    /// Its country, where the hosts table knows it.
    pub country: Option<String>,
    /// How many packets, both ways.
    pub packets: u64,
    /// The first one.
    pub first: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spoke(Spoke { host, country, packets, first }) => {
                let country = parenthesised(country);
                let s = if *packets == 1 { "" } else { "s" };
                write!(f, "{packets} packet{s} with {host}{country}, the first is packet {first}")
            }
            Self::Asked { name, packet, country } => {
                write!(f, "DNS was asked for {name}{} in packet {packet}", parenthesised(country))
            }
            Self::Named { name, packet } => {
                write!(f, "TLS named {} in packet {packet}", name.as_deref().unwrap_or("no host"))
            }
            Self::Clear { host, packet } => write!(f, "a request in the clear to {host} in packet {packet}"),
            Self::Waits(what) => write!(f, "the phone is at rest, and {what}"),
            Self::Noise { what, packet } => write!(f, "{what} in packet {packet}"),
            Self::Carried(carried) => carried.fmt(f),
            Self::Kept { what } | Self::Wrong(what) => f.write_str(what),
            Self::Unproven(why) => write!(f, "proves nothing: {why}"),
            Self::NotBuilt(what) => write!(f, "not built yet: {what}"),
        }
    }
}

fn parenthesised(country: &Option<String>) -> String {
    country.as_deref().map(|country| format!(" ({country})")).unwrap_or_default()
}
