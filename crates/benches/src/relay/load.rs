//! Who sends: requests made and signed before they are due, sent on a schedule or as fast as there are answers.

use super::BODY_BYTES;
use super::process::{REGION, service_key};
use crate::Fallible;
use domicile_messaging::SigningKey;
use domicile_messaging::consent::{Purpose, device_of};
use domicile_messaging::proof::{Proof, Request};
use domicile_messaging::token::Claims;
use domicile_messaging::wire::{
    CONSENT_HEADER, IfOffline, Key, MailboxId, MessageBody, MessageId, PROOF_HEADER, Send,
};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections of the open loop: more than are ever waiting for an answer at a rate that is kept.
const OPEN_CONNECTIONS: usize = 256;
/// Connections of the closed one.
const CLOSED_CONNECTIONS: usize = 256;
const PATH: &str = "/v1/messaging/messages";

/// Devices and their mailboxes.
pub struct Senders(Vec<Sender>);

struct Sender {
    mailbox: MailboxId,
    key: SigningKey,
    public: Key,
}

/// What came of a load.
pub struct Measured {
    /// Messages that were acknowledged.
    pub kept: usize,
    /// Of each, ms from when it was due to its answer.
    pub sorted_ms: Vec<f64>,
    /// From the first to the last answer's end.
    pub took: Duration,
}

impl Senders {
    pub fn new(many: usize) -> Self {
        let sender = |_| {
            let key = SigningKey::from_bytes(&Key::random().0);
            let public = Key(key.verifying_key().to_bytes());
            Sender { mailbox: MailboxId::random(), key, public }
        };
        Self((0..many).map(sender).collect())
    }

    /// SQL that makes their mailboxes, proven and agreed to.
    pub fn rows(&self) -> String {
        let mut sql = String::new();
        for sender in &self.0 {
            let (id, device) = (sender.mailbox, device_of(&sender.public));
            let key = sender.public.0.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            let _ = write!(
                sql,
                "INSERT INTO mailbox(id, country, device, device_key, number_sealed, discoverable, created_ms) \
                 VALUES ('{id}', 'DE', '{device}', '\\x{key}', '\\x00', true, 0);\n\
                 INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) VALUES ('{id}', 'cloud_messaging', 1, 'given', '');\n"
            );
        }
        sql
    }

    /// So many requests, each by another device, to another mailbox, signed now.
    pub fn requests(&self, many: usize, port: u16) -> Fallible<Vec<Vec<u8>>> {
        let now = jiff::Timestamp::now().as_second();
        let purposes = [Purpose::CloudMessaging].into_iter().collect();
        let key = service_key();
        let region: domicile_messaging::wire::RegionName = REGION.parse()?;
        let token = |s: &Sender| {
            Claims::at(now, region.clone(), device_of(&s.public), Some(s.mailbox), purposes).sign(&key)
        };
        let tokens: Vec<String> = self.0.iter().map(token).collect();
        let one = |n: usize| -> Fallible<Vec<u8>> {
            let (from, to) = (n % self.0.len(), (n * 7 + 1) % self.0.len());
            let message = Send {
                to: self.0[to].mailbox,
                id: MessageId::random(),
                body: MessageBody::new(vec![n as u8; BODY_BYTES]).ok_or("a body")?,
                expires_in_s: 24 * 3600,
                if_offline: IfOffline::Keep,
                sealed_to: None,
            };
            let body = serde_json::to_vec(&message)?;
            let signed =
                Request { region: region.as_str(), method: "POST", path_and_query: PATH, body: &body };
            let proof = Proof::make(&self.0[from].key, signed, now);
            let mut request = format!(
                "POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 {CONSENT_HEADER}: {}\r\n{PROOF_HEADER}: {proof}\r\n\r\n",
                body.len(),
                tokens[from]
            )
            .into_bytes();
            request.extend(body);
            Ok(request)
        };
        (0..many).map(one).collect()
    }
}

/// Sends each when it is due, `rate` a second, whatever became of those before.
pub async fn open(address: &str, requests: Vec<Vec<u8>>, rate: u32) -> Fallible<Measured> {
    let (requests, connections) = (Arc::new(requests), connect(address, OPEN_CONNECTIONS).await?);
    let begun = Instant::now() + Duration::from_millis(50);
    let next = Arc::new(AtomicUsize::new(0));
    let each = connections.into_iter().map(|mut connection| {
        let (requests, next) = (requests.clone(), next.clone());
        tokio::spawn(async move {
            let mut all = Vec::new();
            // A free connection takes the next one: it waits for its time, and if it is late already that counts.
            while let Some((n, request)) = taken(&requests, &next) {
                let due = begun + Duration::from_secs_f64(n as f64 / f64::from(rate));
                tokio::time::sleep_until(due.into()).await;
                connection.kept(request).await?;
                all.push(due.elapsed().as_secs_f64() * 1000.0);
            }
            Ok::<_, String>(all)
        })
    });
    gathered(each.collect(), begun).await
}

/// Sends as fast as there are answers, for so long.
pub async fn closed(address: &str, requests: Vec<Vec<u8>>, length: Duration) -> Fallible<Measured> {
    let (requests, connections) = (Arc::new(requests), connect(address, CLOSED_CONNECTIONS).await?);
    let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let each = connections.into_iter().map(|mut connection| {
        let (requests, next) = (requests.clone(), next.clone());
        tokio::spawn(async move {
            let mut all = Vec::new();
            while begun.elapsed() < length
                && let Some((_, request)) = taken(&requests, &next)
            {
                let sent = Instant::now();
                connection.kept(request).await?;
                all.push(sent.elapsed().as_secs_f64() * 1000.0);
            }
            Ok::<_, String>(all)
        })
    });
    gathered(each.collect(), begun).await
}

fn taken<'a>(requests: &'a [Vec<u8>], next: &AtomicUsize) -> Option<(usize, &'a [u8])> {
    let n = next.fetch_add(1, Ordering::Relaxed);
    requests.get(n).map(|request| (n, request.as_slice()))
}

async fn gathered(
    each: Vec<tokio::task::JoinHandle<Result<Vec<f64>, String>>>,
    begun: Instant,
) -> Fallible<Measured> {
    let mut sorted_ms = Vec::new();
    for one in each {
        sorted_ms.extend(one.await??);
    }
    let took = begun.elapsed();
    sorted_ms.sort_by(f64::total_cmp);
    Ok(Measured { kept: sorted_ms.len(), sorted_ms, took })
}

/// A kept connection.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

async fn connect(address: &str, many: usize) -> Fallible<Vec<Connection>> {
    let mut all = Vec::new();
    for _ in 0..many {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        all.push(Connection { stream, read: Vec::new() });
    }
    Ok(all)
}

impl Connection {
    /// Sends and waits for 202, whole.
    async fn kept(&mut self, request: &[u8]) -> Result<(), String> {
        self.stream.write_all(request).await.map_err(|e| e.to_string())?;
        loop {
            if let Some(answer) = whole(&self.read) {
                let is_kept = self.read.starts_with(b"HTTP/1.1 202 ");
                let said = String::from_utf8_lossy(&self.read[..answer]).into_owned();
                self.read.drain(..answer);
                return if is_kept { Ok(()) } else { Err(said) };
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err("the relay hung up".to_owned()),
                Ok(read) => self.read.extend_from_slice(&buffer[..read]),
                Err(e) => return Err(e.to_string()),
            }
        }
    }
}

/// How long the answer is that these bytes begin with, once it is there whole.
fn whole(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&read[..head]).ok()?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    let end = head + length.trim().parse::<usize>().ok()?;
    (read.len() >= end).then_some(end)
}
