//! One direction of a TCP connection, put in order (RFC 9293): bytes that came twice are kept as they came first, what
//! never came is said.

use std::collections::BTreeMap;

/// Bytes of one direction in memory; beyond it they are searched as a piece.
const PIECE_BYTES_MAX: usize = 32 << 20;
/// Bytes of one direction that wait for something before them; beyond it that is given up as missing.
const AHEAD_BYTES_MAX: usize = 2 << 20;
/// What a segment costs in memory beside its bytes.
pub(super) const SEGMENT_COST_BYTES: usize = 64;
/// A segment further from the expected byte than any window (RFC 7323) belongs to another connection.
const WINDOW_BYTES_MAX: i64 = 1 << 30;

/// What is read of a TCP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment<'p> {
    pub(super) from_port: u16,
    pub(super) to_port: u16,
    pub(super) sequence: u32,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) reset: bool,
    pub(super) payload: &'p [u8],
}

/// Reads a segment; None if it is none.
pub(super) fn segment(bytes: &[u8]) -> Option<Segment<'_>> {
    let header = usize::from(bytes.get(12)? >> 4) * 4;
    if header < 20 || bytes.len() < header {
        return None;
    }
    let flags = bytes[13];
    Some(Segment {
        from_port: u16::from_be_bytes([bytes[0], bytes[1]]),
        to_port: u16::from_be_bytes([bytes[2], bytes[3]]),
        sequence: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        syn: flags & 0x02 != 0,
        fin: flags & 0x01 != 0,
        reset: flags & 0x04 != 0,
        payload: &bytes[header..],
    })
}

/// Bytes in order, without a gap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// Offset in `bytes` and the packet that brought what begins there.
    pub(super) packets: Vec<(u64, u64)>,
    /// How many bytes never came before it.
    pub(super) missing_bytes: u64,
    /// It goes on in the next piece: cut by the bound, not by a gap.
    pub(super) goes_on: bool,
    /// It goes on from the piece before.
    pub(super) continues: bool,
}

/// One direction as far as it came.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// The sequence number of the first byte, once known.
    first: Option<u32>,
    /// Bytes in order so far, also those of pieces handed on.
    next: u64,
    piece: Piece,
    ahead: BTreeMap<u64, (Vec<u8>, u64)>,
    ahead_bytes: usize,
    end: Option<u64>,
    /// When it was last heard of: a packet's number.
    pub(super) last_packet: u64,
}

/// What became of a segment's payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is in the stream.
    InOrder,
    /// It is not, or says other than what came first: to be searched by itself.
    Apart,
}

