//! T9: all captures of the good client together: with whom did it ever speak, and which names did it ask for?

use crate::fault::Fault;
use crate::judge::{Rule, spoken};
use crate::scene::Played;
use crate::traffic::{Says, Wire};
use crate::world::zone::{HOME, NEW_HOME, What, Zone};
use std::collections::BTreeSet;

/// Faults of all scenes, and what there was: hosts and names.
pub(super) fn judge(scenes: &[(super::Line, &Played)], zone: &Zone) -> (Vec<Fault>, Vec<String>) {
    let home = |what: &What| match what {
        What::Account(region) | What::Relay(region) => region == HOME,
        _ => false,
    };
    // Its home is another one in the course of T7, which judges itself when.
    let homes = |what: &What| home(what) || matches!(what, What::Relay(region) if region == NEW_HOME);
    let (mut faults, mut names, mut hosts) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut told = BTreeSet::new();
    for (line, played) in scenes {
        let allowed: &dyn Fn(&What) -> bool = if *line == super::Line::T7 { &homes } else { &home };
        faults.extend(spoken(&played.traffic.packets, zone, &Rule { hosts: allowed, seen: &|_| false }));
        for packet in &played.traffic.packets {
            match &packet.wire {
                Wire::Ports { says: Says::Asks(name), .. } => drop(names.insert(name.to_ascii_lowercase())),
                Wire::Ports { says: Says::Hello(Some(name)), .. } => drop(told.insert(name.clone())),
                Wire::Ports { to: std::net::SocketAddr::V4(to), opens: true, .. } => {
                    let host = zone.at(*to.ip());
                    hosts.insert(
                        host.map_or_else(|| to.to_string(), |h| format!("{} ({})", h.name, h.country)),
                    );
                }
                _ => {}
            }
        }
    }
    let list = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut seen =
        vec![format!("connections to {}", list(&hosts)), format!("DNS asked for {}", list(&names))];
    if scenes.iter().any(|(_, played)| played.sealed) && names.is_empty() {
        faults.push(Fault::Unproven("no name was asked for: the handset knew the relays otherwise".into()));
    }
    if !told.is_empty() {
        seen.push(format!("TLS named {}", list(&told)));
    }
    (faults, seen)
}
