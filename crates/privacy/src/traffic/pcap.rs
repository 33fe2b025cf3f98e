//! The file format (draft-ietf-opsawg-pcap).

/// Packets of a pcap file, in order (draft-ietf-opsawg-pcap).
pub(super) struct Pcap<'a> {
    rest: &'a [u8],
    little: bool,
    /// The last frame's number, from 1.
    pub(super) number: u64,
    /// When it was seen, in microseconds after 1970 (of the capture's clock).
    pub(super) at_us: u64,
    nanos: bool,
}

impl<'a> Pcap<'a> {
    pub(super) fn new(file: &'a [u8]) -> Result<Self, String> {
        let (head, rest) = file.split_at_checked(24).ok_or("the capture has no header")?;
        let little = match head[..4] {
            [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => true,
            [0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d] => false,
            _ => return Err("the capture is no pcap".into()),
        };
        let nanos = head[..4].contains(&0x4d);
        let reader = Self { rest, little, number: 0, at_us: 0, nanos };
        const ETHERNET: u32 = 1;
        if reader.word(&head[20..]) & 0xffff != ETHERNET {
            return Err("the capture is not of Ethernet".into());
        }
        Ok(reader)
    }

    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let cut = || format!("the capture is cut in packet {}", self.number + 1);
        let (head, rest) = self.rest.split_at_checked(16).ok_or_else(cut)?;
        let (kept, whole) = (self.word(&head[8..]), self.word(&head[12..]));
        let (frame, rest) = rest.split_at_checked(kept as usize).ok_or_else(cut)?;
        if kept < whole {
            return Err(cut());
        }
        let part = u64::from(self.word(&head[4..])) / if self.nanos { 1_000 } else { 1 };
        self.at_us = u64::from(self.word(head)) * 1_000_000 + part;
        (self.rest, self.number) = (rest, self.number + 1);
        Ok(Some(frame))
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }
}
