//! Real nginx and Varnish, configured by what is exported and by what people write, before the echo.

use super::client::Client;
use super::probe::{Asker, With};
use super::{Echo, Origin, Probes, Report, check, nginx, varnish};
use crate::edge::{Cached, EdgeSettings, PublicRoute, Query};
use domicile_testbed::free_port;
use domicile_testbed::web::WebServer;
use http::Method;
use std::collections::BTreeSet;

fn settings() -> EdgeSettings {
    let ignored = PublicRoute { query: Query::Ignored, ..PublicRoute::new("/assets/", "public") };
    let forbidden = PublicRoute {
        cached: Cached::Forbidden { why: "an order:\nnot here".to_owned() },
        ..PublicRoute::new("/order/", "public")
    };
    let hosts = PublicRoute {
        hosts: vec!["img.example".to_owned(), "shop.example".to_owned()],
        ..PublicRoute::new("/img/deep/", "public")
    };
    let routes = vec![
        PublicRoute::new("/static/", "public"),
        PublicRoute::new("/robots.txt", "public"),
        ignored,
        forbidden,
        hosts,
    ];
    EdgeSettings { routes, ..EdgeSettings::default() }
}

async fn echo() -> (Echo, Origin) {
    let settings = EdgeSettings::default();
    let echo = Echo::listen("127.0.0.1:0".parse().unwrap(), settings.personal_header).await.unwrap();
    let origin = Origin::of(&format!("http://{}", echo.address())).unwrap();
    (echo, origin)
}

async fn checked(base: String, routes: Vec<PublicRoute>) -> Report {
    checked_as(base, None, routes).await
}

async fn checked_as(base: String, host: Option<&str>, routes: Vec<PublicRoute>) -> Report {
    let (private, host) = (vec!["/account".to_owned()], host.map(str::to_owned));
    check(&Probes { base, host, routes, public: vec![], private }).await.unwrap()
}

