//! A public request, as the cache and the origin see it: without anything that names somebody.

use super::key::{self, Crooked, Key, Scheme};
use super::routes::Routes;
use super::settings::{PublicRoute, Query};
use crate::body::{self, Body};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use std::sync::Arc;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request that is public. It holds no cookie and no credential any more.
#[derive(Debug, Clone)]
pub struct Public {
    pub(super) key: Key,
    pub(super) route: Arc<PublicRoute>,
    /// What travels to the origin, the only headers that may shape an answer.
    pub(super) headers: HeaderMap,
    pub(super) method: Method,
    pub(super) target: Uri,
    /// The path, for its extension.
    pub(super) path: String,
    /// `Range` and what belongs to it.
    pub(super) range: HeaderMap,
    /// What the client has already: `If-None-Match`, `If-Modified-Since`.
    pub(super) known: HeaderMap,
    pub(super) only_if_cached: bool,
    pub(super) had_cookie: bool,
    pub(super) had_authorization: bool,
}

/// Why a request is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotPublic {
    /// No route is declared for it.
    NoRoute,
    /// Another method than GET and HEAD on a public path.
    Method,
    /// It looks public, and has several readings.
    Crooked(Crooked),
}

impl Public {
    pub(super) fn of(parts: &Parts, scheme: Scheme, routes: &Routes) -> Result<Self, NotPublic> {
        if routes.all().is_empty() {
            return Err(NotPublic::NoRoute);
        }
        let path = parts.uri.path();
        // Most requests of a gateway are not public: they are told by their beginning.
        if !routes.begins_so(path) && !path.contains(['%', ';', '.', '\\']) && !path.contains("//") {
            return Err(NotPublic::NoRoute);
        }
        let crooked = |why| {
            if routes.looks_public(path) { NotPublic::Crooked(why) } else { NotPublic::NoRoute }
        };
        key::straight(path).map_err(crooked)?;
        let host = host(parts, scheme).map_err(crooked)?;
        let route = routes.find(&host, path).ok_or(NotPublic::NoRoute)?;
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(NotPublic::Method);
        }
        let query = match route.query {
            Query::Ignored => None,
            Query::Kept => key::query(parts.uri.query()).map_err(NotPublic::Crooked)?,
        };
        let target = match &query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        Ok(Self {
            key: Key::new(scheme, &host, path, query.as_deref()),
            headers: travelling(parts, route, &host, scheme),
            method: parts.method.clone(),
            target: target.parse().map_err(|_| NotPublic::Crooked(Crooked::Byte))?,
            path: path.to_owned(),
            range: chosen(&parts.headers, &[RANGE, IF_RANGE]),
            known: chosen(&parts.headers, &[IF_NONE_MATCH, IF_MODIFIED_SINCE]),
            only_if_cached: only_if_cached(&parts.headers),
            had_cookie: parts.headers.contains_key(COOKIE),
            had_authorization: parts.headers.contains_key(AUTHORIZATION),
            route: Arc::clone(route),
        })
    }

    /// The route it is on, with the region that its origin belongs to.
    pub fn route(&self) -> &PublicRoute {
        &self.route
    }

    /// The key it is stored under.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The request for a whole answer.
    pub(super) fn whole(&self) -> Request<Body> {
        self.request(Method::GET)
    }

    /// The request for what the client asked: HEAD, or a range.
    pub(super) fn as_asked(&self) -> Request<Body> {
        let mut request = self.request(self.method.clone());
        for (name, value) in &self.range {
            request.headers_mut().append(name, value.clone());
        }
        request
    }

    fn request(&self, method: Method) -> Request<Body> {
        let mut request = Request::new(body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// The host, from the request's target or its `Host`; both must agree.
fn host(parts: &Parts, scheme: Scheme) -> Result<String, Crooked> {
    let mut named = parts.headers.get_all(HOST).iter();
    let header = match (named.next(), named.next()) {
        (_, Some(_)) => return Err(Crooked::Host),
        (Some(one), None) => Some(key::host(one.to_str().map_err(|_| Crooked::Host)?, scheme)?),
        (None, None) => None,
    };
    let target = parts.uri.authority().map(|a| key::host(a.as_str(), scheme)).transpose()?;
    match (target, header) {
        (Some(a), Some(b)) if a != b => Err(Crooked::Host),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(Crooked::Host),
    }
}

/// Headers that no key knows must not reach the origin, or one client's `X-Forwarded-Host` would be baked into
/// what all others get.
fn travelling(parts: &Parts, route: &PublicRoute, host: &str, scheme: Scheme) -> HeaderMap {
    let mut names = vec![ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE];
    names.extend(route.headers.iter().filter(|n| **n != FORWARDED_PROTO).cloned());
    let mut headers = chosen(&parts.headers, &names);
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert(HOST, host);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    headers
}

fn chosen(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut found = HeaderMap::new();
    for name in names {
        if found.contains_key(name) {
            continue;
        }
        for value in headers.get_all(name) {
            found.append(name, value.clone());
        }
    }
    found
}

fn only_if_cached(headers: &HeaderMap) -> bool {
    let said = headers.get_all(CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok());
    said.flat_map(|v| v.split(',')).any(|d| d.trim().eq_ignore_ascii_case("only-if-cached"))
}
