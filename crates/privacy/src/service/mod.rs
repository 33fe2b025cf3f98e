//! The service that the good client uses: real PostgreSQL in two regions, the real `domicile`, and its relays.

mod command;
mod config;
pub mod sabotage;
mod tls;

use crate::handset::quiet::{ROOTS, STATEMENTS};
use crate::world::Door;
use crate::world::zone::{HOME, NEW_HOME, REGIONS, Zone};
use command::Domicile;
use config::Public;
use domicile_testbed::postgres::Cluster;
use domicile_testbed::{Watchdog, run as ran};
use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A relay answers in this time, or does not start.
const READY: Duration = Duration::from_secs(60);
/// Where a relay says who it is.
const STATEMENT_PATH: &str = "/v1/messaging/region";
/// The service's database.
const DATABASE: &str = "messaging";

/// Clusters and relays; all end with the value.
pub struct Service {
    /// Its folder: configuration, keys, logs.
    pub dir: PathBuf,
    domicile: Domicile,
    clusters: Vec<Cluster>,
    relays: Vec<Relay>,
    /// The configuration without the relays, and what `messaging init` said of them.
    written: [String; 2],
    /// Plans that were made.
    plans: Cell<u32>,
}

/// A running relay.
struct Relay {
    child: Child,
    _watchdog: Watchdog,
}

impl Service {
    /// Makes the databases, adopts them, and starts a relay in each region; its folder is below `dir`, where the
    /// statement that phones are shipped with goes, too.
    ///
    /// # Errors
    /// What `domicile` said.
    pub fn start(dir: &Path, doors: &[Door; 2]) -> Result<Self, String> {
        let clusters = std::thread::scope(|scope| {
            let started = REGIONS.map(|_| scope.spawn(Cluster::start));
            started
                .into_iter()
                .map(|cluster| cluster.join().map_err(|_| "a cluster did not start".to_owned()))
                .collect::<Result<Vec<Cluster>, String>>()
        })?;
        let folder = dir.join("service");
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let domicile = Domicile::new(&folder)?;
        let (relays, written, plans) = (Vec::new(), Default::default(), Cell::new(0));
        let mut service = Self { dir: folder, domicile, clusters, relays, written, plans };
        service.make_databases();
        service.configure(doors)?;
        service.adopt()?;
        for (door, (region, _)) in doors.iter().zip(REGIONS) {
            service.start_relay(region, (Ipv4Addr::LOCALHOST, door.listen).into())?;
        }
        let statement = get(doors[0].listen, STATEMENT_PATH)?;
        fs::write(dir.join(STATEMENTS[0]), statement).map_err(|e| e.to_string())?;
        Ok(service)
    }

    /// Stops the relays, and starts them anew where the handset's world knows them: by their names, over TLS. What is needed
    /// to trust them goes to `dir`.
    ///
    /// # Errors
    /// What `domicile` said; a relay has no address.
    pub fn over_tls(&mut self, dir: &Path, zone: &Zone) -> Result<(), String> {
        self.relays.clear();
        let mut roots = String::new();
        let mut places = Vec::new();
        for (region, _) in REGIONS {
            let name = format!("relay.{region}.example");
            let host = zone.named(&name).ok_or_else(|| format!("{name} has no address"))?;
            let at = SocketAddr::from((host.address, 443));
            let made = tls::make(&name)?;
            let [certificate, key] = ["pem", "key"].map(|kind| format!("tls-{region}.{kind}"));
            self.write(&certificate, &made.certificate)?;
            self.write(&key, &made.key)?;
            roots.push_str(&made.certificate);
            let public = Public {
                listen: at.to_string(),
                endpoint: format!("https://{name}"),
                certificate: Some((certificate, key)),
            };
            places.push((region, at, name, public));
        }
        fs::write(dir.join(ROOTS), &roots).map_err(|e| format!("{ROOTS}: {e}"))?;
        self.domicile.trusts(&dir.join(ROOTS));
        let publics: Vec<&Public> = places.iter().map(|(_, _, _, public)| public).collect();
        self.write_config(&publics)?;
        for (region, at, _, _) in &places {
            self.start_relay(region, *at)?;
        }
        let (_, at, name, _) = &places[0];
        let statement = tls::get(*at, name, &roots, STATEMENT_PATH)?;
        fs::write(dir.join(STATEMENTS[1]), statement).map_err(|e| e.to_string())
    }

    /// Roles as docs/adopt.md has them: the owner of the tables, a plain one that moves, and the relay's own.
    fn make_databases(&self) {
        for cluster in &self.clusters {
            for role in ["owner", "domicile"] {
                cluster.sql("postgres", &format!("CREATE ROLE {role} LOGIN"));
            }
            cluster.sql("postgres", "GRANT owner TO domicile");
            for database in ["phone", DATABASE] {
                cluster.sql("postgres", &format!("CREATE DATABASE {database} OWNER owner"));
                cluster.sql(database, "GRANT CREATE ON SCHEMA public TO owner");
            }
            cluster.sql(
                "phone",
                "SET ROLE owner; CREATE TABLE account(id text PRIMARY KEY, country text NOT NULL)",
            );
        }
    }

