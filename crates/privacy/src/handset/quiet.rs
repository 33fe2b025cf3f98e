//! The client that must pass: the device of `crates/messaging`, told of everything that happens, as the one that leaks is.
//!
//! It is set up as a phone is shipped: with the statement that its home region has signed. Where the owner has agreed to
//! nothing it is a [`Device<Silent>`], which has no transport.

use super::clock::Clock;
use super::closed::Link;
use super::modem::Modem;
use super::{Client, KEPT, USE_SMS};
use crate::event::Event;
use crate::phone;
use domicile_messaging::consent::Purpose;
use domicile_messaging::device::{Agreed, Device, Http, Silent};
use domicile_messaging::number::Number;
use domicile_messaging::wire::{Code, IfOffline, SentState};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// As what a phone is shipped.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// The folder of evidence, where the statement and the roots lie, and where the carrier leaves its texts.
    pub dir: PathBuf,
    /// Do the relays speak TLS?
    pub sealed: bool,
    /// How the end of a connection is seen.
    pub link: Link,
}

/// What the region's statement is called in the folder of evidence; and that of relays which speak TLS.
pub const STATEMENTS: [&str; 2] = ["region.json", "region-tls.json"];
/// The certificates that the relays' own are proven by, in the folder of evidence.
pub const ROOTS: &str = "tls-roots.pem";
/// What the carrier delivered, in the folder of evidence.
pub const SMS: &str = "service/messaging/sms.jsonl";
/// How long the carrier may take with a text message.
const SMS_WITHIN: Duration = Duration::from_secs(20);
/// How long a message is kept for a receiver.
const EXPIRES_S: u32 = 3_600;

type Done<T = ()> = Result<T, String>;

/// The client.
pub struct Quiet {
    shipped: Shipped,
    state: PathBuf,
    number: String,
    runtime: Runtime,
    device: Option<Held>,
    /// A contact was added since the last sync.
    has_new: bool,
}

/// The device in one of its states.
enum Held {
    Silent(Box<Device<Silent>>),
    Agreed(Box<Device<Agreed<Http>>>),
}

impl Quiet {
    /// A client with its file at `state`, whose owner has this number.
    ///
    /// # Errors
    /// In words: no runtime.
    pub fn new(shipped: Shipped, state: PathBuf, number: &str) -> Done<Self> {
        // Threads of its own: connections are closed while the handset waits for its next act.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        // A thread that has looked up a name would wait ten seconds for the next one, and be taken for an alarm.
        let runtime = runtime.worker_threads(1).thread_keep_alive(Duration::from_millis(10)).enable_all();
        let runtime = runtime.build().map_err(|e| e.to_string())?;
        Ok(Self { shipped, state, number: number.to_owned(), runtime, device: None, has_new: false })
    }

    /// Something happened, or the owner did something.
    ///
    /// # Errors
    /// What the device said.
    pub fn hears(&mut self, event: &Event) -> Done {
        self.on(event, &Modem::default()).map(|_| ())
    }

    /// The owner's mailbox, once there is one.
    pub fn mailbox(&mut self) -> Option<String> {
        self.agreed().and_then(|(_, device)| device.mailbox()).map(|mailbox| mailbox.to_string())
    }

    fn silent(&mut self) -> Done<&mut Device<Silent>> {
        match &mut self.device {
            Some(Held::Silent(device)) => Ok(device),
            _ => Err("the device is not silent".into()),
        }
    }

    /// What the owner has agreed to; `None`: nothing, and there is no transport.
    fn agreed(&mut self) -> Option<(&Runtime, &mut Device<Agreed<Http>>)> {
        match &mut self.device {
            Some(Held::Agreed(device)) => Some((&self.runtime, device)),
            _ => None,
        }
    }

    fn unpack(&mut self) -> Done {
        let name = STATEMENTS[usize::from(self.shipped.sealed)];
        let statement = std::fs::read(self.shipped.dir.join(name)).map_err(|e| format!("{name}: {e}"))?;
        let statement = serde_json::from_slice(&statement).map_err(|e| format!("{name}: {e}"))?;
        let device = Device::create(&self.state, statement).map_err(|e| e.to_string())?;
        self.device = Some(Held::Silent(Box::new(device)));
        Ok(())
    }

