//! Who spoke with whom: every flow counted, and the names that hosts were called by.

use crate::{Place, Step};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Flows that are kept; packets of further ones are only counted.
pub const FLOWS_MAX: usize = 65_536;
/// Names that are kept of questions and answers.
pub const NAMES_MAX: usize = 65_536;

/// What a capture holds, whether or not anything was found in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Captured {
    /// Which capture.
    pub place: Option<Place>,
    /// Packets in it, also those that were not understood.
    pub packets: u64,
    /// Every flow, in one direction each, in the order of transport and addresses.
    pub flows: Vec<Flow>,
    /// Packets of flows beyond [`FLOWS_MAX`].
    pub more_packets: u64,
    /// The names that were asked for by DNS, in order.
    pub queried: BTreeSet<String>,
    /// The address of a host and the names that DNS gave it for.
    pub names: BTreeMap<IpAddr, BTreeSet<String>>,
}

/// One direction between two ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// `tcp`, `udp`, `icmp`, `arp`, `ip 47`, `ethertype 88cc`, `link 147`.
    pub transport: String,
    /// The sender: `address:port`, or the address alone; empty where there is none.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// What the receiver, else the sender, was called by: by TLS or HTTP on this flow, or by DNS.
    pub host: Option<String>,
    /// Packets.
    pub packets: u64,
    /// Bytes of payload above the transport.
    pub bytes: u64,
    /// The number of its first packet, from 1.
    pub first_packet: u64,
    /// When that was, in nanoseconds since 1970; 0 where the capture does not say.
    pub first_time_ns: u64,
    /// It is encrypted: `TLS`, `QUIC`, `SSH`, `DTLS`, ...
    pub encrypted: Option<&'static str>,
}

/// One direction: protocol word and both ends.
pub(super) type Key = (&'static str, SocketAddr, SocketAddr);

/// The flows of a capture while it is read.
#[derive(Debug, Default)]
pub(super) struct Flows {
    flows: BTreeMap<(String, String, String), Flow>,
    called: BTreeMap<(SocketAddr, SocketAddr), String>,
    encrypted: BTreeMap<Key, &'static str>,
    pub(super) captured: Captured,
    names: usize,
}

impl Flows {
    /// Counts a packet.
    pub(super) fn count(&mut self, name: (String, String, String), bytes: usize, packet: u64, time_ns: u64) {
        let full = self.flows.len() >= FLOWS_MAX;
        if full && !self.flows.contains_key(&name) {
            self.captured.more_packets += 1;
            return;
        }
        let flow = self.flows.entry(name.clone()).or_insert_with(|| Flow {
            transport: name.0,
            from: name.1,
            to: name.2,
            host: None,
            packets: 0,
            bytes: 0,
            first_packet: packet,
            first_time_ns: time_ns,
            encrypted: None,
        });
        flow.packets += 1;
        flow.bytes += bytes as u64;
    }

    /// What the flow is known to be encrypted by, in both directions.
    pub(super) fn encrypted(&mut self, key: Key, how: &'static str) {
        if self.encrypted.len() < FLOWS_MAX {
            self.encrypted.insert(both(key), how);
        }
    }

    /// Whether it is.
    pub(super) fn encryption(&self, key: Key) -> Option<&'static str> {
        self.encrypted.get(&both(key)).copied()
    }

    /// A client called the server of its flow by this name.
    pub(super) fn called(&mut self, client: SocketAddr, server: SocketAddr, host: &str) {
        if self.called.len() < NAMES_MAX && !host.is_empty() {
            self.called.insert((client, server), host.to_owned());
        }
    }

    /// DNS said so.
    pub(super) fn resolved(&mut self, query: bool, names: Vec<String>, addresses: &[IpAddr]) {
        for name in names {
            if self.names >= NAMES_MAX {
                return;
            }
            for address in addresses {
                self.names +=
                    usize::from(self.captured.names.entry(*address).or_default().insert(name.clone()));
            }
            if query {
                self.names += usize::from(self.captured.queried.insert(name));
            }
        }
    }

    /// What the receiver, else the sender, of a flow is called.
    pub(super) fn host(&self, from: SocketAddr, to: SocketAddr) -> Option<String> {
        let said = self.called.get(&(from, to)).or_else(|| self.called.get(&(to, from)));
        let resolved = || [to, from].iter().find_map(|end| self.captured.names.get(&end.ip())?.first());
        said.or_else(resolved).cloned()
    }

    /// The step to a flow.
    pub(super) fn step(&self, (transport, from, to): Key) -> Step {
        let host = self.host(from, to);
        Step::Flow { transport, from: from.to_string(), to: to.to_string(), host, country: None }
    }

    /// The summary, and what was encrypted: how, to whom, bytes and flows.
    pub(super) fn finish(
        mut self,
        place: Place,
        packets: u64,
    ) -> (Captured, BTreeMap<(&'static str, String), (u64, u64)>) {
        let mut sealed = BTreeMap::<_, (u64, u64)>::new();
        let flows = std::mem::take(&mut self.flows);
        for (_, mut flow) in flows {
            if let (Ok(from), Ok(to)) = (flow.from.parse::<SocketAddr>(), flow.to.parse::<SocketAddr>()) {
                flow.host = self.host(from, to);
                let transport = if flow.transport == "udp" { "udp" } else { "tcp" };
                flow.encrypted = self.encryption((transport, from, to));
                if let Some(how) = flow.encrypted.filter(|_| flow.bytes > 0) {
                    // Who serves has the lower port.
                    let server = if from.port() < to.port() { from } else { to };
                    let host = flow.host.clone().unwrap_or_else(|| server.to_string());
                    let (bytes, count) = sealed.entry((how, host)).or_default();
                    *bytes += flow.bytes;
                    *count += 1;
                }
            }
            self.captured.flows.push(flow);
        }
        self.captured.place = Some(place);
        self.captured.packets = packets;
        (self.captured, sealed)
    }
}

/// A conversation, whichever direction it is named by.
fn both((transport, from, to): Key) -> Key {
    (transport, from.min(to), from.max(to))
}

/// The name of a flow between two ports.
pub(super) fn name(transport: &str, from: SocketAddr, to: SocketAddr) -> (String, String, String) {
    (transport.to_owned(), from.to_string(), to.to_string())
}
