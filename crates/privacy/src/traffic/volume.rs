//! What can be counted of a conversation whose contents can't be read: requests, exchanges, bytes.

use super::{Packet, Says, Wire};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The numbers of the packets in which requests of HTTP/1.1 begin, and whom they go to.
pub fn requests(packets: &[Packet]) -> Vec<(u64, IpAddr)> {
    let begins = |packet: &Packet| match &packet.wire {
        Wire::Ports { to, says: Says::Requests, .. } => Some((packet.number, to.ip())),
        _ => None,
    };
    packets.iter().filter_map(begins).collect()
}

/// The same of what is encrypted: where the handset speaks after it has opened a connection or was spoken to. One request and
/// its answer are one, however many packets they take; a handshake is one more.
pub fn exchanges(packets: &[Packet], handset: IpAddr) -> Vec<(u64, IpAddr)> {
    let (mut speaking, mut begun) = (BTreeMap::new(), Vec::new());
    for packet in packets {
        let Wire::Ports { transport: "tcp", from, to, bytes, .. } = &packet.wire else { continue };
        if *bytes == 0 {
            continue;
        }
        let own = from.ip() == handset;
        let ends = if own { (*from, *to) } else { (*to, *from) };
        let spoke: Option<bool> = speaking.insert(ends, own);
        if own && spoke != Some(true) {
            begun.push((packet.number, to.ip()));
        }
    }
    begun
}

/// What somebody who sees the line counts of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Packets, both ways.
    pub packets: u64,
    /// Bytes that the handset sent, and that it got.
    pub bytes: [u64; 2],
}

/// By the other end.
pub fn volumes(packets: &[Packet], handset: IpAddr) -> BTreeMap<SocketAddr, Volume> {
    let mut all: BTreeMap<SocketAddr, Volume> = BTreeMap::new();
    for packet in packets {
        let Wire::Ports { from, to, bytes, .. } = &packet.wire else { continue };
        let own = from.ip() == handset;
        let volume = all.entry(if own { *to } else { *from }).or_default();
        volume.packets += 1;
        volume.bytes[usize::from(!own)] += *bytes as u64;
    }
    all
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [sent, got] = self.bytes.map(|bytes| bytes as f64 / 1e3);
        write!(f, "{} packets, {sent:.1} kB sent, {got:.1} kB received", self.packets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HANDSET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 40_000);
    const RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)), 443);

    fn said(by_handset: bool, bytes: usize) -> Packet {
        let (from, to) = if by_handset { (HANDSET, RELAY) } else { (RELAY, HANDSET) };
        let says = Says::Nothing;
        Packet {
            number: 1,
            at_us: 0,
            wire: Wire::Ports { transport: "tcp", from, to, opens: false, says, bytes },
        }
    }

    #[test]
    fn an_exchange_is_what_is_said_until_the_other_answers() {
        // Two packets and one more in between that only acknowledges, an answer; and again.
        let talk = [(true, 900), (false, 0), (true, 80), (false, 300), (false, 9), (true, 0), (true, 70)];
        let packets: Vec<Packet> = talk.iter().map(|(own, bytes)| said(*own, *bytes)).collect();
        assert_eq!(exchanges(&packets, HANDSET.ip()).len(), 2);
        let volume = &volumes(&packets, HANDSET.ip())[&RELAY];
        assert_eq!(*volume, Volume { packets: 7, bytes: [1050, 309] });
        assert_eq!(volume.to_string(), "7 packets, 1.1 kB sent, 0.3 kB received");
    }
}
