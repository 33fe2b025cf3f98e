//! Who sends: requests made and signed before they are due, sent on a schedule or as fast as there are answers.

use super::BODY_BYTES;
use super::connection::connect;
use super::process::{REGION, service_key};
use crate::Fallible;
use domicile_messaging::SigningKey;
use domicile_messaging::consent::{Purpose, device_of};
use domicile_messaging::proof::{Proof, Request};
use domicile_messaging::token::Claims;
use domicile_messaging::wire::{
    Acknowledge, CONSENT_HEADER, IfOffline, Key, List, MailboxId, MessageBody, MessageId, PROOF_HEADER, Send,
};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections of the open loop: more than are ever waiting for an answer at a rate that is kept.
const OPEN_CONNECTIONS: usize = 256;
/// Connections of the closed one.
const CLOSED_CONNECTIONS: usize = 256;
const PATH: &str = "/v1/messaging/messages";
const POLL: &str = "/v1/messaging/messages?wait_s=30";
const ACK: &str = "/v1/messaging/messages/ack";

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
        Ok(self.messages(many, port)?.into_iter().map(|(_, request)| request).collect())
    }

    /// The same, each with the message's id.
    pub fn messages(&self, many: usize, port: u16) -> Fallible<Vec<(MessageId, Vec<u8>)>> {
        let askers = self.askers(port)?;
        let one = |n: usize| -> Fallible<(MessageId, Vec<u8>)> {
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
            Ok((message.id, askers[from].request("POST", PATH, &body)))
        };
        (0..many).map(one).collect()
    }

    /// All devices as they ask, with tokens of now.
    pub fn askers(&self, port: u16) -> Fallible<Vec<Asker>> {
        let now = jiff::Timestamp::now().as_second();
        let purposes = [Purpose::CloudMessaging].into_iter().collect();
        let key = service_key();
        let region: domicile_messaging::wire::RegionName = REGION.parse()?;
        let asker = |s: &Sender| {
            let claims = Claims::at(now, region.clone(), device_of(&s.public), Some(s.mailbox), purposes);
            Asker { key: s.key.clone(), token: claims.sign(&key), port }
        };
        Ok(self.0.iter().map(asker).collect())
    }
}

/// A device with its token.
pub struct Asker {
    key: SigningKey,
    token: String,
    port: u16,
}

impl Asker {
    /// What waits, or comes.
    pub fn poll(&self) -> Vec<u8> {
        self.request("GET", POLL, b"")
    }

    /// These are safe.
    pub fn acknowledge(&self, ids: Vec<MessageId>) -> Fallible<Vec<u8>> {
        let asked = Acknowledge { ids: List::new(ids).ok_or("a page")? };
        Ok(self.request("POST", ACK, &serde_json::to_vec(&asked)?))
    }

    /// A request, signed now.
    fn request(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let now = jiff::Timestamp::now().as_second();
        let proof =
            Proof::make(&self.key, Request { region: REGION, method, path_and_query: path, body }, now);
        let (port, token) = (self.port, &self.token);
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             {CONSENT_HEADER}: {token}\r\n{PROOF_HEADER}: {proof}\r\n\r\n",
            body.len(),
        )
        .into_bytes();
        request.extend(body);
        request
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
