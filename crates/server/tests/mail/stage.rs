//! Two relays in this process, and calls of devices whose mailbox is believed.

use crate::site::{Places, REGIONS, SERVICE, Site, TOKEN, device_key};
use domicile_messaging::consent::device_of;
use domicile_messaging::wire::{
    Acknowledge, DeviceId, IfOffline, Key, List, MailboxId, MessageBody, MessageId, Messages, Send,
};
use domicile_mover::wave::{self, Options};
use domicile_mover::{Ask, Service, plan};
use domicile_server::listen::{ConnectionLimits, Incoming, Listener, Stop, serve};
use domicile_server::messaging::{Mail, MailCall, MailLimits, MailSettings};
use domicile_server::token::Tokens;
use domicile_server::{Body, body};
use domicile_stores::mailboxes::Mailboxes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

pub struct Stage {
    pub mailboxes: Vec<MailboxId>,
    /// One a region: the first is everybody's home at first.
    pub relays: Vec<Arc<Mail>>,
    pub service: Arc<Service>,
    pub site: Site,
    stops: Vec<Stop>,
}

/// An answer, read.
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<u64>,
    pub json: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }
}

impl Stage {
    /// On SQLite unless `postgres`.
    pub async fn new(postgres: bool, limits: MailLimits) -> Self {
        let mailboxes: Vec<MailboxId> = (0..4).map(|_| MailboxId::random()).collect();
        let site = tokio::task::block_in_place(|| Site::start(!postgres, &mailboxes)).unwrap();
        let service = site.places.service().await.unwrap();
        site.places.adopt(&service).await.unwrap();
        let (mut relays, mut stops) = (Vec::new(), Vec::new());
        for (region, _) in REGIONS {
            let stop = Stop::default();
            relays.push(relay(&site.places, region, limits, stop.clone()).await);
            stops.push(stop);
        }
        Self { mailboxes, relays, service, site, stops }
    }

    /// Moves a mailbox to the second region, as the mover does.
    pub async fn emigrates(&self, mailbox: MailboxId) {
        let sql = format!("UPDATE mailbox SET country = 'IN' WHERE id = '{mailbox}'");
        self.sql(0, &sql);
        let ask =
            Ask { today: jiff::civil::date(2026, 11, 27), for_latency: false, from: Default::default() };
        let plan = plan::stored(&self.service, &ask).await.unwrap();
        let ran = wave::run_plan(&self.service, &plan, &Options::default()).await.unwrap();
        assert_eq!(ran.reports.iter().map(|r| r.subjects).sum::<u64>(), 1);
    }

    /// As the relay's role of a region would.
    pub fn sql(&self, region: usize, sql: &str) {
        if let Some(cluster) = self.site.clusters.get(region) {
            let ran = cluster.script("relay", "messages", sql);
            return assert!(ran.stderr.is_empty(), "{}", String::from_utf8_lossy(&ran.stderr));
        }
        let db = rusqlite::Connection::open(self.site.places.dir.join(format!("{}.db", REGIONS[region].0)));
        let db = db.unwrap();
        db.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        db.execute_batch(sql).unwrap();
    }

    /// A device's call at a region's relay.
    pub async fn call(&self, region: usize, caller: MailboxId, call: MailCall, body: &[u8]) -> Answer {
        let device = device_of(&Key(device_key(&caller).verifying_key().to_bytes()));
        self.call_of(region, (caller, &device), call, body).await
    }

    /// The same by any device.
    pub async fn call_of(
        &self,
        region: usize,
        caller: (MailboxId, &DeviceId),
        call: MailCall,
        body: &[u8],
    ) -> Answer {
        read(self.relays[region].answer(caller, call, body).await).await
    }

    pub async fn send(&self, region: usize, from: MailboxId, message: &Send) -> Answer {
        self.call(region, from, MailCall::Send, &json(message)).await
    }

    /// What waits, by body.
    pub async fn poll(&self, region: usize, mailbox: MailboxId, wait_s: u64) -> Result<Messages, Answer> {
        let answer = self.call(region, mailbox, MailCall::Poll(wait_s), b"").await;
        if answer.status == StatusCode::OK {
            Ok(serde_json::from_value(answer.json).unwrap())
        } else {
            Err(answer)
        }
    }

    pub async fn acknowledge(&self, region: usize, mailbox: MailboxId, ids: Vec<MessageId>) -> Answer {
        let asked = Acknowledge { ids: List::new(ids).unwrap() };
        self.call(region, mailbox, MailCall::Acknowledge, &json(&asked)).await
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stops.iter().for_each(Stop::stop);
    }
}

pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// A message that may wait for an hour.
pub fn message(to: MailboxId, text: &str) -> Send {
    Send {
        to,
        id: MessageId::random(),
        body: MessageBody::new(text.as_bytes().to_vec()).unwrap(),
        expires_in_s: 3600,
        if_offline: IfOffline::Keep,
        sealed_to: None,
    }
}

pub async fn read(answer: Response<Body>) -> Answer {
    let (parts, body) = answer.into_parts();
    let retry_after = parts.headers.get("retry-after").map(|v| v.to_str().unwrap().parse().unwrap());
    let bytes = body.collect().await.unwrap().to_bytes();
    let json = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    Answer { status: parts.status, retry_after, json }
}

async fn relay(places: &Places, region: &str, limits: MailLimits, stop: Stop) -> Arc<Mail> {
    let mailboxes = Mailboxes::open(&places.mail[region], &places.dir, None).await.unwrap();
    let settings = MailSettings {
        service: SERVICE.into(),
        region: region.into(),
        relays: REGIONS.iter().map(|(id, _)| ((*id).to_owned(), Some(places.endpoint(id)))).collect(),
        token: SecretString::from(TOKEN),
        tokens: Tokens::read(TOKEN).unwrap(),
        limits,
    };
    let directory = places.directory().await.unwrap();
    let mail = Mail::start(directory, Arc::new(mailboxes), settings, stop.clone()).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], places.ports[region]));
    let listener = Listener::bind(address, None, false, ConnectionLimits::default()).unwrap();
    let serving = mail.clone();
    tokio::spawn(serve(listener, stop, move |_, request| door(serving.clone(), request)));
    mail
}

/// The relays' door only.
async fn door(mail: Arc<Mail>, request: Request<Incoming>) -> Response<Body> {
    let (parts, incoming) = request.into_parts();
    match incoming.collect().await {
        Ok(read) => mail.answer_relay(parts.uri.path(), &parts.headers, &read.to_bytes()).await,
        Err(_) => Response::new(body::empty()),
    }
}
