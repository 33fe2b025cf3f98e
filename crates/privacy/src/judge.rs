//! The rules that lines share: with whom a handset may speak, and what may be seen of it on the way.

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

/// What the audit of the capture could not see makes the line unproven, and so do controls that it missed.
fn proofs(played: &Played) -> Vec<Fault> {
    let (report, mut faults) = (&played.report, Vec::new());
    if report.controls.planted == 0 {
        faults.push(Fault::Unproven("the audit planted no controls".into()));
    }
    for missed in &report.controls.missed {
        faults.push(Fault::Unproven(format!("the audit missed its control {missed}")));
    }
    for unseen in &report.unseen {
        faults.push(Fault::Unproven(format!("{}: {}", unseen.place, unseen.why)));
    }
    if report.more_unseen > 0 || report.more_findings > 0 {
        faults.push(Fault::Unproven("the audit saw more than its report holds".into()));
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
