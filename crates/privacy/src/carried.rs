//! What the audit found in a capture, in the words of the test: whose identifier, in which packet, to which host of which
//! country, and how it was written.

use crate::phone::{IDENTIFIERS, Role, identifier};
use domicile_audit::{Canaries, Encoding, Finding, Fingerprint, Forms, Step, Wanted};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// The identifiers of the test, ready to look up, and whose each one's fingerprint is.
#[derive(Debug)]
pub struct Sought {
    /// For the audit: the identifiers, and the canaries behind them.
    pub wanted: Wanted,
    /// What the audit plants in every writing and must find in each run.
    pub canaries: Canaries,
    roles: BTreeMap<Fingerprint, Role>,
}

impl Sought {
    /// Prepares all of [`IDENTIFIERS`] under a key of this run.
    ///
    /// # Errors
    /// In words: the system gave no random bytes.
    pub fn prepare() -> Result<Self, String> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut()).map_err(|e| format!("random bytes: {e}"))?;
        let forms = Forms::default();
        let mut all = IDENTIFIERS.map(identifier).to_vec();
        let canaries = Canaries::plant(&mut all, &forms);
        let wanted = Wanted::new(all, &forms, Some(key.clone()));
        let one = |entry| Wanted::new(vec![identifier(entry)], &forms, Some(key.clone())).named(0).1;
        let roles: BTreeMap<_, _> = IDENTIFIERS.iter().map(|entry| (one(*entry), entry.0)).collect();
        if roles.len() < IDENTIFIERS.len() {
            return Err("two identifiers have one fingerprint: a finding could not be told".into());
        }
        Ok(Self { wanted, canaries, roles })
    }

    /// Whose identifier was found.
    pub fn role(&self, finding: &Finding) -> Option<Role> {
        self.roles.get(&finding.identifier).copied()
    }

    /// A finding in the words of the test.
    pub fn carried(&self, finding: &Finding) -> Option<Carried> {
        let role = self.role(finding)?;
        let (mut packet, mut to, mut part) = (None, None, None);
        for step in &finding.place.0 {
            match step {
                Step::Packet(number) => packet = Some(*number),
                Step::Flow { to: address, host, country, .. } => {
                    to = Some((address.clone(), host.clone(), country.clone()));
                }
                Step::Http(name) => part = Some(name.clone()),
                _ => {}
            }
        }
        let (address, host, country) = to.unwrap_or_default();
        let how = finding.how.clone();
        Some(Carried { role, packet, address, host, country, part, how })
    }
}

/// One identifier that was seen on the wire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carried {
    /// Whose.
    pub role: Role,
    /// The packet's number in the capture.
    pub packet: Option<u64>,
    /// The receiver's `address:port`.
    pub address: String,
    /// Its name.
    pub host: Option<String>,
    /// Its country.
    pub country: Option<String>,
    /// The part of an HTTP message.
    pub part: Option<String>,
    /// How it was written, outermost first.
    pub how: Vec<Encoding>,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.role.words())?;
        if let Some(packet) = self.packet {
            write!(f, " in packet {packet}")?;
        }
        write!(f, " to {}", self.host.as_deref().unwrap_or(&self.address))?;
        if let Some(country) = &self.country {
            write!(f, " ({country})")?;
        }
        let how: Vec<String> = self.how.iter().map(|how| word(*how)).collect();
        write!(f, ", written as {}", how.join(" of "))
    }
}

fn word(how: Encoding) -> String {
    serde_json::to_value(how).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
