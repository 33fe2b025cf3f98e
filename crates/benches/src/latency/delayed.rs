//! A proxy in user space that is as far away as a line is long: each piece waits half a round trip, and for its turn on
//! the user's line. Pieces follow each other, none waits for the one before to arrive.
//!
//! What it can't do: lose packets, or make TCP start slowly. It takes connections at once, so the first bytes of each
//! wait for the round trip of a TCP handshake, too.

use crate::Fallible;
use crate::line::Line;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Bytes of a piece at most.
const PIECE: usize = 16 * 1024;
/// Pieces under way on a connection and direction at most: 16 MiB.
const PIECES_MAX: usize = 1_024;

/// The proxy; it ends with the value.
pub struct Delayed {
    /// Where it listens.
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Delayed {
    /// In front of `to`.
    pub async fn before(to: SocketAddr, line: Line) -> Fallible<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let turns = line.bytes_per_s.map(|rate| Arc::new(Turn { rate, free_at: Mutex::new(Instant::now()) }));
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(to).await else { continue };
                join(client, server, line.round_trip, &turns);
            }
        });
        Ok(Self { address, serving })
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One direction of the user's line, which all connections share.
struct Turn {
    /// Bytes a second; 0: as many as come.
    rate: u64,
    free_at: Mutex<Instant>,
}

impl Turn {
    /// When so many bytes are sent.
    fn take(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        if self.rate == 0 {
            return now;
        }
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        *free_at = (*free_at).max(now) + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        *free_at
    }
}

fn join(client: TcpStream, server: TcpStream, round_trip: Duration, turns: &[Arc<Turn>; 2]) {
    // A connection without it still works.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let [up, down] = turns.clone();
    tokio::spawn(pump(from_client, to_server, up, round_trip / 2, round_trip));
    tokio::spawn(pump(from_server, to_client, down, round_trip / 2, Duration::ZERO));
}

async fn pump(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    turn: Arc<Turn>,
    delay: Duration,
    handshake: Duration,
) {
    let (pieces, arriving) = mpsc::channel(PIECES_MAX);
    tokio::spawn(arrive(arriving, to));
    let open_at = Instant::now() + handshake;
    let mut piece = vec![0; PIECE];
    while let Ok(bytes @ 1..) = from.read(&mut piece).await {
        sleep_until(open_at).await;
        let sent = turn.take(bytes);
        if pieces.send((sent + delay, piece[..bytes].to_vec())).await.is_err() {
            return;
        }
        sleep_until(sent).await;
    }
}

async fn arrive(mut pieces: mpsc::Receiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf) {
    while let Some((due, piece)) = pieces.recv().await {
        sleep_until(due).await;
        if to.write_all(&piece).await.is_err() {
            return;
        }
    }
    // The end travels as far as the bytes; whoever is gone already does not mind.
    let _ = to.shutdown().await;
}
