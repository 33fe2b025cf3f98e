//! Traces: continued or begun, told to the application, exported, and never with a word about anybody.

use crate::receiver::{Receiver, attribute};
use crate::town::{These, Town};
use domicile_server::edge::{EdgeCache, EdgeSettings, PublicRoute};
use domicile_server::gateway::{Limits, Watch};
use domicile_server::listen::ConnectionLimits;
use domicile_server::trace::{Exporter, Sampler, Span};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

async fn traced(exporter: Exporter, sampler: Sampler) -> Town {
    let watch = Watch { sampler, exporter: Some(exporter), log: None };
    let limits = Limits { park: Duration::from_secs(2), ..Limits::default() };
    Town::watched(limits, ConnectionLimits::default(), watch).await
}

async fn ask(town: &Town, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> StatusCode {
    let mut request = Request::builder().method(method).uri(format!("http://{}{path}", town.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.to_owned().into())).unwrap();
    let answer = town.client.request(request).await.unwrap();
    let status = answer.status();
    let _ = answer.into_body().collect().await;
    status
}

#[tokio::test]
async fn a_trace_goes_on_through_the_gateway() {
    let (receiver, exporter, _ending) = Receiver::start(&[]).await;
    let town = traced(exporter, Sampler::default()).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [
        ("x-subject", "ann"),
        ("traceparent", parent.as_str()),
        ("tracestate", "congo=t61rcWkgMzE"),
        // Does not take off what the gateway says.
        ("connection", "traceparent, tracestate"),
    ];
    assert_eq!(ask(&town, "POST", "/notes", &headers, "hello").await, StatusCode::OK);
    town.until("the span", || receiver.spans().len() == 1).await;
    let span = receiver.spans().remove(0);
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&json!(TRACE), &json!(PARENT)));
    let seen = town.old.seen.lock().unwrap()[0].headers.clone();
    let ours = format!("00-{TRACE}-{}-01", span["spanId"].as_str().unwrap());
    assert_eq!(seen["traceparent"], ours, "the gateway's span is the application's parent");
    assert_eq!(seen["tracestate"], "congo=t61rcWkgMzE");
    for (key, value) in [
        ("http.request.method", json!("POST")),
        ("http.response.status_code", json!("200")),
        ("domicile.route", json!("subject")),
        ("domicile.region", json!("old")),
        ("domicile.repeats", json!("0")),
        ("domicile.answered_whole", json!(true)),
        ("http.response.body.size", json!("5")),
    ] {
        assert_eq!(attribute(&span, key), value, "{key}");
    }
    let (path, headers, text) = receiver.came.lock().unwrap()[0].clone();
    assert_eq!((path.as_str(), &headers["api-key"]), ("/v1/traces", &"hunter2".parse().unwrap()));
    assert_eq!(headers["content-type"], "application/json");
    assert!(text.contains("shop-gateway") && !text.contains("hunter2"));
}

#[tokio::test]
async fn what_is_malformed_is_replaced() {
    let (receiver, exporter, _ending) = Receiver::start(&[]).await;
    let town = traced(exporter, Sampler::default()).await;
    let twice = format!("00-{TRACE}-{PARENT}-01");
    let bad: [&[(&str, &str)]; 4] = [
        &[],
        &[("traceparent", "00-nonsense"), ("tracestate", "a=1")],
        &[("traceparent", &twice), ("traceparent", &twice)],
        &[("tracestate", "a=1")],
    ];
    for headers in bad {
        let headers = [headers, &[("x-subject", "ann")]].concat();
        assert_eq!(ask(&town, "GET", "/", &headers, "").await, StatusCode::OK);
    }
    town.until("the spans", || receiver.spans().len() == 4).await;
    let spans = receiver.spans();
    for seen in town.old.seen.lock().unwrap().iter() {
        assert!(!seen.headers.contains_key("tracestate"));
        let parent = seen.headers["traceparent"].to_str().unwrap().to_owned();
        let is_ours = |span: &&serde_json::Value| {
            parent
                == format!("00-{}-{}-01", span["traceId"].as_str().unwrap(), span["spanId"].as_str().unwrap())
        };
        let span = spans.iter().find(is_ours).expect("the application's parent is a span of ours");
        assert!(span.get("parentSpanId").is_none() && span["traceId"] != TRACE);
    }
}

