//! The rules that lines share: with whom a handset may speak, and what may be seen of it on the way.

use crate::audit;
use crate::carried::Carried;
use crate::fault::{Fault, Spoke};
use crate::scene::Played;
use crate::traffic::{Packet, Says, Wire};
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
    if played.sealed {
        faults.extend(unsealed(&played.traffic.packets, zone, rule));
    }
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
    if played.sealed {
        // That it can't be read is what is wanted; with whom it was is judged by the packets.
        let tls =
            |fault: &Fault| matches!(fault, Fault::Unproven(why) if why.contains(": encrypted by TLS: "));
        let before = faults.len();
        faults.retain(|fault| !tls(fault));
        if faults.len() == before {
            faults.push(Fault::Unproven("the audit saw nothing encrypted".into()));
        }
    }
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

/// Faults of a phone at rest: what waits for a time would not have been seen in compressed minutes.
pub fn at_rest(played: &Played) -> Vec<Fault> {
    played.waits.iter().cloned().map(Fault::Waits).collect()
}

/// Faults of who spoke with whom, one a host, a name, a sort of noise.
pub fn spoken(packets: &[Packet], zone: &Zone, rule: &Rule<'_>) -> Vec<Fault> {
    let allowed = |address| host(zone, address).is_some_and(|host| (rule.hosts)(&host.what));
    let (mut spoke, mut asked, mut noise) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for packet in packets {
        match (&packet.wire, packet.ends()) {
            (Wire::Ports { says: Says::Asks(name), .. }, _) if resolves(zone, packet, true) => {
                if !zone.named(name).is_some_and(|host| (rule.hosts)(&host.what)) {
                    asked.entry(name.to_ascii_lowercase()).or_insert(packet.number);
                }
            }
            // What the resolver answers was asked for. What it is told and is no question is a conversation like any other.
            _ if resolves(zone, packet, false) => {}
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
    let asked = asked.into_iter().map(|(name, packet)| {
        let country = zone.named(&name).map(|host| host.country.clone());
        Fault::Asked { name, packet, country }
    });
    noise.chain(asked).chain(spoke.into_values().map(Fault::Spoke)).collect()
}

/// Faults of a capture in which everything that is said is to be encrypted: requests that are not, and names that TLS tells.
fn unsealed(packets: &[Packet], zone: &Zone, rule: &Rule<'_>) -> Vec<Fault> {
    let allowed = |name: &str| zone.named(name).is_some_and(|host| (rule.hosts)(&host.what));
    let judged = |packet: &Packet| match &packet.wire {
        Wire::Ports { says: Says::Requests, to, .. } => {
            let known = host(zone, to.ip()).map_or_else(|| to.to_string(), |host| host.name.clone());
            Some(Fault::Clear { host: known, packet: packet.number })
        }
        Wire::Ports { says: Says::Hello(name), .. } if !name.as_deref().is_some_and(allowed) => {
            Some(Fault::Named { name: name.clone(), packet: packet.number })
        }
        _ => None,
    };
    packets.iter().filter_map(judged).collect()
}

/// Is the packet one to the resolver's port, or one from it?
fn resolves(zone: &Zone, packet: &Packet, asks: bool) -> bool {
    let resolver = |end: &SocketAddr| {
        end.port() == 53 && host(zone, end.ip()).is_some_and(|host| host.what == What::Resolver)
    };
    matches!(&packet.wire, Wire::Ports { transport: "udp", from, to, .. } if resolver(if asks { to } else { from }))
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
            at_us: 0,
            wire: Wire::Ports {
                transport,
                from: from.into(),
                to: to.into(),
                opens: false,
                says: Says::Nothing,
                bytes: 0,
            },
        }
    }

    fn asks(number: u64, name: &str) -> Packet {
        let (from, to) = ((HANDSET, 50_000).into(), (RESOLVER, 53).into());
        Packet { number, at_us: 0, wire: udp(from, to, Says::Asks(name.to_owned())) }
    }

    fn udp(from: SocketAddr, to: SocketAddr, says: Says) -> Wire {
        Wire::Ports { transport: "udp", from, to, opens: false, says, bytes: 30 }
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
            Packet { number: 4, at_us: 0, wire: Wire::Link(0x0806) },
            // The resolver's other ports are no names.
            packet(5, "tcp", (HANDSET, 50_002), (RESOLVER, 443)),
            // What its port is told and is no question may be anything.
            packet(6, "udp", (HANDSET, 50_003), (RESOLVER, 53)),
        ];
        let faults: Vec<String> =
            spoken(&packets, &zone(), &relay_only()).iter().map(Fault::to_string).collect();
        assert_eq!(
            faults,
            [
                "ARP in packet 4",
                "DNS was asked for api.account.example (CN) in packet 1",
                "2 packets with 198.51.100.7, the first is packet 2",
                "2 packets with resolver.example (AU), the first is packet 5",
            ]
        );
    }

    #[test]
    fn where_all_is_encrypted_a_request_and_another_name_are_faults() {
        let said = |number, to: Ipv4Addr, says| {
            let (from, to) = ((HANDSET, 50_000).into(), (to, 443).into());
            let wire = Wire::Ports { transport: "tcp", from, to, opens: false, says, bytes: 300 };
            Packet { number, at_us: 0, wire }
        };
        let packets = [
            said(1, RELAY, Says::Hello(Some("relay.beijing.example".into()))),
            said(2, RELAY, Says::Hello(Some(UNDECLARED.into()))),
            said(3, RELAY, Says::Hello(None)),
            said(4, RELAY, Says::Requests),
        ];
        let faults: Vec<String> =
            unsealed(&packets, &zone(), &relay_only()).iter().map(Fault::to_string).collect();
        assert_eq!(
            faults,
            [
                "TLS named api.account.example in packet 2",
                "TLS named no host in packet 3",
                "a request in the clear to relay.beijing.example in packet 4",
            ]
        );
    }
}
