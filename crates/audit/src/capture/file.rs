//! Capture files: pcap and pcapng, both byte orders, micro- and nanoseconds. Only what packets need is read; the rest
//! (names, comments, keys) is searched as it stands.
//! pcap: draft-ietf-opsawg-pcap; pcapng: draft-ietf-opsawg-pcapng.

use crate::unpack::{Search, Stretch};

/// A larger packet is none: the file is damaged. What tcpdump keeps of one is 262 144 bytes at most.
const PACKET_BYTES_MAX: u32 = 1 << 20;
/// A larger block of another sort is searched as it stands, and not looked into.
const BLOCK_BYTES_MAX: u32 = 64 << 20;
/// Interfaces of one section; packets of later ones are searched as they stand.
const INTERFACES_MAX: usize = 4_096;

/// One packet as it was on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    /// From 1, as tcpdump and tshark count.
    pub(super) number: u64,
    /// What its first bytes are (LINKTYPE_*), where known.
    pub(super) link: Option<u32>,
    /// Nanoseconds since 1970; 0 where it is not said.
    pub(super) time_ns: u64,
    /// What was kept of it.
    pub(super) data: Vec<u8>,
    /// Its length on the wire was more than that.
    pub(super) cut: bool,
}

/// The packets of a file, one after the other.
#[derive(Debug)]
pub(super) enum Packets {
    Pcap { big_endian: bool, nanos: bool, link: u32, number: u64 },
    Pcapng { big_endian: bool, interfaces: Vec<Interface>, number: u64 },
}

/// What a section said of an interface.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interface {
    link: u32,
    snap_bytes: u32,
    /// The `if_tsresol` option: a power of ten, or of two with the first bit set.
    resolution: u8,
}

impl Packets {
    /// Reads the head of the file.
    pub(super) fn begin<S: Search>(stretch: &mut Stretch<'_, '_, S>) -> Result<Self, String> {
        let head = stretch.peek(24).to_vec();
        if head.starts_with(b"\x0a\x0d\x0d\x0a") {
            return Ok(Self::Pcapng { big_endian: false, interfaces: Vec::new(), number: 0 });
        }
        if head.len() < 24 {
            return Err("the capture is truncated in its first header".into());
        }
        let big_endian = head[0] == 0xa1;
        let nanos = head.starts_with(b"\xa1\xb2\x3c\x4d") || head.starts_with(b"\x4d\x3c\xb2\xa1");
        stretch.advance(24);
        // The upper bits say whether packets end with their checksum.
        Ok(Self::Pcap { big_endian, nanos, link: long(&head[20..], big_endian) & 0xffff, number: 0 })
    }

    /// The next packet; None at the end of the file.
    pub(super) fn next<S: Search>(
        &mut self,
        stretch: &mut Stretch<'_, '_, S>,
    ) -> Result<Option<Packet>, String> {
        match self {
            Self::Pcap { big_endian, nanos, link, number } => {
                let head = stretch.peek(16).to_vec();
                if head.is_empty() {
                    return Ok(None);
                }
                *number += 1;
                if head.len() < 16 {
                    return Err(truncated(*number));
                }
                let field = |at: usize| long(&head[at..], *big_endian);
                let time_ns = u64::from(field(0)) * 1_000_000_000
                    + u64::from(field(4)) * if *nanos { 1 } else { 1_000 };
                let kept = field(8);
                if kept > PACKET_BYTES_MAX {
                    return Err(damaged(*number));
                }
                stretch.pass_over(16);
                let data = take(stretch, kept as usize).ok_or_else(|| truncated(*number))?;
                Ok(Some(Packet { number: *number, link: Some(*link), time_ns, data, cut: field(12) > kept }))
            }
            Self::Pcapng { big_endian, interfaces, number } => loop {
                match block(stretch, big_endian, interfaces, number)? {
                    Block::End => return Ok(None),
                    Block::Other => {}
                    Block::Packet(packet) => return Ok(Some(packet)),
                }
            },
        }
    }
}

enum Block {
    Packet(Packet),
    Other,
    End,
}

