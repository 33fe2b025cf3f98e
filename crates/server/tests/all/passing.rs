//! Requests that simply pass: to the right home, as they were, over both versions of HTTP.

use crate::town::Town;
use bytes::Bytes;
use domicile_server::gateway::Limits;
use domicile_server::listen::ConnectionLimits;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_request_goes_to_its_subjects_home() {
    let town = Town::new().await;
    town.move_to("bob", "old", "new").await;
    assert_eq!(town.ask("POST", "/notes?a=1", "ann", "hello").await, (StatusCode::OK, "hello".into()));
    assert_eq!(town.ask("GET", "/notes", "bob", "").await.0, StatusCode::OK);
    let seen = town.old.seen.lock().unwrap()[0].clone();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str(), &seen.body[..]),
        ("POST", "/notes?a=1", &b"hello"[..])
    );
    assert_eq!(
        (&seen.headers["domicile-region"], &seen.headers["domicile-epoch"]),
        (&"old".parse().unwrap(), &"1".parse().unwrap())
    );
    assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen.headers["x-forwarded-proto"], "http");
    assert_eq!(seen.headers["host"], town.address.to_string());
    let seen = town.new.seen.lock().unwrap()[0].clone();
    assert_eq!(
        (&seen.headers["domicile-region"], &seen.headers["domicile-epoch"]),
        (&"new".parse().unwrap(), &"2".parse().unwrap())
    );
}

#[tokio::test]
async fn an_answer_comes_back_without_the_connections_own_headers() {
    let town = Town::new().await;
    let answer = town.answer("GET", "/", "ann", "").await;
    assert_eq!(answer.headers()["x-answer"], "yes");
    assert!(!answer.headers().contains_key("x-gone") && !answer.headers().contains_key("connection"));
}

#[tokio::test]
async fn http_2_is_the_same() {
    let town = Town::new().await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let requests = (0..50).map(|n| {
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://{}/{n}", town.address))
            .header("x-subject", "ann");
        client.request(request.body(Full::new(Bytes::from(n.to_string()))).unwrap())
    });
    for (n, answer) in futures::future::join_all(requests).await.into_iter().enumerate() {
        let answer = answer.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), n.to_string());
    }
    assert_eq!(town.old.count(), 50);
    assert_eq!(town.old.seen.lock().unwrap()[0].headers["host"], town.address.to_string());
}

