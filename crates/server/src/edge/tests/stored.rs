//! What is stored is given to all alike, by everything it depends on and nothing else.

use super::origin::{Site, answer, request, settings, with_status};
use crate::edge::{Cached, EdgeSettings, PublicRoute, Query};

const CSS: &[(&str, &str)] =
    &[("content-type", "text/css"), ("cache-control", "max-age=600"), ("etag", "\"1\"")];

#[tokio::test]
async fn a_second_request_is_answered_from_the_store() {
    let site = Site::saying(CSS, "body{}").await;
    let first = site.get("/static/x.css").await;
    assert_eq!((first.status, first.text()), (200, "body{}"));
    assert!(
        first.cache_status().starts_with("domicile; fwd=uri-miss; stored; ttl="),
        "{}",
        first.cache_status()
    );
    site.landed().await;
    let second = site.get("/static/x.css").await;
    assert_eq!((second.status, second.text()), (200, "body{}"));
    assert!(second.cache_status().starts_with("domicile; hit; ttl="), "{}", second.cache_status());
    assert!(second.header("age").parse::<u64>().is_ok());
    assert!(!second.header("date").is_empty());
    assert_eq!(site.times(), 1);
    assert_eq!(site.count("domicile_edge_requests_total", "hit"), 1);
    assert_eq!(site.count("domicile_edge_requests_total", "miss"), 1);
    assert_eq!(site.count("domicile_edge_store_objects", ""), 1);
}

