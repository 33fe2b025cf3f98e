//! The process in the world's namespace: the resolver, the account endpoints, and everybody else, on whatever address a
//! handset calls. A stranger answers friendly, so that a client that talks too much gets to say all of it.

use super::names;
use super::request::{self, Request};
use super::zone::{MARKS, RESOLVER, Zone};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Ports on which the world answers TCP: web, its variants, and push services.
const PORTS: [u16; 6] = [80, 443, 5222, 5228, 8080, 8443];
/// Who says nothing for so long is hung up on.
const SILENCE: Duration = Duration::from_secs(10);

/// Serves until standard input ends. Says `ready` when every port is open.
///
/// # Errors
/// In words: a port that could not be opened, a zone that could not be read.
pub fn run(zone: &Path, log: &Path) -> Result<(), String> {
    let zone = Zone::read(zone)?;
    let log = OpenOptions::new().create(true).append(true).open(log);
    let log = Arc::new(Mutex::new(log.map_err(|e| e.to_string())?));
    let open = |port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(|e| format!("port {port}: {e}"));
    let resolver = UdpSocket::bind((RESOLVER, 53)).map_err(|e| format!("port 53: {e}"))?;
    // Held open, and never read: a closed port would answer a mark with an ICMP message.
    let _marks = open(MARKS.1)?;
    let zone = Arc::new(zone);
    for port in PORTS {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        let listener = listener.map_err(|e| format!("port {port}: {e}"))?;
        let (zone, log) = (Arc::clone(&zone), Arc::clone(&log));
        std::thread::spawn(move || listen(&listener, &zone, &log));
    }
    std::thread::spawn({
        let zone = Arc::clone(&zone);
        move || names::serve(&zone, &resolver)
    });
    println!("ready");
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

fn listen(listener: &TcpListener, zone: &Arc<Zone>, log: &Arc<Mutex<File>>) {
    for stream in listener.incoming().flatten() {
        let (zone, log) = (Arc::clone(zone), Arc::clone(log));
        std::thread::spawn(move || {
            // A client that hangs up has been recorded by the capture.
            let _ = answer(stream, &zone, &log);
        });
    }
}

/// Reads one request, notes that it came, and answers it.
fn answer(mut stream: TcpStream, zone: &Zone, log: &Mutex<File>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let SocketAddr::V4(to) = stream.local_addr()? else { return Ok(()) };
    let read = Request::read(BufReader::new(&stream))?;
    note(log, to, zone, &read)?;
    stream.write_all(request::answer(zone, *to.ip()).as_bytes())
}

fn note(log: &Mutex<File>, to: SocketAddrV4, zone: &Zone, read: &Request) -> std::io::Result<()> {
    let name = zone.at(*to.ip()).map_or("undeclared", |host| &host.name);
    let mut log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    writeln!(log, "{to} {name} {:?} {} bytes", read.line, read.body.len())
}
