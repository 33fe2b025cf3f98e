//! Connections that are not a request and its answer: WebSockets, event streams, TLS, PROXY headers.

use crate::town::Town;
use domicile_server::listen::{Certificate, ConnectionLimits, Listener, Stop, serve};
use http::StatusCode;
use http_body_util::BodyExt;
use rustls::pki_types::pem::PemObject;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SWITCH: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Reads until `end` has come.
async fn read_until(stream: &mut (impl tokio::io::AsyncRead + Unpin), end: &str) -> String {
    let mut read = String::new();
    while !read.ends_with(end) {
        let byte = tokio::time::timeout(Duration::from_secs(20), stream.read_u8()).await;
        read.push(char::from(byte.expect("in time").expect("a byte")));
    }
    read
}

/// A WebSocket passes both ways, and ends when its subject moves: its client comes back and is brought to the new home.
#[tokio::test]
async fn a_websocket_ends_when_its_subject_moves() {
    let town = Town::new().await;
    let mut stream = TcpStream::connect(town.address).await.unwrap();
    stream.write_all(SWITCH).await.unwrap();
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.to_lowercase().contains("upgrade: websocket"),
        "{head}"
    );
    for said in ["hello", "again"] {
        stream.write_all(said.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut stream, said).await, said);
    }
    assert_eq!(town.gateway.gauges()[2].2, 1);
    town.move_to("bob", "old", "new").await;
    stream.write_all(b"still").await.unwrap();
    assert_eq!(read_until(&mut stream, "still").await, "still", "another's move is nothing to it");
    town.move_to("ann", "old", "new").await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty());
    let mut stream = TcpStream::connect(town.address).await.unwrap();
    stream.write_all(SWITCH).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!((town.old.count(), town.new.count()), (1, 1));
    drop(stream);
    town.until("no tether left", || town.gateway.gauges()[2].2 == 0).await;
}

/// An event stream passes as it comes, and ends in the same way.
#[tokio::test]
async fn an_event_stream_ends_when_its_subject_moves() {
    let town = Town::new().await;
    let answer = town.answer("GET", "/events", "ann", "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut events = answer.into_body();
    assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
    town.move_to("ann", "old", "new").await;
    let end = tokio::time::timeout(Duration::from_secs(20), events.frame()).await.expect("in time");
    assert!(end.is_none(), "{end:?}");
}

fn pair(folder: &Path, name: &str) -> rustls::pki_types::CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    rustls::pki_types::CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap()
}

async fn ask(
    address: SocketAddr,
    trusted: &rustls::pki_types::CertificateDer<'static>,
    before: &[u8],
) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(before).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
    stream
        .write_all(b"GET /tls HTTP/1.1\r\nHost: localhost\r\nX-Subject: ann\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// TLS behind a PROXY header: the application hears of the client's address, and that it was encrypted. A certificate that
/// is read again counts for the next connection.
#[tokio::test]
async fn tls_behind_a_proxy_header_and_a_new_certificate() {
    let town = Town::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (pair(folder.path(), "used"), pair(folder.path(), "next"));
    let certificate =
        Certificate::read(&folder.path().join("used.pem"), &folder.path().join("used.key")).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(any, Some(certificate.clone()), true, ConnectionLimits::default()).unwrap();
    let address = listener.address().unwrap();
    let gateway = town.gateway.clone();
    tokio::spawn(serve(listener, Stop::default(), move |peer, request| {
        gateway.clone().answer(peer, request)
    }));
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n";
    let answer = ask(address, &first, header).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let seen = town.old.seen.lock().unwrap().last().unwrap().clone();
    assert_eq!(
        (&seen.headers["x-forwarded-for"], &seen.headers["x-forwarded-proto"]),
        (&"192.0.2.7".parse().unwrap(), &"https".parse().unwrap())
    );
    assert!(ask(address, &first, b"").await.is_err(), "without the header nobody is let in");
    assert!(ask(address, &second, header).await.is_err(), "not this certificate yet");
    std::fs::copy(folder.path().join("next.pem"), folder.path().join("used.pem")).unwrap();
    std::fs::copy(folder.path().join("next.key"), folder.path().join("used.key")).unwrap();
    certificate.reload().unwrap();
    assert!(ask(address, &second, header).await.unwrap().starts_with("HTTP/1.1 200 "));
    assert!(ask(address, &first, header).await.is_err());
}
