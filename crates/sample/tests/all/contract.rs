//! What the application answers, and above all when its database refuses.

use crate::site::{Instance, Site, person};
use http_body_util::{BodyExt, Empty};
use hyper::Method;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ANN: (&str, &str) = ("X-Subject", "ann");
const KEY: (&str, &str) = ("Idempotency-Key", "k1");
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_written_once_a_key() {
    for site in Site::both() {
        let region = site.region("here").await;
        let app = Instance::start(&region).await;
        let ann = json!({ "id": "ann", "email": "ann@example.org", "country": "DE" }).to_string();
        for status in [201, 200] {
            assert_eq!(app.ask(Method::POST, "/people", &[JSON], &ann).await.status(), status);
        }
        let other = ann.replace("\"ann\"", "\"bob\"");
        assert_eq!(app.ask(Method::POST, "/people", &[JSON], &other).await.status(), 409);

        let first = app.ask(Method::POST, "/notes", &[ANN, KEY], "one").await;
        let second = app.ask(Method::POST, "/notes", &[ANN, KEY], "one").await;
        assert_eq!((first.status(), second.status()), (201, 200));
        assert_eq!(first.json(), second.json());
        assert_eq!(first.header("sample-region"), "here");

        let path = format!("/notes/{}", first.json()["id"].as_str().expect("an id"));
        assert_eq!(app.ask(Method::PUT, &path, &[ANN], "two").await.status(), 204);
        assert_eq!(app.ask(Method::GET, &path, &[ANN], "").await.json()["text"], "two");
        assert_eq!(app.ask(Method::GET, "/notes", &[ANN], "").await.json()[0]["text"], "two");
        assert_eq!(app.ask(Method::DELETE, &path, &[ANN], "").await.status(), 204);
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            assert_eq!(app.ask(method, &path, &[ANN], "").await.status(), 404);
        }
        assert_eq!(app.ask(Method::POST, "/notes", &[ANN], "no key").await.status(), 400);
        assert_eq!(app.ask(Method::POST, "/notes", &[KEY], "nobody").await.status(), 401);
        let login = json!({ "email": "ann@example.org" }).to_string();
        assert_eq!(app.ask(Method::POST, "/login", &[JSON], &login).await.json()["id"], "ann");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_421_or_403_and_was_not_done() {
    for site in Site::both() {
        let region = site.region("here").await;
        person(&region, "ann").await;
        let app = Instance::start(&region).await;
        let first = app.ask(Method::POST, "/notes", &[ANN, KEY], "one").await;
        let path = format!("/notes/{}", first.json()["id"].as_str().expect("an id"));

        refuse(&site, "RS001", "RS001: notes: not writable here now");
        for (method, path) in [(Method::POST, "/notes"), (Method::PUT, &path), (Method::DELETE, &path)] {
            let said = app.ask(method, path, &[ANN, ("Idempotency-Key", "k2")], "two").await;
            assert_eq!((said.status(), said.header("domicile-retry")), (421, "1"));
        }
        refuse(&site, "RS002", "RS002: notes: policy forbids it: rule 7");
        let said = app.ask(Method::PUT, &path, &[ANN], "two").await;
        assert_eq!((said.status(), said.header("domicile-retry")), (403, ""));
        assert!(said.0.body().contains("rule 7"), "{}", said.0.body());
        assert_eq!(app.ask(Method::GET, "/notes", &[ANN], "").await.json().as_array().map(Vec::len), Some(1));
        assert_eq!(app.ask(Method::GET, &path, &[ANN], "").await.json()["text"], "one");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_route_that_touches_no_row_is_421() {
    for site in Site::both() {
        let region = site.region("here").await;
        let app = Instance::start(&region).await;
        for (method, path) in [
            (Method::POST, "/notes"),
            (Method::PUT, "/notes/1"),
            (Method::DELETE, "/notes/1"),
            (Method::GET, "/notes/1"),
            (Method::GET, "/notes"),
        ] {
            let said = app.ask(method.clone(), path, &[ANN, KEY], "text").await;
            assert_eq!((said.status(), said.header("domicile-retry")), (421, "1"), "{method} {path}");
        }
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_photos_are_kept_and_larger_ones_refused() {
    let [postgres, sqlite] = Site::both();
    for site in [postgres, sqlite] {
        let region = site.region("here").await;
        person(&region, "ann").await;
        let app = Instance::start(&region).await;
        let photo = "x".repeat(20 * 1024 * 1024);
        assert_eq!(app.ask(Method::POST, "/photos/me", &[ANN], &photo).await.status(), 204);
        assert_eq!(app.ask(Method::GET, "/photos/me", &[ANN], "").await.0.body().len(), photo.len());
        assert_eq!(app.ask(Method::POST, "/photos/me", &[ANN], &(photo + "x")).await.status(), 413);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn static_files_have_a_tag_and_streams_end_with_the_application() {
    let [_, site] = Site::both();
    let app = Instance::start(&site.region("here").await).await;
    let file = app.ask(Method::GET, "/static/64k.bin", &[], "").await;
    assert!(file.header("cache-control").starts_with("public"), "{}", file.header("cache-control"));
    let tag = file.header("etag").to_owned();
    let again = app.ask(Method::GET, "/static/64k.bin", &[("If-None-Match", &tag)], "").await;
    assert_eq!((file.status(), again.status(), again.0.body().len()), (200, 304, 0));
    assert_eq!(app.ask(Method::GET, "/static/../Cargo.toml", &[], "").await.status(), 404);
    let epoch = app.ask(Method::GET, "/whoami", &[("Domicile-Epoch", "7")], "").await.json();
    assert_eq!((&epoch["epoch"], &epoch["region"]), (&json!("7"), &json!("here")));

    let client: Client<_, Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let events = client.get(format!("{}/events", app.base).parse().expect("an address")).await;
    let mut events = events.expect("a stream").into_body();
    let first = events.frame().await.expect("an event").expect("a whole one");
    assert!(first.into_data().expect("data").starts_with(b"id: 0"));
    let ((), rest) = tokio::join!(app.stop(), events.collect());
    rest.expect("the stream ended as streams do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_says_what_it_hears() {
    let [_, site] = Site::both();
    let app = Instance::start(&site.region("here").await).await;
    let address = app.base.trim_start_matches("http://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(&address).await.expect("a connection");
    let hello = format!(
        "GET /echo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(hello.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8(head).expect("text");
    // RFC 6455, section 1.3: the answer to this very key.
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    // A text frame of "hi", masked with zeros, and the same back without a mask.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.expect("sent");
    let mut back = [0; 4];
    socket.read_exact(&mut back).await.expect("an echo");
    assert_eq!(back, [0x81, 2, b'h', b'i']);
    app.stop().await;
}

/// The database refuses every write of notes from now on, with a code as the guard's documents have them.
fn refuse(site: &Site, code: &str, message: &str) {
    match site {
        Site::Postgres(_) => site.sql(
            "here",
            &format!(
                "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$begin raise exception using errcode = '{code}', message = '{message}'; end$$; \
                 CREATE OR REPLACE TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON notes \
                 FOR EACH ROW EXECUTE FUNCTION refuse()"
            ),
        ),
        Site::Sqlite(_) => {
            let one = |event: &str| {
                format!(
                    "DROP TRIGGER IF EXISTS refuse_{event}; CREATE TRIGGER refuse_{event} BEFORE {event} ON notes \
                     BEGIN SELECT RAISE(ROLLBACK, '{message}'); END;"
                )
            };
            site.sql("here", &["INSERT", "UPDATE", "DELETE"].map(one).concat());
        }
    }
}
