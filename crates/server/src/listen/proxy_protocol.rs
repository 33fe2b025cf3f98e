//! The PROXY protocol, versions 1 and 2: a load balancer says whose connection it passes on.
//!
//! Read byte by byte as far as the header goes, and no further: what follows is TLS's or HTTP's. Only where the
//! configuration says that every connection begins with it; anybody else could name any address.
//!
//! Source: <https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>, parsed by the crate `ppp`.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;
/// What follows version 2's first 16 bytes. TLVs beyond this are nobody's business here.
const REST_BYTES_MAX: usize = 4096;
/// How version 2 begins. No header of version 1 is as short as this.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Reads the header off the stream. `None`: the balancer's own connection (a health check), which has no client.
///
/// # Errors
/// `InvalidData` where it is none, or too long; the stream's own.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        header.resize(16, 0);
        stream.read_exact(&mut header[12..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if rest > REST_BYTES_MAX {
            return Err(wrong());
        }
        header.resize(16 + rest, 0);
        stream.read_exact(&mut header[16..]).await?;
        return ppp::v2::Header::try_from(&header[..]).map(|found| of_v2(&found)).map_err(|_| wrong());
    }
    if !header.starts_with(b"PROXY ") {
        return Err(wrong());
    }
    while !header.ends_with(b"\r\n") {
        if header.len() == LINE_BYTES_MAX {
            return Err(wrong());
        }
        header.push(stream.read_u8().await?);
    }
    ppp::v1::Header::try_from(&header[..]).map(|found| of_v1(&found.addresses)).map_err(|_| wrong())
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY header")
}

fn of_v1(addresses: &ppp::v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        ppp::v1::Addresses::Tcp4(a) => Some((a.source_address, a.source_port).into()),
        ppp::v1::Addresses::Tcp6(a) => Some((a.source_address, a.source_port).into()),
        ppp::v1::Addresses::Unknown => None,
    }
}

fn of_v2(header: &ppp::v2::Header<'_>) -> Option<SocketAddr> {
    if header.command == ppp::v2::Command::Local {
        return None;
    }
    match header.addresses {
        ppp::v2::Addresses::IPv4(a) => Some((a.source_address, a.source_port).into()),
        ppp::v2::Addresses::IPv6(a) => Some((a.source_address, a.source_port).into()),
        ppp::v2::Addresses::Unspecified | ppp::v2::Addresses::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let mut rest = bytes;
        let found = read(&mut rest).await;
        (found, rest.to_vec())
    }

    #[tokio::test]
    async fn both_versions_are_read_and_nothing_more() {
        let (found, rest) = of(b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\nGET / HTTP/1.1\r\n").await;
        assert_eq!(found.unwrap(), Some("192.0.2.7:5000".parse().unwrap()));
        assert_eq!(rest, b"GET / HTTP/1.1\r\n");
        let (found, rest) = of(b"PROXY UNKNOWN\r\n\x16\x03").await;
        assert_eq!((found.unwrap(), rest), (None, b"\x16\x03".to_vec()));
        let header = ppp::v2::Builder::with_addresses(
            ppp::v2::Version::Two | ppp::v2::Command::Proxy,
            ppp::v2::Protocol::Stream,
            ppp::v2::IPv4::new([192, 0, 2, 7], [192, 0, 2, 1], 5000, 443),
        );
        let mut bytes = header.build().unwrap();
        bytes.extend(b"rest");
        let (found, rest) = of(&bytes).await;
        assert_eq!((found.unwrap(), rest), (Some("192.0.2.7:5000".parse().unwrap()), b"rest".to_vec()));
    }

    #[tokio::test]
    async fn anything_else_is_refused_early() {
        for bad in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 1.2.3.4\r\n",
            b"\r\n\r\n\0\r\nQUITX",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        ] {
            let (found, _) = of(bad).await;
            assert_eq!(found.unwrap_err().kind(), io::ErrorKind::InvalidData, "{bad:?}");
        }
        let endless = [b"PROXY TCP4 ", &[b'1'; 9000][..]].concat();
        assert!(of(&endless).await.0.is_err());
        assert_eq!(of(b"PROXY").await.0.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
