//! What a gateway is told: typed meaning, made from `[gateway]` of domicile.toml.

use super::subject::jwt::JwtRule;
use crate::directory::{Placing, Spelling};
use crate::edge::EdgeCache;
use crate::genuine::WellKnown;
use domicile_directory::ClaimKind;
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
    /// How a subject's key is spelt: `007` must not be somebody else than `7`.
    pub spelling: Spelling,
    /// Where new subjects come from, and where they go.
    pub sign_up: Option<SignUpRoute>,
    /// Requests that name their subject by a claim.
    pub logins: Vec<LoginRoute>,
    /// What is the same for everybody, and is kept at the edge.
    pub edge: Option<EdgeCache>,
    /// The region whose application is asked for it, where its route names none.
    pub stands_in: Option<String>,
    /// The manifest of genuine endpoints and its page.
    pub well_known: Option<WellKnown>,
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

/// A POST that makes a new subject.
#[derive(Debug)]
pub struct SignUpRoute {
    /// Its path, as it is.
    pub path: String,
    /// The field of its JSON body with the country.
    pub country: String,
    /// The field with the new subject's key.
    pub subject: String,
    /// Policy and latency.
    pub placing: Placing,
}

/// A POST that names its subject by a claim.
#[derive(Debug)]
pub struct LoginRoute {
    /// Its path, as it is.
    pub path: String,
    /// What the claim is.
    pub kind: ClaimKind,
    /// The field of its JSON body with the claim.
    pub field: String,
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
    /// How long a request waits for a lease that was lost, before it is refused.
    pub lease_wait: Duration,
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
            lease: Duration::from_secs(6),
            lease_wait: Duration::from_secs(3),
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
