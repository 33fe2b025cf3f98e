//! A content delivery network that is already there: the rules of the declared public routes in its own words
//! ([`nginx`], [`varnish`]), and a check from outside that it obeys ([`check`]).

mod check;
mod client;
mod crooked;
mod echo;
mod nginx;
mod probe;
mod varnish;

pub use check::{Finding, Report, check};
pub use client::{Client, Fetched};
pub use echo::Echo;
pub use nginx::nginx;
pub use probe::Probes;
pub use varnish::varnish;

use http::Uri;

/// The straight path of the edge cache (`edge::straight`) as a regular expression over the request's raw target,
/// for PCRE: `%` in large digits and only where needed, no `;`, no empty segment, none that ends with a dot or a
/// space. What it can't say (UTF-8, characters that fold into others) is in [`FOLDED`].
pub(crate) const STRAIGHT: &str = concat!(
    "^(?:/(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%(?:2[0-24678-9ABC]|3[ACDE]|40|5[BDE]|60|7[BCD]|[89A-F][0-9A-F]))*",
    "(?:[A-Za-z0-9_~!$&'()*+,=:@-]|%(?:2[124678-9ABC]|3[ACDE]|40|5[BDE]|60|7[BCD]|[89A-F][0-9A-F])))*/?(?:[?].*)?$"
);

/// Encoded characters that some frameworks fold into `/`, `\`, `.`, `;`, `%`, `?` or `#`: those of `edge::straight`.
pub(crate) const FOLDED: &str = concat!(
    "%CD%BE|%E2%80%A[456]|%E2%81%8[4789]|%E2%84%8[0156]|%E2%88%95|%E2%92%(?:8[89A-F]|9[0-9AB])|%E3%8F%(?:82|87|98)|",
    "%EF%B8%(?:94|96|99|B0)|%EF%B9%(?:92|94|96|9F|A8|AA)|%EF%BC%(?:83|85|8[EF]|9B|9F|BC)|%F0%9F%84%80"
);

/// The origin behind the network, for its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Host without a port.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Does it speak TLS?
    pub tls: bool,
}

impl Origin {
    /// Of `http://HOST[:PORT]` or `https://HOST[:PORT]`, nothing behind it.
    pub fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let bare = uri.path() == "/" && uri.query().is_none() && !uri.authority()?.as_str().contains('@');
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = crate::edge::host(uri.host()?, crate::edge::Scheme::Https).ok()?;
        bare.then_some(Self { host, port, tls })
    }
}

#[cfg(test)]
mod tests;
