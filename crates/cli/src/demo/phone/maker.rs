//! The maker's side: two regions with a relay each, set up by the commands' own functions, running as a process.

use super::wire::Wire;
use crate::app::App;
use crate::args::{ChosenRegion, Global, GuardCommand, MessagingCommand, MessagingInitArgs};
use crate::commands::{guard, messaging};
use crate::demo::case::Place;
use crate::demo::page::hushed;
use crate::demo::stage::Stage;
use crate::demo::world;
use crate::failure::{self, Failure, Result};
use crate::{config, keys};
use domicile_messaging::region::SignedRegion;
use domicile_messaging::wire::limits::CODE_DIGITS;
use domicile_stores::mailboxes::schema;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A process on an idle machine needs a fraction of this to begin to answer.
const BEGINS: Duration = Duration::from_secs(60);
/// How fast its first answer is noticed.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A region with a relay.
pub struct Site {
    pub region: &'static str,
    /// What phones know of it, signed.
    pub statement: SignedRegion,
    pub wire: Wire,
}

/// The messaging service of the demo: its folder, its regions, its process.
pub struct Maker {
    folder: PathBuf,
    pub sites: Vec<Site>,
    relays: Relays,
}

/// Ends with the demo, however that ends.
struct Relays(Child);

impl Drop for Relays {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Maker {
    /// Sets the service up in a folder of its own beside the regions', and waits until its relays answer.
    pub async fn start(stage: &Stage, regions: [&'static Place; 2]) -> Result<Self> {
        let folder = stage.world.folder.path().join("messages");
        let said = |e: io::Error| failure::of_file("make the messages' regions in", &folder, &e);
        let ports = free_ports(regions.len()).map_err(said)?;
        let mut wires = Vec::new();
        for port in &ports {
            wires.push(Wire::to(*port).await.map_err(said)?);
        }
        fs::create_dir_all(&folder).map_err(said)?;
        let app = app(stage, &folder);
        furnish(&app, &folder, &regions, &ports, &wires).await?;
        let mut relays = Relays(serve(&folder)?);
        let mut sites = Vec::new();
        for ((place, port), wire) in regions.iter().zip(&ports).zip(wires) {
            sites.push(Site { region: place.id, statement: statement(&mut relays.0, *port).await?, wire });
        }
        Ok(Self { folder, sites, relays })
    }

    /// The code that the latest text message holds.
    pub fn code(&self) -> Option<String> {
        let sent = fs::read_to_string(self.folder.join("messaging/sms.jsonl")).ok()?;
        let last: serde_json::Value = serde_json::from_str(sent.lines().last()?).ok()?;
        let digits = |word: &&str| word.len() == CODE_DIGITS && word.bytes().all(|b| b.is_ascii_digit());
        last["text"].as_str()?.split(|c: char| !c.is_ascii_alphanumeric()).find(digits).map(str::to_owned)
    }

    /// What the servers keep: the databases' files and those beside them.
    pub fn kept(&self) -> Vec<PathBuf> {
        self.sites.iter().map(|site| self.folder.join(site.region)).collect()
    }

    /// Ends the relays, so that nothing of theirs is in memory only.
    pub fn end(self) {
        drop(self.relays);
    }
}

fn app(stage: &Stage, folder: &Path) -> App {
    let outer = stage.app(stage.world.case.services[0].name);
    let global = Global {
        config: folder.join(config::FILE),
        service: Some("messaging".to_owned()),
        json: false,
        quiet: true,
    };
    App { global, screen: hushed(), signals: outer.signals }
}

/// Addresses that nobody listens at: each is given by the system and let go again.
fn free_ports(many: usize) -> io::Result<Vec<SocketAddr>> {
    let held: Vec<TcpListener> =
        (0..many).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    held.iter().map(TcpListener::local_addr).collect()
}

/// Configuration, keys, tables and guard: what docs/messaging.md says, step by step.
async fn furnish(
    app: &App,
    folder: &Path,
    regions: &[&'static Place],
    ports: &[SocketAddr],
    wires: &[Wire],
) -> Result<()> {
    let file = folder.join(config::FILE);
    let said = |e: io::Error| failure::of_file("write", &file, &e);
    let mut text = "# Written by `domicile demo`: messages between two regions.\n\n[control]\nstore = \"sqlite:control.db\"\n".to_owned();
    for Place { id: region, country, operator, site, .. } in regions {
        text.push_str(&format!(
            "\n[[region]]\nid = \"{region}\"\ncountry = \"{country}\"\noperator = \"{operator}\"\nsite = \"{site}\"\n\
             records = \"sqlite:{region}/{{service}}.db\"\nobjects = \"file:{region}/objects/{{service}}\"\n"
        ));
    }
    // `init` reads a configuration, and a service is what makes one: the fragment has it.
    let placeholder = "\n[[service]]\nname = \"messaging\"\nmap = \"messaging/datamap.toml\"\npolicies = [\"policies/messaging.cedar\"]\n";
    fs::write(&file, format!("{text}{placeholder}")).map_err(said)?;
    let ids: Vec<&str> = regions.iter().map(|place| place.id).collect();
    keys::make(&folder.join("keys"), &ids)?;
    messaging::run(app, MessagingCommand::Init(init(&ids, ports[0].port())))?;
    let fragment = folder.join("messaging/domicile.fragment.toml");
    let mut fragment = fs::read_to_string(&fragment).map_err(|e| failure::of_file("read", &fragment, &e))?;
    // Whose country has both regions' permission lives where the line is shorter.
    fragment = fragment.replacen("\nregions = ", "\nlatency = \"../rtt.csv\"\nregions = ", 1);
    for (n, (port, wire)) in ports.iter().zip(wires).enumerate() {
        let guessed = format!("127.0.0.1:{}", usize::from(ports[0].port()) + n);
        fragment = fragment
            .replacen(&format!("listen = [\"{guessed}\"]"), &format!("listen = [\"{port}\"]"), 1)
            .replacen(
                &format!("endpoint = \"http://{guessed}\""),
                &format!("endpoint = \"{}\"", wire.endpoint()),
                1,
            );
    }
    // Half a minute by default: nobody waits that long for a demo.
    fragment.push_str("\n[messaging.limits]\nfilter_every_s = 1\n");
    fs::write(&file, format!("{text}\n{fragment}")).map_err(said)?;
    for region in &ids {
        tables(folder, region).map_err(|e| world::of_sqlite("make the mailboxes' tables", &e))?;
    }
    let all = || ChosenRegion { region: None };
    guard::run(app, GuardCommand::Install(all())).await?;
    guard::run(app, GuardCommand::Enforce(all())).await.map(drop)
}

fn init(regions: &[&str], port: u16) -> MessagingInitArgs {
    MessagingInitArgs {
        regions: regions.iter().map(|id| (*id).to_owned()).collect(),
        controller: "a phone maker".to_owned(),
        contact: "privacy@phone.example".to_owned(),
        port,
        next: false,
    }
}

fn tables(folder: &Path, region: &str) -> rusqlite::Result<()> {
    // A folder that can't be made is a database that can't be opened.
    let _ = fs::create_dir_all(folder.join(region).join("objects/messaging"));
    let conn = rusqlite::Connection::open(folder.join(region).join("messaging.db"))?;
    conn.execute_batch("PRAGMA journal_mode = WAL")?;
    conn.execute_batch(schema::SQLITE)
}

fn serve(folder: &Path) -> Result<Child> {
    let program = std::env::current_exe()
        .map_err(|e| failure::of_file("find the program", Path::new("domicile"), &e))?;
    let mut command = Command::new(&program);
    command.arg("--config").arg(folder.join(config::FILE)).args(["--quiet", "serve", "--messaging", "all"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|e| failure::of_file("start the program", &program, &e))
}

/// What the maker ships its phones with; asked of the relay itself, beside the phones' wires.
async fn statement(relays: &mut Child, port: SocketAddr) -> Result<SignedRegion> {
    let began = std::time::Instant::now();
    loop {
        match asked(port).await {
            Ok(statement) => return Ok(statement),
            Err(_) if began.elapsed() < BEGINS && matches!(relays.try_wait(), Ok(None)) => {
                tokio::time::sleep(ASK_EVERY).await;
            }
            Err(error) => {
                let why = "the demo's relays are a process of their own, on loopback";
                let what = format!("the relays do not answer: {error}");
                return Err(Failure::new("demo-relays", what, why, "domicile demo   # again"));
            }
        }
    }
}

async fn asked(port: SocketAddr) -> io::Result<SignedRegion> {
    let mut relay = tokio::net::TcpStream::connect(port).await?;
    let ask = "GET /v1/messaging/region HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n";
    relay.write_all(ask.as_bytes()).await?;
    let mut answer = Vec::new();
    relay.read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
    serde_json::from_slice(&answer[body..]).map_err(io::Error::other)
}
