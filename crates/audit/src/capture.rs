//! Captures of traffic: pcap and pcapng, from the frame up to the bodies of HTTP, and whatever is none of that as it
//! stands. Every byte of every packet's payload is searched in one way or another, every flow is counted, and what is
//! encrypted, cut or missing is said. Written by hand, since each layer must go on where a strict parser would stop.

mod dns;
mod file;
mod flows;
mod http;
mod ip;
mod link;
mod sealed;
mod streams;
mod tcp;
#[cfg(test)]
mod tests;

pub use flows::{Captured, FLOWS_MAX, Flow};

use crate::unpack::{Opener, Search, Spot, Stretch, open};
use crate::{Gap, Place, Step};
use flows::Flows;
use ip::{Datagram, Fragments};
use std::net::SocketAddr;
use streams::Streams;

/// IP in IP, at most so deep.
const TUNNELS_MAX: usize = 4;

/// Reads the capture that a stretch begins with, to its end.
pub(crate) fn read<S: Search>(stretch: &mut Stretch<'_, '_, S>) {
    let place = stretch.spot().at(0);
    let mut reading = Reading {
        opener: stretch.opener(),
        depth: stretch.depth_inside(),
        place: place.clone(),
        flows: Flows::default(),
        fragments: Fragments::default(),
        streams: Streams::default(),
        packets: 0,
        cut: 0,
        unknown: 0,
    };
    let mut packets = match file::Packets::begin(stretch) {
        Ok(packets) => packets,
        Err(why) => return stretch.unseen(Gap::Damaged, why),
    };
    loop {
        match packets.next(stretch) {
            Ok(Some(packet)) => reading.packet(&packet),
            Ok(None) => break,
            Err(why) => {
                stretch.unseen(Gap::Damaged, why);
                break;
            }
        }
    }
    reading.finish();
}

/// A capture while it is read.
pub(super) struct Reading<'a, 's, S> {
    opener: &'a Opener<'s, S>,
    depth: usize,
    place: Place,
    flows: Flows,
    fragments: Fragments,
    streams: Streams,
    packets: u64,
    cut: u64,
    unknown: u64,
}

impl<S: Search> Reading<'_, '_, S> {
    fn packet(&mut self, packet: &file::Packet) {
        self.packets += 1;
        self.cut += u64::from(packet.cut);
        let inside = packet.link.and_then(|link| link::payload(link, &packet.data));
        match inside {
            Some((kind @ (link::IPV4 | link::IPV6), inside)) => match ip::datagram(kind, inside) {
                Some(datagram) => self.ip(datagram, packet),
                None => self.other("ip".into(), packet),
            },
            Some((link::ARP, _)) => self.other("arp".into(), packet),
            Some((kind, _)) => self.other(format!("ethertype {kind:04x}"), packet),
            None => {
                self.unknown += 1;
                self.other(packet.link.map_or("link".into(), |link| format!("link {link}")), packet);
            }
        }
    }

    fn ip(&mut self, datagram: Datagram<'_>, packet: &file::Packet) {
        if datagram.behind.iter().any(|byte| *byte != 0) {
            self.apart(packet.number, datagram.behind);
        }
        self.cut += u64::from(datagram.cut && !packet.cut);
        let whole = self.fragments.whole(datagram, packet.number);
        for (number, piece) in self.fragments.lost() {
            self.apart(number, &piece);
        }
        if let Some(datagram) = whole {
            self.datagram(&datagram, packet, 0);
        }
    }

