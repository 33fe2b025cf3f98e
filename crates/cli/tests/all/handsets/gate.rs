//! A TCP proxy in front of a relay that writes down who comes through: the relay's published endpoint.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

type Sent = Arc<Mutex<Vec<u8>>>;

/// Listens for as long as the test's process lives.
pub struct Gate {
    /// What was sent towards the relay, a text a connection.
    connections: Arc<Mutex<Vec<Sent>>>,
}

impl Gate {
    /// Listens at `port` and hands on to the relay at `to`, if one answers there.
    pub fn open(port: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let connections = Arc::<Mutex<Vec<Sent>>>::default();
        let known = connections.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let sent = Sent::default();
                known.lock().expect("the list").push(sent.clone());
                // No relay: the connection ends, as at a port where nobody listens; but it was counted.
                if let Ok(far) = TcpStream::connect(("127.0.0.1", to)) {
                    join(near, far, sent);
                }
            }
        });
        Self { connections }
    }

    fn texts(&self) -> Vec<String> {
        let all = self.connections.lock().expect("the list");
        all.iter().map(|sent| String::from_utf8_lossy(&sent.lock().expect("a text")).into_owned()).collect()
    }

    /// All connections, whoever came.
    pub fn connections(&self) -> usize {
        self.texts().len()
    }

    /// Connections but those of other relays.
    pub fn of_devices(&self) -> usize {
        self.texts().iter().filter(|text| !text.contains(" /v1/relay/")).count()
    }

    /// What devices asked for: method and path of each request.
    pub fn asked(&self) -> Vec<String> {
        let line = |line: &str| line.strip_suffix(" HTTP/1.1").map(str::to_owned);
        // A request's line follows the body of the one before it without a break.
        let begin = |line: String| {
            let at = ["GET /v1/", "POST /v1/", "PUT /v1/"].iter().filter_map(|word| line.find(word)).min();
            at.map(|at| line[at..].to_owned())
        };
        let texts = self.texts();
        let lines = texts.iter().flat_map(|text| text.lines()).filter_map(line).filter_map(begin);
        lines.filter(|line| line.contains(" /v1/messaging/")).collect()
    }
}

fn join(near: TcpStream, far: TcpStream, sent: Sent) {
    let (mut from, mut to) = (near.try_clone().expect("a socket"), far.try_clone().expect("a socket"));
    thread::spawn(move || {
        let mut bytes = [0; 16 << 10];
        while let Ok(n @ 1..) = from.read(&mut bytes) {
            sent.lock().expect("a text").extend_from_slice(&bytes[..n]);
            if to.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (far, near);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
