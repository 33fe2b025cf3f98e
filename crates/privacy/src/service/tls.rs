//! Certificates for the relays of the test, and one request to a relay that has one.

use rcgen::generate_simple_self_signed;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// A certificate that proves itself, and its key, in PEM.
pub struct Made {
    pub certificate: String,
    pub key: String,
}

/// Makes one for a host.
///
/// # Errors
/// In words: the library's own.
pub fn make(name: &str) -> Result<Made, String> {
    let made = generate_simple_self_signed(vec![name.to_owned()]).map_err(|e| format!("{name}: {e}"))?;
    Ok(Made { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() })
}

/// The body of what a host answers to a GET.
///
/// # Errors
/// In words: no connection, no trust, or an answer that is none.
pub fn get(at: SocketAddr, name: &str, roots_pem: &str, path: &str) -> Result<String, String> {
    let said = |e: &dyn std::fmt::Display| format!("{name}: {e}");
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
        roots.add(root.map_err(|e| said(&e))?).map_err(|e| said(&e))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| said(&e))?.with_root_certificates(roots).with_no_client_auth();
    let host = ServerName::try_from(name.to_owned()).map_err(|e| said(&e))?;
    let connection = ClientConnection::new(Arc::new(config), host).map_err(|e| said(&e))?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(at).map_err(|e| said(&e))?);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")
        .map_err(|e| said(&e))?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // Not every server says that TLS ends before the connection does; the answer's own length tells whether it is whole.
        Err(e) if e.kind() != ErrorKind::UnexpectedEof => return Err(said(&e)),
        _ => {}
    }
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(format!("{path} answers {answer}")),
    }
}
