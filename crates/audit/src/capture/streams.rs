//! The TCP connections of a capture: put in order, taken apart as what they turn out to be, and searched.

use super::http::{self, Packed, Part};
use super::ip::Datagram;
use super::tcp::{Direction, Piece, Segment, Taken};
use super::{Reading, dns, file, flows, sealed};
use crate::unpack::{Search, Spot, open};
use crate::{Gap, Place, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Bytes of all streams in memory; beyond it the longest is searched as far as it came.
const HELD_BYTES_MAX: usize = 96 << 20;
/// Directions that are open at once; beyond it those not heard of for longest are ended.
const DIRECTIONS_MAX: usize = 32_768;

/// STARTTLS is asked for before anything long is said.
const STARTTLS_BYTES_MAX: usize = 64 << 10;

type Ends = (SocketAddr, SocketAddr);

/// Directions that are open.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<Ends, Direction>,
    held_bytes: usize,
    /// Connections that have gone over to TLS, SSH or HTTP/2: what was said of them is said once.
    said: BTreeSet<(Ends, &'static str)>,
}

impl<S: Search> Reading<'_, '_, S> {
    pub(super) fn tcp(&mut self, datagram: &Datagram<'_>, segment: &Segment<'_>, packet: &file::Packet) {
        let from = SocketAddr::new(datagram.from, segment.from_port);
        let to = SocketAddr::new(datagram.to, segment.to_port);
        let ends = (from, to);
        self.flows.count(flows::name("tcp", from, to), segment.payload.len(), packet.number, packet.time_ns);
        if self.streams.open.get(&ends).is_some_and(|direction| direction.begins_anew(segment)) {
            self.end_stream(ends);
        }
        let mut done = Vec::new();
        let direction = self.streams.open.entry(ends).or_default();
        let before = direction.held_bytes();
        let taken = direction.take(segment, packet.number, &mut done);
        self.streams.held_bytes = self.streams.held_bytes + direction.held_bytes() - before;
        self.pieces(ends, done);
        if taken == Taken::Apart {
            let spot = self.packet_of(("tcp", from, to), packet.number).into();
            self.search(&spot, segment.payload);
        }
        if segment.reset || self.both_complete(ends) {
            // The request before the answer: it names the host.
            let (client, server) = if from.port() >= to.port() { (from, to) } else { (to, from) };
            self.end_stream((client, server));
            self.end_stream((server, client));
        }
        self.stay_within_bounds();
    }

    pub(super) fn end_streams(&mut self) {
        let mut open: Vec<Ends> = self.streams.open.keys().copied().collect();
        open.sort_by_key(|(from, to)| from.port() <= to.port());
        for ends in open {
            self.end_stream(ends);
        }
    }

    fn both_complete(&self, (from, to): Ends) -> bool {
        let complete = |ends| self.streams.open.get(&ends).is_some_and(Direction::complete);
        complete((from, to)) && complete((to, from))
    }

    fn end_stream(&mut self, ends: Ends) {
        if let Some(direction) = self.streams.open.remove(&ends) {
            self.streams.held_bytes -= direction.held_bytes();
            let mut done = Vec::new();
            direction.end(&mut done);
            self.pieces(ends, done);
        }
    }

    fn stay_within_bounds(&mut self) {
        while self.streams.held_bytes > HELD_BYTES_MAX {
            let longest = self.streams.open.iter().max_by_key(|(_, direction)| direction.held_bytes());
            let Some(ends) = longest.map(|(ends, _)| *ends) else { break };
            let mut done = Vec::new();
            if let Some(direction) = self.streams.open.get_mut(&ends) {
                let before = direction.held_bytes();
                direction.cut(&mut done);
                self.streams.held_bytes = self.streams.held_bytes + direction.held_bytes() - before;
            }
            self.pieces(ends, done);
        }
        if self.streams.open.len() > DIRECTIONS_MAX {
            let mut ages: Vec<_> =
                self.streams.open.iter().map(|(ends, one)| (one.last_packet, *ends)).collect();
            ages.sort_unstable();
            for (_, ends) in ages.into_iter().take(DIRECTIONS_MAX / 2) {
                self.end_stream(ends);
            }
        }
    }

    fn pieces(&mut self, ends: Ends, done: Vec<Piece>) {
        for piece in done {
            self.piece(ends, &piece);
        }
    }

    fn piece(&mut self, ends: Ends, piece: &Piece) {
        let (from, to) = ends;
        let key = ("tcp", from, to);
        let bytes = &piece.bytes[..];
        if let Some(how) = sealed::stream(bytes) {
            if let Some(host) = sealed::server_name(bytes) {
                self.flows.called(from, to, &host);
            }
            self.flows.encrypted(key, how);
        }
        if from.port() == 53 || to.port() == 53 {
            self.dns_stream(key, piece);
        }
        let parts = if self.flows.encryption(key).is_some() { None } else { http::parts(bytes) };
        if let Some(host) = parts.as_ref().and_then(|parts| parts.host.as_ref()) {
            self.flows.called(from, to, host.rsplit_once(':').map_or(host, |(name, _)| name));
        }
        let flow = self.place.then(self.flows.step(key));
        self.say(ends, piece, &flow);
        let Some(parts) = parts else {
            let spot = Spot::of_packets(flow.clone(), flow.0.len(), piece.packets.clone());
            return self.search(&spot, bytes);
        };
        if let Some(protocol) = &parts.upgraded {
            let why = format!(
                "the connection goes over to {protocol}: what follows is searched as it stands, and masked frames are not seen"
            );
            self.opener.unseen(flow.clone(), Gap::Unopened, why);
        }
        for part in &parts.parts {
            self.part(&flow, piece, part);
        }
    }

    /// What of the piece can't be seen.
    fn say(&mut self, ends: Ends, piece: &Piece, flow: &Place) {
        let unseen = |gap, why: String| self.opener.unseen(flow.clone(), gap, why);
        if self.streams.said.len() > DIRECTIONS_MAX {
            self.streams.said.clear();
        }
        if piece.missing_bytes > 0 {
            let packet = piece.packets.first().map_or(0, |(_, packet)| *packet);
            unseen(
                Gap::Damaged,
                format!("{} bytes of the stream are missing before packet {packet}", piece.missing_bytes),
            );
        }
        if piece.goes_on {
            let bytes = piece.bytes.len();
            unseen(
                Gap::Limit,
                format!(
                    "the stream was searched in pieces, the last of {bytes} bytes: what is packed across their borders is not seen"
                ),
            );
        }
        if piece.bytes.starts_with(b"PRI * HTTP/2.0\r\n") && self.streams.said.insert((ends, "h2")) {
            unseen(
                Gap::Unopened,
                "HTTP/2 without encryption: searched as it stands; its packed headers are not seen".into(),
            );
        }
        let beginning = &piece.bytes[..piece.bytes.len().min(STARTTLS_BYTES_MAX)];
        let started_tls = beginning.windows(8).any(|word| word.eq_ignore_ascii_case(b"starttls"));
        if started_tls && ends.1.port() < ends.0.port() && self.streams.said.insert((ends, "starttls")) {
            unseen(
                Gap::Encrypted,
                "STARTTLS was asked for: what follows is encrypted if the server agreed".into(),
            );
        }
    }

    fn part(&mut self, flow: &Place, piece: &Piece, part: &Part<'_>) {
        let mut place = flow.clone();
        place.0.extend(part.name.clone().map(Step::Http));
        let spot = Spot::of_packets(place, flow.0.len(), packets_of(piece, part));
        if part.cut {
            let why = "the message ends before its length: the rest was not captured";
            self.opener.unseen(spot.place(), Gap::Damaged, why.into());
        }
        // An answer to CONNECT has no length, so its tunnel reads as a body.
        let tunnelled = part.name.as_deref().is_none_or(|name| name == "response body");
        if let Some(how) = sealed::stream(&part.bytes).filter(|_| tunnelled) {
            let host = sealed::server_name(&part.bytes).map_or(String::new(), |host| format!(" with {host}"));
            let why = format!("encrypted by {how} behind a proxy{host}: {} bytes", part.bytes.len());
            self.opener.unseen(spot.place(), Gap::Encrypted, why);
        }
        match &part.packed {
            Some(Packed::Other(how)) => {
                let why = format!("a body packed by {how:?}, which is not opened");
                self.opener.unseen(spot.place(), Gap::Unopened, why);
            }
            Some(Packed::Deflate) if !is_zlib(&part.bytes) => {
                let inside = spot.inside(0, Step::Unpacked("deflate"));
                crate::unpack::deflate(self.opener, self.depth, &inside, &part.bytes);
            }
            _ => {}
        }
        self.search(&spot, &part.bytes);
    }

    /// DNS over TCP: messages with their length before them.
    fn dns_stream(&mut self, key: flows::Key, piece: &Piece) {
        let mut left = &piece.bytes[..];
        while let [high, low, rest @ ..] = left {
            let length = usize::from(*high) << 8 | usize::from(*low);
            let Some(message) = rest.get(..length).and_then(dns::message) else { return };
            let names = message.names.join("\n");
            self.flows.resolved(message.query, message.names, &message.addresses);
            let packet = piece.packets.first().map_or(0, |(_, packet)| *packet);
            let spot = self.packet_of(key, packet).then(Step::Unpacked("dns name")).into();
            let _ = open(self.opener, self.depth, &spot, &mut names.as_bytes());
            left = &rest[length..];
        }
    }
}

/// A zlib frame begins with a checksum of two bytes.
fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [cmf, flags, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flags)) % 31 == 0)
}

/// Which packet brought which byte of a part.
fn packets_of(piece: &Piece, part: &Part<'_>) -> Vec<(u64, u64)> {
    let mut packets = Vec::new();
    for (n, (in_part, in_stream)) in part.made_of.iter().enumerate() {
        let end = part.made_of.get(n + 1).map_or(part.bytes.len(), |(next, _)| *next);
        let (from, to) = (*in_stream as u64, (in_stream + end - in_part) as u64);
        let first = piece.packets.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        for (at, packet) in piece.packets[first..].iter().take_while(|(at, _)| *at < to.max(from + 1)) {
            // One packet may bring many chunks of a body.
            if packets.last().is_none_or(|(_, last)| last != packet) {
                packets.push((*in_part as u64 + at.saturating_sub(from), *packet));
            }
        }
    }
    packets
}
