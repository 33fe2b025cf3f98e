//! The socket to a region's server: nodelay, kept alive, and fit for a long line that loses packets.

use socket2::{SockRef, TcpKeepalive};
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// How long one address may take to answer.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// An idle peer is probed after this time, so often, so many times: gone after one minute.
pub(super) const PROBE_AFTER: Duration = Duration::from_secs(30);
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(10);
pub(super) const PROBES: u32 = 3;
/// A peer that acknowledges nothing for this long is gone.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// The one server that a configuration names by host and port. What names several, an address or a file is the
/// driver's to connect.
pub(super) fn single(config: &Config) -> Option<(&str, u16)> {
    match (config.get_hosts(), config.get_hostaddrs()) {
        ([Host::Tcp(host)], []) => Some((host, config.get_ports().first().copied().unwrap_or(5432))),
        _ => None,
    }
}

/// Connects to the first of the host's addresses that answers.
pub(super) async fn open((host, port): (&str, u16)) -> Result<TcpStream> {
    let mut last = Error::new(ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return fit(stream, address),
            Ok(Err(error)) => last = error,
            Err(_) => last = ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn fit(stream: TcpStream, address: SocketAddr) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    let keepalive =
        TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    for_long_lines(&socket, address)?;
    Ok(stream)
}

/// BBR for what we send. Cubic, the usual default, takes each lost packet for a full line: at 169 ms and 0.5 % loss it
/// sends some 150 kB/s (Mathis et al. 1997: MSS / RTT x 1.22 / sqrt p). Where the kernel has no BBR, nothing changes.
#[cfg(target_os = "linux")]
fn for_long_lines(socket: &SockRef<'_>, address: SocketAddr) -> Result<()> {
    socket.set_tcp_user_timeout(Some(SILENCE_LIMIT))?;
    if !address.ip().is_loopback() {
        let _ = socket.set_tcp_congestion(b"bbr");
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn for_long_lines(_: &SockRef<'_>, _: SocketAddr) -> Result<()> {
    Ok(())
}