    fn configure(&mut self, doors: &[Door; 2]) -> Result<(), String> {
        let from = self.clusters[0].url("domicile", "phone");
        // It makes the keys; the configuration is written anew, of one service.
        self.domicile.ok(&["init", "--from", &from, "--country", "CN", "--region", HOME])?;
        let regions = REGIONS.iter().zip(&self.clusters);
        let regions =
            regions.map(|((id, country), cluster)| (*id, *country, cluster.url("domicile", "{service}")));
        let text = config::regions(regions);
        self.write("domicile.toml", &config::before_messaging(&text))?;
        self.domicile.ok(&[
            "messaging",
            "init",
            "--controller",
            "Phone Example Ltd",
            "--contact",
            "privacy@phone.example",
        ])?;
        self.written = [text, self.read("messaging/domicile.fragment.toml")?];
        let publics = doors.map(|door| Public {
            listen: format!("127.0.0.1:{}", door.listen),
            endpoint: format!("http://127.0.0.1:{}", door.endpoint),
            certificate: None,
        });
        self.write_config(&publics.each_ref())?;
        self.write("policies/messaging.cedar", config::TODAY)
    }

    fn write_config(&self, publics: &[&Public]) -> Result<(), String> {
        let [regions, fragment] = &self.written;
        let records: Vec<String> = self.clusters.iter().map(|c| c.url("domicile_relay", DATABASE)).collect();
        let messaging = config::messaging(fragment, publics, &records)?;
        self.write("domicile.toml", &(regions.clone() + &messaging))
    }

    fn adopt(&self) -> Result<(), String> {
        for (cluster, (region, _)) in self.clusters.iter().zip(REGIONS) {
            let schema = self.read("messaging/schema.postgres.sql")?;
            cluster.sql(DATABASE, &format!("SET ROLE owner; {schema}"));
            cluster.sql(DATABASE, &self.read("messaging/grants.postgres.sql")?);
            let grants = self.domicile.ok(&["guard", "grants", "--region", region])?;
            let output = cluster.script("postgres", DATABASE, &grants);
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        for step in ["install", "backfill", "enforce"] {
            self.domicile.ok(&["guard", step])?;
        }
        self.domicile.ok(&["check"]).map(|_| ())
    }

    fn start_relay(&mut self, region: &str, at: SocketAddr) -> Result<(), String> {
        let (child, watchdog) =
            self.domicile.start(&["serve", "--messaging", region], &format!("relay-{region}.log"))?;
        self.relays.push(Relay { child, _watchdog: watchdog });
        let began = Instant::now();
        while TcpStream::connect(at).is_err() {
            if began.elapsed() > READY {
                return Err(format!(
                    "the relay of {region} did not start: {}",
                    self.read(&format!("relay-{region}.log"))?
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Moves everybody who is not to be in [`HOME`] to [`NEW_HOME`], by a policy that says so.
    ///
    /// # Errors
    /// What `domicile` said.
    pub fn move_abroad(&self) -> Result<(), String> {
        self.follow(config::ABROAD)
    }

    /// Moves everybody back to [`HOME`].
    ///
    /// # Errors
    /// What `domicile` said.
    pub fn come_back(&self) -> Result<(), String> {
        self.follow(config::TODAY)
    }

    fn follow(&self, policy: &str) -> Result<(), String> {
        self.write("policies/messaging.cedar", policy)?;
        self.domicile.ok(&["guard", "enforce"])?;
        self.plans.set(self.plans.get() + 1);
        let plan = format!("plan-{}.json", self.plans.get());
        self.domicile.ok(&["plan", "-o", &plan])?;
        self.domicile.ok(&["move", &plan]).map(|_| ())
    }

    /// Everything that the region's database holds, as SQL text.
    ///
    /// # Errors
    /// In words: `pg_dump` could not be run.
    pub fn dump(&self, region: &str, to: &Path) -> Result<(), String> {
        let dump = domicile_testbed::postgres::bin_dir()
            .ok_or("PostgreSQL's programs are not there")?
            .join("pg_dump");
        let text = ran(Command::new(dump).arg(self.cluster(region).url("postgres", DATABASE)));
        fs::write(to, text).map_err(|e| format!("{}: {e}", to.display()))
    }

    /// What psql prints of a query at a region, as an administrator sees it.
    pub fn sql(&self, region: &str, sql: &str) -> String {
        self.cluster(region).sql(DATABASE, sql)
    }

    /// The logs of the relays and of every command.
    ///
    /// # Errors
    /// In words: the folder can't be read.
    pub fn logs(&self) -> Result<Vec<PathBuf>, String> {
        self.domicile.logs()
    }

    fn cluster(&self, region: &str) -> &Cluster {
        &self.clusters[usize::from(region == NEW_HOME)]
    }

    /// The region's discovery key, as its relay reads it.
    ///
    /// # Errors
    /// In words.
    pub fn discovery_key(&self, region: &str) -> Result<String, String> {
        self.read(&format!("keys/messaging/{region}-1.oprf"))
    }

    fn read(&self, name: &str) -> Result<String, String> {
        fs::read_to_string(self.dir.join(name)).map_err(|e| format!("{name}: {e}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// The body of what loopback answers to a GET.
fn get(port: u16, path: &str) -> Result<String, String> {
    let said = |e: std::io::Error| format!("port {port}: {e}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(said)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").map_err(said)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(said)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(format!("{path} answers {answer}")),
    }
}
