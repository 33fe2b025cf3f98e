//! A TCP proxy on loopback that does to connections what bad networks do: delay, stall, cut, half-close, on command
//! or once so many bytes have passed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a stalled direction looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They pass.
    None,
    /// Each piece waits so long.
    Delay(Duration),
    /// Nothing passes, and connections stay open: also new ones, which nobody answers.
    Stall,
    /// Connections are closed at once, and new ones, too.
    Cut,
    /// The side that asked hears nothing more, and its connection is closed for reading only.
    HalfClose,
}

/// A proxy before one port.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: u16,
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    /// A fault that begins once so many more bytes have passed.
    after: Option<(u64, Fault)>,
    passed: u64,
    open: Vec<(TcpStream, TcpStream)>,
}

impl Proxy {
    /// Listens on a free port and passes everything on to `to`.
    ///
    /// # Panics
    /// Where it can't listen.
    pub fn before(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port on loopback");
        let port = listener.local_addr().expect("its address").port();
        let state = State { fault: Fault::None, after: None, passed: 0, open: Vec::new() };
        let shared = Arc::new(Shared { to, state: Mutex::new(state), ended: AtomicBool::new(false) });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                serving.pass(client);
            }
        });
        Self { port, shared }
    }

    /// From now on this happens, to connections that are open and to new ones.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.state();
        (state.fault, state.after) = (fault, None);
        state.begin();
    }

    /// The same once so many more bytes have passed.
    pub fn set_after(&self, bytes: u64, fault: Fault) {
        let mut state = self.shared.state();
        state.after = Some((state.passed + bytes, fault));
    }

    /// Bytes that have passed so far, in both directions.
    pub fn passed(&self) -> u64 {
        self.shared.state().passed
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.set(Fault::Cut);
        // So that the listener's thread looks up.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    /// What a fault does at once.
    fn begin(&mut self) {
        match self.fault {
            Fault::Cut => {
                for (client, server) in self.open.drain(..) {
                    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
                }
            }
            Fault::HalfClose => {
                for (client, _) in self.open.drain(..) {
                    let _ = client.shutdown(Shutdown::Write);
                }
            }
            Fault::None | Fault::Delay(_) | Fault::Stall => {}
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(self: &Arc<Self>, client: TcpStream) {
        if matches!(self.state().fault, Fault::Cut | Fault::HalfClose) {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.to)) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let copies = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
        let (Some(there), Some(back), Some(kept)) = (copies(), copies(), copies()) else { return };
        self.state().open.push(kept);
        for (from, to) in [(there.0, there.1), (back.1, back.0)] {
            let shared = self.clone();
            std::thread::spawn(move || shared.pump(from, to));
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(bytes) = from.read(&mut piece) {
            if bytes == 0 || !self.may_pass(bytes as u64) || to.write_all(&piece[..bytes]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Read), to.shutdown(Shutdown::Write));
    }

    /// Waits as long as the fault says. False: the connection was cut meanwhile.
    fn may_pass(&self, bytes: u64) -> bool {
        let fault = {
            let mut state = self.state();
            state.passed += bytes;
            if let Some((_, fault)) = state.after.filter(|(at, _)| state.passed >= *at) {
                (state.fault, state.after) = (fault, None);
                state.begin();
            }
            state.fault
        };
        match fault {
            Fault::None => true,
            Fault::Delay(long) => {
                std::thread::sleep(long);
                true
            }
            Fault::Cut | Fault::HalfClose => false,
            Fault::Stall => {
                while self.state().fault == Fault::Stall {
                    if self.ended.load(Ordering::SeqCst) {
                        return false;
                    }
                    std::thread::sleep(LOOK);
                }
                !matches!(self.state().fault, Fault::Cut | Fault::HalfClose)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with itself.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
                });
            }
        });
        port
    }

    fn asks(stream: &mut TcpStream) -> std::io::Result<u8> {
        let mut byte = [7];
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte).map(|()| byte[0])
    }

    #[test]
    fn each_fault_is_what_it_says() {
        let proxy = Proxy::before(echo());
        let connect = || {
            let stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            stream
        };
        let mut stream = connect();
        assert_eq!(asks(&mut stream).unwrap(), 7);
        proxy.set(Fault::Stall);
        let waited = asks(&mut stream).unwrap_err();
        assert!(matches!(waited.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
        // What was on its way arrives when it goes on.
        proxy.set(Fault::None);
        let mut byte = [0];
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [7]);
        proxy.set(Fault::HalfClose);
        assert_eq!(stream.read(&mut byte).unwrap(), 0, "nothing more is heard");
        proxy.set(Fault::None);
        let mut stream = connect();
        proxy.set_after(2, Fault::Cut);
        assert!((0..3).any(|_| asks(&mut stream).is_err()), "cut in the middle");
        assert!(connect().read_exact(&mut byte).is_err(), "new ones, too");
    }
}