    fn agree(&mut self, purpose: Purpose) -> Done {
        if purpose == Purpose::CloudMessaging {
            self.silent()?.agree(purpose, Timestamp::now()).map_err(|e| e.to_string())?;
            return self.connect().and_then(|()| self.register());
        }
        let (runtime, device) = self.agreed().ok_or("messaging comes first")?;
        device.agree(purpose, Timestamp::now()).map_err(|e| e.to_string())?;
        runtime.block_on(device.settle()).map_err(|e| e.to_string())
    }

    fn connect(&mut self) -> Done {
        // Without roots of its own where relays are reached without TLS, on loopback.
        let roots = match self.shipped.sealed {
            true => std::fs::read(self.shipped.dir.join(ROOTS)).map_err(|e| format!("{ROOTS}: {e}"))?,
            false => Vec::new(),
        };
        let Some(Held::Silent(device)) = self.device.take() else { return Err("no silent device".into()) };
        let _within = self.runtime.enter();
        match device.connect(|agreement| Http::new(agreement, &roots)) {
            Ok(device) => {
                self.device = Some(Held::Agreed(Box::new(device)));
                Ok(())
            }
            Err((device, why)) => {
                self.device = Some(Held::Silent(device));
                Err(why.to_string())
            }
        }
    }

    fn register(&mut self) -> Done {
        let number: Number = self.number.parse().map_err(|_| "the owner's number is none")?;
        let (text, before) = (self.number.clone(), texts(&self.shipped.dir, &self.number).len());
        let dir = self.shipped.dir.clone();
        let (runtime, device) = self.agreed().ok_or("no transport")?;
        runtime.block_on(device.start_registration(number)).map_err(|e| e.to_string())?;
        let code: Code = code(&dir, &text, before)?.parse().map_err(|_| "the code is none")?;
        runtime.block_on(device.finish_registration(code)).map_err(|e| e.to_string())
    }

    fn withdraw(&mut self, purpose: Purpose) -> Done {
        let (runtime, device) = self.agreed().ok_or("nothing was agreed to")?;
        device.withdraw(purpose, Timestamp::now()).map_err(|e| e.to_string())?;
        runtime.block_on(device.deliver_consents()).map_err(|e| e.to_string())?;
        if purpose == Purpose::CloudMessaging
            && let Some(Held::Agreed(device)) = self.device.take()
        {
            self.device = Some(Held::Silent(Box::new(device.fall_silent())));
            // What closes the connection is the withdrawal's own; nothing comes after it.
            self.shipped.link.at_most(0)?;
        }
        Ok(())
    }

    fn add(&mut self, number: &str) -> Done {
        let parsed: Number = number.parse().map_err(|_| format!("{number} is none"))?;
        let name = number.parse().map_err(|_| "a name that is none")?;
        self.has_new = true;
        let added = match &mut self.device {
            Some(Held::Silent(device)) => device.add_contact(parsed, name),
            Some(Held::Agreed(device)) => device.add_contact(parsed, name),
            None => return Err("the device is not unpacked".into()),
        };
        added.map_err(|e| e.to_string())
    }

    /// Looks for contacts that are new since the last time.
    pub fn find_new(&mut self) -> Done {
        let has_new = self.has_new;
        let Some((runtime, device)) = self.agreed() else { return Ok(()) };
        if !has_new || !device.agrees(Purpose::ContactDiscovery) {
            return Ok(());
        }
        runtime.block_on(device.sync_contacts()).map_err(|e| e.to_string())?;
        self.has_new = false;
        Ok(())
    }

    /// The card says whether the contact is a user, and whether here.
    fn open_card(&mut self, number: &str) -> Done {
        self.find_new()?;
        let Some((_, device)) = self.agreed() else { return Ok(()) };
        let (_, contact) = device.contact(number).map_err(|e| e.to_string())?;
        if contact.found.is_none() || !device.agrees(Purpose::Presence) {
            return Ok(());
        }
        self.presence(number)
    }

    /// Asks whether a contact who is a user is here.
    ///
    /// # Errors
    /// What the device said.
    pub fn presence(&mut self, number: &str) -> Done {
        let (runtime, device) = self.agreed().ok_or("nothing was agreed to")?;
        runtime.block_on(device.presence(number)).map(|_| ()).map_err(|e| e.to_string())
    }

