//! A device that does what it is told, also what a good one would not.

use crate::stage::{Stage, terms};
use domicile_messaging::SigningKey;
use domicile_messaging::consent::{DeviceSigned, EventState, Processing, Purpose, Record, device_of};
use domicile_messaging::discovery::Filter;
use domicile_messaging::proof::{Proof, Request as Signed};
use domicile_messaging::wire::{CONSENT_HEADER, DeviceId, Key, PROOF_HEADER, RegionName};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde_json::{Value, json};

pub struct Phone {
    pub key: SigningKey,
    pub url: String,
    pub region: RegionName,
    pub token: Option<String>,
    pub sequence: u64,
    /// How far its clock is ahead, seconds.
    pub ahead_s: i64,
    /// Each region's, as its statement lists them.
    service_keys: Vec<(RegionName, Key)>,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: bytes::Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// Status and code of a problem.
    pub fn no(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{:?}", self.bytes);
        let json = self.json();
        assert_eq!(json["type"], format!("urn:domicile:problem:{}", json["code"].as_str().unwrap()));
        (self.status.as_u16(), json["code"].as_str().unwrap().to_owned())
    }

    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.bytes));
        self.json()
    }
}

impl Phone {
    pub fn new(stage: &Stage, region: usize) -> Self {
        Self {
            key: SigningKey::from_bytes(&Key::random().0),
            url: stage.url(region),
            region: stage.region(region),
            token: None,
            sequence: 0,
            ahead_s: 0,
            service_keys: stage
                .listed
                .iter()
                .map(|relay| (relay.region.clone(), Key(relay.service_key.to_bytes())))
                .collect(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub fn id(&self) -> DeviceId {
        device_of(&Key(self.key.verifying_key().to_bytes()))
    }

    pub fn record(&mut self, purpose: Purpose, state: EventState) -> DeviceSigned {
        self.sequence += 1;
        let offered = Processing::offered(purpose, &self.region, &terms());
        DeviceSigned::sign(Record::new(self.id(), offered, state, self.sequence, Timestamp::now()), &self.key)
    }

    pub async fn give(&mut self, purpose: Purpose) -> Answer {
        let record = self.record(purpose, EventState::Given);
        self.consent(&record).await
    }

    pub async fn withdraw(&mut self, purpose: Purpose) -> Answer {
        let record = self.record(purpose, EventState::Withdrawn);
        self.consent(&record).await
    }

    pub async fn consent(&mut self, record: &DeviceSigned) -> Answer {
        let body = json!({ "record": record }).to_string();
        let path = "/v1/messaging/consents";
        let proof = self.proof(&Method::POST, path, body.as_bytes());
        let answer = self.raw(Method::POST, path, &[(PROOF_HEADER, &proof)], body).await;
        if let Some(token) = answer.json()["token"].as_str() {
            self.token = Some(token.to_owned());
        }
        answer
    }

    /// A request with token and proof.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let proof = self.proof(&method, path, body.as_bytes());
        self.shown(method, path, &proof, body).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, &format!("/v1/messaging/{path}"), body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, &format!("/v1/messaging/{path}"), Value::Null).await
    }

    pub fn proof(&self, method: &Method, path: &str, body: &[u8]) -> String {
        let region = self.region.as_str();
        let signed = Signed { region, method: method.as_str(), path_and_query: path, body };
        Proof::make(&self.key, signed, Timestamp::now().as_second() + self.ahead_s).to_string()
    }

    /// The same with a proof that was made before.
    pub async fn shown(&self, method: Method, path: &str, proof: &str, body: String) -> Answer {
        let token = self.token.clone().unwrap_or_default();
        let mut headers = vec![(PROOF_HEADER, proof)];
        if !token.is_empty() {
            headers.push((CONSENT_HEADER, token.as_str()));
        }
        self.raw(method, path, &headers, body).await
    }

    pub async fn raw(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.client.request(request.body(Full::from(body)).unwrap()).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    pub async fn start(&self, number: &str) -> Answer {
        self.post("register/start", json!({ "number": number })).await
    }

    pub async fn finish(&self, attempt: &Value, number: &str, code: &str) -> Answer {
        let keys = json!({ "curve25519": Key([1; 32]), "ed25519": Key([2; 32]) });
        let body = json!({ "attempt": attempt, "number": number, "code": code, "identity_keys": keys });
        self.post("register/finish", body).await
    }

    /// A region's filter, which that region has signed.
    pub fn filter(&self, region: &str, bytes: &[u8]) -> Filter {
        let (_, key) = self.service_keys.iter().find(|(known, _)| known.as_str() == region).unwrap();
        Filter::believe(bytes, key).unwrap()
    }

    /// A new token.
    pub async fn renew(&mut self) {
        self.token = self.post("token", json!({})).await.ok()["token"].as_str().map(str::to_owned);
    }

    /// One that agrees to messages and discovery, with its number.
    pub async fn registered(stage: &Stage, region: usize, number: &str) -> (Self, Value) {
        let mut phone = Self::new(stage, region);
        phone.give(Purpose::CloudMessaging).await.ok();
        phone.give(Purpose::ContactDiscovery).await.ok();
        let attempt = phone.start(number).await.ok()["attempt"].clone();
        let registered = phone.finish(&attempt, number, &stage.code(number)).await.ok();
        phone.renew().await;
        (phone, registered)
    }
}
