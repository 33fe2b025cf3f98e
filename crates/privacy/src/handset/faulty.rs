//! The client that must pass, with one fault planted in it: what it does beside, a line must catch. What T8 is to T1 to T4
//! these are to the other lines.

use super::Client;
use super::clock::Clock;
use super::http::{self, ask, post};
use super::modem::Modem;
use super::quiet::Quiet;
use crate::event::Event;
use crate::phone;
use crate::world::zone::{FOREIGN_RESOLVER, HOME, METRICS, PORTAL, TIME, UNDECLARED};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domicile_messaging::wire::IfOffline;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// What the client does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// It phones home after five idle minutes by the phone's clock, and says nothing of anybody.
    Alarm,
    /// It means to, after five minutes by the wall's clock.
    WallAlarm,
    /// It tells the relay the receiver's number.
    Receiver,
    /// It sends a message's text as it is.
    Body,
    /// It asks whether the receiver is here before it sends.
    AsksFirst,
    /// It leaves a message at the server that goes by SMS, too.
    KeepsToo,
    /// It goes on polling after the withdrawal.
    PollsOn,
    /// It keeps a connection to the old home for longer than it lives there, and asks it once more.
    OldHome,
    /// It counts its uses at somebody's who counts uses.
    Analytics,
    /// It asks at a stranger's whether the Wi-Fi leads to the internet.
    Portal,
    /// It asks a stranger for the time.
    Time,
    /// It asks a resolver of its own choice, in another country, for the name of the right relay.
    Resolver,
    /// It looks up the name of another region's accounts, and sends nothing there.
    Name,
}

impl Slip {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Alarm,
        Self::WallAlarm,
        Self::Receiver,
        Self::Body,
        Self::AsksFirst,
        Self::KeepsToo,
        Self::PollsOn,
        Self::OldHome,
        Self::Analytics,
        Self::Portal,
        Self::Time,
        Self::Resolver,
        Self::Name,
    ];

    /// Its name, on the command line and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::WallAlarm => "wall-alarm",
            Self::Receiver => "receiver",
            Self::Body => "body",
            Self::AsksFirst => "asks-first",
            Self::KeepsToo => "keeps-too",
            Self::PollsOn => "polls-on",
            Self::OldHome => "old-home",
            Self::Analytics => "analytics",
            Self::Portal => "portal",
            Self::Time => "time",
            Self::Resolver => "resolver",
            Self::Name => "name",
        }
    }

    /// By its name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slip| slip.name() == name)
    }
}

/// When an alarm goes off, in seconds of its clock.
const ALARM_S: u64 = 300;

/// The client.
pub struct Faulty {
    slip: Slip,
    quiet: Quiet,
    /// The owner has taken the consent back.
    withdrawn: bool,
    /// It has done what it does once.
    done: bool,
    held: Option<TcpStream>,
    held_once: bool,
}

impl Faulty {
    /// `quiet`, with something beside.
    pub fn new(slip: Slip, quiet: Quiet) -> Self {
        Self { slip, quiet, withdrawn: false, done: false, held: None, held_once: false }
    }

    fn before(&mut self, event: &Event) -> Result<(), String> {
        match (self.slip, event) {
            (Slip::AsksFirst, Event::Sent(to)) => self.quiet.presence(to),
            (Slip::KeepsToo, Event::Sent(to)) => self.quiet.send(to, IfOffline::Keep).map(drop),
            (Slip::Receiver, Event::Sent(to)) => {
                let body = format!(r#"{{"to":"{to}"}}"#);
                told(post(&relay(), "/v1/messaging/messages", JSON, body.as_bytes()))
            }
            (Slip::Body, Event::Sent(_)) => {
                let body = format!(r#"{{"body":"{}"}}"#, URL_SAFE_NO_PAD.encode(phone::TEXT));
                told(post(&relay(), "/v1/messaging/messages", JSON, body.as_bytes()))
            }
            (Slip::WallAlarm, Event::FirstStart) => {
                std::thread::spawn(|| {
                    std::thread::sleep(Duration::from_secs(ALARM_S));
                    let _ = post(UNDECLARED, "/v2/alive", &[], b"{}");
                });
                Ok(())
            }
            (Slip::Analytics, Event::Wifi) => told(post(METRICS, "/collect", JSON, br#"{"opened":1}"#)),
            (Slip::Portal, Event::Wifi) => told(ask("GET", PORTAL, "/generate_204", &[], &[])),
            // A client's question (RFC 5905): version 4, mode 3.
            (Slip::Time, Event::Wifi) => datagram((TIME, 123), &[&[0x23][..], &[0; 47]].concat()),
            (Slip::Resolver, Event::Wifi) => datagram((FOREIGN_RESOLVER, 53), &question(&relay())),
            (Slip::Name, Event::Wifi) => {
                ("account.oregon.example", 80).to_socket_addrs().map(drop).map_err(|e| e.to_string())
            }
            (Slip::OldHome, Event::CardOpened(_)) if !self.held_once && !http::has_proxy() => {
                (self.held_once, self.held) = (true, Some(hold()?));
                Ok(())
            }
            // It lets go only now.
            (Slip::OldHome, Event::Idle(_)) => {
                self.held = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Client for Faulty {
    fn on(&mut self, event: &Event, phone: &Modem) -> Result<&'static str, String> {
        self.before(event)?;
        self.withdrawn |= matches!(event, Event::Withdrew(_));
        self.quiet.on(event, phone)
    }

    fn tick(&mut self, clock: &Clock, phone: &Modem) -> Result<(), String> {
        let due = match self.slip {
            Slip::Alarm => clock.now_s() >= ALARM_S,
            Slip::PollsOn => self.withdrawn,
            Slip::OldHome => true,
            _ => false,
        };
        if due && !self.done {
            self.done = true;
            match self.slip {
                Slip::Alarm => told(post(UNDECLARED, "/v2/alive", JSON, b"{}"))?,
                Slip::PollsOn => told(ask("GET", &relay(), "/v1/messaging/messages?wait_s=0", &[], &[]))?,
                _ => told(ask("GET", &relay(), "/v1/messaging/region", &[], &[]))?,
            }
        }
        self.quiet.tick(clock, phone)
    }
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

/// The home relay's name.
fn relay() -> String {
    format!("relay.{HOME}.example")
}

/// What the host made of it is its own affair: it was told.
fn told(answer: std::io::Result<u16>) -> Result<(), String> {
    answer.map(drop).map_err(|e| e.to_string())
}

/// One datagram to a host; nobody need answer.
fn datagram(to: (Ipv4Addr, u16), bytes: &[u8]) -> Result<(), String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    socket.and_then(|socket| socket.send_to(bytes, to)).map(drop).map_err(|e| e.to_string())
}

/// A query for an address (RFC 1035).
fn question(name: &str) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// A connection to the home relay that was asked something and is kept.
fn hold() -> Result<TcpStream, String> {
    let said = |e: std::io::Error| e.to_string();
    let host = relay();
    let mut stream = TcpStream::connect((host.as_str(), 80)).map_err(said)?;
    stream.write_all(&http::request("GET", "/v1/messaging/region", &host, &[], &[], true)).map_err(said)?;
    let read = stream.read(&mut [0; 1024]).map_err(said)?;
    if read > 0 { Ok(stream) } else { Err(format!("{host} hung up")) }
}
