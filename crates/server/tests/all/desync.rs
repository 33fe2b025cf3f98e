//! What is sent on has the length that it says: else the next request on the same connection begins inside this one.

use crate::town::Town;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The request lines that an application reads which answers before it reads a body, as many do.
#[derive(Clone, Default)]
struct Early(Arc<Mutex<Vec<String>>>);

impl Early {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let me = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(me.clone().serve(stream));
            }
        });
        address
    }

    async fn serve(self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).await.ok().filter(|n| *n > 0)?;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
                if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = said.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            self.0.lock().unwrap().push(first.trim().to_owned());
            if first.contains("/switches") {
                stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.ok()?;
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.ok()?;
            stream.read_exact(&mut vec![0; length]).await.ok()?;
        }
    }
}

/// A request for another protocol goes on without its body, so it must not announce one.
#[tokio::test]
async fn an_upgrade_that_is_declined_swallows_nobodys_request() {
    let town = Town::new().await;
    let early = Early::default();
    let gateway = town.beside(early.start().await).await;
    let upgrade =
        "GET /attack HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";
    for (turn, body) in
        ["Content-Length: 40\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"].iter().enumerate()
    {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(format!("{upgrade}{body}").as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        let (status, body) = gateway.ask("POST", "/victim", "bob", "hello").await;
        let seen = early.0.lock().unwrap().clone();
        assert_eq!(status, 200, "{turn}: {body}; {seen:?}");
        assert_eq!(seen.last().map(String::as_str), Some("POST /victim HTTP/1.1"), "{turn}: {seen:?}");
        assert!(seen.iter().all(|line| line.ends_with("HTTP/1.1")), "{turn}: {seen:?}");
    }
}

/// HTTP/2 says by a flag that a request has no body; what its `content-length` says besides is not sent on.
#[tokio::test]
async fn a_length_beside_no_body_swallows_nobodys_request() {
    let town = Town::new().await;
    let early = Early::default();
    let gateway = town.beside(early.start().await).await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    for method in ["GET", "POST"] {
        let uri = format!("http://{}/attack", gateway.address);
        let attack = Request::builder().method(method).uri(uri).header("x-subject", "ann");
        let attack = attack.header("content-length", "40").body(Full::default()).unwrap();
        if let Ok(answer) = client.request(attack).await {
            let _ = answer.into_body().collect().await;
        }
        let (status, body) = gateway.ask("POST", "/victim", "bob", "hello").await;
        let seen = early.0.lock().unwrap().clone();
        assert_eq!(status, 200, "{method}: {body}; {seen:?}");
        assert_eq!(seen.last().map(String::as_str), Some("POST /victim HTTP/1.1"), "{method}: {seen:?}");
        assert!(seen.iter().all(|line| line.ends_with("HTTP/1.1")), "{method}: {seen:?}");
    }
}

/// An application that switches protocols unasked has answered nothing: what it says next would be read as HTTP.
#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_no_answer() {
    let town = Town::new().await;
    let gateway = town.beside(Early::default().start().await).await;
    for method in ["GET", "POST"] {
        let (status, body) = gateway.ask(method, "/switches", "ann", "").await;
        assert_eq!((status.as_u16(), body.contains("broke off")), (502, true), "{method}: {body}");
    }
}