#[tokio::test]
async fn nothing_that_names_somebody_travels_on() {
    let site = Site::saying(CSS, "x").await;
    let headers = [
        ("cookie", "session=secret"),
        ("x-forwarded-host", "evil.example"),
        ("x-original-url", "/account"),
        ("x-user-id", "4711"),
        ("forwarded", "for=192.0.2.1"),
        ("user-agent", "x"),
        ("connection", "close, accept"),
        ("accept-language", "de"),
        ("if-none-match", "\"other\""),
    ];
    assert_eq!(site.get_with("/static/x.css", &headers).await.status, 200);
    let asked = &site.asked()[0];
    let mut names: Vec<&str> = asked.headers.keys().map(|n| n.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept-language", "host", "x-forwarded-proto"]);
    assert_eq!(asked.headers["host"], "shop.example");
    assert_eq!(site.count("domicile_edge_stripped_total", "cookie"), 1);
    // It was stored all the same: nobody's cookie had a part in it.
    site.landed().await;
    assert!(site.get("/static/x.css").await.cache_status().contains("hit"));
}

#[tokio::test]
async fn a_request_with_authorization_loses_it_and_its_answer_is_not_stored() {
    let site = Site::saying(CSS, "x").await;
    let secret = [("authorization", "Bearer secret")];
    assert_eq!(site.get_with("/static/x.css", &secret).await.status, 200);
    assert!(!site.asked()[0].headers.contains_key("authorization"));
    assert_eq!(site.not_stored("authorization"), 1);
    assert_eq!(site.count("domicile_edge_stripped_total", "authorization"), 1);
    assert_eq!(site.count("domicile_edge_store_objects", ""), 0);
    // What others had stored is public, so it may be given.
    site.get("/static/x.css").await;
    site.landed().await;
    assert!(site.get_with("/static/x.css", &secret).await.cache_status().contains("hit"));
    assert_eq!(site.times(), 2);
}

#[tokio::test]
async fn host_scheme_path_and_query_are_the_key() {
    let site = Site::new(settings(), |asked| async move {
        answer(CSS, &format!("{} {}", asked.headers["host"].to_str().unwrap(), asked.target))
    })
    .await;
    for target in
        ["/static/a.css", "/static/a.css?v=1", "/static/a.css?v=2", "/static/A.css", "/static/b.css"]
    {
        for _ in 0..2 {
            assert_eq!(site.get(target).await.text(), format!("shop.example {target}"));
            site.landed().await;
        }
    }
    assert_eq!(site.times(), 5);
    // One spelling: these are no other resources.
    for target in ["https://SHOP.example:443/static/a.css", "/static/a.css?"] {
        assert!(site.get(target).await.cache_status().contains("hit"), "{target}");
    }
    let mut other = request("GET", "/static/a.css", &[]);
    other.headers_mut().insert("host", "other.example".parse().unwrap());
    assert_eq!(site.ask(other).await.unwrap().text(), "other.example /static/a.css");
}

#[tokio::test]
async fn a_route_may_say_that_its_query_means_nothing() {
    let route = PublicRoute { query: Query::Ignored, ..PublicRoute::new("/static/", "public") };
    let site = Site::new(EdgeSettings { routes: vec![route], ..settings() }, |asked| async move {
        answer(CSS, &asked.target)
    })
    .await;
    assert_eq!(site.get("/static/a.css?flood=1").await.text(), "/static/a.css");
    site.landed().await;
    assert!(site.get("/static/a.css?flood=2").await.cache_status().contains("hit"));
}

#[tokio::test]
async fn variants_are_kept_apart() {
    let site = Site::new(settings(), |asked| async move {
        let coding = asked.headers.get("accept-encoding").map_or("none", |v| v.to_str().unwrap()).to_owned();
        let headers = [CSS, &[("vary", "Accept-Encoding, X-Unlisted")]].concat();
        answer(&headers, &coding)
    })
    .await;
    for coding in ["gzip", "br", "gzip", "br", "gzip"] {
        assert_eq!(site.get_with("/static/x.css", &[("accept-encoding", coding)]).await.text(), coding);
        site.landed().await;
    }
    assert_eq!(site.get("/static/x.css").await.text(), "none");
    assert_eq!(site.times(), 3);
    // A header that does not travel can't make a variant.
    site.landed().await;
    let got = site.get_with("/static/x.css", &[("x-unlisted", "7"), ("accept-encoding", "br")]).await;
    assert!(got.cache_status().contains("hit"));
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let site = Site::saying(CSS, "body{}").await;
    let first = site.ask(request("HEAD", "/static/x.css", &[])).await.unwrap();
    assert_eq!((first.status, first.header("content-length"), first.text()), (200, "6", ""));
    site.get("/static/x.css").await;
    site.landed().await;
    let head = site.ask(request("HEAD", "/static/x.css", &[])).await.unwrap();
    assert!(head.cache_status().contains("hit"));
    assert_eq!((head.status, head.header("content-length"), head.text()), (200, "6", ""));
    let methods: Vec<String> = site.asked().into_iter().map(|a| a.method).collect();
    assert_eq!(methods, ["HEAD", "GET"]);
    assert_eq!(site.not_stored("method"), 1);
}

#[tokio::test]
async fn who_has_it_already_gets_304() {
    let site = Site::saying(CSS, "body{}").await;
    site.get("/static/x.css").await;
    site.landed().await;
    for (tag, status) in [("\"1\"", 304), ("W/\"1\"", 304), ("\"0\", \"1\"", 304), ("*", 304), ("\"2\"", 200)]
    {
        let got = site.get_with("/static/x.css", &[("if-none-match", tag)]).await;
        assert_eq!(got.status, status, "{tag}");
        assert_eq!(got.text().is_empty(), status == 304);
        assert_eq!(got.header("etag"), "\"1\"");
    }
    assert_eq!(site.times(), 1);
}

#[tokio::test]
async fn a_range_passes_through() {
    let site = Site::new(settings(), |asked| async move {
        match asked.headers.get("range") {
            Some(_) => with_status(206, &[CSS, &[("content-range", "bytes 0-1/6")]].concat(), "bo"),
            None => answer(CSS, "body{}"),
        }
    })
    .await;
    let headers = [("range", "bytes=0-1"), ("cookie", "a=b")];
    let part = site.get_with("/static/x.css", &headers).await;
    assert_eq!((part.status, part.text()), (206, "bo"));
    assert!(!site.asked()[0].headers.contains_key("cookie"));
    assert_eq!(site.get("/static/x.css").await.text(), "body{}");
    site.landed().await;
    assert_eq!(site.get_with("/static/x.css", &headers).await.status, 206);
    assert_eq!(site.not_stored("range"), 2);
    assert_eq!(site.times(), 3);
}

#[tokio::test]
async fn what_policy_forbids_to_keep_passes() {
    let cached = Cached::Forbidden { why: "an order".to_owned() };
    let route = PublicRoute { cached, ..PublicRoute::new("/static/", "public") };
    let site =
        Site::new(EdgeSettings { routes: vec![route], ..settings() }, |_| async { answer(CSS, "x") }).await;
    for _ in 0..3 {
        let got = site.get_with("/static/x.css", &[("cookie", "a=b")]).await;
        assert_eq!(got.cache_status(), "domicile; fwd=bypass; detail=policy");
    }
    assert_eq!((site.times(), site.not_stored("policy")), (3, 3));
    assert_eq!(site.count("domicile_edge_store_objects", ""), 0);
    assert!(site.asked().iter().all(|a| !a.headers.contains_key("cookie")));
}

#[tokio::test]
async fn only_if_cached_asks_nobody() {
    let site = Site::saying(CSS, "x").await;
    let only = [("cache-control", "only-if-cached")];
    assert_eq!(site.get_with("/static/x.css", &only).await.status, 504);
    assert_eq!(site.times(), 0);
    site.get("/static/x.css").await;
    site.landed().await;
    assert_eq!(site.get_with("/static/x.css", &only).await.status, 200);
    // A stranger's reload does not reach the origin.
    assert!(
        site.get_with("/static/x.css", &[("cache-control", "no-cache")]).await.cache_status().contains("hit")
    );
    assert_eq!(site.times(), 1);
}

#[tokio::test]
async fn headers_of_an_answer_are_kept_whole_and_those_of_the_connection_are_not() {
    let site = Site::saying(
        &[
            ("content-type", "text/css"),
            ("cache-control", "max-age=60"),
            ("link", "</a>; rel=preload"),
            ("link", "</b>; rel=preload"),
            ("cache-status", "origin; hit"),
            ("keep-alive", "timeout=5"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
        ],
        "x",
    )
    .await;
    for _ in 0..2 {
        let got = site.get("/static/x.css").await;
        assert_eq!(got.headers.get_all("link").iter().count(), 2);
        assert_eq!(got.headers.get_all("cache-status").iter().count(), 2);
        assert!(!got.headers.contains_key("x-hop") && !got.headers.contains_key("keep-alive"));
        site.landed().await;
    }
    assert_eq!(site.times(), 1);
}
