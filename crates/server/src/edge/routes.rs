//! Which requests are public: those below a declared path, whose path has one reading.

use super::key::{Crooked, Scheme, host, straight};
use super::settings::{EdgeSettings, PublicRoute};
use http::HeaderName;
use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PROXY_AUTHORIZATION, RANGE, TE, TRANSFER_ENCODING, UPGRADE,
};
use std::sync::Arc;

/// Request headers that no route may let through: they name somebody, or steer the cache itself.
const NEVER: [HeaderName; 14] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HOST,
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];
/// Most routes.
const ROUTES_MAX: usize = 256;

/// A setting that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongRoute {
    /// A public path that has several readings itself.
    #[error("the public path `{path}` is not plain ({}): it must begin with `/`, without `..`, `;` or needless `%`", why.as_str())]
    Path {
        /// The path.
        path: String,
        /// Why not.
        why: Crooked,
    },
    /// Two routes of one path and host.
    #[error("the public path `{path}` stands there twice for the same host")]
    Twice {
        /// The path.
        path: String,
    },
    /// A host that is none.
    #[error("`{host}` is not a host")]
    Host {
        /// What stood there.
        host: String,
    },
    /// A header that must not travel.
    #[error(
        "the header `{header}` must not travel on a public route: it names somebody, or steers the cache"
    )]
    Header {
        /// Its name.
        header: HeaderName,
    },
    /// The bounds contradict each other.
    #[error("{what}")]
    Bounds {
        /// How.
        what: &'static str,
    },
}

/// The routes, the longest path first.
#[derive(Debug)]
pub(super) struct Routes(Vec<Arc<PublicRoute>>);

impl Routes {
    pub(super) fn of(settings: &EdgeSettings) -> Result<Self, WrongRoute> {
        bounds(settings)?;
        let mut routes: Vec<Arc<PublicRoute>> = Vec::new();
        for route in &settings.routes {
            check(route)?;
            let same = |other: &&Arc<PublicRoute>| {
                other.path == route.path
                    && (other.hosts.iter().any(|h| route.hosts.contains(h)) || other.hosts == route.hosts)
            };
            if routes.iter().find(same).is_some() {
                return Err(WrongRoute::Twice { path: route.path.clone() });
            }
            routes.push(Arc::new(route.clone()));
        }
        // A route that names its hosts goes before one that holds for all.
        routes.sort_by_key(|r| (std::cmp::Reverse(r.path.len()), r.hosts.is_empty()));
        Ok(Self(routes))
    }

    /// The route of a path, as it stands in the request.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<&Arc<PublicRoute>> {
        let at = |r: &&Arc<PublicRoute>| {
            covers(&r.path, path) && (r.hosts.is_empty() || r.hosts.iter().any(|h| h == host))
        };
        self.0.iter().find(at)
    }

    /// Does the path begin as a route of some host does?
    pub(super) fn begins_so(&self, path: &str) -> bool {
        self.0.iter().any(|r| covers(&r.path, path))
    }

    /// Does a crooked path look as if it wanted to be public: does it begin as a route does, or would it be
    /// below one once decoded?
    pub(super) fn looks_public(&self, path: &str) -> bool {
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        self.begins_so(path) || self.begins_so(&decoded)
    }

    pub(super) fn all(&self) -> &[Arc<PublicRoute>] {
        &self.0
    }
}

fn covers(route: &str, path: &str) -> bool {
    if route.len() > 1 && route.ends_with('/') { path.starts_with(route) } else { path == route }
}

fn check(route: &PublicRoute) -> Result<(), WrongRoute> {
    straight(&route.path).map_err(|why| WrongRoute::Path { path: route.path.clone(), why })?;
    for name in &route.hosts {
        let known = [Scheme::Http, Scheme::Https].iter().any(|s| host(name, *s).is_ok_and(|h| h == *name));
        if !known {
            return Err(WrongRoute::Host { host: name.clone() });
        }
    }
    let never = |h: &&HeaderName| NEVER.contains(h) || h.as_str().starts_with("domicile-");
    match route.headers.iter().find(never) {
        Some(header) => Err(WrongRoute::Header { header: header.clone() }),
        None => Ok(()),
    }
}

