//! What a capture shows of who spoke with whom. It reads the file itself and shares nothing with the audit, which reads the same
//! file for what was said.

mod hello;
mod pcap;
pub mod volume;
mod wire;

use crate::world::capture::{BEGIN, END, MARK};
use crate::world::zone::MARKS;
use pcap::Pcap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One packet that is no mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its number in the file, from 1, as tcpdump and Wireshark count.
    pub number: u64,
    /// When the capture saw it, in microseconds after 1970.
    pub at_us: u64,
    /// What it is.
    pub wire: Wire,
}

/// What a packet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// TCP or UDP between two ends.
    Ports {
        /// `tcp` or `udp`.
        transport: &'static str,
        /// The sender.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
        /// Whether it asks for a new TCP connection.
        opens: bool,
        /// What its payload begins.
        says: Says,
        /// How long its payload is.
        bytes: usize,
    },
    /// IP of another protocol (its number), such as ICMP.
    Other(u8, IpAddr, IpAddr),
    /// Not IP: the EtherType.
    Link(u16),
}

/// What a payload begins, as far as it says who is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// Nothing that is known here.
    Nothing,
    /// Nothing: TCP acknowledges what came, and that alone.
    Acks,
    /// A question to a resolver, for this name.
    Asks(String),
    /// A request of HTTP/1.1.
    Requests,
    /// A ClientHello of TLS, with the host's name where it tells it: in the clear (RFC 6066).
    Hello(Option<String>),
}

/// A capture, or the part of it between two marks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All packets but the marks, in order.
    pub packets: Vec<Packet>,
    /// The marks, with how many of `packets` came before each.
    pub marks: Vec<(String, usize)>,
}

impl Traffic {
    /// Reads a capture of Ethernet in pcap, as tcpdump writes it.
    ///
    /// # Errors
    /// In words: it is none, it is cut, or it does not begin and end with the test's marks.
    pub fn read(pcap: &[u8]) -> Result<Self, String> {
        let mut traffic = Self::default();
        let mut reader = Pcap::new(pcap)?;
        while let Some(frame) = reader.next()? {
            traffic.take(reader.number, reader.at_us, frame);
        }
        let names: Vec<&str> = traffic.marks.iter().map(|(name, _)| name.as_str()).collect();
        if names.first() != Some(&BEGIN) || names.iter().filter(|name| **name == END).count() != 1 {
            return Err(
                "the capture does not begin and end with its marks: it was not running all the time".into()
            );
        }
        Ok(traffic)
    }

    fn take(&mut self, number: u64, at_us: u64, frame: &[u8]) {
        let (wire, payload) = wire::wire(frame);
        let marks = SocketAddr::from(MARKS);
        if matches!(wire, Wire::Ports { transport: "udp", to, .. } if to == marks)
            && let Some(name) = std::str::from_utf8(payload).ok().and_then(|told| told.strip_prefix(MARK))
        {
            self.marks.push((name.trim_end().to_owned(), self.packets.len()));
        } else {
            self.packets.push(Packet { number, at_us, wire });
        }
    }

    /// The packets between two marks.
    ///
    /// # Errors
    /// In words: a mark is not there.
    pub fn between(&self, from: &str, to: &str) -> Result<&[Packet], String> {
        let at = |name: &str| {
            let mark = self.marks.iter().find(|(mark, _)| mark == name);
            mark.map(|(_, at)| *at).ok_or_else(|| format!("the capture does not show the mark {name:?}"))
        };
        self.packets.get(at(from)?..at(to)?).ok_or_else(|| format!("the mark {to:?} comes before {from:?}"))
    }
}

impl Packet {
    /// Both ends, where it is IP.
    pub fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        match &self.wire {
            Wire::Ports { from, to, .. } => Some((from.ip(), to.ip())),
            Wire::Other(_, from, to) => Some((*from, *to)),
            Wire::Link(_) => None,
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports { transport, from, to, .. } => write!(f, "{transport} {from} -> {to}"),
            Self::Other(protocol, from, to) => write!(f, "IP protocol {protocol} {from} -> {to}"),
            Self::Link(0x0806) => write!(f, "ARP"),
            Self::Link(kind) => write!(f, "EtherType {kind:#06x}"),
        }
    }
}
