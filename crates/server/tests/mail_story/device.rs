//! Devices: one that sends and one that receives, as the protocol asks of them, and what each knows for certain.

use crate::relay::service_key;
use crate::site::{Places, REGIONS, device_key};
use bytes::Bytes;
use domicile_messaging::SigningKey;
use domicile_messaging::consent::{Purpose, device_of};
use domicile_messaging::proof::{self, Proof};
use domicile_messaging::token::Claims;
use domicile_messaging::wire::{
    Acknowledge, CONSENT_HEADER, IfOffline, Key, List, MailboxId, MessageBody, MessageId, Messages,
    PROOF_HEADER, Send,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happened, for the whole story.
#[derive(Default)]
pub struct Known {
    /// (receiver, message) whose sender was told `kept`.
    pub kept: Mutex<BTreeSet<(MailboxId, MessageId)>>,
    /// How often each was shown to its receiver's owner.
    pub shown: Mutex<BTreeMap<(MailboxId, MessageId), u32>>,
    /// Answers 421.
    pub moved: AtomicU64,
    /// Tries that were repeated.
    pub repeated: AtomicU64,
    /// Answers that no device expects.
    pub strange: Mutex<BTreeSet<String>>,
    /// Senders end.
    pub sent_enough: AtomicBool,
    /// Receivers end.
    pub read_enough: AtomicBool,
}

/// What speaks to one home relay at a time.
pub struct Device {
    pub mailbox: MailboxId,
    key: SigningKey,
    /// Where it believes its home to be.
    region: String,
    /// Several processes of its home, asked in turn; none: the region's only one.
    doors: Vec<String>,
    turn: usize,
    places: Arc<Places>,
    known: Arc<Known>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Device {
    pub fn new(mailbox: MailboxId, places: Arc<Places>, known: Arc<Known>) -> Self {
        Self::at(mailbox, places, known, Vec::new())
    }

    /// One whose home has several processes: each request goes to the next one.
    pub fn at(mailbox: MailboxId, places: Arc<Places>, known: Arc<Known>, doors: Vec<String>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (key, region) = (device_key(&mailbox), REGIONS[0].0.to_owned());
        Self { mailbox, key, region, doors, turn: 0, places, known, client }
    }

    fn endpoint(&mut self) -> String {
        self.turn += 1;
        match self.doors.len() {
            0 => self.places.endpoint(&self.region),
            doors => self.doors[self.turn % doors].clone(),
        }
    }

    /// A token as the region gives it, and the proof that this device has its key.
    fn shown(&self, method: &Method, path: &str, body: &[u8]) -> (String, String) {
        let now = jiff::Timestamp::now().as_second();
        let device = device_of(&Key(self.key.verifying_key().to_bytes()));
        let purposes = [Purpose::CloudMessaging, Purpose::Presence].into_iter().collect();
        let region = self.region.parse().expect("a region");
        let claims = Claims::at(now, region, device, Some(self.mailbox), purposes);
        let (region, method) = (self.region.as_str(), method.as_str());
        let signed = proof::Request { region, method, path_and_query: path, body };
        (claims.sign(&service_key(&self.region)), Proof::make(&self.key, signed, now).to_string())
    }

    /// Asks the home relay. 421: from now on the other one, and `None`, as where nobody answers or it says "later".
    pub async fn ask(&mut self, method: Method, path: &str, body: Vec<u8>) -> Option<(StatusCode, Bytes)> {
        let (token, proof) = self.shown(&method, path, &body);
        let request = Request::builder().method(method).uri(self.endpoint() + path);
        let request = request.header(CONSENT_HEADER, token).header(PROOF_HEADER, proof);
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let whole = async {
            let answer = self.client.request(request).await.ok()?;
            let (status, body) = (answer.status(), answer.into_body().collect().await.ok()?);
            Some((status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(Duration::from_secs(40), whole).await.ok()??;
        if status.is_success() {
            return Some((status, body));
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("a problem");
        match (status.as_u16(), problem["home"]["region"].as_str()) {
            (421, Some(region)) => {
                self.region = region.to_owned();
                self.known.moved.fetch_add(1, Ordering::Relaxed);
            }
            (503, _) => {}
            // Signed the moment before the relay was started again.
            (401, _) if problem["code"] == "proof-stale" => {}
            _ => {
                self.known.strange.lock().unwrap().insert(String::from_utf8_lossy(&body).into_owned());
            }
        }
        None
    }

    /// Sends to one after the other, each again until it is kept.
    pub async fn send_until_enough(mut self, to: Vec<MailboxId>, pause: Duration) {
        for n in 0_usize.. {
            if self.known.sent_enough.load(Ordering::Relaxed) {
                return;
            }
            let message = Send {
                to: to[n % to.len()],
                id: MessageId::random(),
                body: MessageBody::new(format!("message {n}").into_bytes()).expect("a short one"),
                expires_in_s: 3600,
                if_offline: IfOffline::Keep,
                sealed_to: None,
            };
            let body = serde_json::to_vec(&message).expect("json");
            while !matches!(
                self.ask(Method::POST, "/v1/messaging/messages", body.clone()).await,
                Some((StatusCode::ACCEPTED, _))
            ) {
                self.known.repeated.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.known.kept.lock().unwrap().insert((message.to, message.id));
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads, shows and acknowledges until it is enough. What it has shown and not yet acknowledged it knows; what is acknowledged it
    /// forgets, as a device may.
    pub async fn read_until_enough(mut self) {
        let mut unacknowledged: BTreeSet<MessageId> = BTreeSet::new();
        while !self.known.read_enough.load(Ordering::Relaxed) {
            let path = "/v1/messaging/messages?wait_s=1";
            let Some((_, body)) = self.ask(Method::GET, path, Vec::new()).await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let page: Messages = serde_json::from_slice(&body).expect("messages");
            let ids: Vec<MessageId> = page.messages.iter().map(|m| m.id).collect();
            for id in &ids {
                if unacknowledged.insert(*id) {
                    *self.known.shown.lock().unwrap().entry((self.mailbox, *id)).or_default() += 1;
                }
            }
            if ids.is_empty() {
                continue;
            }
            let asked = Acknowledge { ids: List::new(ids.clone()).expect("a page") };
            let body = serde_json::to_vec(&asked).expect("json");
            if self.ask(Method::POST, "/v1/messaging/messages/ack", body).await.is_some() {
                unacknowledged.retain(|id| !ids.contains(id));
            }
        }
    }
}
