//! What strangers send: each gets the right status, is counted, and harms nobody else.

use crate::town::Town;
use domicile_server::gateway::Limits;
use domicile_server::listen::ConnectionLimits;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEAD: &str = "POST /w HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\n";

/// One request that two parsers could read as two: refused, and nothing of it reaches an application.
#[tokio::test]
async fn smuggling_is_refused() {
    let town = Town::new().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\n\r\n";
    for (name, headers, body) in [
        ("TE.TE", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
        ("TE odd", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ("TE space", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        ("CL.CL", "Content-Length: 0\r\nContent-Length: 5\r\n", ""),
        ("CL sign", "Content-Length: +5\r\n", ""),
        ("obs-fold", "X-A: 1\r\n Transfer-Encoding: chunked\r\n", ""),
        ("bare CR", "X-A: 1\rTransfer-Encoding: chunked\r\n", ""),
        ("NUL", "X-A: 1\0\r\n", ""),
        ("no colon", "X-A\r\n", ""),
        ("two hosts", "Host: b\r\nContent-Length: 0\r\n", ""),
    ] {
        let answer = town.raw(format!("{HEAD}{headers}\r\n{body}{smuggled}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
    }
    assert_eq!(town.old.count(), 0, "{:?}", town.old.seen.lock().unwrap());
}

/// With both a length and a coding the length counts for nothing, nothing after the body is read, and what is forwarded has one
/// of them (RFC 9112 section 6.1).
#[tokio::test]
async fn a_length_beside_a_coding_is_dropped_and_nothing_follows() {
    let town = Town::new().await;
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\n\r\n";
        let answer = town.raw(format!("{HEAD}{headers}\r\n3\r\nabc\r\n0\r\n\r\n{smuggled}").as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    for seen in town.old.seen.lock().unwrap().iter() {
        assert_eq!((seen.path.as_str(), &seen.body[..]), ("/w", &b"abc"[..]));
        let both =
            seen.headers.contains_key("content-length") && seen.headers.contains_key("transfer-encoding");
        assert!(!both, "{seen:?}");
    }
}

/// A malformed chunk ends the connection, and the application is not shown a whole request.
#[tokio::test]
async fn malformed_chunks_are_no_body() {
    let town = Town::new().await;
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "-1\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
    ] {
        let answer = town
            .raw(format!("{HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunks}").as_bytes())
            .await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{chunks:?}: {answer}");
    }
    let whole = town.old.seen.lock().unwrap().iter().filter(|seen| !seen.body.is_empty()).count();
    assert_eq!(whole, 0);
}

/// A line that ends with LF alone is read as a line (RFC 9112 section 2.2), and what is forwarded has none.
#[tokio::test]
async fn bare_lf_is_one_request() {
    let town = Town::new().await;
    let answer = town.raw(b"GET /lf HTTP/1.1\nHost: a\nX-Subject: ann\nConnection: close\n\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
    assert!(town.old.count() <= 1);
}

#[tokio::test]
async fn heads_have_their_bounds() {
    let town = Town::new().await;
    let long = format!("{HEAD}X-Long: {}\r\n\r\n", "x".repeat(100_000));
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    for request in [
        long,
        format!("{HEAD}{many}\r\n"),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100_000)),
    ] {
        let answer = town.raw(request.as_bytes()).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(["400", "414", "431"].contains(&status), "{}", &answer[..answer.len().min(200)]);
    }
    assert_eq!(town.old.count(), 0);
}

/// Whoever sends a byte now and then is hung up on, in the head and in the body.
#[tokio::test]
async fn slow_clients_hold_nothing() {
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let town = Town::with(
        limits,
        ConnectionLimits { head: Duration::from_millis(300), ..ConnectionLimits::default() },
    )
    .await;
    for begin in ["GET / HT".to_owned(), format!("{HEAD}Content-Length: 100\r\n\r\nabc")] {
        let mut stream = TcpStream::connect(town.address).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{begin}");
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    }
    assert_eq!(town.old.seen.lock().unwrap().iter().filter(|s| s.body.len() == 100).count(), 0);
}

/// Thousands of idle connections cost a place each, and others are served beside them up to the bound.
#[tokio::test]
async fn idle_connections_are_bounded() {
    let limits = ConnectionLimits {
        connections: 200,
        head: Duration::from_millis(500),
        ..ConnectionLimits::default()
    };
    let town = Town::with(Limits::default(), limits).await;
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(TcpStream::connect(town.address).await.unwrap());
    }
    // The first two hundred are hung up on, and make room.
    let (status, _) = town.ask("GET", "/", "ann", "").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn connect_and_absolute_forms_are_no_way_out() {
    let town = Town::new().await;
    let answer = town.raw(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    let answer = town
        .raw(b"GET http://evil.example/x HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// An application that is down, resets, or lies about its length: 502, and a write is never sent twice.
#[tokio::test]
async fn broken_applications() {
    let town = Town::new().await;
    let broken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = broken.local_addr().unwrap();
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = broken.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut some = [0; 2000];
            let n = stream.read(&mut some).await.unwrap_or(0);
            if String::from_utf8_lossy(&some[..n]).contains("/short") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this").await;
            }
        }
    });
    let second = town.beside(address).await;
    let (status, body) = second.ask("POST", "/w", "ann", "x").await;
    assert_eq!((status.as_u16(), body.contains("broke off")), (502, true), "{body}");
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1, "a write is never sent twice");
    let (status, _) = second.ask("GET", "/r", "ann", "").await;
    assert_eq!(status, 502);
    assert!(asked.load(std::sync::atomic::Ordering::SeqCst) > 2, "a read is");
    let short = second.answer("GET", "/short", "ann", "").await;
    assert_eq!(short.status(), 200);
    use http_body_util::BodyExt;
    assert!(short.into_body().collect().await.is_err(), "a short body is not passed off as a whole one");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let third = town.beside(nobody).await;
    let (status, body) = third.ask("POST", "/w", "ann", "x").await;
    assert_eq!((status.as_u16(), body.contains("not there")), (502, true), "{body}");
}
