//! Who is where in the world of the test: names, addresses, countries, and what each host is. It is the hosts table of the
//! audit, too: the country of an address is written down here and never guessed.

use serde::{Deserialize, Serialize};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

/// The resolver.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
/// Where marks go, to the discard port (RFC 863).
pub const MARKS: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 9), 9);
/// The host that 2014's phones posted to. The service never named it.
pub const UNDECLARED: &str = "api.account.example";
/// Somebody who counts what people do with their phones.
pub const METRICS: &str = "metrics.example";
/// Somebody whom phones ask whether a Wi-Fi leads to the internet.
pub const PORTAL: &str = "portal-check.example";
/// A clock, which a client knows by its address.
pub const TIME: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 123);
/// A resolver that is not the phone's, by its address.
pub const FOREIGN_RESOLVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 54);
/// The home region of the phone's owner when the test begins.
pub const HOME: &str = "beijing";
/// Where the owner's data goes.
pub const NEW_HOME: &str = "oregon";
/// The regions that have relays, and their countries.
pub const REGIONS: [(&str, &str); 2] = [(HOME, "CN"), (NEW_HOME, "US")];

/// What a host is to the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Answers names.
    Resolver,
    /// The account endpoint of a region.
    Account(String),
    /// The messaging relay of a region.
    Relay(String),
    /// Nobody whom the service declares.
    Undeclared,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its DNS name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// ISO 3166-1.
    pub country: String,
    /// What it is.
    pub what: What,
    /// The port of loopback by which the handset's programs reach it, where they do so by a bridge.
    #[serde(default)]
    pub bridge: Option<u16>,
}

/// All hosts that the test knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Zone {
    /// Everybody else.
    pub hosts: Vec<Host>,
    /// The handset's own address, once it has one.
    pub handset: Option<Ipv4Addr>,
}

impl Zone {
    /// The world before any relay is up: the resolver, the accounts of the regions, and the host of 2014.
    pub fn new() -> Self {
        let host = |name: &str, last, country: &str, what| Host {
            name: name.to_owned(),
            address: Ipv4Addr::new(203, 0, 113, last),
            country: country.to_owned(),
            what,
            bridge: None,
        };
        let account = |region: &str, last, country| {
            host(&format!("account.{region}.example"), last, country, What::Account(region.to_owned()))
        };
        let hosts = vec![
            host("resolver.example", 53, "AU", What::Resolver),
            account("beijing", 10, "CN"),
            account("oregon", 11, "US"),
            host(UNDECLARED, 80, "CN", What::Undeclared),
            host(METRICS, 81, "US", What::Undeclared),
            host(PORTAL, 82, "US", What::Undeclared),
            host("time.example", TIME.octets()[3], "DE", What::Undeclared),
            host("other-resolver.example", FOREIGN_RESOLVER.octets()[3], "US", What::Undeclared),
        ];
        Self { hosts, handset: None }
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// In words.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Writes it for the other processes, and for whoever reads the evidence.
    ///
    /// # Errors
    /// In words.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// The relay of a region, as the handset reaches it.
    pub fn add_relay(&mut self, region: &str, country: &str, address: Ipv4Addr, bridge: u16) {
        let (name, what) = (format!("relay.{region}.example"), What::Relay(region.to_owned()));
        self.hosts.push(Host { name, address, country: country.to_owned(), what, bridge: Some(bridge) });
    }

    /// By name; names know no case (RFC 4343).
    pub fn named(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name.eq_ignore_ascii_case(name.trim_end_matches('.')))
    }

    /// By address.
    pub fn at(&self, address: Ipv4Addr) -> Option<&Host> {
        self.hosts.iter().find(|host| host.address == address)
    }

    /// What is called by this name, else an address of its own for a name that nobody declared, so that a client that
    /// speaks to it succeeds and is recorded.
    pub fn resolve(&self, name: &str) -> Ipv4Addr {
        let stranger = || {
            let sum =
                name.bytes().fold(7u32, |sum, b| sum.wrapping_mul(31) + u32::from(b.to_ascii_lowercase()));
            Ipv4Addr::new(198, 51, 100, 1 + (sum % 250) as u8)
        };
        self.named(name).map_or_else(stranger, |host| host.address)
    }
}