    fn datagram(&mut self, datagram: &Datagram<'_>, packet: &file::Packet, tunnels: usize) {
        let payload = &datagram.payload[..];
        match (datagram.protocol, payload) {
            (6, _) => match tcp::segment(payload) {
                Some(segment) => return self.tcp(datagram, &segment, packet),
                None => self.ends("tcp", datagram, packet),
            },
            (17, [a, b, c, d, _, _, _, _, payload @ ..]) => {
                let from = SocketAddr::new(datagram.from, u16::from_be_bytes([*a, *b]));
                let to = SocketAddr::new(datagram.to, u16::from_be_bytes([*c, *d]));
                return self.udp(from, to, payload, packet);
            }
            (4 | 41, _) if tunnels < TUNNELS_MAX => {
                let kind = if datagram.protocol == 4 { link::IPV4 } else { link::IPV6 };
                if let Some(inner) = ip::datagram(kind, payload) {
                    return self.datagram(&inner, packet, tunnels + 1);
                }
                self.ends("ip", datagram, packet);
            }
            (1 | 58, _) => self.ends("icmp", datagram, packet),
            (protocol, _) => self.ends(&format!("ip {protocol}"), datagram, packet),
        }
        self.apart(packet.number, payload);
    }

    /// Counts a packet that has no ports.
    fn ends(&mut self, transport: &str, datagram: &Datagram<'_>, packet: &file::Packet) {
        let name = (transport.to_owned(), datagram.from.to_string(), datagram.to.to_string());
        self.flows.count(name, datagram.payload.len(), packet.number, packet.time_ns);
    }

    fn other(&mut self, transport: String, packet: &file::Packet) {
        let name = (transport, String::new(), String::new());
        self.flows.count(name, packet.data.len(), packet.number, packet.time_ns);
        self.apart(packet.number, &packet.data);
    }

    fn udp(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8], packet: &file::Packet) {
        let key = ("udp", from, to);
        self.flows.count(flows::name("udp", from, to), payload.len(), packet.number, packet.time_ns);
        let ports = [from.port(), to.port()];
        if ports.iter().any(|port| matches!(port, 53 | 5353 | 5355)) {
            self.dns(key, payload, packet.number);
        } else if let Some(how) = sealed::packet(payload, ports) {
            self.flows.encrypted(key, how);
        }
        let spot = self.packet_of(key, packet.number).into();
        self.search(&spot, payload);
    }

    /// What a message of DNS says; names stand in labels there, so they are searched put together as well.
    fn dns(&mut self, key: flows::Key, payload: &[u8], packet: u64) {
        let Some(message) = dns::message(payload) else { return };
        let names = message.names.join("\n");
        self.flows.resolved(message.query, message.names, &message.addresses);
        let spot = self.packet_of(key, packet).then(Step::Unpacked("dns name"));
        self.search(&spot.into(), names.as_bytes());
    }

    fn packet_of(&self, key: flows::Key, packet: u64) -> Place {
        self.place.then(self.flows.step(key)).then(Step::Packet(packet))
    }

    /// Bytes of a packet by themselves.
    fn apart(&self, packet: u64, bytes: &[u8]) {
        self.search(&self.place.then(Step::Packet(packet)).into(), bytes);
    }

    fn search(&self, spot: &Spot, mut bytes: &[u8]) {
        if !bytes.is_empty() {
            // Bytes in memory can't fail to be read.
            let _ = open(self.opener, self.depth, spot, &mut bytes);
        }
    }

    fn unseen(&self, gap: Gap, why: String) {
        self.opener.unseen(self.place.clone(), gap, why);
    }

    fn finish(mut self) {
        self.fragments.end();
        let lost = self.fragments.lost();
        if !lost.is_empty() {
            self.unseen(
                Gap::Damaged,
                format!(
                    "{} fragments of packets that did not come whole were searched one by one",
                    lost.len()
                ),
            );
        }
        for (number, piece) in lost {
            self.apart(number, &piece);
        }
        self.end_streams();
        if self.cut > 0 {
            self.unseen(Gap::Damaged, format!("{} packets were captured in part only", self.cut));
        }
        if self.unknown > 0 {
            self.unseen(
                Gap::Unopened,
                format!(
                    "{} packets of a link layer that is not known were searched one by one",
                    self.unknown
                ),
            );
        }
        let (captured, sealed) = self.flows.finish(self.place.clone(), self.packets);
        for ((how, host), (bytes, flows)) in sealed {
            let why = format!("encrypted by {how}: {bytes} bytes in {flows} flows with {host}");
            self.opener.unseen(self.place.clone(), Gap::Encrypted, why);
        }
        self.opener.search(|search| search.flows(captured));
    }
}
