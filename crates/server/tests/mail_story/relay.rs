//! A relay's process, as `domicile serve --messaging` is one.

use crate::Fallible;
use crate::site::{Places, REGIONS, SERVICE, TOKEN};
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
use domicile_stores::mailboxes::Mailboxes;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// What a region's relay signs tokens with.
pub fn service_key(region: &str) -> SigningKey {
    let at = REGIONS.iter().position(|(id, _)| *id == region).expect("a region");
    SigningKey::from_bytes(&[u8::try_from(at).expect("few regions") + 1; 32])
}

/// Runs a region's relay until it is killed: at its region's port, or as one of several at another. Then it does not look by itself for
/// what came, and who has left is away soon.
pub async fn run(places: &Path, region: &str, port: Option<&str>) -> Fallible<()> {
    // A pipe that closes says that nobody is there who could end this process.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(9);
    });
    let places = Places::read(places)?;
    let policies = Policies::parse(&[], &[])?;
    let parts = RelayParts {
        mailboxes: Arc::new(Mailboxes::open(&places.mail[region], &places.dir, None).await?),
        directory: places.directory().await?,
        placing: Placing::new(policies, Vec::new(), Vec::new(), Latency::default(), Vec::new()),
        sms: Box::new(FileSms::new(places.dir.join("sms.jsonl"))),
    };
    let limits =
        MailLimits { sender_burst: 1_000_000, sweep: Duration::from_millis(200), ..MailLimits::default() };
    let (present, reread) = (Duration::from_secs(1), Duration::from_secs(3600));
    let limits = if port.is_some() { MailLimits { present, reread, ..limits } } else { limits };
    let limits = (MessagingLimits::default(), limits);
    let stop = Stop::default();
    let relay = Relay::start(settings(&places, region)?, parts, limits, stop.clone()).await?;
    let address = SocketAddr::from(([127, 0, 0, 1], port.map_or(Ok(places.ports[region]), str::parse)?));
    let listener = Listener::bind(address, None, false, ConnectionLimits::default())?;
    serve(listener, stop, move |_, request| {
        let relay = relay.clone();
        async move { relay.answer(request).await }
    })
    .await;
    Ok(())
}

fn settings(places: &Places, region: &str) -> Fallible<RelaySettings> {
    let discovery = DiscoveryKey::generate();
    let mut relays = Vec::new();
    for (id, country) in REGIONS {
        relays.push(RelayListed {
            region: id.parse()?,
            country: country.parse()?,
            endpoint: places.endpoint(id).parse()?,
            service_key: service_key(id).verifying_key(),
            generations: vec![(1, discovery.public_key(), None)],
        });
    }
    Ok(RelaySettings {
        service: SERVICE.into(),
        region: region.parse()?,
        keys: RelayKeys {
            service: service_key(region),
            sealing: Key([9; 32]),
            discovery: vec![(1, discovery)],
        },
        terms: Terms {
            notice: Notice {
                url: "https://test.example/notice".parse()?,
                sha256: Key([4; 32]),
                language: "en".parse()?,
            },
            controller: Controller { name: "Test".parse()?, contact: "test@test.example".parse()? },
            jurisdiction: "CN".parse()?,
            storage_country: "CN".parse()?,
        },
        relays,
        relay_tokens: Tokens::read(TOKEN)?,
        relay_token: SecretString::from(TOKEN),
    })
}

/// A relay's process as the story holds it.
pub struct Running(Child);

impl Running {
    /// Starts it, and waits until it listens.
    pub async fn start(places: &Places, region: &str) -> Fallible<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["relay", region]).arg(places.file());
        Self::started(command, places.ports[region]).await
    }

    /// One of several of a region, at a port of its own.
    pub async fn start_beside(places: &Places, region: &str, port: u16) -> Fallible<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["relay", region]).arg(places.file()).arg(port.to_string());
        Self::started(command, port).await
    }

    async fn started(mut command: Command, port: u16) -> Fallible<Self> {
        let mut running = Self(command.stdin(Stdio::piped()).spawn()?);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        for _ in 0..3000 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(running);
            }
            if let Some(status) = running.0.try_wait()? {
                return Err(format!("a relay has ended: {status}").into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("a relay does not listen".into())
    }

    /// SIGKILL: whatever it was at is gone.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
