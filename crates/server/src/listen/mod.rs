//! From a socket to requests: addresses, PROXY protocol, TLS, HTTP/1.1 and HTTP/2, and an end in which nobody is cut off.

mod accept;
mod limits;
mod line;
mod peer;
mod proxy_protocol;
mod tls;

pub use accept::{Listener, Stop, serve};
pub use hyper::body::Incoming;
pub use limits::ConnectionLimits;
pub use peer::Peer;
pub use tls::{Certificate, TlsError};
