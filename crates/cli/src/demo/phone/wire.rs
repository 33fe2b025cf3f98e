//! The wire between a phone and the world: it listens in, and counts.
//!
//! Relays ask each other at the same address, as they would in earnest; what one of them says first tells it apart, and is
//! not the phones'.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How relays begin what they ask each other.
const OF_RELAYS: [&[u8]; 2] = [b"GET /v1/relay/", b"POST /v1/relay/"];

/// What passed between phones and the relay, both ways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed {
    pub connections: u64,
    /// What the phone sent.
    pub up: Vec<u8>,
    /// What it was answered.
    pub down: Vec<u8>,
}

/// A wire to one relay. What passes is kept until the wire is dropped: the demo's phones say little.
pub struct Wire {
    at: SocketAddr,
    passed: Arc<Mutex<Passed>>,
    _tasks: JoinSet<()>,
}

impl Wire {
    /// A wire whose far end is `relay`; nothing is asked of it before a phone connects.
    pub async fn to(relay: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (at, passed) = (listener.local_addr()?, Arc::<Mutex<Passed>>::default());
        let mut tasks = JoinSet::new();
        let heard = passed.clone();
        tasks.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((caller, _)) = listener.accept().await {
                calls.spawn(call(caller, relay, heard.clone()));
            }
        });
        Ok(Self { at, passed, _tasks: tasks })
    }

    /// The address that the phone knows.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.at)
    }

    /// What passed until now.
    pub fn passed(&self) -> Passed {
        lock(&self.passed).clone()
    }
}

fn lock(passed: &Mutex<Passed>) -> std::sync::MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn call(mut caller: TcpStream, relay: SocketAddr, heard: Arc<Mutex<Passed>>) {
    let Ok(mut relay) = TcpStream::connect(relay).await else { return };
    let first = first(&mut caller).await;
    if OF_RELAYS.iter().any(|way| first.starts_with(way)) {
        if relay.write_all(&first).await.is_ok() {
            // How it ends is the relays' own affair.
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut relay).await;
        }
        return;
    }
    lock(&heard).connections += 1;
    lock(&heard).up.extend_from_slice(&first);
    if relay.write_all(&first).await.is_err() {
        return;
    }
    let ((from_phone, to_phone), (from_relay, to_relay)) = (caller.into_split(), relay.into_split());
    let up = pass(from_phone, to_relay, heard.clone(), |passed| &mut passed.up);
    let down = pass(from_relay, to_phone, heard, |passed| &mut passed.down);
    tokio::join!(up, down);
}

/// What a caller says first: as much as tells relays from phones, or all that it says.
async fn first(caller: &mut TcpStream) -> Vec<u8> {
    let (mut first, mut byte) = (Vec::new(), [0]);
    while first.len() < OF_RELAYS[1].len() {
        match caller.read(&mut byte).await {
            Ok(1) => first.push(byte[0]),
            _ => break,
        }
    }
    first
}

/// Keeps each piece before it goes on: what the other side has was heard.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    heard: Arc<Mutex<Passed>>,
    way: fn(&mut Passed) -> &mut Vec<u8>,
) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        way(&mut lock(&heard)).extend_from_slice(&piece[..read]);
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
    // The other side may have ended already.
    let _ = to.shutdown().await;
}