    /// Sends a message.
    ///
    /// # Errors
    /// What the device said.
    pub fn send(&mut self, number: &str, if_offline: IfOffline) -> Done<SentState> {
        self.find_new()?;
        let Some((runtime, device)) = self.agreed() else { return Ok(SentState::UseSms) };
        let sent = device.send_text(number, phone::TEXT, if_offline, EXPIRES_S);
        runtime.block_on(sent).map_err(|e| e.to_string())
    }

    /// Looks for messages, and waits so long for one; returns how many are new.
    ///
    /// # Errors
    /// What the device said.
    pub fn look(&mut self, wait_s: u32) -> Done<usize> {
        let Some((runtime, device)) = self.agreed() else { return Ok(0) };
        runtime.block_on(device.receive(wait_s)).map_err(|e| e.to_string())
    }

    /// Lets a contact see whether this device is connected.
    ///
    /// # Errors
    /// What the device said: a contact that is no user.
    pub fn show_presence_to(&mut self, number: &str) -> Done {
        let (runtime, device) = self.agreed().ok_or("nothing was agreed to")?;
        let names = [number.to_owned()];
        runtime.block_on(device.show_presence_to(&names)).map_err(|e| e.to_string())
    }

    /// Is a contact a user, as far as this device has found?
    pub fn has_found(&mut self, number: &str) -> bool {
        let Some((_, device)) = self.agreed() else { return false };
        device.contact(number).is_ok_and(|(_, contact)| contact.found.is_some())
    }

    /// The owner has compared digits with a contact whose identity is another one than before. Sends nothing.
    ///
    /// # Errors
    /// What the device said.
    pub fn accept_identity(&mut self, number: &str) -> Done {
        let Some((_, device)) = self.agreed() else { return Ok(()) };
        device.accept_identity(number).map(drop).map_err(|e| e.to_string())
    }

    /// Looks again for all contacts.
    ///
    /// # Errors
    /// What the device said.
    pub fn find_again(&mut self) -> Done {
        self.has_new = true;
        self.find_new()
    }
}

impl Client for Quiet {
    fn on(&mut self, event: &Event, _phone: &Modem) -> Result<&'static str, String> {
        let done = match event {
            Event::Sent(number) => {
                let sent = self.send(number, IfOffline::Sms);
                return sent.map(|state| if state == SentState::Kept { KEPT } else { USE_SMS });
            }
            Event::FirstStart => self.unpack(),
            Event::ContactAdded(number) => self.add(number).and_then(|()| self.find_new()),
            Event::Agreed(purpose) => self.agree(named(purpose)?),
            Event::Withdrew(purpose) => self.withdraw(named(purpose)?),
            Event::CardOpened(number) => self.open_card(number),
            Event::Looked => self.look(0).map(|_| ()),
            // None of a messaging client's business: it may know of them, and says so to nobody.
            Event::Sim
            | Event::Wifi
            | Event::SmsSent(_)
            | Event::SmsReceived(_)
            | Event::MmsSent(_)
            | Event::MmsReceived(_)
            | Event::Called(_)
            | Event::Rang(_)
            | Event::SignedIn
            | Event::Idle(_) => Ok(()),
        };
        // It speaks with one relay at a time: what it no longer speaks with is closed by now.
        done.and_then(|()| self.shipped.link.at_most(1)).map(|()| "")
    }

    fn tick(&mut self, _clock: &Clock, _phone: &Modem) -> Result<(), String> {
        // Nobody has agreed: there is nothing to look for, and no way to.
        self.look(0).map(|_| ())
    }
}

/// A purpose by its name in records of consent.
fn named(purpose: &str) -> Done<Purpose> {
    serde_json::from_value(serde_json::Value::from(purpose)).map_err(|_| format!("no purpose {purpose}"))
}

/// The texts that the carrier has delivered to a number, oldest first.
fn texts(dir: &Path, number: &str) -> Vec<String> {
    let all = std::fs::read_to_string(dir.join(SMS)).unwrap_or_default();
    let lines = all.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let own = lines.filter(|line| line["to"] == number);
    own.filter_map(|line| line["text"].as_str().map(str::to_owned)).collect()
}

/// The code of the next text after the first `before`: by the carrier's radio, which is not on the network.
fn code(dir: &Path, number: &str, before: usize) -> Done<String> {
    let began = Instant::now();
    loop {
        if let Some(text) = texts(dir, number).get(before) {
            return Ok(text.split_whitespace().next().unwrap_or_default().to_owned());
        }
        if began.elapsed() > SMS_WITHIN {
            return Err("the carrier delivered no code".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
