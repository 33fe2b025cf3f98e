//! Whose host it is and in which country it stands: only what the user wrote down, never guessed.
//!
//! ```toml
//! [[host]]
//! is = "203.0.113.0/24"      # an address, a network, a name, or *.name for all below it
//! country = "CN"             # ISO 3166-1 alpha-2
//! owner = "Example Cloud"    # may be left out
//! ```

use crate::{Report, Step};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};

/// Most entries of a table.
pub const HOSTS_MAX: usize = 100_000;
/// Said where no entry fits.
pub const UNKNOWN: &str = "country unknown";

/// A table of hosts.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    entries: Vec<(Is, Known)>,
}

/// What is known of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Who runs it.
    pub owner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    Network(IpAddr, u8),
    Name(String),
    Below(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    host: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    is: String,
    country: String,
    owner: Option<String>,
}

/// What is wrong with a table of hosts.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It can't be read.
    #[error("{0}")]
    Toml(String),
    /// An entry says what can't be.
    #[error("entry {number}: {why}")]
    Entry {
        /// From 1.
        number: usize,
        /// What.
        why: String,
    },
}

impl Hosts {
    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong with it, with the number of the entry.
    pub fn parse(text: &str) -> Result<Self, HostsError> {
        let file: File = toml::from_str(text).map_err(|e| HostsError::Toml(e.to_string()))?;
        let mut hosts = Self::default();
        for (n, entry) in file.host.into_iter().enumerate() {
            let wrong = |why: String| HostsError::Entry { number: n + 1, why };
            if n == HOSTS_MAX {
                return Err(wrong(format!("more than {HOSTS_MAX} entries")));
            }
            if entry.country.len() != 2 || !entry.country.bytes().all(|b| b.is_ascii_uppercase()) {
                return Err(wrong("the country is not a two-letter code in upper case".to_owned()));
            }
            hosts.add(&entry.is, entry.country, entry.owner).map_err(wrong)?;
        }
        Ok(hosts)
    }

    /// Adds what is known otherwise: an address, a network, a name or `*.name`.
    ///
    /// # Errors
    /// In words, where `is` is none of them.
    pub fn add(&mut self, is: &str, country: String, owner: Option<String>) -> Result<(), String> {
        self.entries.push((Is::parse(is)?, Known { country, owner }));
        Ok(())
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known of a host by its name or `address[:port]`; of several entries the narrowest.
    pub fn of(&self, host: &str) -> Option<&Known> {
        let bare = bare(host);
        let fits = self.entries.iter().filter_map(|(is, known)| Some((is.fits(&bare)?, known)));
        fits.max_by_key(|(narrow, _)| *narrow).map(|(_, known)| known)
    }

    /// Says of every host in the findings where it stands.
    pub fn tell(&self, report: &mut Report) {
        let steps = report.findings.iter_mut().flat_map(|finding| finding.place.0.iter_mut());
        let unseen = report.unseen.iter_mut().flat_map(|unseen| unseen.place.0.iter_mut());
        for step in steps.chain(unseen) {
            match step {
                Step::Flow { from, to, host, country, .. } => {
                    let known = host.as_deref().and_then(|h| self.of(h)).or_else(|| self.of(to));
                    *country = Some(said(known.or_else(|| self.of(from))));
                }
                Step::Entry(_, host) => *host = format!("{host}, {}", said(self.of(host))),
                _ => {}
            }
        }
    }
}

fn said(known: Option<&Known>) -> String {
    match known {
        None => UNKNOWN.to_owned(),
        Some(Known { country, owner: None }) => country.clone(),
        Some(Known { country, owner: Some(owner) }) => format!("{country}, {owner}"),
    }
}

/// Without a port, in lower case, without the dot that ends a full name.
fn bare(host: &str) -> String {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().to_string();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

impl Is {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| "its network has no address before the /")?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.parse().ok().filter(|bits| *bits <= most);
            return bits
                .map(|bits| Self::Network(address, bits))
                .ok_or("its network's length can't be".to_owned());
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text.as_str()),
        };
        let fine = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(fine) {
            return Err("`is` is neither an address, nor a network, nor a name".to_owned());
        }
        let name = name.trim_end_matches('.').to_owned();
        Ok(if below { Self::Below(name) } else { Self::Name(name) })
    }

    /// How narrow the entry is, where it fits.
    fn fits(&self, host: &str) -> Option<usize> {
        match self {
            Self::Name(name) => (name == host).then_some(usize::MAX),
            Self::Below(name) => {
                let rest = host.strip_suffix(name.as_str())?;
                rest.ends_with('.').then_some(name.len())
            }
            Self::Network(network, bits) => {
                let host: IpAddr = host.parse().ok()?;
                same_network(*network, host, *bits).then_some(usize::from(*bits))
            }
        }
    }
}

fn same_network(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    let masked = |value: u128, width: u32| value.checked_shr(width - u32::from(bits)).unwrap_or(0);
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => masked(a.to_bits().into(), 32) == masked(b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => masked(a.to_bits(), 128) == masked(b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [[host]]
        is = "203.0.113.0/24"
        country = "CN"
        owner = "Example Cloud"
        [[host]]
        is = "203.0.113.7"
        country = "SG"
        [[host]]
        is = "*.example.com"
        country = "US"
        [[host]]
        is = "2001:db8::/32"
        country = "DE"
    "#;

    #[test]
    fn the_narrowest_entry_counts_and_nothing_is_guessed() {
        let hosts = Hosts::parse(TABLE).unwrap();
        let country = |host: &str| hosts.of(host).map(|known| known.country.as_str());
        assert_eq!(country("203.0.113.9:443"), Some("CN"));
        assert_eq!(country("203.0.113.7"), Some("SG"));
        assert_eq!(country("API.Example.com.:443"), Some("US"));
        assert_eq!(country("[2001:db8::1]:80"), Some("DE"));
        assert_eq!(
            (country("example.com"), country("198.51.100.1"), country("notexample.com")),
            (None, None, None)
        );
    }

    #[test]
    fn a_wrong_entry_is_named() {
        for (wrong, says) in [
            ("[[host]]\nis = \"10.0.0.0/33\"\ncountry = \"CN\"", "entry 1"),
            ("[[host]]\nis = \"a b\"\ncountry = \"CN\"", "entry 1"),
            ("[[host]]\nis = \"a\"\ncountry = \"China\"", "two-letter"),
            ("[[host]]\nis = \"a\"\ncountry = \"CN\"\nplace = 1", "unknown field"),
        ] {
            assert!(Hosts::parse(wrong).unwrap_err().to_string().contains(says), "{wrong}");
        }
    }
}
