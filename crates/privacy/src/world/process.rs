//! The process in the world's namespace: the resolver, the account endpoints, and everybody else, on whatever address a
//! handset calls. A stranger answers friendly, so that a client that talks too much gets to say all of it.

use super::names;
use super::zone::{MARKS, RESOLVER, What, Zone};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Ports on which the world answers TCP: web, its variants, and push services.
const PORTS: [u16; 6] = [80, 443, 5222, 5228, 8080, 8443];
/// The longest request that is read; a longer one is cut, the capture has all of it.
const REQUEST_BYTES_MAX: u64 = 4 << 20;
/// Who says nothing for so long is hung up on.
const SILENCE: Duration = Duration::from_secs(10);

/// Serves until standard input ends. Says `ready` when every port is open.
///
/// # Errors
/// In words: a port that could not be opened, a zone that could not be read.
pub fn run(zone: &Path, log: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(zone).map_err(|e| format!("{}: {e}", zone.display()))?;
    let zone: Zone = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", zone.display()))?;
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

/// Reads one request (RFC 9112), notes that it came, and answers it.
fn answer(stream: TcpStream, zone: &Zone, log: &Mutex<File>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let to = stream.local_addr()?;
    let mut reader = BufReader::new(stream.take(REQUEST_BYTES_MAX));
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let read = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
    note(log, to, zone, &line, read)?;
    let body = answer_body(zone, to);
    let mut stream = reader.into_inner().into_inner();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// An account endpoint opens a session; anybody else is content with everything.
fn answer_body(zone: &Zone, to: SocketAddr) -> &'static str {
    let host = match to {
        SocketAddr::V4(v4) => zone.at(*v4.ip()),
        SocketAddr::V6(_) => None,
    };
    match host.map(|host| &host.what) {
        Some(What::Account(_)) => r#"{"session":"open"}"#,
        _ => r#"{"ok":true}"#,
    }
}

fn note(log: &Mutex<File>, to: SocketAddr, zone: &Zone, line: &str, bytes: u64) -> std::io::Result<()> {
    let name = match to {
        SocketAddr::V4(v4) => zone.at(*v4.ip()).map_or("undeclared", |host| &host.name),
        SocketAddr::V6(_) => "undeclared",
    };
    let mut log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    writeln!(log, "{to} {name} {:?} {bytes} bytes", line.trim_end())
}