fn block<S: Search>(
    stretch: &mut Stretch<'_, '_, S>,
    big_endian: &mut bool,
    interfaces: &mut Vec<Interface>,
    number: &mut u64,
) -> Result<Block, String> {
    let head = stretch.peek(12).to_vec();
    if head.is_empty() {
        return Ok(Block::End);
    }
    if head.len() < 12 {
        return Err(truncated(*number + 1));
    }
    if head.starts_with(b"\x0a\x0d\x0d\x0a") {
        *big_endian = head[8] == 0x1a;
        interfaces.clear();
    }
    let (kind, length) = (long(&head, *big_endian), long(&head[4..], *big_endian));
    if length < 12 || length % 4 != 0 {
        return Err(damaged(*number + 1));
    }
    match kind {
        2 | 3 | 6 => {
            *number += 1;
            if length > PACKET_BYTES_MAX + 4096 {
                return Err(damaged(*number));
            }
            let bytes = stretch.peek(length as usize).to_vec();
            if bytes.len() < length as usize {
                return Err(truncated(*number));
            }
            let (packet, data) =
                packet(&bytes, kind, *big_endian, interfaces, *number).ok_or_else(|| damaged(*number))?;
            // Options of the packet (comments) are searched as they stand, its data in its flow.
            stretch.pass_over(data.end);
            stretch.advance(bytes.len() - data.end);
            Ok(Block::Packet(packet))
        }
        _ => {
            if kind == 1 && length <= BLOCK_BYTES_MAX && interfaces.len() < INTERFACES_MAX {
                let bytes = stretch.peek(length as usize);
                interfaces.extend(interface(bytes, *big_endian));
            }
            if stretch.skip(u64::from(length)) < u64::from(length) {
                return Err(truncated(*number + 1));
            }
            Ok(Block::Other)
        }
    }
}

/// An Enhanced (6), Simple (3) or the obsolete (2) Packet Block, and where its data lies in it.
fn packet(
    bytes: &[u8],
    kind: u32,
    big_endian: bool,
    interfaces: &[Interface],
    number: u64,
) -> Option<(Packet, std::ops::Range<usize>)> {
    let field = |at: usize| bytes.get(at..at + 4).map(|field| long(field, big_endian));
    let interface = match kind {
        6 => field(8)?,
        2 => field(8).map(|both| if big_endian { both >> 16 } else { both & 0xffff })?,
        _ => 0,
    };
    let interface = interfaces.get(interface as usize);
    let (from, kept, whole, time_ns) = if kind == 3 {
        let (whole, snap) = (field(8)?, interface.map_or(0, |interface| interface.snap_bytes));
        let room = u32::try_from(bytes.len() - 16).ok()?;
        (12, whole.min(if snap == 0 { u32::MAX } else { snap }).min(room), whole, 0)
    } else {
        let ticks = u64::from(field(12)?) << 32 | u64::from(field(16)?);
        (28, field(20)?, field(24)?, nanos(ticks, interface.map_or(6, |interface| interface.resolution)))
    };
    let range = from..from + kept as usize;
    let data = bytes.get(range.clone()).filter(|_| range.end + 4 <= bytes.len())?.to_vec();
    let link = interface.map(|interface| interface.link);
    Some((Packet { number, link, time_ns, data, cut: whole > kept }, range))
}

fn interface(bytes: &[u8], big_endian: bool) -> Option<Interface> {
    let link = u32::from(half(bytes.get(8..10)?, big_endian));
    let snap_bytes = long(bytes.get(12..16)?, big_endian);
    let mut interface = Interface { link, snap_bytes, resolution: 6 };
    let mut options = bytes.get(16..bytes.len() - 4)?;
    while options.len() >= 4 {
        let (code, length) = (half(options, big_endian), usize::from(half(&options[2..], big_endian)));
        if let (9, Some(resolution)) = (code, options.get(4)) {
            interface.resolution = *resolution;
        }
        if code == 0 {
            break;
        }
        options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(interface)
}

fn nanos(ticks: u64, resolution: u8) -> u64 {
    let power = u32::from(resolution & 0x7f);
    let per_second =
        if resolution & 0x80 != 0 { 1u128.checked_shl(power) } else { 10u128.checked_pow(power) };
    let nanos = u128::from(ticks) * 1_000_000_000 / per_second.unwrap_or(u128::MAX).max(1);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

fn take<S: Search>(stretch: &mut Stretch<'_, '_, S>, bytes: usize) -> Option<Vec<u8>> {
    let data = stretch.peek(bytes).to_vec();
    (data.len() == bytes).then(|| {
        stretch.pass_over(bytes);
        data
    })
}

fn truncated(number: u64) -> String {
    format!("the capture is truncated at packet {number}")
}

fn damaged(number: u64) -> String {
    format!("the capture is damaged at packet {number}: the rest is searched as it stands only")
}

fn long(bytes: &[u8], big_endian: bool) -> u32 {
    let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

fn half(bytes: &[u8], big_endian: bool) -> u16 {
    if big_endian {
        u16::from_be_bytes([bytes[0], bytes[1]])
    } else {
        u16::from_le_bytes([bytes[0], bytes[1]])
    }
}
