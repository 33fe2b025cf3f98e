//! What callers may take.

use crate::stage::{Stage, TOKEN};
use domicile_server::directory::DirectoryLimits;
use http::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends these bytes, then nothing more, and reads to the end.
async fn send(stage: &Stage, bytes: &str) -> String {
    let mut stream = TcpStream::connect(stage.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/services/shop/homes HTTP/1.1\r\nhost: d\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_has_a_size_and_a_time() {
    let limits =
        DirectoryLimits { body_bytes: 100, body: Duration::from_millis(200), ..DirectoryLimits::default() };
    let stage = Stage::with(limits, BTreeMap::new()).await;
    let large =
        stage.post("/v1/services/shop/homes", json!({ "subject": "x".repeat(100), "country": "FR" })).await;
    assert_eq!((large.status.as_u16(), large.code().as_str()), (413, "too-large"));
    let slow = send(&stage, &format!("{}{{", head(50))).await;
    assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("too-slow"), "{slow}");
    let small = stage.post("/v1/services/shop/homes", json!({ "subject": "ann", "country": "FR" })).await;
    assert_eq!(small.status.as_u16(), 201);
}

/// Two requests are being answered, whose bodies do not come: the third one is to come again.
#[tokio::test]
async fn so_many_requests_are_answered_at_once() {
    let limits = DirectoryLimits { requests: 2, ..DirectoryLimits::default() };
    let stage = Stage::with(limits, BTreeMap::new()).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(stage.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(format!("{}{{", head(50)).as_bytes()).await.unwrap();
        held.push(stream);
    }
    let busy = loop {
        let answer = stage.get("/v1/services/shop/homes/ann").await;
        // Until the server has come to both.
        if answer.status.as_u16() != 404 {
            break answer;
        }
    };
    assert_eq!((busy.status.as_u16(), busy.code().as_str()), (503, "busy"));
    assert_eq!(busy.headers["retry-after"], "1");
    drop(held);
    while stage.get("/v1/services/shop/homes/ann").await.status.as_u16() == 503 {}
}

#[tokio::test]
async fn a_head_that_is_none_is_no_request() {
    let stage = Stage::start().await;
    let long = format!("GET /v1/services/shop/homes/{} HTTP/1.1\r\nhost: d\r\n\r\n", "x".repeat(70_000));
    for bad in
        ["\r\n\r\n\r\nGET", "GET / HTTP/9.9\r\n\r\n", &long, "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03"]
    {
        let mut stream = TcpStream::connect(stage.url.trim_start_matches("http://")).await.unwrap();
        let _ = stream.write_all(bad.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(
            !answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 5"),
            "{bad:.40}: {answer}"
        );
    }
    assert_eq!(stage.ask(Method::GET, "/openapi.json", &[], None).await.status.as_u16(), 200);
}
