//! IPv4 (RFC 791) and IPv6 (RFC 8200), with fragments put together.

use super::link::{IPV4, IPV6};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of fragments that wait for the others; the oldest packet is given up beyond it.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// A packet is at most so long.
const PACKET_BYTES_MAX: usize = 65_535;
/// What one fragment costs beside its bytes.
const FRAGMENT_COST_BYTES: usize = 64;
/// Extension headers of one packet.
const EXTENSIONS_MAX: usize = 16;

/// A packet, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Datagram<'p> {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    /// IANA's protocol number of the payload.
    pub(super) protocol: u8,
    pub(super) payload: Cow<'p, [u8]>,
    /// What stands behind the packet in its frame: padding.
    pub(super) behind: &'p [u8],
    fragment: Option<Fragment>,
    /// Its header says that it is longer than what was captured.
    pub(super) cut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fragment {
    id: u32,
    offset: usize,
    more: bool,
}

/// Reads a packet; None if it is none.
pub(super) fn datagram(kind: u16, packet: &[u8]) -> Option<Datagram<'_>> {
    match kind {
        IPV4 => v4(packet),
        IPV6 => v6(packet),
        _ => None,
    }
}

fn v4(packet: &[u8]) -> Option<Datagram<'_>> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    if packet[0] >> 4 != 4 || header < 20 || packet.len() < header {
        return None;
    }
    // Zero: the network card cut the packet to pieces after it was captured (TSO).
    let said = match usize::from(u16::from_be_bytes([packet[2], packet[3]])) {
        0 => packet.len(),
        said => said,
    };
    let end = said.min(packet.len()).max(header);
    let flags = u16::from_be_bytes([packet[6], packet[7]]);
    let (more, offset) = (flags & 0x2000 != 0, usize::from(flags & 0x1fff) * 8);
    let id = u32::from(u16::from_be_bytes([packet[4], packet[5]]));
    let address =
        |at: usize| IpAddr::V4(Ipv4Addr::from([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]));
    Some(Datagram {
        from: address(12),
        to: address(16),
        protocol: packet[9],
        payload: Cow::Borrowed(&packet[header..end]),
        behind: &packet[end..],
        fragment: (more || offset > 0).then_some(Fragment { id, offset, more }),
        cut: said > packet.len(),
    })
}

fn v6(packet: &[u8]) -> Option<Datagram<'_>> {
    if packet.len() < 40 || packet[0] >> 4 != 6 {
        return None;
    }
    let said = match usize::from(u16::from_be_bytes([packet[4], packet[5]])) {
        0 => packet.len(),
        said => said + 40,
    };
    let end = said.min(packet.len());
    let address =
        |at: usize| Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?)));
    let (from, to) = (address(8)?, address(24)?);
    let (mut protocol, mut at, mut fragment) = (packet[6], 40, None);
    for _ in 0..EXTENSIONS_MAX {
        let Some(header) = packet.get(at..end).filter(|header| header.len() >= 8) else { break };
        let length = match protocol {
            0 | 43 | 60 | 135 => (usize::from(header[1]) + 1) * 8,
            51 => (usize::from(header[1]) + 2) * 4,
            44 if fragment.is_none() => {
                let field = u16::from_be_bytes([header[2], header[3]]);
                let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                fragment = Some(Fragment { id, offset: usize::from(field & 0xfff8), more: field & 1 != 0 });
                8
            }
            _ => break,
        };
        (protocol, at) = (header[0], (at + length).min(end));
        if fragment.is_some_and(|fragment| fragment.offset > 0) {
            break; // the next header is in the first fragment
        }
    }
    let fragment = fragment.filter(|fragment| fragment.more || fragment.offset > 0);
    let (payload, behind) = (Cow::Borrowed(&packet[at..end]), &packet[end..]);
    Some(Datagram { from, to, protocol, payload, behind, fragment, cut: said > packet.len() })
}

type Key = (IpAddr, IpAddr, u8, u32);

/// Packets whose fragments have not all come.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: BTreeMap<Key, Waiting>,
    bytes: usize,
    /// Pieces of packets that were given up, with the number of the first fragment's packet.
    lost: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Waiting {
    first_packet: u64,
    pieces: BTreeMap<usize, Vec<u8>>,
    bytes: usize,
    length: Option<usize>,
}

impl Fragments {
    /// A whole packet comes back, also one that this fragment completes; else nothing yet.
    pub(super) fn whole<'p>(&mut self, mut datagram: Datagram<'p>, packet: u64) -> Option<Datagram<'p>> {
        let Some(fragment) = datagram.fragment else { return Some(datagram) };
        // The protocol of an IPv6 fragment that is not the first may be unknown.
        let protocol = if datagram.from.is_ipv4() { datagram.protocol } else { 0 };
        let key = (datagram.from, datagram.to, protocol, fragment.id);
        let waiting =
            self.waiting.entry(key).or_insert_with(|| Waiting { first_packet: packet, ..Waiting::default() });
        let cost = datagram.payload.len() + FRAGMENT_COST_BYTES;
        if fragment.offset + datagram.payload.len() <= PACKET_BYTES_MAX
            && !waiting.pieces.contains_key(&fragment.offset)
        {
            if !fragment.more {
                waiting.length = Some(fragment.offset + datagram.payload.len());
            }
            waiting.bytes += cost;
            self.bytes += cost;
            waiting.pieces.insert(fragment.offset, datagram.payload.to_vec());
        }
        if let Some(whole) = waiting.joined() {
            self.bytes -= waiting.bytes;
            self.waiting.remove(&key);
            datagram.payload = Cow::Owned(whole);
            datagram.fragment = None;
            return Some(datagram);
        }
        self.give_up_oldest();
        None
    }

    /// The pieces of what was given up since the last call.
    pub(super) fn lost(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.lost)
    }

    /// Gives up everything that still waits.
    pub(super) fn end(&mut self) {
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            self.lost.extend(waiting.pieces.into_values().map(|piece| (waiting.first_packet, piece)));
        }
        self.bytes = 0;
    }

    fn give_up_oldest(&mut self) {
        while self.bytes > WAITING_BYTES_MAX {
            let oldest = self.waiting.iter().min_by_key(|(_, waiting)| waiting.first_packet);
            let Some(key) = oldest.map(|(key, _)| *key) else { return };
            let Some(waiting) = self.waiting.remove(&key) else { return };
            self.bytes -= waiting.bytes;
            self.lost.extend(waiting.pieces.into_values().map(|piece| (waiting.first_packet, piece)));
        }
    }
}

impl Waiting {
    /// The whole packet, once nothing is missing; where fragments overlap the first byte counts.
    fn joined(&self) -> Option<Vec<u8>> {
        let length = self.length?;
        if self.pieces.values().map(Vec::len).sum::<usize>() < length {
            return None;
        }
        let mut whole = Vec::new();
        for (offset, piece) in &self.pieces {
            let from = whole.len().checked_sub(*offset)?;
            whole.extend_from_slice(piece.get(from..).unwrap_or_default());
        }
        (whole.len() >= length).then_some(whole)
    }
}
