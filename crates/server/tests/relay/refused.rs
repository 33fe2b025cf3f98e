//! Tokens and proofs that are not what they should be.

use crate::phone::Phone;
use crate::site::TOKEN;
use crate::stage::Stage;
use domicile_messaging::SigningKey;
use domicile_messaging::consent::Purpose;
use domicile_messaging::token::Claims;
use http::Method;
use jiff::Timestamp;
use serde_json::json;

const NUMBER: &str = "+8613912345678";

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_for_one_request_once() {
    for stage in Stage::both().await {
        let (phone, _) = Phone::registered(&stage, 0, NUMBER).await;
        let path = "/v1/messaging/filters";
        let proof = phone.proof(&Method::GET, path, b"");
        phone.shown(Method::GET, path, &proof, String::new()).await.ok();
        let again = phone.shown(Method::GET, path, &proof, String::new()).await;
        assert_eq!(again.no(), (401, "proof-replayed".into()));
        let proof = phone.proof(&Method::GET, path, b"");
        let other = phone.shown(Method::GET, "/v1/messaging/filters/beijing/1", &proof, String::new()).await;
        assert_eq!(other.no(), (401, "proof-forged".into()));
        let none = phone.shown(Method::GET, path, "nonsense", String::new()).await;
        assert_eq!(none.no(), (401, "proof-missing".into()));
        let mut thief = Phone::new(&stage, 0);
        thief.token = phone.token.clone();
        assert_eq!(thief.get("filters").await.no(), (401, "proof-forged".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_off_is_told_the_time() {
    let stage = Stage::with(false, crate::stage::limits()).await;
    let (mut phone, _) = Phone::registered(&stage, 0, NUMBER).await;
    for hour in [3_600, -3_600] {
        phone.ahead_s = hour;
        let stale = phone.get("filters").await;
        assert_eq!(stale.no(), (401, "proof-stale".into()));
        let mut clock = domicile_messaging::proof::Clock::default();
        let own = Timestamp::now().as_second() + hour;
        assert!(clock.learn(stale.headers["date"].to_str().unwrap(), own));
        phone.ahead_s = hour + clock.offset_s();
        phone.get("filters").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_the_regions_own_and_of_now() {
    let stage = Stage::with(false, crate::stage::limits()).await;
    let (mut phone, _) = Phone::registered(&stage, 0, NUMBER).await;
    let good = phone.token.clone().unwrap();
    let purposes = Purpose::ALL.into_iter().collect();
    let now = Timestamp::now().as_second();
    let forger = SigningKey::from_bytes(&[9; 32]);
    let forged = Claims::at(now, stage.region(0), phone.id(), None, purposes).sign(&forger);
    for bad in [forged, format!("{good}A"), "a.b".to_owned(), "nonsense".to_owned()] {
        phone.token = Some(bad);
        assert_eq!(phone.get("filters").await.no(), (401, "consent-forged".into()));
        assert_eq!(phone.post("token", json!({})).await.no(), (401, "consent-forged".into()));
    }
    // Its ten minutes are over: it still says whose it was, and gets a new one, and nothing else.
    let own = Claims::at(now - 700, stage.region(0), phone.id(), None, purposes);
    phone.token = Some(own.sign(&stage.service_key(0)));
    assert_eq!(phone.get("filters").await.no(), (401, "consent-expired".into()));
    let renewed = phone.post("token", json!({})).await.ok();
    phone.token = renewed["token"].as_str().map(str::to_owned);
    phone.get("filters").await.ok();
    // At another region it is nobody's, but for asking for a new one: there the mailbox is not at home.
    phone.token = Some(good);
    let home = std::mem::replace(&mut phone.url, stage.url(1));
    assert_eq!(phone.get("filters").await.no(), (401, "consent-forged".into()));
    assert_eq!(phone.post("token", json!({})).await.no(), (421, "moved".into()));
    phone.url = home;
    phone.get("filters").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_relays_ask_as_relays() {
    let stage = Stage::with(false, crate::stage::limits()).await;
    let phone = Phone::new(&stage, 0);
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/v1/relay/filters", "/v1/relay/filters/1", "/v1/relay/messages", "/v1/relay/nothing"] {
        let answer = phone.raw(Method::GET, path, &[], String::new()).await;
        assert_eq!(answer.no(), (401, "relay-unknown".into()), "{path}");
    }
    let wrong = [("authorization", "Bearer the-relays-of-that-test")];
    assert_eq!(phone.raw(Method::GET, "/v1/relay/filters", &wrong, String::new()).await.no().0, 401);
    phone.raw(Method::GET, "/v1/relay/filters", &[("authorization", &bearer)], String::new()).await.ok();
    assert_eq!(phone.raw(Method::GET, "/", &[], String::new()).await.no(), (404, "not-found".into()));
    let wrong = phone.raw(Method::GET, "/v1/messaging/consents", &[], String::new()).await;
    assert_eq!(wrong.no(), (405, "method".into()));
    let long = "x".repeat(300 * 1024);
    let answer = phone.raw(Method::POST, "/v1/messaging/consents", &[], long.clone()).await;
    assert_eq!(answer.no(), (413, "too-big".into()));
    // No body is read of who is no relay.
    let answer = phone.raw(Method::POST, "/v1/relay/messages", &[], long).await;
    assert_eq!(answer.no(), (401, "relay-unknown".into()));
}

/// Who sends a body slowly takes nobody's place.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_stranger_stops_nobody() {
    let one = domicile_server::messaging::MessagingLimits { requests: 1, ..crate::stage::limits() };
    let stage = Stage::with(false, one).await;
    let address = stage.url(0).trim_start_matches("http://").to_owned();
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = "POST /v1/messaging/consents HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nContent-Length: 500\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut slow, head.as_bytes()).await.unwrap();
    // It is asked for the body: so it is being read.
    let mut told = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut slow, &mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    let mut phone = Phone::new(&stage, 0);
    phone.raw(Method::GET, "/v1/messaging/region", &[], String::new()).await.ok();
    phone.give(Purpose::CloudMessaging).await.ok();
    // Nor who has a token, which costs nothing either.
    let proof = phone.proof(&Method::POST, "/v1/messaging/register/start", b"");
    let head = format!(
        "POST /v1/messaging/register/start HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n\
         Domicile-Consent: {}\r\nDomicile-Proof: {proof}\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n",
        phone.token.clone().unwrap()
    );
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut slow, head.as_bytes()).await.unwrap();
    tokio::io::AsyncReadExt::read_exact(&mut slow, &mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    phone.start(NUMBER).await.ok();
}
