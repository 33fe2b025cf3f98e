//! Two regions set up as docs/messaging.md says, their relays in a process of their own, a gate before each.

use super::gate::Gate;
use crate::shop::{Ran, Shop};
use domicile_testbed::free_ports;
use domicile_testbed::postgres::Cluster;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub const ALICE: &str = "+8613912345678";
pub const BOB: &str = "+15035550123";
pub const CAROL: &str = "+15035550177";

pub struct Site {
    pub shop: Shop,
    pub beijing: Gate,
    pub oregon: Gate,
    servers: Option<[Cluster; 2]>,
    relays: Option<Child>,
}

const REGIONS: [(&str, &str); 2] = [("beijing", "CN"), ("oregon", "US")];

/// Comes back once it holds; a test that waits for ever says for what.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(120), "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Site {
    /// Configuration, keys, tables and guard; no relay runs yet.
    pub fn prepared(postgres: bool) -> Self {
        let shop = Shop::empty();
        let servers = postgres.then(|| [Cluster::start(), Cluster::start()]);
        let mut config = String::from("[control]\nstore = \"sqlite:control.db\"\n");
        for (n, (id, country)) in REGIONS.iter().enumerate() {
            let records = match &servers {
                Some(servers) => servers[n].url("domicile", "messaging"),
                None => format!("sqlite:{id}-{{service}}.db"),
            };
            config.push_str(&format!(
                "\n[[region]]\nid = \"{id}\"\ncountry = \"{country}\"\nrecords = \"{records}\"\n"
            ));
        }
        shop.write("domicile.toml", &config);
        shop.ok(&["messaging", "init"]);
        let [at, bt, a, b] = free_ports();
        let mut fragment = shop.read("messaging/domicile.fragment.toml");
        for (written, endpoint, listen) in [("8090", at, a), ("8091", bt, b)] {
            fragment = fragment
                .replace(&format!("[\"127.0.0.1:{written}\"]"), &format!("[\"127.0.0.1:{listen}\"]"))
                .replace(&format!("http://127.0.0.1:{written}"), &format!("http://127.0.0.1:{endpoint}"));
        }
        for server in servers.iter().flatten() {
            let own = server.url("domicile_relay", "messaging");
            fragment = fragment.replacen("postgres://domicile_relay@HOST/DATABASE", &own, 1);
        }
        shop.append("domicile.toml", &format!("{fragment}\n[messaging.limits]\nfilter_every_s = 1\n"));
        let site =
            Self { shop, beijing: Gate::open(at, a), oregon: Gate::open(bt, b), servers, relays: None };
        site.tables();
        for step in ["install", "backfill", "enforce"] {
            site.shop.ok(&["guard", step]);
        }
        site.shop.ok(&["check"]);
        for (region, _) in REGIONS {
            site.shop.ok(&["messaging", "statement", region, "-o", &format!("{region}.json")]);
        }
        site
    }

    fn tables(&self) {
        let Some(servers) = &self.servers else {
            let schema = self.shop.read("messaging/schema.sqlite.sql");
            for (id, _) in REGIONS {
                self.shop.db(&format!("{id}-messaging.db")).execute_batch(&schema).expect("the tables");
            }
            return;
        };
        for ((id, _), server) in REGIONS.iter().zip(servers) {
            for sql in [
                "CREATE ROLE keeper LOGIN",
                "CREATE ROLE domicile LOGIN",
                "GRANT keeper TO domicile",
                "CREATE DATABASE messaging OWNER keeper",
            ] {
                server.sql("postgres", sql);
            }
            let schema = self.shop.read("messaging/schema.postgres.sql");
            server.sql("messaging", &format!("SET ROLE keeper; {schema}"));
            server.sql("messaging", &self.shop.read("messaging/grants.postgres.sql"));
            let grants = self.shop.ok(&["guard", "grants", "--region", id]).stdout;
            let piped = server.script("postgres", "messaging", &grants);
            assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
        }
    }

    /// The same, with both relays.
    pub fn running(postgres: bool) -> Self {
        let mut site = Self::prepared(postgres);
        site.start();
        site
    }

    pub fn start(&mut self) {
        let mut command = self.shop.command(&["serve", "--messaging", "all"]);
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines().map_while(Result::ok);
        for _ in REGIONS {
            let line = lines.next().expect("a relay says where it listens");
            assert!(line.starts_with("relay: http://127.0.0.1:"), "{line}");
        }
        // Read on, so that the pipe neither fills nor closes.
        std::thread::spawn(move || lines.for_each(drop));
        self.relays = Some(child);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.relays.take().expect("relays run");
        child.kill().expect("a signal");
        child.wait().expect("it ends");
    }

    /// What a device's mailbox is changed to at its home, as the application would.
    pub fn sql(&self, region: usize, sql: &str) {
        match &self.servers {
            Some(servers) => drop(servers[region].sql("messaging", sql)),
            None => {
                let db = self.shop.db(&format!("{}-messaging.db", REGIONS[region].0));
                db.execute_batch(sql).expect(sql);
            }
        }
    }

    pub fn device(&self, name: &str, args: &[&str]) -> Ran {
        self.shop.run(&[&["device", "--device", name], args].concat())
    }

    pub fn done(&self, name: &str, args: &[&str]) -> String {
        let ran = self.device(name, args);
        assert_eq!(ran.code, 0, "{name} {args:?}\n{}", ran.whole());
        ran.stdout
    }

    /// Wants the failure of this code, and gives what it says.
    pub fn fails(&self, name: &str, args: &[&str], code: &str) -> String {
        let ran = self.device(name, args);
        assert_ne!(ran.code, 0, "{name} {args:?}\n{}", ran.whole());
        let is_told = ["what:", "why:", "state:", "fix:"].iter().all(|word| ran.stderr.contains(word));
        assert!(is_told && ran.stderr.contains(&format!("code:  {code}\n")), "{}", ran.whole());
        ran.stderr
    }

    /// Fetches; the texts that were shown.
    pub fn received(&self, name: &str) -> Vec<String> {
        texts(&self.done(name, &["receive"]))
    }

    pub fn spawn(&self, name: &str, args: &[&str]) -> Child {
        let mut command = self.shop.command(&[&["device", "--device", name], args].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs")
    }

    /// The last code that was sent to a number.
    pub fn code(&self, number: &str) -> String {
        let text = self.shop.read("messaging/sms.jsonl");
        let mut sent = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
        let last = sent.rfind(|sms| sms["to"] == number).expect("a text message");
        last["text"].as_str().expect("a text")[..8].to_owned()
    }

    pub fn new_device(&self, name: &str, region: &str) {
        self.done(name, &["new", "--statement", &format!("{region}.json")]);
    }

    pub fn agree(&self, name: &str) {
        for purpose in ["cloud_messaging", "contact_discovery", "presence", "region_move"] {
            self.done(name, &["consent", "give", purpose]);
        }
    }

    pub fn register(&self, name: &str, number: &str) {
        self.done(name, &["register", number]);
        self.done(name, &["register", "--code", &self.code(number)]);
    }

    /// A device that has agreed to everything, with its number.
    pub fn registered(&self, name: &str, region: &str, number: &str) {
        self.new_device(name, region);
        self.agree(name);
        self.register(name, number);
    }

    /// Syncs until the device has found so many contacts.
    pub fn finds(&self, name: &str, wanted: u64) {
        let found = || {
            let text = self.done(name, &["contacts", "sync", "--json"]);
            serde_json::from_str::<serde_json::Value>(&text).expect(&text)["found"] == wanted
        };
        until(&format!("{name} finds {wanted}"), found);
    }
}

/// The texts of what `receive` printed.
pub fn texts(stdout: &str) -> Vec<String> {
    let one = |line: &str| line.split_once(": ").map(|(_, text)| text.to_owned());
    stdout.lines().filter(|line| *line != "no new messages").filter_map(one).collect()
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(child) = &mut self.relays {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
