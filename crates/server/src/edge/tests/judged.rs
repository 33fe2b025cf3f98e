//! What is never stored, each counted by its reason.

use super::origin::{Site, answer, settings, with_status};
use crate::body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use std::sync::Arc;
use tokio::sync::Semaphore;

async fn never(reason: &str, path: &str, headers: &'static [(&'static str, &'static str)]) -> Site {
    let site = Site::saying(headers, "mine").await;
    for _ in 0..2 {
        site.get(path).await;
        site.landed().await;
    }
    assert_eq!(site.times(), 2, "{reason} {headers:?}");
    assert_eq!(site.count("domicile_edge_store_objects", ""), 0, "{reason}");
    assert!(site.not_stored(reason) >= 1, "{reason} {headers:?}");
    site
}

#[tokio::test]
async fn what_the_answer_forbids() {
    for (reason, headers) in [
        ("private", &[("cache-control", "private, max-age=60")][..]),
        ("private", &[("cache-control", "max-age=60, Private")]),
        ("private", &[("cache-control", "max-age=60"), ("cache-control", "PRIVATE=\"x-name\"")]),
        ("no-store", &[("cache-control", "no-store")]),
        ("no-store", &[("cache-control", "max-age=60,NO-STORE")]),
        ("no-store", &[("cache-control", "x=\"a,b\", no-store, max-age=60")]),
        ("no-store", &[("cache-control", "max-age=60"), ("cdn-cache-control", "no-store")]),
        ("unclear", &[("cache-control", "max-age=60, x=\"no end")]),
        ("unclear", &[("cache-control", "max-age=60; no-store")]),
        ("vary-any", &[("cache-control", "max-age=60"), ("vary", "accept, *")]),
        ("vary-any", &[("cache-control", "max-age=60"), ("vary", "accept, accept language")]),
        ("no-lifetime", &[]),
        ("no-lifetime", &[("cache-control", "max-age=soon")]),
        ("no-lifetime", &[("cache-control", "max-age=60, max-age=90")]),
        ("no-lifetime", &[("cache-control", "max-age=60"), ("age", "99999999999999999999")]),
        ("no-lifetime", &[("expires", "0")]),
        ("no-lifetime", &[("pragma", "no-cache")]),
    ] {
        never(reason, "/static/x", headers).await;
    }
}

#[tokio::test]
async fn a_cookie_is_neither_stored_nor_handed_out() {
    let site = never(
        "set-cookie",
        "/static/x",
        &[("cache-control", "public, max-age=60"), ("set-cookie", "session=1"), ("set-cookie", "b=2")],
    )
    .await;
    let got = site.get("/static/x").await;
    assert_eq!((got.status, got.text()), (200, "mine"));
    assert!(!got.headers.contains_key("set-cookie"));
    assert_eq!(site.count("domicile_edge_stripped_total", "set-cookie"), 3);
    assert_eq!(site.not_stored("set-cookie"), 3);
}

#[tokio::test]
async fn a_personal_answer_is_refused() {
    for tag in ["1", "yes", ""] {
        let site = Site::new(settings(), move |_| async move {
            answer(&[("cache-control", "public, max-age=60"), ("domicile-personal", tag)], "Ann's orders")
        })
        .await;
        for _ in 0..3 {
            let got = site.get("/static/x").await;
            assert_eq!(got.status, 502);
            assert!(got.text().contains("\"code\":\"personal-on-public-route\""), "{}", got.text());
            assert!(!got.text().contains("Ann"));
            assert_eq!(got.header("cache-control"), "no-store");
            site.landed().await;
        }
        assert_eq!(site.not_stored("personal"), 3);
        assert_eq!(site.count("domicile_edge_store_objects", ""), 0);
    }
    let site = Site::saying(&[("cache-control", "max-age=60"), ("domicile-personal", "0")], "x").await;
    assert_eq!(site.get("/static/x").await.status, 200);
}

#[tokio::test]
async fn statuses_that_are_not_kept() {
    for (status, kept) in
        [(200, true), (301, true), (404, true), (410, true), (302, false), (403, false), (500, false)]
    {
        let site = Site::new(settings(), move |_| async move {
            with_status(status, &[("cache-control", "max-age=60"), ("location", "/a")], "x")
        })
        .await;
        for _ in 0..2 {
            assert_eq!(site.get("/static/x").await.status, status);
            site.landed().await;
        }
        assert_eq!(site.times(), if kept { 1 } else { 2 }, "{status}");
        assert_eq!(site.not_stored("status"), if kept { 0 } else { 2 }, "{status}");
    }
}

