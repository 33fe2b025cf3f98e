//! What one peer, and all of them, may take.

use std::time::Duration;

/// Bounds of a listener. Each has a default that fits a public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open connections; further ones wait in the kernel's queue.
    pub connections: usize,
    /// From accept to the end of the TLS handshake and of the PROXY header.
    pub handshake: Duration,
    /// A request's head, from the first byte that is waited for to its last: also how long a kept connection may be idle.
    pub head: Duration,
    /// How long a client may take nothing of what is written to it.
    pub stall: Duration,
    /// All header lines of a request together, bytes.
    pub head_bytes: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// How long requests under way may take once the process is asked to end.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            head_bytes: 32 * 1024,
            headers: 100,
            streams: 128,
            drain: Duration::from_secs(30),
        }
    }
}