#[tokio::test]
async fn who_is_not_recorded_is_told_so() {
    let (receiver, exporter, ending) = Receiver::start(&[]).await;
    let town = traced(exporter, Sampler::default()).await;
    let parent = format!("00-{TRACE}-{PARENT}-00");
    ask(&town, "GET", "/", &[("x-subject", "ann"), ("traceparent", &parent)], "").await;
    ending.end().await;
    assert_eq!(receiver.spans().len(), 0);
    let seen = town.old.seen.lock().unwrap()[0].headers["traceparent"].to_str().unwrap().to_owned();
    assert!(seen.starts_with(&format!("00-{TRACE}-")) && seen.ends_with("-00"), "{seen}");
    assert!(!seen.contains(PARENT));
}

/// Its stations: it was sent again, it waited, it was turned away.
#[tokio::test]
async fn a_span_tells_of_its_stations() {
    let (receiver, exporter, _ending) = Receiver::start(&[]).await;
    let town = traced(exporter, Sampler::default()).await;
    let ann = [("x-subject", "ann")];
    let found = |status: &str, problem: &str| {
        let is_it = |span: &serde_json::Value| {
            attribute(span, "http.response.status_code") == status
                && attribute(span, "domicile.problem").as_str().unwrap_or_default() == problem
        };
        receiver.spans().into_iter().find(is_it)
    };
    town.old.refuse.store(1, Ordering::SeqCst);
    assert_eq!(ask(&town, "POST", "/", &ann, "x").await, StatusCode::OK);
    town.until("the first", || found("200", "").is_some()).await;
    assert_eq!(attribute(&found("200", "").unwrap(), "domicile.repeats"), "1");
    let (number, _) =
        town.directory.park("shop", &[town.hash("ann")], Duration::from_secs(60)).await.unwrap();
    while !town.directory.park_unseen("shop", number).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(ask(&town, "POST", "/", &ann, "x").await, StatusCode::SERVICE_UNAVAILABLE);
    town.until("the second", || found("503", "parked").is_some()).await;
    let span = found("503", "parked").unwrap();
    let waited: u64 = attribute(&span, "domicile.waited_us").as_str().unwrap().parse().unwrap();
    assert!(waited >= 2_000_000, "it waited as long as it may: {waited}");
    assert_eq!((&span["status"], &attribute(&span, "error.type")), (&json!({ "code": 2 }), &json!("parked")));
    assert!(attribute(&span, "domicile.region").is_null(), "it was sent nowhere");
    assert_eq!(ask(&town, "GET", "/", &[], "").await, StatusCode::BAD_REQUEST);
    town.until("the third", || found("400", "no-subject").is_some()).await;
    let text = town.gateway.metrics();
    for line in [
        "domicile_gateway_request_seconds_count{route=\"subject\"} 3",
        "domicile_gateway_parked_seconds_count 0",
        "domicile_gateway_upstream_errors_total{region=\"old\",kind=\"slow\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}

/// What is fetched for everybody is in nobody's trace: one request of it may answer many.
#[tokio::test]
async fn a_public_answer_tells_what_the_cache_did() {
    let (receiver, exporter, _ending) = Receiver::start(&[]).await;
    let watch = Watch { sampler: Sampler::default(), exporter: Some(exporter), log: None };
    let routes = vec![PublicRoute::new("/static/", "public")];
    let edge = EdgeCache::new(EdgeSettings { routes, ..EdgeSettings::default() }).unwrap();
    let town = Town::of_these(These { watch, edge: Some(edge), ..These::default() }).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "a=1"), ("cookie", "uid=ann")];
    assert_eq!(ask(&town, "GET", "/static/app.css", &headers, "").await, StatusCode::OK);
    town.until("the span", || receiver.spans().len() == 1).await;
    let span = receiver.spans().remove(0);
    assert_eq!((&span["traceId"], attribute(&span, "domicile.route")), (&json!(TRACE), json!("public")));
    assert_eq!(attribute(&span, "domicile.cache"), "uri-miss");
    assert_eq!(attribute(&span, "domicile.region"), "new", "it stands in");
    let seen = [&town.old, &town.new].map(|region| region.seen.lock().unwrap().clone()).concat();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].headers.contains_key("traceparent") && !seen[0].headers.contains_key("tracestate"));
}

/// A connection that switches is told of when it does, not when it ends.
#[tokio::test]
async fn a_websocket_is_told_of_at_once() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let application = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = application.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = application.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
        (String::from_utf8(head).unwrap(), stream)
    });
    let (receiver, exporter, _ending) = Receiver::start(&[]).await;
    let watch = Watch { sampler: Sampler::default(), exporter: Some(exporter), log: None };
    let first = Town::new().await;
    let town = first.beside_of(at, These { watch, ..These::default() }).await;
    let mut client = tokio::net::TcpStream::connect(town.address).await.unwrap();
    let ask = format!(
        "GET /live HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\nConnection: Upgrade\r\nUpgrade: websocket\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n\r\n"
    );
    client.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    client.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    client.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
    town.until("the span", || receiver.spans().len() == 1).await;
    let span = receiver.spans().remove(0);
    for (key, value) in
        [("domicile.route", "upgrade"), ("http.response.status_code", "101"), ("domicile.region", "old")]
    {
        assert_eq!(attribute(&span, key), value, "{key}");
    }
    let (head, _stream) = heard.await.unwrap();
    let ours = format!("traceparent: 00-{TRACE}-{}-01\r\n", span["spanId"].as_str().unwrap());
    assert!(head.to_lowercase().contains(&ours), "{head}");
}

