//! Where there are no namespaces: a proxy that the handset is told to use, which plays the world and writes down what goes
//! through it as a capture. It sees nothing of a program that goes another way, and nothing keeps one from it.

use super::bridge;
use super::request::{self, Request};
use super::zone::Zone;
use crate::handset::closed::{LOOKS, connections};
use crate::synthetic::{Conversation, Synthetic};
use std::fs;
use std::io::{BufReader, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who says nothing for so long is hung up on.
const SILENCE: Duration = Duration::from_secs(10);

/// The proxy, until this process ends.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    record: Arc<Mutex<Synthetic>>,
    /// What is opened now is somebody else's, and not recorded.
    aside: Arc<AtomicBool>,
    /// Connections to relays whose end is not recorded yet.
    live: Arc<AtomicUsize>,
    /// The ports that relays are known by.
    known: Mutex<Vec<u16>>,
}

impl Proxy {
    /// Opens it on loopback.
    ///
    /// # Errors
    /// In words: no port.
    pub fn open(zone: &Zone) -> std::result::Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("the proxy: {e}"))?;
        let address = listener.local_addr().map_err(|e| format!("the proxy: {e}"))?;
        let record = Arc::new(Mutex::new(Synthetic::default()));
        let (zone, shared) = (zone.clone(), Arc::clone(&record));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (zone, record) = (zone.clone(), Arc::clone(&shared));
                // A client that hangs up was recorded as far as it came.
                std::thread::spawn(move || serve(&stream, &zone, &record));
            }
        });
        Ok(Self { address, record, aside: Arc::default(), live: Arc::default(), known: Mutex::default() })
    }

    /// Opens the port that a relay is known by; what comes there is recorded as the handset's and handed to the port where
    /// the relay listens. What other relays say is not the handset's.
    ///
    /// # Errors
    /// In words: the port can't be opened.
    pub fn bridge(&self, at: u16, to: u16, zone: &Zone) -> std::result::Result<(), String> {
        let known = zone.hosts.iter().find(|host| host.bridge == Some(at));
        let address = SocketAddrV4::new(known.ok_or("a bridge to nobody")?.address, 80);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, at)).map_err(|e| format!("port {at}: {e}"))?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).push(at);
        let (record, aside, live) =
            (Arc::clone(&self.record), Arc::clone(&self.aside), Arc::clone(&self.live));
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let record = (!aside.load(Ordering::SeqCst)).then(|| Arc::clone(&record));
                let live = Arc::clone(&live);
                live.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // A relay that is away hangs up on everybody; what was said until then is recorded.
                    let _ = carry(&near, to, address, record.as_deref());
                    live.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(())
    }

    /// Does something whose connections are not the handset's.
    pub fn aside<T>(&self, act: impl FnOnce() -> T) -> T {
        self.aside.store(true, Ordering::SeqCst);
        let done = act();
        self.aside.store(false, Ordering::SeqCst);
        done
    }

    /// Begins a new capture.
    pub fn begin(&self) {
        *lock(&self.record) = Synthetic::default();
    }

    /// Writes a mark into it, behind the ends of all connections that have ended.
    ///
    /// # Errors
    /// In words: an end was not recorded in time.
    pub fn mark(&self, name: &str) -> std::result::Result<(), String> {
        let (began, mut looks) = (Instant::now(), 0);
        loop {
            let all_recorded = self.live.load(Ordering::SeqCst) <= self.established()?;
            looks = if all_recorded { looks + 1 } else { 0 };
            if looks == LOOKS {
                break;
            }
            if began.elapsed() > SILENCE {
                return Err("the proxy has not recorded the end of a connection".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        lock(&self.record).mark(name);
        Ok(())
    }

    /// Connections to relays that nobody has let go of, as the kernel knows them at once.
    fn established(&self) -> std::result::Result<usize, String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = connections()?.into_iter().filter(|c| c.is_established && known.contains(&c.at.port()));
        Ok(ours.count())
    }

    /// Leaves the capture in a file.
    ///
    /// # Errors
    /// In words: it can't be written.
    pub fn end(&self, path: &Path) -> std::result::Result<(), String> {
        fs::write(path, lock(&self.record).file()).map_err(|e| format!("{}: {e}", path.display()))
    }
}

fn lock(record: &Mutex<Synthetic>) -> MutexGuard<'_, Synthetic> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection to a relay, recorded as it goes on.
fn carry(near: &TcpStream, to: u16, address: SocketAddrV4, record: Option<&Mutex<Synthetic>>) -> Result<()> {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    let Some(record) = record else { return bridge::join(near, &far, |_, _| {}) };
    let said = Mutex::new(Said::Nothing);
    bridge::join(near, &far, |from, bytes| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*said, Said::Nothing) {
            // The first to speak is who opened it. Relays ask each other by the same port.
            let head = String::from_utf8_lossy(&bytes[..bytes.len().min(REQUEST_LINE_BYTES)]);
            let is_relay = head.contains(" /v1/relay/");
            *said = if is_relay { Said::ByRelay } else { Said::ByHandset(lock(record).open(address)) };
        }
        if let Said::ByHandset(open) = &mut *said {
            lock(record).said(open, from, bytes);
        }
    })?;
    if let Said::ByHandset(open) = said.into_inner().unwrap_or_else(PoisonError::into_inner) {
        lock(record).close(open);
    }
    Ok(())
}

/// How much of a first request says whose it is.
const REQUEST_LINE_BYTES: usize = 200;

/// Whose a connection is.
enum Said {
    Nothing,
    ByRelay,
    ByHandset(Conversation),
}

/// One request: written down before it is answered, so that it stands before whatever the client does next.
fn serve(mut stream: &TcpStream, zone: &Zone, record: &Mutex<Synthetic>) -> Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let asked = Request::read(BufReader::new(stream))?;
    let Some((host, line)) = origin(&asked.line) else { return Ok(()) };
    let at = zone.resolve(host);
    let answer = request::answer(zone, at);
    let mut record_now = lock(record);
    let mut open = record_now.open(SocketAddrV4::new(at, 80));
    record_now.said(&mut open, 0, &[line.as_bytes(), b"\r\n", &asked.head, &asked.body].concat());
    record_now.said(&mut open, 1, answer.as_bytes());
    record_now.close(open);
    drop(record_now);
    stream.write_all(answer.as_bytes())
}

/// The host of `POST http://host/path HTTP/1.1`, and the line as the host itself would get it.
fn origin(line: &str) -> Option<(&str, String)> {
    let (method, rest) = line.split_once(' ')?;
    let (target, version) = rest.split_once(' ')?;
    let rest = target.strip_prefix("http://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((host, format!("{method} {} {version}", if path.is_empty() { "/" } else { path })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_hands_on_what_the_host_would_get() {
        let told = origin("POST http://api.account.example/v2/sms HTTP/1.1");
        assert_eq!(told, Some(("api.account.example", "POST /v2/sms HTTP/1.1".to_owned())));
        assert_eq!(origin("GET http://a HTTP/1.1"), Some(("a", "GET / HTTP/1.1".to_owned())));
        assert_eq!(origin("GET /x HTTP/1.1"), None);
    }
}
