//! Traffic made around a canary.

use std::net::Ipv4Addr;

/// One end of a conversation.
pub(crate) type End = (Ipv4Addr, u16);

/// A TCP segment as an Ethernet frame. Checksums are zero: captures of a sender have none either.
pub(crate) fn tcp(from: End, to: End, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend_from_slice(&from.1.to_be_bytes());
    segment.extend_from_slice(&to.1.to_be_bytes());
    segment.extend_from_slice(&sequence.to_be_bytes());
    segment.extend_from_slice(&[0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend_from_slice(payload);
    ethernet(&ipv4(from.0, to.0, 6, &segment))
}

/// A UDP packet as an Ethernet frame.
pub(crate) fn udp(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend_from_slice(&from.1.to_be_bytes());
    packet.extend_from_slice(&to.1.to_be_bytes());
    packet.extend_from_slice(&length(payload.len() + 8));
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
    ethernet(&ipv4(from.0, to.0, 17, &packet))
}

/// An IPv4 packet.
pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&length(payload.len() + 20));
    packet.extend_from_slice(&[0, 1, 0, 0, 64, protocol, 0, 0]);
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    packet.extend_from_slice(payload);
    packet
}

/// An Ethernet frame of IPv4.
pub(crate) fn ethernet(packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend_from_slice(packet);
    frame
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

/// A pcap of Ethernet frames, a millisecond apart.
pub(crate) fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0".to_vec();
    for (n, frame) in frames.iter().enumerate() {
        file.extend_from_slice(&1_400_000_000u32.to_le_bytes());
        file.extend_from_slice(&(u32::try_from(n).unwrap_or(0) * 1_000 % 1_000_000).to_le_bytes());
        for _ in 0..2 {
            file.extend_from_slice(&u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        file.extend_from_slice(frame);
    }
    file
}

/// A pcapng of Ethernet frames.
pub(crate) fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    file.extend(block(1, b"\x01\0\0\0\0\0\x04\0\x09\0\x01\0\x09\0\0\0\0\0\0\0"));
    for frame in frames {
        let mut body = vec![0; 12];
        for _ in 0..2 {
            body.extend_from_slice(&u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        body.extend_from_slice(frame);
        file.extend(block(6, &body));
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len().next_multiple_of(4) + 12).unwrap_or(u32::MAX).to_le_bytes();
    let mut block = kind.to_le_bytes().to_vec();
    block.extend_from_slice(&length);
    block.extend_from_slice(body);
    block.resize(block.len().next_multiple_of(4), 0);
    block.extend_from_slice(&length);
    block
}

/// A connection in which the client sends `bytes` in segments of `segment_bytes`, every two of them swapped and the first
/// sent twice.
pub(crate) fn connection(client: End, server: End, bytes: &[u8], segment_bytes: usize) -> Vec<Vec<u8>> {
    // Near the end, so that the numbers wrap.
    let first = u32::MAX - 40;
    let mut frames =
        vec![tcp(client, server, first.wrapping_sub(1), 0x02, b""), tcp(server, client, 0, 0x12, b"")];
    let mut segments = Vec::new();
    for (n, segment) in bytes.chunks(segment_bytes).enumerate() {
        let sequence = first.wrapping_add(u32::try_from(n * segment_bytes).unwrap_or(0));
        segments.push(tcp(client, server, sequence, 0x18, segment));
    }
    for pair in segments.chunks(2) {
        frames.extend(pair.iter().rev().cloned());
    }
    frames.extend(segments.first().cloned());
    let end = first.wrapping_add(u32::try_from(bytes.len()).unwrap_or(0));
    frames.push(tcp(client, server, end, 0x11, b""));
    frames
}
