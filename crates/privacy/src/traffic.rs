//! What a capture shows of who spoke with whom. It reads the file itself and shares nothing with the audit, which reads the same
//! file for what was said.

use crate::world::capture::{BEGIN, END, MARK};
use crate::world::names::question;
use crate::world::zone::MARKS;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One packet that is no mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its number in the file, from 1, as tcpdump and Wireshark count.
    pub number: u64,
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
        /// The name that it asks a resolver for.
        asks: Option<String>,
        /// Whether its payload begins a request of HTTP/1.1.
        requests: bool,
    },
    /// IP of another protocol (its number), such as ICMP.
    Other(u8, IpAddr, IpAddr),
    /// Not IP: the EtherType.
    Link(u16),
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
            traffic.take(reader.number, frame);
        }
        let names: Vec<&str> = traffic.marks.iter().map(|(name, _)| name.as_str()).collect();
        if names.first() != Some(&BEGIN) || names.iter().filter(|name| **name == END).count() != 1 {
            return Err(
                "the capture does not begin and end with its marks: it was not running all the time".into()
            );
        }
        Ok(traffic)
    }

    fn take(&mut self, number: u64, frame: &[u8]) {
        let (wire, payload) = wire(frame);
        let marks = SocketAddr::from(MARKS);
        if matches!(wire, Wire::Ports { transport: "udp", to, .. } if to == marks)
            && let Some(name) = std::str::from_utf8(payload).ok().and_then(|told| told.strip_prefix(MARK))
        {
            self.marks.push((name.trim_end().to_owned(), self.packets.len()));
        } else {
            self.packets.push(Packet { number, wire });
        }
    }

    /// How many requests of HTTP/1.1 begin between two marks.
    ///
    /// # Errors
    /// In words: a mark is not there.
    pub fn requests(&self, from: &str, to: &str) -> Result<usize, String> {
        let packets = self.between(from, to)?;
        Ok(packets.iter().filter(|p| matches!(p.wire, Wire::Ports { requests: true, .. })).count())
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

/// Packets of a pcap file, in order (draft-ietf-opsawg-pcap).
struct Pcap<'a> {
    rest: &'a [u8],
    little: bool,
    number: u64,
}

impl<'a> Pcap<'a> {
    fn new(file: &'a [u8]) -> Result<Self, String> {
        let (head, rest) = file.split_at_checked(24).ok_or("the capture has no header")?;
        let little = match head[..4] {
            [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
            [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
            _ => return Err("the capture is no pcap".into()),
        };
        let reader = Self { rest, little, number: 0 };
        const ETHERNET: u32 = 1;
        if reader.word(&head[20..]) & 0xffff != ETHERNET {
            return Err("the capture is not of Ethernet".into());
        }
        Ok(reader)
    }

    fn next(&mut self) -> Result<Option<&'a [u8]>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let cut = || format!("the capture is cut in packet {}", self.number + 1);
        let (head, rest) = self.rest.split_at_checked(16).ok_or_else(cut)?;
        let (kept, whole) = (self.word(&head[8..]), self.word(&head[12..]));
        let (frame, rest) = rest.split_at_checked(kept as usize).ok_or_else(cut)?;
        if kept < whole {
            return Err(cut());
        }
        (self.rest, self.number) = (rest, self.number + 1);
        Ok(Some(frame))
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }
}

/// What a frame is, and what its UDP carries. What is cut or odd is still a packet: of its link.
fn wire(frame: &[u8]) -> (Wire, &[u8]) {
    let kind = frame.get(12..14).map_or(0, |kind| u16::from_be_bytes([kind[0], kind[1]]));
    let network = frame.get(14..).unwrap_or_default();
    let read = match kind {
        0x0800 => ipv4(network),
        0x86dd => ipv6(network),
        _ => None,
    };
    let Some((protocol, from, to, inner)) = read else { return (Wire::Link(kind), &[]) };
    ports(protocol, from, to, inner).unwrap_or((Wire::Other(protocol, from, to), &[]))
}

type Network<'a> = (u8, IpAddr, IpAddr, &'a [u8]);

/// RFC 791.
fn ipv4(bytes: &[u8]) -> Option<Network<'_>> {
    let head = usize::from(bytes.first()? & 0x0f) * 4;
    let address = |at| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
    let whole = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    // Offloads leave a length of 0, and Ethernet pads what is short.
    let end = if whole == 0 { bytes.len() } else { whole.min(bytes.len()) };
    Some((*bytes.get(9)?, address(12)?.into(), address(16)?.into(), bytes.get(head..end)?))
}

/// RFC 8200; extension headers are left as the protocol that they are.
fn ipv6(bytes: &[u8]) -> Option<Network<'_>> {
    let address = |at| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
    Some((*bytes.get(6)?, address(8)?.into(), address(24)?.into(), bytes.get(40..)?))
}

fn ports(protocol: u8, from: IpAddr, to: IpAddr, bytes: &[u8]) -> Option<(Wire, &[u8])> {
    let port = |at| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (from, to) = (SocketAddr::new(from, port(0)?), SocketAddr::new(to, port(2)?));
    match protocol {
        6 => {
            const SYN_ALONE: u8 = 0x02;
            let payload = bytes.get(usize::from(bytes.get(12)? >> 4) * 4..).unwrap_or_default();
            let requests =
                [&b"GET /"[..], b"POST /", b"PUT /", b"DELETE /"].iter().any(|m| payload.starts_with(m));
            let opens = bytes.get(13)? & 0x12 == SYN_ALONE;
            Some((Wire::Ports { transport: "tcp", from, to, opens, asks: None, requests }, &[]))
        }
        17 => {
            let payload = bytes.get(8..)?;
            let asks = if to.port() == 53 { question(payload).map(|(name, _, _)| name) } else { None };
            Some((Wire::Ports { transport: "udp", from, to, opens: false, asks, requests: false }, payload))
        }
        _ => None,
    }
}
