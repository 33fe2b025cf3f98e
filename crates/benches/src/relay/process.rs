//! The relay under measurement: a process of its own, as `domicile serve --messaging` is.

use crate::Fallible;
use crate::site::{SERVICE, Site};
use domicile_directory::{Directory, DirectoryKey};
use domicile_messaging::SigningKey;
use domicile_messaging::discovery::DiscoveryKey;
use domicile_messaging::region::{Controller, Notice, Terms};
use domicile_messaging::wire::Key;
use domicile_policy::{Latency, Policies};
use domicile_server::directory::Placing;
use domicile_server::listen::{ConnectionLimits, Listener, Stop, serve};
use domicile_server::messaging::{
    FileSms, MailLimits, MessagingLimits, Relay, RelayKeys, RelayListed, RelayParts, RelaySettings,
};
use domicile_server::token::Tokens;
use domicile_stores::control::ControlStore;
use domicile_stores::mailboxes::Mailboxes;
use domicile_testbed::free_port;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The relay's region: the first one of a [`Site`].
pub const REGION: &str = "old";
const TOKEN: &str = "relays-of-the-benchmark";

/// What signs tokens.
pub fn service_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// Serves until it is killed.
pub async fn run(folder: &str, port: &str, records: &str) -> Fallible<()> {
    let folder = Path::new(folder);
    let store = ControlStore::open("sqlite:control.db", folder, None).await?;
    let key = DirectoryKey::from_file(&std::fs::read(folder.join("directory.key"))?)?;
    let parts = RelayParts {
        mailboxes: Arc::new(Mailboxes::open(records, folder, None).await?),
        directory: Arc::new(Directory::open(store, key)),
        placing: Placing::new(
            Policies::parse(&[], &[])?,
            Vec::new(),
            Vec::new(),
            Latency::default(),
            Vec::new(),
        ),
        sms: Box::new(FileSms::new(folder.join("sms.jsonl"))),
    };
    // Devices share a machine here, and each sends more than a person does.
    let mail = MailLimits {
        sender_burst: 1_000_000,
        mailbox_messages: 1_000_000,
        mailbox_bytes: 1 << 40,
        ..MailLimits::default()
    };
    let limits = (MessagingLimits::default(), mail);
    let relay = Relay::start(settings(port)?, parts, limits, Stop::default()).await?;
    let address = format!("127.0.0.1:{port}").parse()?;
    let listener = Listener::bind(address, None, false, ConnectionLimits::default())?;
    serve(listener, Stop::default(), move |_, request| {
        let relay = relay.clone();
        async move { relay.answer(request).await }
    })
    .await;
    Ok(())
}

fn settings(port: &str) -> Fallible<RelaySettings> {
    let discovery = DiscoveryKey::generate();
    let listed = RelayListed {
        region: REGION.parse()?,
        country: "DE".parse()?,
        endpoint: format!("http://127.0.0.1:{port}").parse()?,
        service_key: service_key().verifying_key(),
        generations: vec![(1, discovery.public_key(), None)],
    };
    Ok(RelaySettings {
        service: SERVICE.into(),
        region: REGION.parse()?,
        keys: RelayKeys { service: service_key(), sealing: Key([9; 32]), discovery: vec![(1, discovery)] },
        terms: Terms {
            notice: Notice {
                url: "https://bench.example/notice".parse()?,
                sha256: Key([4; 32]),
                language: "en".parse()?,
            },
            controller: Controller { name: "Bench".parse()?, contact: "bench@bench.example".parse()? },
            jurisdiction: "DE".parse()?,
            storage_country: "DE".parse()?,
        },
        relays: vec![listed],
        relay_tokens: Tokens::read(TOKEN)?,
        relay_token: TOKEN.to_owned().into(),
    })
}

/// The process as the benchmark holds it.
pub struct Running {
    child: Child,
    pub port: u16,
}

impl Running {
    /// Starts it on a site, and waits until it listens.
    pub async fn start(site: &Site, records: &str) -> Fallible<Self> {
        let port = free_port();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("relay-process").arg(site.dir()).arg(port.to_string()).arg(records).stdin(Stdio::null());
        let running = Self { child: command.spawn()?, port };
        for _ in 0..1000 {
            if tokio::net::TcpStream::connect(running.address()).await.is_ok() {
                return Ok(running);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("the relay does not listen".into())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
