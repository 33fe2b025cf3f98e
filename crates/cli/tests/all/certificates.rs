//! Certificates and their dates: said by `check`, at the start of `serve` and when they are read again; never a reason not to serve.

use crate::served::{Running, raw};
use crate::shop::Shop;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::fs;

const GATEWAY: &str = "\n[gateway]\nlisten = [\"127.0.0.1:0\"]\nsubject = [\"header:X-Subject\"]\nkey = \"integer\"\n\
                       certificate = \"chain.pem\"\nprivate_key = \"key.pem\"\n[gateway.upstreams]\n\
                       us = \"http://127.0.0.1:1\"\nde = \"http://127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";

/// Days from today; certificates have dates of the calendar.
fn day(days: i64) -> (i32, u8, u8) {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = today.checked_add(jiff::Span::new().days(days)).expect("a day");
    (day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
}

/// A pair that holds between these days from now; what it ends on.
fn pair(shop: &Shop, from: i64, to: i64) -> String {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let ((y, m, d), (y2, m2, d2)) = (day(from), day(to));
    params.not_before = date_time_ymd(y, m, d);
    params.not_after = date_time_ymd(y2, m2, d2);
    let key = KeyPair::generate().expect("a key");
    fs::write(shop.path("chain.pem"), params.self_signed(&key).expect("signed").pem()).expect("written");
    fs::write(shop.path("key.pem"), key.serialize_pem()).expect("written");
    format!("{y2:04}-{m2:02}-{d2:02}")
}

/// What `check` finds of the gateway: the mark and the code.
fn found(shop: &Shop) -> (bool, String) {
    let ran = shop.command(&["check", "--json"]).output().expect("it runs");
    let said: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let findings = said["findings"].as_array().expect("findings");
    let one: Vec<_> = findings.iter().filter(|f| f["area"] == "gateway").collect();
    assert_eq!(one.len(), 1, "{said}");
    (one[0]["ok"] == true, one[0]["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn check_names_file_and_day() {
    let shop = Shop::ready(1);
    shop.append("domicile.toml", GATEWAY);
    assert_eq!(found(&shop), (true, "certificate-elsewhere".into()));
    pair(&shop, -10, 90);
    assert_eq!(found(&shop), (true, String::new()));
    pair(&shop, -10, 9);
    assert_eq!(found(&shop), (true, "certificate-ends".into()));
    pair(&shop, 2, 90);
    assert_eq!(found(&shop), (false, "certificate-not-yet".into()));
    let ended = pair(&shop, -90, -1);
    assert_eq!(found(&shop), (false, "certificate-ended".into()));
    let ran = shop.command(&["check"]).output().expect("it runs");
    let said = String::from_utf8(ran.stdout).expect("text");
    assert_eq!(ran.status.code(), Some(3), "{said}");
    assert!(said.contains(&format!("chain.pem: the certificate ended on {ended}")), "{said}");
    fs::write(shop.path("key.pem"), "no key").expect("written");
    assert_eq!(found(&shop), (false, "serve-certificate".into()));
}

#[test]
fn an_ended_certificate_is_told_and_served_with() {
    let shop = Shop::ready(1);
    shop.append("domicile.toml", GATEWAY);
    let ended = pair(&shop, -90, -1);
    let mut gateway = Running::start(shop.command(&["serve", "--gateway", "--log", "json"]));
    let told = gateway.event("certificate");
    assert_eq!((&told["at"], &told["code"]), (&"gateway".into(), &"certificate-ended".into()));
    assert!(told["ends"].as_str().expect("a time").starts_with(&ended), "{told}");
    gateway.event("listening");
    let admin = gateway.event("listening")["url"].as_str().expect("a URL").to_owned();
    gateway.event("ready");
    let token = shop.read("keys/admin.tokens").trim().to_owned();
    let ends = || {
        let ask = format!(
            "GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        let metrics = raw(&admin, &ask);
        let of = |l: &str| {
            l.strip_prefix("domicile_certificate_ends_timestamp_seconds{at=\"gateway\"} ").map(str::to_owned)
        };
        let line = metrics.lines().find_map(of).unwrap_or_else(|| panic!("{metrics}"));
        jiff::Timestamp::from_second(line.parse().expect("a number")).expect("a time").to_string()
    };
    assert!(ends().starts_with(&ended), "{}", ends());
    let soon = pair(&shop, -10, 3);
    gateway.signal("-HUP");
    assert_eq!(gateway.event("certificate")["code"], "certificate-ends");
    assert!(ends().starts_with(&soon), "{}", ends());
    gateway.signal("-TERM");
    assert_eq!(gateway.ended().0, 0);
}