fn bounds(settings: &EdgeSettings) -> Result<(), WrongRoute> {
    let token = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    let name = &settings.name;
    let wrong = if name.is_empty() || !name.bytes().all(token) || !name.as_bytes()[0].is_ascii_alphabetic() {
        "the cache's name must be letters, digits, `-`, `.` and `_`, and begin with a letter"
    } else if settings.object_bytes_max == 0 || settings.memory_bytes_max / 4 < settings.object_bytes_max {
        "the memory of the cache must be at least four times its largest object"
    } else if settings.fill_bytes_max < settings.object_bytes_max {
        "what is on its way into the store must have room for the largest object"
    } else if settings.routes.len() > ROUTES_MAX {
        "there may be 256 public routes at most"
    } else {
        return Ok(());
    };
    Err(WrongRoute::Bounds { what: wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[(&str, &[&str])]) -> Result<Routes, WrongRoute> {
        let routes = paths.iter().map(|(path, hosts)| PublicRoute {
            hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
            ..PublicRoute::new(path, "public")
        });
        Routes::of(&EdgeSettings { routes: routes.collect(), ..EdgeSettings::default() })
    }

    #[test]
    fn the_longest_path_of_the_host_counts() {
        let routes = routes(&[
            ("/", &[]),
            ("/static/", &[]),
            ("/static/big/", &[]),
            ("/static/", &["img.shop.example"]),
            ("/robots.txt", &[]),
        ])
        .unwrap();
        let found = |host, path| routes.find(host, path).map(|r| (r.path.clone(), r.hosts.len()));
        assert_eq!(found("a", "/"), Some(("/".into(), 0)));
        assert_eq!(found("a", "/account"), None);
        assert_eq!(found("a", "/static/x.css"), Some(("/static/".into(), 0)));
        assert_eq!(found("img.shop.example", "/static/x.css"), Some(("/static/".into(), 1)));
        assert_eq!(found("a", "/static/big/x"), Some(("/static/big/".into(), 0)));
        assert_eq!(found("a", "/static"), None);
        assert_eq!(found("a", "/robots.txt"), Some(("/robots.txt".into(), 0)));
        assert_eq!(found("a", "/robots.txt/x"), None);
        assert_eq!(found("a", "/STATIC/x.css"), None);
    }

    #[test]
    fn settings_that_contradict_themselves_are_refused() {
        for (paths, says) in [
            (&[("static/", &[][..])][..], "not plain (byte)"),
            (&[("/a/../b/", &[])], "not plain (segment)"),
            (&[("/a/", &[]), ("/a/", &[])], "twice"),
            (&[("/a/", &["x", "y"]), ("/a/", &["y"])], "twice"),
            (&[("/a/", &["X.example"])], "not a host"),
            (&[("/a/", &["x/y"])], "not a host"),
        ] {
            let wrong = routes(paths).unwrap_err().to_string();
            assert!(wrong.contains(says), "{wrong}");
        }
        let with = |header: &'static str| {
            let headers = vec![HeaderName::from_static(header)];
            let route = PublicRoute { headers, ..PublicRoute::new("/a/", "public") };
            Routes::of(&EdgeSettings { routes: vec![route], ..EdgeSettings::default() })
        };
        for header in ["cookie", "authorization", "host", "domicile-region", "if-none-match"] {
            assert!(matches!(with(header), Err(WrongRoute::Header { .. })), "{header}");
        }
        assert!(with("user-agent").is_ok());
        let small = EdgeSettings { memory_bytes_max: 8 << 20, ..EdgeSettings::default() };
        assert!(matches!(Routes::of(&small), Err(WrongRoute::Bounds { .. })));
    }
}
