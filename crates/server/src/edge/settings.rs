//! What the edge cache is told.

use super::routes::{Routes, WrongRoute};
use http::HeaderName;
use std::time::Duration;

/// The cache's bounds and its public routes. Nothing is public by default.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// The cache's name in `Cache-Status` (RFC 9211): a token, such as `domicile`.
    pub name: String,
    /// Most bytes of all stored answers together: keys, headers, bodies and what keeps them in order.
    pub memory_bytes_max: usize,
    /// The largest body that is stored, bytes.
    pub object_bytes_max: usize,
    /// Most bytes of answers that are on their way into the store, together; beyond it answers pass unstored.
    pub fill_bytes_max: usize,
    /// How long the head of an answer may take that others wait for, too.
    pub head_wait: Duration,
    /// How long the next piece of a body may take before what waits for it is given up.
    pub body_wait: Duration,
    /// The header by which an application tags an answer as personal (any value but `0`).
    pub personal_header: HeaderName,
    /// What is public.
    pub routes: Vec<PublicRoute>,
}

impl Default for EdgeSettings {
    /// 64 MiB, objects of 4 MiB, 32 MiB on their way, 60 s and 30 s, `Domicile-Personal`, no route.
    fn default() -> Self {
        Self {
            name: "domicile".to_owned(),
            memory_bytes_max: 64 << 20,
            object_bytes_max: 4 << 20,
            fill_bytes_max: 32 << 20,
            head_wait: Duration::from_secs(60),
            body_wait: Duration::from_secs(30),
            personal_header: HeaderName::from_static("domicile-personal"),
            routes: Vec::new(),
        }
    }
}

impl EdgeSettings {
    /// Do the bounds and routes agree?
    ///
    /// # Errors
    /// The first that can't be.
    pub fn check(&self) -> Result<(), WrongRoute> {
        Routes::of(self).map(drop)
    }
}

/// A route whose answers are the same for everybody.
#[derive(Debug, Clone)]
pub struct PublicRoute {
    /// `/static/`: everything below it. `/robots.txt`, or `/` alone: exactly that. The longest that fits counts.
    pub path: String,
    /// The hosts it holds for, without a port where it is the scheme's own; empty: all.
    pub hosts: Vec<String>,
    /// The data category of what is there, as policies name it.
    pub category: String,
    /// Whether policy lets it be kept where this gateway stands ([`crate::edge::may_cache`]).
    pub cached: Cached,
    /// What the query means.
    pub query: Query,
    /// Is an answer stored only where its `Content-Type` fits the path's extension? It should be: an HTML page
    /// under the name of a style sheet is how a cache is deceived.
    pub fits: bool,
    /// How long an answer is fresh that says nothing of it; `None`: it is asked for again each time.
    pub fresh: Option<Duration>,
    /// Request headers that travel to the origin besides `Accept`, `Accept-Encoding` and `Accept-Language`.
    /// The application must name them in `Vary`.
    pub headers: Vec<HeaderName>,
    /// The region whose endpoint is asked, by its id; `None`: the gateway chooses.
    pub origin: Option<String>,
}

impl PublicRoute {
    /// A route of that path and category that may be cached, with the safe defaults.
    pub fn new(path: &str, category: &str) -> Self {
        Self {
            path: path.to_owned(),
            hosts: Vec::new(),
            category: category.to_owned(),
            cached: Cached::Allowed,
            query: Query::Kept,
            fits: true,
            fresh: None,
            headers: Vec::new(),
            origin: None,
        }
    }
}

/// Policy's word on keeping a route's answers here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cached {
    /// They may be kept.
    Allowed,
    /// They may not: they pass, counted.
    Forbidden {
        /// By which rule.
        why: String,
    },
}

/// What a route's query means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// It is part of the key, and travels to the origin in its one spelling.
    Kept,
    /// It means nothing: it neither counts nor travels on, so nobody can fill the store by it.
    Ignored,
}