#[tokio::test]
async fn a_type_that_does_not_fit_the_extension() {
    never("misfit", "/static/x.css", &[("cache-control", "max-age=60"), ("content-type", "text/html")]).await;
    never(
        "misfit",
        "/static/x.JS",
        &[("cache-control", "max-age=60"), ("content-type", "text/html; charset=utf-8")],
    )
    .await;
    never("misfit", "/static/x.png", &[("cache-control", "max-age=60")]).await;
    never(
        "misfit",
        "/static/x.css",
        &[("cache-control", "max-age=60"), ("content-type", "text/css"), ("content-type", "text/html")],
    )
    .await;
    for (path, kind) in [
        ("/static/x.css", "Text/CSS; charset=utf-8"),
        ("/static/x.woff2", "font/woff2"),
        ("/static/x", "text/html"),
    ] {
        let site = Site::new(settings(), move |_| async move {
            answer(&[("cache-control", "max-age=60"), ("content-type", kind)], "x")
        })
        .await;
        site.get(path).await;
        site.landed().await;
        assert!(site.get(path).await.cache_status().contains("hit"), "{path}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_given_whole_and_not_stored() {
    let settings = || crate::edge::EdgeSettings { object_bytes_max: 1_000, ..settings() };
    let announced =
        Site::new(settings(), |_| async { answer(&[("cache-control", "max-age=60")], &"x".repeat(1_001)) })
            .await;
    let unannounced = Site::new(settings(), |_| async {
        let pieces = (0..11).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from("y".repeat(100)))));
        answer(&[("cache-control", "max-age=60")], "")
            .map(|_| body::streamed(StreamBody::new(stream::iter(pieces))))
    })
    .await;
    for (site, length) in [(announced, 1_001), (unannounced, 1_100)] {
        for _ in 0..2 {
            assert_eq!(site.get("/static/x").await.text().len(), length);
            site.landed().await;
        }
        assert_eq!((site.times(), site.count("domicile_edge_store_objects", "")), (2, 0));
        assert!(site.not_stored("too-large") >= 1);
    }
}

#[tokio::test]
async fn an_answer_of_unknown_length_is_stored_once_it_is_whole() {
    let site = Site::new(settings(), |_| async {
        let pieces = ["bo", "dy", "{}"].map(|p| Ok::<_, std::io::Error>(Frame::data(Bytes::from(p))));
        answer(&[("cache-control", "max-age=60")], "")
            .map(|_| body::streamed(StreamBody::new(stream::iter(pieces))))
    })
    .await;
    for _ in 0..2 {
        let got = site.get("/static/x").await;
        assert_eq!((got.text(), got.header("content-length")), ("body{}", "6"));
        site.landed().await;
    }
    assert_eq!(site.times(), 1);
}

#[tokio::test]
async fn half_an_answer_is_not_stored() {
    let gone = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&gone);
    let site = Site::new(settings(), move |asked| {
        let gate = Arc::clone(&gate);
        async move {
            let broken = stream::once(async move {
                gate.acquire().await.expect("open").forget();
                Err(std::io::Error::other("gone"))
            });
            let half = stream::iter([Ok(Frame::data(Bytes::from("half")))]).chain(broken);
            let announced = [("cache-control", "max-age=60"), ("content-length", "8")];
            let known = if asked.target.ends_with("announced") { 2 } else { 1 };
            answer(&announced[..known], "").map(|_| body::streamed(StreamBody::new(Box::pin(half))))
        }
    })
    .await;
    let site = Arc::new(site);
    let ask = |target: &'static str| {
        let site = Arc::clone(&site);
        tokio::spawn(async move { site.get(target).await })
    };
    // Its length was announced, so it is handed on as it comes: the client sees it break off.
    let got = ask("/static/announced");
    while site.count("domicile_edge_requests_total", "miss") == 0 {
        tokio::task::yield_now().await;
    }
    gone.add_permits(1);
    let got = got.await.expect("no panic");
    assert!(got.status == 200 && got.body.is_err());
    site.landed().await;
    // It was not: nobody saw any of it.
    gone.add_permits(1);
    let got = ask("/static/unknown").await.expect("no panic");
    assert_eq!(got.status, 502);
    site.landed().await;
    assert!(site.not_stored("broken") >= 1);
    assert_eq!(site.count("domicile_edge_store_objects", ""), 0);
}
