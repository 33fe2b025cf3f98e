//! Asked again, stale while it is, stale where the origin fails (RFC 5861). An answer that comes with an `Age`
//! of its whole lifetime is stale at once, so that no test waits for a clock.

use super::origin::{Site, answer, settings, with_status};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

const STALE: [(&str, &str); 2] = [("age", "60"), ("etag", "\"1\"")];

#[tokio::test]
async fn a_stale_answer_is_asked_for_again_and_304_renews_it() {
    let site = Site::new(settings(), |asked| async move {
        if asked.headers.get("if-none-match").is_some_and(|v| v == "\"1\"") {
            return with_status(
                304,
                &[("cache-control", "max-age=600"), ("etag", "\"1\""), ("x-new", "1")],
                "",
            );
        }
        answer(
            &[&STALE[..], &[("cache-control", "max-age=60"), ("content-type", "text/css")]].concat(),
            "body{}",
        )
    })
    .await;
    site.get("/static/x.css").await;
    site.landed().await;
    let again = site.get_with("/static/x.css", &[("if-none-match", "\"other\"")]).await;
    assert_eq!((again.status, again.text(), again.header("x-new")), (200, "body{}", "1"));
    assert_eq!(again.header("content-type"), "text/css");
    assert!(
        again.cache_status().starts_with("domicile; fwd=stale; fwd-status=304; ttl="),
        "{}",
        again.cache_status()
    );
    assert_eq!(site.asked()[1].headers["if-none-match"], "\"1\"");
    assert!(site.get("/static/x.css").await.cache_status().contains("hit"));
    assert_eq!((site.times(), site.count("domicile_edge_requests_total", "revalidated")), (2, 1));
}

#[tokio::test]
async fn a_304_that_does_not_fit_is_not_believed() {
    for lie in [
        &[("etag", "\"2\""), ("cache-control", "max-age=60")][..],
        &[("etag", "\"1\""), ("set-cookie", "a=b")],
        &[("etag", "\"1\""), ("domicile-personal", "1")],
        &[("etag", "\"1\""), ("cache-control", "private")],
    ] {
        let site = Site::new(settings(), move |asked| async move {
            match asked.headers.get("if-none-match") {
                Some(_) => with_status(304, lie, ""),
                None => answer(&[&STALE[..], &[("cache-control", "max-age=60")]].concat(), "whole"),
            }
        })
        .await;
        site.get("/static/x").await;
        site.landed().await;
        assert_eq!(site.get("/static/x").await.text(), "whole", "{lie:?}");
        let asked: Vec<bool> = site.asked().iter().map(|a| a.headers.contains_key("if-none-match")).collect();
        assert_eq!(asked, [false, true, false], "{lie:?}");
    }
}

#[tokio::test]
async fn stale_while_revalidate() {
    let (times, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let held = Arc::clone(&gate);
    let site = Site::new(settings(), move |_| {
        let (n, held) = (times.fetch_add(1, Ordering::SeqCst), Arc::clone(&held));
        async move {
            if n == 0 {
                return answer(
                    &[("cache-control", "max-age=60, stale-while-revalidate=600"), ("age", "61")],
                    "old",
                );
            }
            held.acquire().await.expect("open").forget();
            answer(&[("cache-control", "max-age=60")], "new")
        }
    })
    .await;
    site.get("/static/x").await;
    site.landed().await;
    // The origin hangs; nobody waits for it, and it is asked once.
    for _ in 0..5 {
        let got = site.get("/static/x").await;
        assert_eq!(got.text(), "old");
        assert!(got.cache_status().contains("hit; ttl=-"), "{}", got.cache_status());
        assert!(got.cache_status().ends_with("detail=stale-while-revalidate"), "{}", got.cache_status());
    }
    gate.add_permits(1);
    site.landed().await;
    assert_eq!(site.get("/static/x").await.text(), "new");
    assert_eq!(site.times(), 2);
}

#[tokio::test]
async fn stale_if_error_and_only_where_the_answer_allows_it() {
    for (control, helps) in [
        ("max-age=60, stale-if-error=600", true),
        ("max-age=60", false),
        ("max-age=60, stale-if-error=600, must-revalidate", false),
        ("max-age=60, stale-if-error=0", false),
        ("no-cache, stale-if-error=600", false),
    ] {
        let site = Site::new(settings(), move |asked| async move {
            match asked.headers.get("if-none-match") {
                Some(_) => with_status(503, &[], "ill"),
                None => answer(&[&STALE[..], &[("cache-control", control)]].concat(), "old"),
            }
        })
        .await;
        site.get("/static/x").await;
        site.landed().await;
        for _ in 0..2 {
            let got = site.get("/static/x").await;
            let wanted = if helps { (200, "old") } else { (503, "ill") };
            assert_eq!((got.status, got.text()), wanted, "{control}");
            if helps {
                assert!(
                    got.cache_status().contains("fwd-status=503; detail=stale-if-error"),
                    "{}",
                    got.cache_status()
                );
            }
            site.landed().await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_became_personal_leaves_nothing_behind() {
    let times = Arc::new(AtomicUsize::new(0));
    let site = Site::new(settings(), move |_| {
        let n = times.fetch_add(1, Ordering::SeqCst);
        async move {
            match n {
                0 => answer(&[("cache-control", "max-age=60, stale-if-error=600"), ("age", "60")], "public"),
                _ => answer(&[("cache-control", "private")], "mine"),
            }
        }
    })
    .await;
    site.get("/static/x").await;
    site.landed().await;
    assert_eq!(site.count("domicile_edge_store_objects", ""), 1);
    assert_eq!(site.get("/static/x").await.text(), "mine");
    site.landed().await;
    assert_eq!(site.count("domicile_edge_store_objects", ""), 0);
}