fn codes(report: &Report) -> BTreeSet<&'static str> {
    report.findings.iter().map(|f| f.code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_configured_by_export_obeys() {
    let (_echo, origin) = echo().await;
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let server = WebServer::nginx(port, |dir| {
        let store = dir.join("cache").display().to_string();
        nginx(&settings(), &origin, &listen, &store)
    })
    .unwrap();
    let report = checked(server.base(), settings().routes).await;
    assert_eq!(report.findings, vec![], "{report:#?}");
    assert!(report.echo && report.asked > 100, "{}", report.asked);
    assert_eq!(report.kept, 3, "/static/, /robots.txt, /assets/: {report:#?}");
    let notes: BTreeSet<&str> = report.notes.iter().map(|n| n.code).collect();
    assert_eq!(notes, BTreeSet::from(["other-host", "personal-handed-out"]), "what nginx can't do is said");
    let report = checked_as(server.base(), Some("shop.example"), settings().routes).await;
    assert_eq!((report.findings, report.kept), (vec![], 4));
    reads_as_the_edge_cache(&server.base()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn varnish_configured_by_export_obeys() {
    let (_echo, origin) = echo().await;
    let port = free_port();
    let server = WebServer::varnish(port, &varnish(&settings(), &origin).unwrap()).unwrap();
    let report = checked(server.base(), settings().routes).await;
    assert_eq!(report.findings, vec![], "{report:#?}");
    assert_eq!(report.kept, 3, "{report:#?}");
    let report = checked_as(server.base(), Some("shop.example"), settings().routes).await;
    assert_eq!((report.findings, report.kept), (vec![], 4));
    reads_as_the_edge_cache(&server.base()).await;
}

/// As it is written every day: a location by extension, everything ignored that would keep it from caching.
#[tokio::test(flavor = "multi_thread")]
async fn nginx_configured_in_haste_is_found_out() {
    let (_echo, origin) = echo().await;
    let port = free_port();
    let server = WebServer::nginx(port, |dir| {
        format!(
            "proxy_cache_path {0}/cache keys_zone=hasty:10m;\nserver {{\n listen 127.0.0.1:{port};\n \
             location / {{ proxy_pass http://{1}:{2}; }}\n \
             location ~ \"(?:[.]css|^/static/)\" {{\n  proxy_pass http://{1}:{2};\n  proxy_cache hasty;\n  \
             proxy_cache_key $uri$is_args$args;\n  proxy_cache_valid any 10m;\n  \
             proxy_ignore_headers Cache-Control Set-Cookie;\n }}\n}}\n",
            dir.display(),
            origin.host,
            origin.port
        )
    })
    .unwrap();
    let report = checked(server.base(), vec![PublicRoute::new("/static/", "public")]).await;
    let found = codes(&report);
    for code in [
        "cookie-forwarded",
        "authorization-forwarded",
        "authorization-kept",
        "header-forwarded",
        "set-cookie-kept",
        "set-cookie-handed-out",
        "personal-kept",
        "private-kept",
        "no-store-kept",
        "misfit-kept",
        "deceived",
    ] {
        assert!(found.contains(code), "{code} is not among {found:?}");
    }
    let deceived: Vec<&str> =
        report.findings.iter().filter(|f| f.code == "deceived").map(|f| f.target.as_str()).collect();
    assert!(deceived.iter().any(|t| t.starts_with("/account/")), "{deceived:?}");
    assert_eq!(report.kept, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_keeps_everything_and_one_that_loses_cookies() {
    let (_echo, origin) = echo().await;
    let port = free_port();
    let server = WebServer::nginx(port, |dir| {
        format!(
            "proxy_cache_path {0}/cache keys_zone=all:10m;\nserver {{\n listen 127.0.0.1:{port};\n proxy_cache all;\n \
             proxy_cache_methods GET HEAD POST;\n proxy_set_header Cookie \"\";\n location / {{ proxy_pass http://{1}:{2}; }}\n}}\n",
            dir.display(),
            origin.host,
            origin.port
        )
    })
    .unwrap();
    let forbidden = PublicRoute {
        cached: Cached::Forbidden { why: "an order".to_owned() },
        ..PublicRoute::new("/order/", "public")
    };
    let report = checked(server.base(), vec![PublicRoute::new("/static/", "public"), forbidden]).await;
    let found = codes(&report);
    for code in
        ["private-path-kept", "post-kept", "cookie-lost", "forbidden-kept", "deceived", "authorization-kept"]
    {
        assert!(found.contains(code), "{code} is not among {found:?}");
    }
    assert!(!found.contains("cookie-forwarded"));
}

/// The exported expression and `edge::straight` agree: what the one keeps, the other would.
async fn reads_as_the_edge_cache(base: &str) {
    let client = Client::new().unwrap();
    let probes =
        Probes { base: base.to_owned(), host: None, routes: vec![], public: vec![], private: vec![] };
    let mut asker = Asker { probes: &probes, client: &client, asked: 0 };
    let alphabet = [
        "a", ".", "~", "!", "$", "&", "'", "(", ")", "*", "+", ",", "=", ":", "@", "-", "_", ";", "/", "//",
        "..", "./",
    ];
    let mut pieces: Vec<String> = alphabet.iter().map(|p| (*p).to_owned()).collect();
    pieces.extend((0..=0x7f_u8).map(|byte| format!("%{byte:02X}")));
    pieces.extend(
        ["%2e", "%2f", "%c3%a9", "%C3%A9", "%EF%BC%8F", "%EF%BC%8E", "%E2%81%84", "%G0", "%", "%2"]
            .map(str::to_owned),
    );
    pieces.extend(
        [
            "%EF%B8%B0",
            "%EF%B8%94",
            "%EF%BC%9F",
            "%E2%84%80",
            "%E2%84%82",
            "%E2%92%9B",
            "%E3%8F%82",
            "%F0%9F%84%80",
        ]
        .map(str::to_owned),
    );
    for piece in pieces {
        for target in
            [format!("/static/x{piece}"), format!("/static/x{piece}y"), format!("/static/{piece}/z")]
        {
            let twice = asker.twice(Method::GET, &target, With::Nothing, With::Nothing).await;
            let kept = twice.is_ok_and(|t| t.is_kept());
            assert_eq!(kept, crate::edge::straight(&target).is_ok(), "{target}");
        }
    }
}

#[tokio::test]
async fn nobody_there_is_said() {
    let probes = Probes {
        base: format!("http://127.0.0.1:{}", free_port()),
        host: None,
        routes: vec![PublicRoute::new("/static/", "public")],
        public: vec![],
        private: vec![],
    };
    assert_eq!(check(&probes).await.unwrap_err().to_lowercase(), "connection refused");
}

#[test]
fn origins() {
    let origin = |url| Origin::of(url).map(|o| (o.host, o.port, o.tls));
    assert_eq!(origin("http://app.example:8080"), Some(("app.example".to_owned(), 8080, false)));
    assert_eq!(origin("https://app.example/"), Some(("app.example".to_owned(), 443, true)));
    for bad in ["app.example", "ftp://a", "http://u@a", "http://a/b", "http://a;b", "http://a b", ""] {
        assert_eq!(origin(bad), None, "{bad}");
    }
    let (settings, tls) = (settings(), Origin::of("https://app.example").unwrap());
    assert!(varnish(&settings, &tls).is_err());
    assert!(nginx(&settings, &tls, "80", "/c").contains("proxy_ssl_verify on;"));
}