/// A client that goes away before its answer is there is told of, too.
#[tokio::test]
async fn a_client_that_goes_leaves_its_span() {
    let (receiver, exporter, _ending) = Receiver::start(&[]).await;
    let town = traced(exporter, Sampler::default()).await;
    let held = town.old.hold.clone().write_owned().await;
    let mut stream = tokio::net::TcpStream::connect(town.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Subject: ann\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.unwrap();
    town.until("the request", || town.old.under_way.load(Ordering::SeqCst) == 1).await;
    drop(stream);
    town.until("the span", || receiver.spans().len() == 1).await;
    let span = receiver.spans().remove(0);
    assert_eq!(attribute(&span, "domicile.problem"), "client-gone");
    assert!(attribute(&span, "http.response.status_code").is_null());
    assert_eq!(town.gateway.counts.client_gone.load(Ordering::Relaxed), 1);
    drop(held);
}

/// A receiver that stands still costs spans, and they are counted; never a request.
#[tokio::test]
async fn a_receiver_that_stands_still_holds_up_nobody() {
    let bounds = [("OTEL_BSP_MAX_QUEUE_SIZE", "4"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")];
    let (receiver, exporter, ending) = Receiver::start(&bounds).await;
    let counts = exporter.counts.clone();
    let town = traced(exporter, Sampler::default()).await;
    let held = receiver.hold.clone().write_owned().await;
    for _ in 0..50 {
        assert_eq!(ask(&town, "GET", "/", &[("x-subject", "ann")], "").await, StatusCode::OK);
    }
    // One batch is on its way, and the queue holds four.
    town.until("what was dropped", || counts.dropped.load(Ordering::Relaxed) >= 50 - 6).await;
    let metrics = town.gateway.metrics();
    assert!(metrics.contains("domicile_spans_total{result=\"dropped\"} 4"), "{metrics}");
    drop(held);
    ending.end().await;
    let exported = counts.exported.load(Ordering::Relaxed);
    assert_eq!(exported + counts.dropped.load(Ordering::Relaxed), 50);
    assert_eq!(receiver.spans().len() as u64, exported);
}

/// What a receiver can't take now is sent again; what it does not want is counted.
#[tokio::test]
async fn an_export_is_repeated_where_that_helps() {
    let (receiver, exporter, ending) = Receiver::start(&[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")]).await;
    let counts = exporter.counts.clone();
    let town = traced(exporter, Sampler::default()).await;
    let ask_one = || ask(&town, "GET", "/", &[("x-subject", "ann")], "");
    receiver.answers.lock().unwrap().extend([StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS]);
    ask_one().await;
    town.until("the span", || counts.exported.load(Ordering::Relaxed) == 1).await;
    receiver.answers.lock().unwrap().push_back(StatusCode::BAD_REQUEST);
    ask_one().await;
    town.until("the refusal", || counts.failed.load(Ordering::Relaxed) == 1).await;
    ask_one().await;
    // What waits at the end is still sent.
    ending.end().await;
    assert_eq!((receiver.spans().len(), counts.exported.load(Ordering::Relaxed)), (2, 2));
}

/// Words that must not turn up anywhere, as they are and as programs encode them.
#[derive(Default)]
pub struct Canaries(Vec<String>);

impl Canaries {
    pub fn of(words: &[&str]) -> Self {
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
        let mut all = Vec::new();
        for word in words {
            all.push(word.to_lowercase());
            all.push(word.replace('@', "%40").to_lowercase());
            all.push(hex::encode(word));
            for shift in 0..3 {
                // Wherever it begins in what was encoded: without the ends, which its neighbours share.
                let padded = [&vec![b' '; shift][..], word.as_bytes()].concat();
                for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                    all.push(text[4..text.len() - 2].to_lowercase());
                }
            }
        }
        Self(all)
    }

    /// # Panics
    /// One of them is in the text.
    pub fn are_not_in(&self, what: &str, text: &str) {
        let text = text.to_lowercase();
        for word in &self.0 {
            assert!(!text.contains(word.as_str()), "{word:?} is in {what}: {text}");
        }
    }
}

/// Whatever a client sends, nothing of it is in a span, in what is logged of it, in a metric, or in a problem.
#[tokio::test]
async fn nothing_about_anybody_is_told() {
    let (receiver, exporter, ending) = Receiver::start(&[]).await;
    let told = Arc::<Mutex<Vec<Span>>>::default();
    let hears = told.clone();
    let log = Box::new(move |span: &Span| hears.lock().unwrap().push(span.clone()));
    let watch = Watch { sampler: Sampler::default(), exporter: Some(exporter), log: Some(log) };
    let limits = Limits { park: Duration::from_millis(200), ..Limits::default() };
    let town = Town::watched(limits, ConnectionLimits::default(), watch).await;
    let subject = "canary-subject-7f3a";
    town.directory.register("shop", "old", &[crate::town::id(subject)]).await.unwrap();
    let canaries = Canaries::of(&[
        subject,
        "canary.mail@example.com",
        "canary-query-value",
        "canary-token-93bd",
        "canary-cookie-22c1",
        "canary-body-word",
        "canary-agent",
        "canaryMethod",
        "127.0.0.1",
    ]);
    let headers = |subject: &'static str| {
        [
            ("x-subject", subject),
            ("authorization", "Bearer canary-token-93bd"),
            ("cookie", "session=canary-cookie-22c1"),
            ("user-agent", "canary-agent"),
            ("referer", "https://canary.mail@example.com/"),
            ("tracestate", "canary-cookie-22c1=canary-token-93bd"),
            ("traceparent", "canary-token-93bd"),
            ("x-forwarded-for", "127.0.0.1"),
        ]
    };
    let path = "/canary.mail@example.com/notes?mail=canary.mail%40example.com&x=canary-query-value";
    let mut problems = String::new();
    for (method, path, of, body) in [
        ("POST", path, subject, "canary-body-word"),
        ("canaryMethod", path, subject, ""),
        ("GET", path, "canary.mail@example.com", ""),
        ("POST", "/login", subject, r#"{"email":"canary.mail@example.com"}"#),
        ("POST", "/login", subject, r#"{"email":"canary-body-word"}"#),
        ("POST", "/people", subject, r#"{"id":"canary-body-word","country":"canary-body-word"}"#),
        ("POST", "/people", subject, r#"{"id":"canary-body-word","country":"BR"}"#),
        ("POST", "/people", subject, "{canary-body-word"),
    ] {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", town.address));
        for (name, value) in headers(of) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.to_owned().into())).unwrap();
        let answer = town.client.request(request).await.unwrap();
        let is_problem =
            answer.headers().get("content-type").is_some_and(|v| v == "application/problem+json");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        if is_problem {
            problems.push_str(&String::from_utf8_lossy(&text));
        }
    }
    problems.push_str(&town.raw(b"GET /canary-query-value HTTP/1.1\r\nHost: a\r\nX-Subject: canary-subject-7f3a\r\nContent-Length: canary-token-93bd\r\n\r\n").await);
    problems.push_str(
        &town
            .raw(b"GET / HTTP/1.1\r\nHost: a\r\nHost: canary.mail@example.com\r\nContent-Length: +1\r\n\r\n")
            .await,
    );
    town.until("what is logged", || told.lock().unwrap().len() >= 8).await;
    ending.end().await;
    let exports: String = receiver.came.lock().unwrap().iter().map(|came| came.2.clone()).collect();
    assert!(receiver.spans().len() >= 8 && problems.matches("\"code\"").count() >= 6, "{problems}");
    assert!(town.old.seen.lock().unwrap()[0].path.contains("canary"), "the application hears all of it");
    canaries.are_not_in("a problem", &problems);
    canaries.are_not_in("an export", &exports);
    canaries.are_not_in("a span", &format!("{:?}", told.lock().unwrap()));
    canaries.are_not_in("the metrics", &town.gateway.metrics());
    let debug = format!("{:?}", town.gateway);
    canaries.are_not_in("the gateway's Debug", &debug.replace("127.0.0.1", ""));
}

#[test]
fn a_canary_is_found_however_it_is_encoded() {
    let canaries = Canaries::of(&["canary-subject-7f3a"]);
    for text in [
        "x canary-subject-7f3a y",
        "CANARY-SUBJECT-7F3A",
        "63616e6172792d7375626a6563742d37663361",
        "eyJzdWIiOiJjYW5hcnktc3ViamVjdC03ZjNhIn0",
        "e2EgY2FuYXJ5LXN1YmplY3QtN2YzYX0",
    ] {
        assert!(std::panic::catch_unwind(|| canaries.are_not_in("it", text)).is_err(), "{text}");
    }
    canaries.are_not_in("it", "nothing");
}
