//! What a gateway is told: typed meaning, made from `[gateway]` of domicile.toml.

use super::subject::jwt::JwtRule;
use http::{HeaderName, Uri};
use std::collections::BTreeMap;
use std::time::Duration;

/// A gateway of one service.
#[derive(Debug)]
pub struct Settings {
    /// The service.
    pub service: String,
    /// By which the mover knows this process: no other has it.
    pub name: String,
    /// Where each region's application is reached.
    pub upstreams: BTreeMap<String, Upstream>,
    /// Where a request says whose it is, in the order in which they are tried.
    pub subject: Vec<SubjectRule>,
    /// A client's own X-Forwarded-For is kept: everybody in front of this gateway is trusted.
    pub trusts_forwarded: bool,
    /// Bounds.
    pub limits: Limits,
}

/// One region's application.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Scheme, host and port.
    pub address: Uri,
}

/// Where the subject of a request stands.
#[derive(Debug)]
pub enum SubjectRule {
    /// A claim of a verified token in `Authorization: Bearer`, or in a cookie.
    Jwt(Box<JwtRule>),
    /// A header, set by something that is trusted in front of this gateway.
    Header(HeaderName),
    /// A cookie's value.
    Cookie(String),
    /// The path's segment after these: `/users/` -> `/users/4711/notes`.
    Path(String),
}

/// Bounds of a gateway, each with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The lease: a gateway that could not renew it for so long routes nothing.
    pub lease: Duration,
    /// Homes kept in memory; about 50 bytes each.
    pub homes: usize,
    /// How long a write waits while its subject is parked or refused.
    pub park: Duration,
    /// Writes of one subject that wait.
    pub parked_per_subject: usize,
    /// Writes that wait in all: each is a connection, its body is unread.
    pub parked: usize,
    /// Writes that were held and are sent on at once.
    pub released: usize,
    /// Of a body, kept so that a refused write can be repeated, bytes.
    pub repeat_bytes: usize,
    /// From a forwarded request to the head of its answer.
    pub answer: Duration,
    /// Between two pieces of a body, either way.
    pub idle: Duration,
    /// Idle connections kept to each region.
    pub pool: usize,
    /// Verified tokens remembered.
    pub tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(3),
            homes: 1_000_000,
            park: Duration::from_secs(10),
            parked_per_subject: 100,
            parked: 10_000,
            released: 256,
            repeat_bytes: 64 * 1024,
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            pool: 512,
            tokens: 100_000,
        }
    }
}
