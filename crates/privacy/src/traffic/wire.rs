//! One frame: Ethernet, IP, TCP and UDP, and as much of what they carry as says who is meant.

use super::hello;
use super::{Says, Wire};
use crate::world::names::question;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a frame is, and what its UDP carries. What is cut or odd is still a packet: of its link.
pub(super) fn wire(frame: &[u8]) -> (Wire, &[u8]) {
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
            let flags = bytes.get(13)? & 0x3f;
            const ACK_ALONE: u8 = 0x10;
            let says = match hello::read(payload) {
                Some(hello) => Says::Hello(hello),
                None if payload.is_empty() && flags == ACK_ALONE => Says::Acks,
                None if requests(payload) => Says::Requests,
                None => Says::Nothing,
            };
            let opens = flags & 0x12 == SYN_ALONE;
            Some((Wire::Ports { transport: "tcp", from, to, opens, says, bytes: payload.len() }, &[]))
        }
        17 => {
            let payload = bytes.get(8..)?;
            let asked = if to.port() == 53 { question(payload) } else { None };
            let says = asked.map_or(Says::Nothing, |(name, _, _)| Says::Asks(name));
            let bytes = payload.len();
            Some((Wire::Ports { transport: "udp", from, to, opens: false, says, bytes }, payload))
        }
        _ => None,
    }
}

/// Does a request of HTTP/1.1 begin here?
fn requests(payload: &[u8]) -> bool {
    [&b"GET "[..], b"POST ", b"PUT ", b"DELETE "].iter().any(|method| payload.starts_with(method))
}