impl Direction {
    /// Bytes that it holds in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.piece.bytes.len() + self.piece.packets.len() * 16 + self.ahead_bytes
    }

    /// Whether all that was sent has come.
    pub(super) fn complete(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Whether a SYN begins another connection between the same ports.
    pub(super) fn begins_anew(&self, segment: &Segment<'_>) -> bool {
        segment.syn && self.first.is_some_and(|first| first != segment.sequence.wrapping_add(1))
    }

    /// Takes a segment; pieces that are done (a gap, a bound) are appended to `done`.
    pub(super) fn take(&mut self, segment: &Segment<'_>, packet: u64, done: &mut Vec<Piece>) -> Taken {
        self.last_packet = packet;
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        let first = *self.first.get_or_insert(sequence);
        let expected = first.wrapping_add(self.next as u32);
        let distance = i64::from(sequence.wrapping_sub(expected).cast_signed());
        let at = i128::from(self.next) + i128::from(distance);
        let Ok(at) = u64::try_from(at) else { return Taken::Apart };
        if segment.fin && distance < WINDOW_BYTES_MAX {
            self.end.get_or_insert(at + segment.payload.len() as u64);
        }
        if segment.payload.is_empty() {
            return Taken::InOrder;
        }
        if distance >= WINDOW_BYTES_MAX {
            return Taken::Apart;
        }
        let differs = self.differs(at, segment.payload);
        self.insert(at, segment.payload, packet, done);
        if self.ahead_bytes > AHEAD_BYTES_MAX {
            self.give_up_gap(done);
        }
        if differs { Taken::Apart } else { Taken::InOrder }
    }

    /// Ends it: everything that it still holds.
    pub(super) fn end(mut self, done: &mut Vec<Piece>) {
        while !self.ahead.is_empty() {
            self.give_up_gap(done);
        }
        if !self.piece.bytes.is_empty() {
            done.push(std::mem::take(&mut self.piece));
        }
    }

    /// Hands on what it holds in order, to free memory.
    pub(super) fn cut(&mut self, done: &mut Vec<Piece>) {
        while self.piece.bytes.is_empty() && !self.ahead.is_empty() {
            self.give_up_gap(done);
        }
        if self.piece.bytes.is_empty() {
            return;
        }
        self.piece.goes_on = true;
        done.push(std::mem::take(&mut self.piece));
        self.piece.continues = true;
    }

    fn insert(&mut self, at: u64, payload: &[u8], packet: u64, done: &mut Vec<Piece>) {
        if at > self.next {
            self.keep_ahead(at, payload, packet);
            return;
        }
        self.append(at, payload, packet);
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() <= self.next) {
            let (at, (bytes, packet)) = entry.remove_entry();
            self.ahead_bytes -= bytes.len() + SEGMENT_COST_BYTES;
            self.append(at, &bytes, packet);
        }
        if self.piece.bytes.len() > PIECE_BYTES_MAX {
            self.cut(done);
        }
    }

    fn append(&mut self, at: u64, payload: &[u8], packet: u64) {
        let known = usize::try_from(self.next - at).unwrap_or(usize::MAX);
        let Some(new) = payload.get(known..).filter(|new| !new.is_empty()) else { return };
        self.piece.packets.push((self.piece.bytes.len() as u64, packet));
        self.piece.bytes.extend_from_slice(new);
        self.next += new.len() as u64;
    }

    /// Keeps of `payload` what no earlier segment has brought.
    fn keep_ahead(&mut self, mut at: u64, mut payload: &[u8], packet: u64) {
        while !payload.is_empty() {
            if let Some((before, (bytes, _))) = self.ahead.range(..=at).next_back() {
                let known = (before + bytes.len() as u64).saturating_sub(at);
                let known = usize::try_from(known).unwrap_or(usize::MAX).min(payload.len());
                (at, payload) = (at + known as u64, &payload[known..]);
            }
            let next = self.ahead.range(at..).next().map_or(u64::MAX, |(next, _)| *next);
            let room = usize::try_from(next - at).unwrap_or(usize::MAX).min(payload.len());
            if room > 0 {
                self.ahead_bytes += room + SEGMENT_COST_BYTES;
                self.ahead.insert(at, (payload[..room].to_vec(), packet));
            }
            (at, payload) = (at + room as u64, &payload[room..]);
        }
    }

    /// What waits begins a piece of its own, behind a gap.
    fn give_up_gap(&mut self, done: &mut Vec<Piece>) {
        let Some((at, _)) = self.ahead.first_key_value() else { return };
        let (at, missing_bytes) = (*at, at - self.next);
        if !self.piece.bytes.is_empty() {
            done.push(std::mem::take(&mut self.piece));
        }
        self.piece = Piece { missing_bytes, ..Piece::default() };
        self.next = at;
        self.insert(at, &[], 0, done);
    }

    /// Whether bytes in memory say other than `payload` does at the same place.
    fn differs(&self, at: u64, payload: &[u8]) -> bool {
        let other = |from: u64, bytes: &[u8]| {
            let (begin, end) = (at.max(from), (at + payload.len() as u64).min(from + bytes.len() as u64));
            begin < end
                && bytes[(begin - from) as usize..(end - from) as usize]
                    != payload[(begin - at) as usize..(end - at) as usize]
        };
        let from = self.next - self.piece.bytes.len() as u64;
        if other(from, &self.piece.bytes) {
            return true;
        }
        let end = at + payload.len() as u64;
        let before = self.ahead.range(..at).next_back();
        before.into_iter().chain(self.ahead.range(at..end)).any(|(from, (bytes, _))| other(*from, bytes))
    }
}
