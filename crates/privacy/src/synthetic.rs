//! Captures that nobody captured: what went through the recording proxy, written as the packets that it could have been, so that
//! it is read and judged like any other capture.

use crate::world::capture::MARK;
use crate::world::zone::MARKS;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{SystemTime, UNIX_EPOCH};

/// Payload of one TCP segment: that of an Ethernet without options.
const SEGMENT_BYTES: usize = 1460;
/// The handset, where it has no address that means anything.
pub const HANDSET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 130);

/// A pcap file as it grows. Times are those at which the proxy heard of it.
#[derive(Debug)]
pub struct Synthetic {
    file: Vec<u8>,
    next_port: u16,
}

impl Default for Synthetic {
    fn default() -> Self {
        let mut file = Vec::from(0xa1b2_c3d4_u32.to_le_bytes());
        // Version 2.4, no zone, no accuracy, whole packets, Ethernet.
        file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend((256u32 << 10).to_le_bytes());
        file.extend(1u32.to_le_bytes());
        Self { file, next_port: 40_000 }
    }
}

/// One connection in the file: both ends and the next sequence number of each.
#[derive(Debug)]
pub struct Conversation {
    ends: [SocketAddrV4; 2],
    next: [u32; 2],
}

impl Synthetic {
    /// The file so far.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// A mark of the test.
    pub fn mark(&mut self, name: &str) {
        let told = format!("{MARK}{name}\n");
        let length = u16::try_from(8 + told.len()).unwrap_or(u16::MAX);
        let (from, to) = (SocketAddrV4::new(HANDSET, 40_000), SocketAddrV4::new(MARKS.0, MARKS.1));
        let mut udp = [from.port().to_be_bytes(), to.port().to_be_bytes(), length.to_be_bytes()].concat();
        udp.extend([0, 0]);
        udp.extend(told.as_bytes());
        self.packet(17, from, to, &udp);
    }

    /// A new connection of the handset to `to`.
    pub fn open(&mut self, to: SocketAddrV4) -> Conversation {
        self.next_port = self.next_port.checked_add(1).unwrap_or(40_000);
        let mut open =
            Conversation { ends: [SocketAddrV4::new(HANDSET, self.next_port), to], next: [1000, 5000] };
        self.segment(&open, 0, SYN, &[]);
        open.next[0] += 1;
        self.segment(&open, 1, SYN | ACK, &[]);
        open.next[1] += 1;
        self.segment(&open, 0, ACK, &[]);
        open
    }

    /// Bytes that the handset sent (`from` 0) or got (1).
    pub fn said(&mut self, open: &mut Conversation, from: usize, bytes: &[u8]) {
        for chunk in bytes.chunks(SEGMENT_BYTES) {
            self.segment(open, from, ACK | PUSH, chunk);
            open.next[from] = open.next[from].wrapping_add(u32::try_from(chunk.len()).unwrap_or(0));
        }
    }

    /// The connection's end.
    pub fn close(&mut self, mut open: Conversation) {
        for from in [0, 1] {
            self.segment(&open, from, ACK | FIN, &[]);
            open.next[from] = open.next[from].wrapping_add(1);
        }
    }

    /// RFC 9293; checksums are left out, as a card that computes them would leave them to the capture.
    fn segment(&mut self, open: &Conversation, from: usize, flags: u8, payload: &[u8]) {
        let (sender, receiver) = (open.ends[from], open.ends[1 - from]);
        let mut tcp = [sender.port().to_be_bytes(), receiver.port().to_be_bytes()].concat();
        tcp.extend(open.next[from].to_be_bytes());
        tcp.extend(if flags & ACK == 0 { [0; 4] } else { open.next[1 - from].to_be_bytes() });
        tcp.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(payload);
        self.packet(6, sender, receiver, &tcp);
    }

    fn packet(&mut self, protocol: u8, from: SocketAddrV4, to: SocketAddrV4, inner: &[u8]) {
        let whole = u16::try_from(20 + inner.len()).unwrap_or(u16::MAX);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
        frame.extend(whole.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        frame.extend(from.ip().octets());
        frame.extend(to.ip().octets());
        frame.extend(inner);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for word in [u32::try_from(now.as_secs()).unwrap_or(u32::MAX), now.subsec_micros(), length, length] {
            self.file.extend(word.to_le_bytes());
        }
        self.file.extend(frame);
    }
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::{Traffic, Wire};

    #[test]
    fn what_is_written_is_read() {
        let mut written = Synthetic::default();
        written.mark("begin");
        let mut open = written.open(SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 80), 80));
        written.said(&mut open, 0, &[7; 4000]);
        written.mark("middle");
        written.said(&mut open, 1, b"ok");
        written.close(open);
        written.mark("end");
        let read = Traffic::read(written.file()).expect("a capture");
        assert_eq!(read.packets.len(), 3 + 3 + 1 + 2);
        assert_eq!(read.between("begin", "middle").map(<[_]>::len), Ok(6));
        assert!(read.between("middle", "begin").is_err());
        assert!(matches!(read.packets[0].wire, Wire::Ports { transport: "tcp", opens: true, .. }));
        assert!(matches!(read.packets[1].wire, Wire::Ports { opens: false, .. }));
    }

    #[test]
    fn a_capture_that_was_not_running_proves_nothing() {
        let mut written = Synthetic::default();
        written.mark("begin");
        assert!(Traffic::read(written.file()).is_err(), "no end");
        written.mark("end");
        for end in 0..written.file().len() {
            assert!(Traffic::read(&written.file()[..end]).is_err(), "cut at {end}");
        }
        assert!(Traffic::read(written.file()).is_ok());
    }

    #[test]
    fn damaged_captures_are_refused_or_read_and_nothing_worse() {
        let mut written = Synthetic::default();
        written.mark("begin");
        let mut open = written.open(SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 80), 80));
        written.said(&mut open, 0, b"POST /v2/sms HTTP/1.1\r\n\r\n");
        written.close(open);
        written.mark("end");
        for at in 0..written.file().len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = written.file().to_vec();
                damaged[at] = value;
                let _ = Traffic::read(&damaged);
            }
        }
    }
}
