//! Who is at the other end of a connection.

use std::net::SocketAddr;

/// The client of a connection, as far as this process can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where the connection comes from: its own address, or the one that a trusted PROXY header names.
    pub address: SocketAddr,
    /// Was it encrypted up to here?
    pub is_tls: bool,
}

impl Peer {
    /// For X-Forwarded-Proto.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }
}
