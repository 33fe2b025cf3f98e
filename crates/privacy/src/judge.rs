//! The rules that lines share: with whom a handset may speak, and what may be seen of it on the way.

use crate::audit;
use crate::carried::Carried;
use crate::fault::{Fault, Spoke};
use crate::scene::Played;
use crate::traffic::{Packet, Wire};
use crate::world::zone::{What, Zone};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What a line allows.
pub struct Rule<'a> {
    /// With whom the handset may speak; asking the resolver for their names is part of it.
    pub hosts: &'a dyn Fn(&What) -> bool,
    /// Which identifiers may be seen, and where.
    pub seen: &'a dyn Fn(&Carried) -> bool,
}

/// Nobody, nothing.
pub const SILENCE: Rule<'static> = Rule { hosts: &|_| false, seen: &|_| false };

/// All faults of a whole capture under a rule.
pub fn judge(played: &Played, zone: &Zone, rule: &Rule<'_>) -> Vec<Fault> {
    let mut faults = proofs(played);
    faults.extend(spoken(&played.traffic.packets, zone, rule));
    let mut carried: Vec<Carried> = played.carried.iter().filter(|c| !(rule.seen)(c)).cloned().collect();
    carried.sort();
    carried.dedup();
    faults.extend(carried.into_iter().map(Fault::Carried));
    faults
}

/// What makes a capture's audit prove nothing.
fn proofs(played: &Played) -> Vec<Fault> {
    let (report, mut faults) = (&played.report, audit::proofs(&played.report));
    // Both readers must have seen the same packets.
    let (ours, theirs) = (
        (played.traffic.packets.len() + played.traffic.marks.len()) as u64,
        report.captures.iter().map(|captured| captured.packets).sum::<u64>(),
    );
    if ours != theirs {
        faults.push(Fault::Unproven(format!(
            "the capture has {ours} packets, of which the audit read {theirs}"
        )));
    }
    faults
}

/// Faults of who spoke with whom, one a host, a name, a sort of noise.
pub fn spoken(packets: &[Packet], zone: &Zone, rule: &Rule<'_>) -> Vec<Fault> {
    let allowed = |address| host(zone, address).is_some_and(|host| (rule.hosts)(&host.what));
    let (mut spoke, mut asked, mut noise) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for packet in packets {
        match (&packet.wire, packet.ends()) {
            (Wire::Ports { asks: Some(name), .. }, _) if names(zone, packet) => {
                if !zone.named(name).is_some_and(|host| (rule.hosts)(&host.what)) {
                    asked.entry(name.to_ascii_lowercase()).or_insert(packet.number);
                }
            }
            // What the resolver answers was asked for.
            _ if names(zone, packet) => {}
            (_, Some((from, to))) if allowed(from) || allowed(to) => {}
            (_, Some((from, to))) => {
                let other = if is_handset(zone, from) { to } else { from };
                let known = host(zone, other);
                let spoke = spoke.entry(other).or_insert_with(|| Spoke {
                    host: known.map_or_else(|| other.to_string(), |host| host.name.clone()),
                    country: known.map(|host| host.country.clone()),
                    packets: 0,
                    first: packet.number,
                });
                spoke.packets += 1;
            }
            (wire, None) => {
                noise.entry(wire.to_string()).or_insert(packet.number);
            }
        }
    }
    let noise = noise.into_iter().map(|(what, packet)| Fault::Noise { what, packet });
    let asked = asked.into_iter().map(|(name, packet)| Fault::Asked { name, packet });
    noise.chain(asked).chain(spoke.into_values().map(Fault::Spoke)).collect()
}

/// Is the packet one to or from the resolver's port?
fn names(zone: &Zone, packet: &Packet) -> bool {
    let resolver = |end: &SocketAddr| {
        end.port() == 53 && host(zone, end.ip()).is_some_and(|host| host.what == What::Resolver)
    };
    matches!(&packet.wire, Wire::Ports { transport: "udp", from, to, .. } if resolver(from) || resolver(to))
}

fn host(zone: &Zone, address: IpAddr) -> Option<&crate::world::zone::Host> {
    match address {
        IpAddr::V4(v4) => zone.at(v4),
        IpAddr::V6(_) => None,
    }
}

fn is_handset(zone: &Zone, address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if zone.handset == Some(v4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::zone::{RESOLVER, UNDECLARED};
    use std::net::Ipv4Addr;

    const HANDSET: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 130);
    const RELAY: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 16);

    fn zone() -> Zone {
        let mut zone = Zone::new();
        zone.handset = Some(HANDSET);
        zone.add_relay("beijing", "CN", RELAY, 8443);
        zone
    }

    fn packet(number: u64, transport: &'static str, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> Packet {
        Packet {
            number,
            wire: Wire::Ports {
                transport,
                from: from.into(),
                to: to.into(),
                opens: false,
                asks: None,
                requests: false,
            },
        }
    }

    fn asks(number: u64, name: &str) -> Packet {
        let (from, to) = ((HANDSET, 50_000).into(), (RESOLVER, 53).into());
        let asks = Some(name.to_owned());
        Packet {
            number,
            wire: Wire::Ports { transport: "udp", from, to, opens: false, asks, requests: false },
        }
    }

    fn relay_only() -> Rule<'static> {
        Rule { hosts: &|what| matches!(what, What::Relay(region) if region == "beijing"), seen: &|_| false }
    }

    #[test]
    fn who_may_be_spoken_to_may_be_asked_for() {
        let packets = [
            asks(1, "Relay.Beijing.example."),
            packet(2, "udp", (RESOLVER, 53), (HANDSET, 50_000)),
            packet(3, "tcp", (HANDSET, 50_001), (RELAY, 80)),
            packet(4, "tcp", (RELAY, 80), (HANDSET, 50_001)),
        ];
        assert_eq!(spoken(&packets, &zone(), &relay_only()), []);
        assert_eq!(spoken(&packets, &zone(), &SILENCE).len(), 2, "nobody is allowed: a name and a host");
    }

    #[test]
    fn a_name_alone_a_stranger_and_what_is_no_ip_are_faults() {
        let stranger = Ipv4Addr::new(198, 51, 100, 7);
        let packets = [
            asks(1, UNDECLARED),
            packet(2, "udp", (HANDSET, 50_001), (stranger, 443)),
            packet(3, "udp", (stranger, 443), (HANDSET, 50_001)),
            Packet { number: 4, wire: Wire::Link(0x0806) },
            // The resolver's other ports are no names.
            packet(5, "tcp", (HANDSET, 50_002), (RESOLVER, 443)),
        ];
        let faults: Vec<String> =
            spoken(&packets, &zone(), &relay_only()).iter().map(Fault::to_string).collect();
        assert_eq!(
            faults,
            [
                "ARP in packet 4",
                "DNS was asked for api.account.example in packet 1",
                "2 packets with 198.51.100.7, the first is packet 2",
                "1 packet with resolver.example (AU), the first is packet 5",
            ]
        );
    }
}
