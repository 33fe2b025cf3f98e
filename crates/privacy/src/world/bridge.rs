//! Bridges: a port that leads somewhere else, byte by byte. A relay is https, or http on loopback; so that the capture can be
//! read, the client under test speaks http to a port of its own namespace, which leads over the handset's only link to the relay.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections of this process's bridges that are not wholly closed, by the bridge.
static OPEN: Mutex<BTreeMap<SocketAddr, usize>> = Mutex::new(BTreeMap::new());
/// How long a connection may take to close once both ends have let go of it.
const CLOSED: Duration = Duration::from_secs(10);

/// Waits until connections of at most so many bridges are open: what closes the others is on the wire by then.
///
/// # Errors
/// In words: somebody holds more open.
pub fn at_most(bridges: usize) -> Result<(), String> {
    let began = Instant::now();
    while open_now().len() > bridges {
        if began.elapsed() > CLOSED {
            return Err(format!("connections to more than {bridges} relays are still open"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn open_now() -> MutexGuard<'static, BTreeMap<SocketAddr, usize>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection more, or one less.
fn count(at: SocketAddr, opens: bool) {
    let mut open = open_now();
    let n = open.remove(&at).unwrap_or(0);
    let n = if opens { n + 1 } else { n.saturating_sub(1) };
    if n > 0 {
        open.insert(at, n);
    }
}

/// Bytes handed on at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Opens `at`; each connection there becomes one that `to` makes, when it is made and not before. Ends with the process.
///
/// # Errors
/// In words: the port can't be opened.
pub fn open(
    at: SocketAddr,
    to: impl Fn() -> io::Result<TcpStream> + Send + Sync + 'static,
) -> Result<(), String> {
    let listener = TcpListener::bind(at).map_err(|e| format!("{at}: {e}"))?;
    let to = Arc::new(to);
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let to = Arc::clone(&to);
            count(at, true);
            std::thread::spawn(move || {
                // Where the far end can't be reached the near one is hung up on.
                let _ = to().and_then(|far| join(&near, &far, |_, _| {}));
                count(at, false);
            });
        }
    });
    Ok(())
}

/// Hands on what both say until both are silent; `heard` hears it first, with 0 for the near end and 1 for the far one.
///
/// # Errors
/// The connections' own.
pub fn join(near: &TcpStream, far: &TcpStream, heard: impl Fn(usize, &[u8]) + Send + Sync) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    std::thread::scope(|scope| {
        scope.spawn(|| hand_on(far, near, |bytes| heard(1, bytes)));
        hand_on(near, far, |bytes| heard(0, bytes));
    });
    Ok(())
}

fn hand_on(mut from: &TcpStream, mut to: &TcpStream, heard: impl Fn(&[u8])) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read) = from.read(&mut chunk) {
        heard(&chunk[..read]);
        if read == 0 || to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    // The other side hears that this one ended; what it still says comes back.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
