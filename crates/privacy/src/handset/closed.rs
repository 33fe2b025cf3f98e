//! When what a client has let go of is closed: the end of a connection is packets, too, and they belong to the act that ended it.
//! The kernel says so (proc_pid_net(5)).

use crate::world::bridge;
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// How a client's connections are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// They go through this process's bridges.
    Bridged,
    /// They are all that there are in this namespace.
    Alone,
    /// They are those of this process, to the proxy's ports on loopback.
    Proxied,
    /// They are in no capture.
    Unseen,
}

/// How long a connection may take to close once both ends have let go of it.
const CLOSED: Duration = Duration::from_secs(10);
/// So many looks in a row must say the same: the kernel's list is read in pieces, and one that changes meanwhile, by whoever else
/// is on this machine, may lack a connection or show it twice.
pub const LOOKS: u32 = 3;

impl Link {
    /// Waits until connections to at most so many relays are open: what closes the others is on the wire by then.
    ///
    /// # Errors
    /// In words: somebody holds more open, or the kernel does not tell it.
    pub fn at_most(self, relays: usize) -> Result<(), String> {
        let (began, mut looks) = (Instant::now(), 0);
        loop {
            let open = match self {
                Self::Bridged => return bridge::at_most(relays),
                Self::Unseen => return Ok(()),
                Self::Alone => {
                    let there = connections()?.into_iter().filter(|c| c.is_open && !c.to.ip().is_loopback());
                    there.map(|c| *c.to.ip()).collect::<BTreeSet<_>>().len()
                }
                Self::Proxied => {
                    let own = sockets()?;
                    let own = connections()?.into_iter().filter(|c| c.is_open && own.contains(&c.inode));
                    own.map(|c| c.to).collect::<BTreeSet<_>>().len()
                }
            };
            looks = if open <= relays { looks + 1 } else { 0 };
            if looks == LOOKS {
                return Ok(());
            }
            if began.elapsed() > CLOSED {
                return Err(format!("connections to more than {relays} relays are still open"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A TCP connection of this network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// This end.
    pub at: SocketAddrV4,
    /// The other one.
    pub to: SocketAddrV4,
    /// Both ends may speak.
    pub is_established: bool,
    /// Something of it may still be sent.
    pub is_open: bool,
    /// Whose it is: the number of the socket, or 0 when nobody's any longer.
    pub inode: u64,
}

/// All of them.
///
/// # Errors
/// In words: the kernel does not tell.
pub fn connections() -> Result<Vec<Connection>, String> {
    let text = fs::read_to_string("/proc/self/net/tcp").map_err(|e| format!("/proc/self/net/tcp: {e}"))?;
    Ok(text.lines().skip(1).filter_map(read).collect())
}

/// A line: number, both ends in hexadecimal, state, and more, of which the tenth word is the socket.
fn read(line: &str) -> Option<Connection> {
    const ESTABLISHED: u8 = 1;
    const TIME_WAIT: u8 = 6;
    const CLOSE: u8 = 7;
    const LISTEN: u8 = 10;
    let words: Vec<&str> = line.split_whitespace().collect();
    let end = |word: &str| {
        let (address, port) = word.split_once(':')?;
        // The kernel prints the bytes of the address as one number of this machine's.
        let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
        Some(SocketAddrV4::new(Ipv4Addr::from(address), u16::from_str_radix(port, 16).ok()?))
    };
    let state = u8::from_str_radix(words.get(3)?, 16).ok()?;
    Some(Connection {
        at: end(words.get(1)?)?,
        to: end(words.get(2)?)?,
        is_established: state == ESTABLISHED,
        is_open: ![TIME_WAIT, CLOSE, LISTEN].contains(&state),
        inode: words.get(9)?.parse().ok()?,
    })
}

/// The sockets that this process holds.
fn sockets() -> Result<BTreeSet<u64>, String> {
    let files = fs::read_dir("/proc/self/fd").map_err(|e| format!("/proc/self/fd: {e}"))?;
    let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    Ok(links
        .filter_map(|to| to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, TcpListener, TcpStream};

    #[test]
    fn a_connection_is_open_until_it_is_closed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let SocketAddr::V4(at) = listener.local_addr().expect("its address") else { panic!("of version 4") };
        let near = TcpStream::connect(at).expect("connected");
        let own = || {
            let own = sockets().expect("sockets");
            let all = connections().expect("connections");
            all.into_iter().filter(|c| c.to == at && own.contains(&c.inode)).collect::<Vec<_>>()
        };
        // One look may be wrong, see above.
        let comes = |wanted: &dyn Fn(&[Connection]) -> bool| (0..100).any(|_| wanted(&own()));
        assert!(comes(&|own| matches!(own, [one] if one.is_established && one.is_open)), "{:?}", own());
        drop(near);
        assert!(comes(&<[_]>::is_empty), "nobody holds it: {:?}", own());
    }

    #[test]
    fn what_still_waits_for_its_end_is_open() {
        let line = |state| {
            format!(
                "   1: 0100007F:1F90 0200000A:01BB {state} 00000000:00000000 00:00000000 00000000  0 0 4711 1 x"
            )
        };
        assert!(read(&line("04")).is_some_and(|c| c.is_open && !c.is_established && c.inode == 4711));
        assert!(read(&line("06")).is_some_and(|c| !c.is_open), "TIME_WAIT sends nothing");
        assert_eq!(read("  sl  local_address rem_address   st"), None);
    }
}
