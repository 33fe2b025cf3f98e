//! GET /metrics and /healthz, and nothing else: one request a connection, bounded in size, time and number.
//!
//! A server of a whole HTTP library would be ten times this file's size; what is served is two texts.

use super::Metrics;
use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::screen::Screen;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A request's head at most.
const HEAD_BYTES: usize = 8 * 1024;
/// A request from its first byte to the answer's last.
const REQUEST: Duration = Duration::from_secs(30);
/// Requests at once: whoever comes beside them is hung up on.
const AT_ONCE: usize = 8;

/// Serves at the address typed, or the configuration's; `None`: at neither, so nothing is counted.
pub async fn begin(typed: &Typed<'_>, config: &Config, screen: &Screen) -> Result<Option<Arc<Metrics>>> {
    let Some(text) = typed.address.or(config.metrics.listen.as_deref()) else { return Ok(None) };
    let address = address(text, typed.off_loopback || config.metrics.off_loopback)?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let what = format!("metrics can't be served at {address}: {error}");
        Failure::usage(
            "metrics-address",
            what,
            "each process needs an address of its own",
            "name another port",
        )
    })?;
    if let Ok(address) = listener.local_addr() {
        screen.say(&format!("metrics: http://{address}/metrics"));
    }
    let metrics = Arc::<Metrics>::default();
    tokio::spawn(serve(listener, metrics.clone()));
    Ok(Some(metrics))
}

/// Whether the configuration's address can be one; where, if it names one.
pub fn configured(config: &Config) -> Result<Option<SocketAddr>> {
    config.metrics.listen.as_deref().map(|text| address(text, config.metrics.off_loopback)).transpose()
}

/// What was typed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Typed<'a> {
    /// `--metrics`
    pub address: Option<&'a str>,
    /// `--metrics-off-loopback`
    pub off_loopback: bool,
}

/// An address, or a port of loopback. Whoever reaches it reads how much moves where, so the world is said
/// explicitly.
fn address(text: &str, off_loopback: bool) -> Result<SocketAddr> {
    let port = text.parse().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
    let address: SocketAddr = port.or_else(|_| text.parse()).map_err(|_| {
        let what = format!("`{text}` is not an address to serve metrics at");
        let why = "it has an IP address and a port, or is a port alone, of this machine";
        Failure::usage("metrics-address", what, why, "for example 127.0.0.1:9464 or [::1]:9464")
    })?;
    if address.ip().is_loopback() || off_loopback {
        return Ok(address);
    }
    Err(Failure::usage(
        "metrics-address",
        format!("metrics at {address} could be read by other machines"),
        "there is no password on them: they say how many subjects move from where to where, and nothing of any subject",
        "serve them at 127.0.0.1, or add: --metrics-off-loopback (off_loopback = true in [metrics])",
    ))
}

async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: the wave needs them more.
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            // Whoever hangs up, or is too slow, asks again.
            let _ = tokio::time::timeout(REQUEST, answer(stream, &metrics)).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let Some(head) = head(&mut stream).await? else {
        return send(&mut stream, "400 Bad Request", "the request's head is not HTTP, or too long\n", true)
            .await;
    };
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let whole = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return send(&mut stream, "405 Method Not Allowed", "GET or HEAD\n", true).await,
    };
    match target.split('?').next() {
        Some("/metrics") => send(&mut stream, "200 OK", &metrics.text().await, whole).await,
        Some("/healthz") => send(&mut stream, "200 OK", "ok\n", whole).await,
        _ => send(&mut stream, "404 Not Found", "/metrics or /healthz\n", whole).await,
    }
}

/// The request's head; `None` where it is none.
async fn head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let n = stream.read(&mut piece).await?;
        if n == 0 || head.len() + n > HEAD_BYTES {
            return Ok(None);
        }
        head.extend_from_slice(&piece[..n]);
    }
    Ok(String::from_utf8(head).ok())
}

async fn send(stream: &mut TcpStream, status: &str, body: &str, whole: bool) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if whole {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_said_explicitly() {
        let of = |text, off| address(text, off).map(|a| a.to_string()).map_err(|f| f.code);
        assert_eq!(of("9464", false), Ok("127.0.0.1:9464".to_owned()));
        assert_eq!(of("[::1]:9464", false), Ok("[::1]:9464".to_owned()));
        assert_eq!(of("0.0.0.0:9464", false), Err("metrics-address"));
        assert_eq!(of("0.0.0.0:9464", true), Ok("0.0.0.0:9464".to_owned()));
        assert_eq!(of("localhost", false), Err("metrics-address"));
    }

    async fn asked(port: u16, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn two_texts_are_served_and_nothing_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, Arc::default()));
        let metrics = asked(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
        assert!(metrics.contains("# TYPE domicile_subjects_moved_total counter\n"), "{metrics}");
        let whole = asked(port, b"GET /healthz HTTP/1.0\r\n\r\n").await;
        assert!(whole.ends_with("\r\n\r\nok\n"), "{whole}");
        let head = asked(port, b"HEAD /healthz HTTP/1.1\r\n\r\n").await;
        assert!(head.ends_with("Content-Length: 3\r\nConnection: close\r\n\r\n"), "{head}");
        for (request, status) in [
            (&b"GET /etc/passwd HTTP/1.1\r\n\r\n"[..], "404"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"\xff\xfe\r\n\r\n", "400"),
        ] {
            let answer = asked(port, request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
    }
}
