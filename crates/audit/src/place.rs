//! Where something was found: from the target down to the byte, one step at a time.

use serde::Serialize;
use std::fmt;

/// A path of steps from a target inward: a file, a member of the archive that it is, a packed stream in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Place(pub Vec<Step>);

/// One step inward. Names of strangers are kept as they are; who prints them escapes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A file, by its path (lossy UTF-8).
    File(String),
    /// A member of an archive, by its name.
    Member(String),
    /// A packed stream: `gzip`, `zlib`, `zstd`, or a decoding such as `base64`.
    Unpacked(&'static str),
    /// Bytes from the start of what it lies in: where a container begins in the middle of other data.
    At(u64),
    /// A database, by its name without credentials.
    Database(String),
    /// A table: schema (empty on SQLite) and name.
    Table(String, String),
    /// A column of the table.
    Column(String),
    /// The key of the row, as a keyed fingerprint where it could name a person, else as text.
    Key(String),
    /// An object of an object store, by its URL.
    Object(String),
    /// The metadata or a tag of an object, by its name.
    Metadata(String),
    /// A packet of a capture, from 1.
    Packet(u64),
    /// One direction of a conversation: from and to, `address:port`, with the transport.
    Flow {
        /// `tcp` or `udp`.
        transport: &'static str,
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
        /// What the receiver, else the sender, was called by, where the capture says so (DNS, SNI, Host).
        host: Option<String>,
        /// The country of the other side, where it is known (never guessed).
        country: Option<String>,
    },
    /// A part of an HTTP message: `request line`, `header NAME`, `request body`, `response body`.
    Http(String),
    /// An entry of a HAR, from 0, with its URL's host.
    Entry(u64, String),
}

impl Place {
    /// The place one step further in.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }
}

impl From<Step> for Place {
    fn from(step: Step) -> Self {
        Self(vec![step])
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" > ")?;
            }
            step.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) | Self::Member(name) | Self::Database(name) | Self::Object(name) => {
                write!(f, "{}", name.escape_debug())
            }
            Self::Unpacked(how) => write!(f, "[{how}]"),
            Self::At(bytes) => write!(f, "byte {bytes}"),
            Self::Table(schema, table) if schema.is_empty() => write!(f, "table {}", table.escape_debug()),
            Self::Table(schema, table) => {
                write!(f, "table {}.{}", schema.escape_debug(), table.escape_debug())
            }
            Self::Column(name) => write!(f, "column {}", name.escape_debug()),
            Self::Key(key) => write!(f, "key {}", key.escape_debug()),
            Self::Metadata(name) => write!(f, "metadata {}", name.escape_debug()),
            Self::Packet(n) => write!(f, "packet {n}"),
            Self::Flow { transport, from, to, host, country } => {
                write!(f, "{transport} {from} -> {to}")?;
                let known = host.iter().chain(country).map(|known| known.escape_debug().to_string());
                let known = known.collect::<Vec<_>>().join(", ");
                if !known.is_empty() {
                    write!(f, " ({known})")?;
                }
                Ok(())
            }
            Self::Http(part) => write!(f, "{}", part.escape_debug()),
            Self::Entry(n, host) => write!(f, "entry {n} ({})", host.escape_debug()),
        }
    }
}
