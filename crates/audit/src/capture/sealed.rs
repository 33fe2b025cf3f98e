//! Protocols that are encrypted: they are recognised, so that it can be said what was not seen, and whom it went to.

/// What kind of encryption a TCP stream begins with.
pub(super) fn stream(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x14..=0x17, 3, 0..=4, high, _, ..] if *high <= 0x48 => Some("TLS"),
        _ if bytes.starts_with(b"SSH-") => Some("SSH"),
        _ => None,
    }
}

/// What kind of encryption a UDP packet is. QUIC is recognised by its long header (RFC 9000 17.2, RFC 9369); the
/// packets of a flow after that have none.
pub(super) fn packet(bytes: &[u8], ports: [u16; 2]) -> Option<&'static str> {
    match bytes {
        [first, 0, 0, 0, 1, ..] | [first, 0x6b, 0x33, 0x43, 0xcf, ..] | [first, 0xff, 0, 0, _, ..]
            if first & 0xc0 == 0xc0 =>
        {
            Some("QUIC")
        }
        [0x14..=0x17 | 0x19, 0xfe, 0xfd | 0xff, ..] if bytes.len() >= 13 => Some("DTLS"),
        [1..=4, 0, 0, 0, ..] if ports.contains(&51820) => Some("WireGuard"),
        _ if ports.contains(&4500) => Some("IPsec"),
        _ => None,
    }
}

/// The host that a TLS ClientHello asks for (RFC 8446 4.1.2, RFC 6066 3). Handshakes that are split over several
/// records are put together.
pub(super) fn server_name(bytes: &[u8]) -> Option<String> {
    let mut hello = Vec::new();
    let mut left = bytes;
    while let [0x16, 3, _, high, low, rest @ ..] = left {
        let length = usize::from(*high) << 8 | usize::from(*low);
        hello.extend_from_slice(&rest[..length.min(rest.len())]);
        left = rest.get(length..).unwrap_or_default();
        if hello.len() > 64 << 10 {
            break;
        }
    }
    let mut hello = Fields(&hello);
    if hello.number(1)? != 1 {
        return None;
    }
    hello.bytes(3 + 2 + 32)?; // length, version, random
    for width in [1, 2, 1] {
        hello.vector(width)?; // session, cipher suites, compressions
    }
    let mut extensions = Fields(hello.vector_as_far_as_it_goes(2)?);
    loop {
        let kind = extensions.number(2)?;
        let extension = extensions.vector(2)?;
        if kind == 0 {
            let mut names = Fields(Fields(extension).vector(2)?);
            names.number(1)?;
            return Some(String::from_utf8_lossy(names.vector(2)?).to_ascii_lowercase());
        }
    }
}

/// Big-endian fields, one after the other.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn bytes(&mut self, length: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self, width: usize) -> Option<usize> {
        Some(self.bytes(width)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn vector(&mut self, width: usize) -> Option<&'b [u8]> {
        let length = self.number(width)?;
        self.bytes(length)
    }

    fn vector_as_far_as_it_goes(&mut self, width: usize) -> Option<&'b [u8]> {
        let length = self.number(width)?.min(self.0.len());
        self.bytes(length)
    }
}
