//! From a socket to requests: addresses, PROXY protocol, TLS, HTTP/1.1 and HTTP/2, and an end in which nobody is cut off.

mod accept;
mod expiry;
pub(crate) mod fuzzed;
mod limits;
mod line;
mod peer;
mod proxy_protocol;
mod pulse;
mod tls;

pub use accept::{CONNECTIONS, Listener, Stop, serve};
pub use expiry::{CERTIFICATE_ENDS, Standing, Validity, WARN_BEFORE};
pub use hyper::body::Incoming;
pub use limits::ConnectionLimits;
pub use peer::Peer;
pub(crate) use tls::client_tls;
pub use tls::{Certificate, TlsError};
