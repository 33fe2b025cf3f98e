//! Link layers: from the bytes of a frame to the protocol and the packet in it.

/// ARP (RFC 826).
pub(super) const ARP: u16 = 0x0806;
/// IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// IPv6.
pub(super) const IPV6: u16 = 0x86dd;

/// The EtherType and the payload of a frame of a link type (LINKTYPE_*); None where the link type is not known, or
/// the frame is too short.
pub(super) fn payload(link: u32, frame: &[u8]) -> Option<(u16, &[u8])> {
    match link {
        0 => null(frame.get(..4)?.try_into().ok()?, frame.get(4..)?),
        108 => loopback(u32::from_be_bytes(frame.get(..4)?.try_into().ok()?), frame.get(4..)?),
        1 => ethernet(frame),
        12 | 14 | 101 => raw(frame),
        228 => Some((IPV4, frame)),
        229 => Some((IPV6, frame)),
        113 => tagged(frame.get(14..16)?, frame.get(16..)?),
        276 => tagged(frame.get(..2)?, frame.get(20..)?),
        _ => None,
    }
}

/// BSD loopback: the family in the byte order of who captured.
fn null(family: [u8; 4], rest: &[u8]) -> Option<(u16, &[u8])> {
    loopback(u32::from_le_bytes(family).min(u32::from_be_bytes(family)), rest)
}

/// The numbers of AF_INET6 differ between systems.
fn loopback(family: u32, rest: &[u8]) -> Option<(u16, &[u8])> {
    match family {
        2 => Some((IPV4, rest)),
        10 | 24 | 28 | 30 => Some((IPV6, rest)),
        _ => None,
    }
}

fn ethernet(frame: &[u8]) -> Option<(u16, &[u8])> {
    tagged(frame.get(12..14)?, frame.get(14..)?)
}

/// VLAN tags (802.1Q, 802.1ad and the older QinQ) lie before the type.
fn tagged<'f>(kind: &[u8], mut rest: &'f [u8]) -> Option<(u16, &'f [u8])> {
    let mut kind = u16::from_be_bytes([kind[0], kind[1]]);
    while matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
        kind = u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?);
        rest = rest.get(4..)?;
    }
    Some((kind, rest))
}

fn raw(packet: &[u8]) -> Option<(u16, &[u8])> {
    match packet.first()? >> 4 {
        4 => Some((IPV4, packet)),
        6 => Some((IPV6, packet)),
        _ => None,
    }
}
