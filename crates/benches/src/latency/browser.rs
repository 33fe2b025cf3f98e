//! A user's browser, modelled plainly: one HTTP/2 connection over TLS 1.3, no resumption, the name resolved already.
//!
//! - *cold*: a new connection and a small personal answer: TCP, TLS, request.
//! - *warm*: the same on the connection that is there.
//! - *page*: a new connection, the document first, then twelve files at once.
//! - *photo*: a new connection, one large body, until the answer.

use crate::Fallible;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The host that the certificate names.
pub const HOST: &str = "localhost";
/// KiB of the page's files: a style sheet, scripts, pictures; 224 KiB together, which is an estimate of a small page.
const FILES_KIB: [u32; 12] = [4, 6, 8, 10, 12, 14, 16, 20, 24, 30, 36, 44];
/// Warm requests on a connection.
const WARM: usize = 3;

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Errand {
    /// The gateway, or what is in front of it.
    pub address: SocketAddr,
    /// PEM file of the certificate to trust.
    pub certificate: PathBuf,
    /// Who asks.
    pub subject: String,
    /// How often everything is visited.
    pub repeats: usize,
    /// Instead of a visit: a photo of so many bytes.
    pub photo_bytes: Option<usize>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// ms.
    pub cold: Vec<f64>,
    /// ms.
    pub warm: Vec<f64>,
    /// ms.
    pub page: Vec<f64>,
    /// ms.
    pub photo: Vec<f64>,
    /// Files that came from a cache's store.
    pub edge_hits: usize,
    /// The regions whose databases answered, by what the application says.
    pub regions: BTreeSet<String>,
}

/// The process: an errand as JSON, what came of it on standard output. It ends with its standard input.
pub async fn run(errand: &str) -> Fallible<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let seen = go(&serde_json::from_str(errand)?).await?;
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

/// Does it.
pub async fn go(errand: &Errand) -> Fallible<Seen> {
    let browser = Browser::new(errand)?;
    match errand.photo_bytes {
        Some(bytes) => browser.photo(bytes).await,
        None => browser.visits(errand.repeats).await,
    }
}

struct Browser {
    address: SocketAddr,
    subject: String,
    tls: TlsConnector,
}

impl Browser {
    fn new(errand: &Errand) -> Fallible<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&errand.certificate)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            address: errand.address,
            subject: errand.subject.clone(),
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn visits(&self, repeats: usize) -> Fallible<Seen> {
        let mut seen = Seen::default();
        for _ in 0..repeats {
            let began = Instant::now();
            let mut connection = self.connect().await?;
            let answered_by = self.small(&mut connection).await?;
            seen.cold.push(ms(began));
            seen.regions.insert(answered_by);
            for _ in 0..WARM {
                let began = Instant::now();
                let answered_by = self.small(&mut connection).await?;
                seen.warm.push(ms(began));
                seen.regions.insert(answered_by);
            }
            self.page(&mut seen).await?;
        }
        Ok(seen)
    }

    async fn page(&self, seen: &mut Seen) -> Fallible<()> {
        let began = Instant::now();
        let mut connection = self.connect().await?;
        let document = self.ask(&mut connection, Method::GET, "/notes", Bytes::new()).await?;
        let files = FILES_KIB.map(|kib| {
            let mut connection = connection.clone();
            async move {
                self.ask(&mut connection, Method::GET, &format!("/static/{kib}k.bin"), Bytes::new()).await
            }
        });
        let files = futures::future::try_join_all(files).await?;
        seen.page.push(ms(began));
        seen.regions.insert(said(&document, "sample-region").to_owned());
        seen.edge_hits += files.iter().filter(|file| said(file, "cache-status").contains("; hit")).count();
        Ok(())
    }

    async fn photo(&self, bytes: usize) -> Fallible<Seen> {
        let body = Bytes::from((0..bytes).map(|n| (n % 251) as u8).collect::<Vec<u8>>());
        let began = Instant::now();
        let mut connection = self.connect().await?;
        let answer = self.ask(&mut connection, Method::POST, "/photos/holiday", body).await?;
        let regions = BTreeSet::from([said(&answer, "sample-region").to_owned()]);
        Ok(Seen { photo: vec![ms(began)], regions, ..Seen::default() })
    }

    async fn small(&self, connection: &mut SendRequest<Full<Bytes>>) -> Fallible<String> {
        let answer = self.ask(connection, Method::GET, "/whoami", Bytes::new()).await?;
        Ok(said(&answer, "sample-region").to_owned())
    }

    async fn connect(&self) -> Fallible<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from(HOST)?, stream).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // Ends with its sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Until the last byte of the answer, which must be a success.
    async fn ask(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Fallible<Response<Bytes>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{HOST}{path}"))
            .header("x-subject", &self.subject)
            .body(Full::new(body))?;
        connection.ready().await?;
        let (head, body) = connection.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if !matches!(head.status, StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT) {
            return Err(format!("{path}: {}: {}", head.status, String::from_utf8_lossy(&body)).into());
        }
        Ok(Response::from_parts(head, body))
    }
}

fn said<'a>(answer: &'a Response<Bytes>, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}