#[tokio::test]
async fn who_has_no_home_is_not_guessed() {
    let town = Town::new().await;
    let (status, body) = town.ask("GET", "/", "nobody", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains(r#""code":"unknown-home""#), "{body}");
    let answer = town.raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("no-subject"), "{answer}");
    assert_eq!((town.old.count(), town.new.count()), (0, 0));
    town.directory.register("shop", "new", &[crate::town::id("nobody")]).await.unwrap();
    assert_eq!(town.ask("GET", "/", "nobody", "").await.0, StatusCode::OK, "that there is none is not kept");
}

/// A region that came later: whoever moved there is not told to be gone, and comes back when the gateway knows it.
#[tokio::test]
async fn who_lives_in_a_region_unknown_here_is_not_unknown() {
    let town = Town::new().await;
    assert_eq!(town.ask("GET", "/", "ann", "").await.0, StatusCode::OK);
    town.move_to("ann", "old", "mars").await;
    let moved =
        || town.gateway.counts.all().iter().any(|c| c.0 == "domicile_gateway_home_changes_total" && c.3 == 1);
    town.until("the move is heard of", moved).await;
    let (status, body) = town.ask("GET", "/", "ann", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(body.contains(r#""code":"unknown-region""#), "{body}");
    let (status, body) = town.ask("POST", "/people", "ann", r#"{"id":"ann","country":"IN"}"#).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert_eq!((town.old.count(), town.new.count()), (1, 0));
}

/// A body of 20 MB streams both ways and is the same.
#[tokio::test]
async fn a_large_body_streams() {
    let town = Town::new().await;
    let body = "0123456789abcdef".repeat(20 * 65536);
    let (status, back) = town.ask("POST", "/photo", "ann", &body).await;
    assert_eq!(status, StatusCode::OK);
    assert!(back == body);
}

/// Once it is asked to end, a gateway finishes the request it is at, and accepts no other.
#[tokio::test]
async fn an_end_cuts_nobody_off() {
    let town = Town::new().await;
    let held = town.old.hold.clone().write_owned().await;
    let asked = {
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://{}/", town.address))
            .header("x-subject", "ann");
        tokio::spawn(town.client.request(request.body(Full::new(Bytes::from("last"))).unwrap()))
    };
    town.until("the request", || town.old.under_way.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    town.stop.stop();
    town.until("the end of listening", || std::net::TcpStream::connect(town.address).is_err()).await;
    drop(held);
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "last");
}

/// A sign-up goes where policy says, by the account's country, and its subject has a home from then on.
#[tokio::test]
async fn a_new_subject_is_placed_by_policy() {
    let town = Town::new().await;
    let body = r#"{"id":"carol","country":"IN","email":"carol@example.com"}"#;
    assert_eq!(town.ask("POST", "/people", "", body).await, (StatusCode::OK, body.into()));
    assert_eq!((town.old.count(), town.new.count()), (0, 1));
    assert_eq!(town.ask("GET", "/me", "carol", "").await.0, StatusCode::OK);
    assert_eq!(town.new.count(), 2);
    // Sent again, with whatever country: who has a home keeps it.
    let again = r#"{"id":"carol","country":"DE"}"#;
    assert_eq!(town.ask("POST", "/people", "", again).await.0, StatusCode::OK);
    assert_eq!(town.new.count(), 3);
    let (status, why) = town.ask("POST", "/people", "", r#"{"id":"dave","country":"BR"}"#).await;
    assert_eq!((status, why.contains("refused")), (StatusCode::FORBIDDEN, true), "{why}");
    for bad in ["", "{", "[]", r#"{"id":"x"}"#, r#"{"id":"","country":"IN"}"#, r#"{"id":"x","country":"XX"}"#]
    {
        assert_eq!(town.ask("POST", "/people", "", bad).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    let long = format!(r#"{{"id":"x","country":"IN","more":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(town.ask("POST", "/people", "", &long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!((town.old.count(), town.new.count()), (0, 3));
}

/// A login goes to the home of whoever has claimed what it names.
#[tokio::test]
async fn a_login_finds_its_subject_by_a_claim() {
    use domicile_directory::{Claim, ClaimKind};
    let town = Town::new().await;
    let claim = || Claim::new(ClaimKind::Email, "Bob@Example.com").unwrap();
    let bob = crate::town::id("bob");
    town.directory.reserve("shop", &bob, &[claim()], "a1", std::time::Duration::from_secs(60)).await.unwrap();
    town.directory.commit("shop", &bob, &[claim()], "a1").await.unwrap();
    town.move_to("bob", "old", "new").await;
    let body = r#"{"email":"bob@example.COM","password":"x"}"#;
    assert_eq!(town.ask("POST", "/login", "", body).await, (StatusCode::OK, body.into()));
    assert_eq!((town.old.count(), town.new.count()), (0, 1));
    let (status, _) = town.ask("POST", "/login", "", r#"{"email":"nobody@example.com"}"#).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(town.ask("POST", "/login", "", r#"{"email":7}"#).await.0, StatusCode::BAD_REQUEST);
}

/// An upload over a slow line takes as long as it takes: the answer's time counts from its last piece.
#[tokio::test]
async fn a_slow_upload_is_no_slow_answer() {
    let limits = Limits { answer: Duration::from_millis(700), ..Limits::default() };
    let town = Town::with(limits, ConnectionLimits::default()).await;
    let mut stream = TcpStream::connect(town.address).await.unwrap();
    let head =
        "POST /slow HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\nConnection: close\r\nContent-Length: 20\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(b"x").await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(town.old.seen.lock().unwrap()[0].body.len(), 20);
}

/// An application that says nothing is given up, and what it did is said to be unknown.
#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let limits = Limits { answer: Duration::from_millis(200), ..Limits::default() };
    let town = Town::with(limits, ConnectionLimits::default()).await;
    let _held = town.old.hold.clone().write_owned().await;
    let (status, body) = town.ask("POST", "/w", "ann", "x").await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert!(body.contains("unknown") && body.contains("upstream-slow"), "{body}");
}
