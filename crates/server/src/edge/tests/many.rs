//! Many at once, and many things: one request to the origin, and memory within its bound.

use super::origin::{Got, Site, answer, settings, with_status};
use crate::body;
use crate::edge::EdgeSettings;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// A site that answers only once `open` has permits, and 200 who ask it at once.
async fn herd(
    site: Arc<Site>,
    open: &Semaphore,
    headers: impl Fn(usize) -> Vec<(&'static str, &'static str)>,
) -> Vec<Got> {
    let clients: Vec<_> = (0..200)
        .map(|n| {
            let (site, headers) = (Arc::clone(&site), headers(n));
            tokio::spawn(async move { site.get_with("/static/x", &headers).await })
        })
        .collect();
    // All of them have asked before the origin answers the first: each has run until it waits.
    while site.times() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    open.add_permits(10_000);
    join_all(clients).await.into_iter().map(|got| got.expect("no panic")).collect()
}

#[tokio::test]
async fn a_herd_is_one_request() {
    let open = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&open);
    let site = Site::new(settings(), move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.expect("open").forget();
            answer(&[("cache-control", "max-age=60")], "one")
        }
    })
    .await;
    let site = Arc::new(site);
    let got = herd(Arc::clone(&site), &open, |_| vec![]).await;
    assert!(got.iter().all(|g| g.status == 200 && g.text() == "one"));
    assert_eq!(site.times(), 1);
    let collapsed = site.count("domicile_edge_requests_total", "collapsed");
    let hits = site.count("domicile_edge_requests_total", "hit");
    assert_eq!((collapsed + hits, site.count("domicile_edge_requests_total", "miss")), (199, 1));
    assert!(got.iter().any(|g| g.cache_status().contains("collapsed")));
}

#[tokio::test]
async fn a_herd_of_variants_is_one_request_each() {
    let open = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&open);
    let site = Site::new(settings(), move |asked| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.expect("open").forget();
            let coding = asked.headers["accept-encoding"].to_str().expect("text").to_owned();
            answer(&[("cache-control", "max-age=60"), ("vary", "accept-encoding")], &coding)
        }
    })
    .await;
    let site = Arc::new(site);
    let codings = ["gzip", "br", "zstd"];
    let got = herd(Arc::clone(&site), &open, |n| vec![("accept-encoding", codings[n % 3])]).await;
    for (n, got) in got.iter().enumerate() {
        assert_eq!(got.text(), codings[n % 3]);
    }
    assert_eq!(site.times(), 3);
}

#[tokio::test]
async fn a_herd_at_something_that_is_not_stored_asks_for_itself_and_nobody_gets_anothers() {
    let (open, number) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::clone(&open);
    let site = Site::new(settings(), move |_| {
        let (gate, n) = (Arc::clone(&gate), number.fetch_add(1, Ordering::SeqCst));
        async move {
            gate.acquire().await.expect("open").forget();
            answer(&[("cache-control", "private")], &n.to_string())
        }
    })
    .await;
    let site = Arc::new(site);
    let got = herd(Arc::clone(&site), &open, |_| vec![]).await;
    let bodies: std::collections::BTreeSet<&str> = got.iter().map(Got::text).collect();
    assert_eq!(bodies.len(), 200, "each got an answer of its own");
    assert_eq!(site.times(), 200);
    assert_eq!(site.count("domicile_edge_store_objects", ""), 0);
}

#[tokio::test]
async fn a_herd_before_an_origin_that_is_ill_is_released() {
    let (open, number) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::clone(&open);
    let site = Site::new(settings(), move |_| {
        let (gate, n) = (Arc::clone(&gate), number.fetch_add(1, Ordering::SeqCst));
        async move {
            gate.acquire().await.expect("open").forget();
            match n {
                0 => with_status(500, &[], "ill"),
                _ => answer(&[("cache-control", "max-age=60")], "well"),
            }
        }
    })
    .await;
    let site = Arc::new(site);
    let got = herd(Arc::clone(&site), &open, |_| vec![]).await;
    assert_eq!(got.iter().filter(|g| g.status == 500).count(), 1);
    assert_eq!(got.iter().filter(|g| g.status == 200 && g.text() == "well").count(), 199);
}

#[tokio::test]
async fn all_read_an_answer_while_it_comes() {
    let open = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&open);
    let site = Site::new(settings(), move |_| {
        let gate = Arc::clone(&gate);
        async move {
            let rest = stream::once(async move {
                gate.acquire().await.expect("open").forget();
                Ok::<_, std::io::Error>(Frame::data(Bytes::from("second")))
            });
            let first = stream::iter([Ok(Frame::data(Bytes::from("first,")))]);
            answer(&[("cache-control", "max-age=60"), ("content-length", "12")], "")
                .map(|_| body::streamed(StreamBody::new(Box::pin(first.chain(rest)))))
        }
    })
    .await;
    let site = Arc::new(site);
    // The second half comes only after all have asked: those who came late read from the beginning.
    let got = herd(Arc::clone(&site), &open, |_| vec![]).await;
    assert!(got.iter().all(|g| g.text() == "first,second"));
    assert_eq!(site.times(), 1);
    site.landed().await;
    assert!(site.get("/static/x").await.cache_status().contains("hit"));
}

#[tokio::test]
async fn who_goes_away_does_not_take_the_answer_from_others() {
    let open = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&open);
    let site = Site::new(settings(), move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.expect("open").forget();
            answer(&[("cache-control", "max-age=60")], "one")
        }
    })
    .await;
    let site = Arc::new(site);
    let ask = || {
        let site = Arc::clone(&site);
        tokio::spawn(async move { site.get("/static/x").await })
    };
    let leader = ask();
    while site.times() == 0 {
        tokio::task::yield_now().await;
    }
    let waits = ask();
    leader.abort();
    assert!(leader.await.is_err());
    open.add_permits(1);
    assert_eq!(waits.await.expect("an answer").text(), "one");
    assert_eq!(site.times(), 1);
}

#[tokio::test]
async fn memory_stays_within_its_bound() {
    let bound = 1 << 20;
    let settings = EdgeSettings { memory_bytes_max: bound, object_bytes_max: 64 << 10, ..settings() };
    let site = Site::new(settings, |asked| async move {
        let size: usize = asked.target.rsplit('-').next().and_then(|s| s.parse().ok()).expect("a size");
        let long = "h".repeat(size % 700);
        answer(&[("cache-control", "max-age=600"), ("x-long", &long)], &"b".repeat(size))
    })
    .await;
    for n in 0..3_000_usize {
        let size = (n * 7_919) % 20_000;
        let target = format!("/static/{}/{n}-{size}", "p".repeat(1 + n % 900));
        assert_eq!(site.get(&target).await.text().len(), size);
        site.landed().await;
        assert!(site.count("domicile_edge_store_bytes", "") <= bound as u64);
    }
    assert!(site.count("domicile_edge_evicted_total", "") > 1_000);
    assert!(site.count("domicile_edge_store_bytes", "") > bound as u64 / 2, "the bound is used");
    assert!(site.count("domicile_edge_store_objects", "") > 20);
}

#[tokio::test]
async fn what_is_used_stays() {
    let settings = EdgeSettings { memory_bytes_max: 1 << 20, object_bytes_max: 200 << 10, ..settings() };
    let site =
        Site::new(settings, |_| async { answer(&[("cache-control", "max-age=600")], &"b".repeat(10_000)) })
            .await;
    site.get("/static/used").await;
    site.landed().await;
    for n in 0..300 {
        site.get(&format!("/static/{n}")).await;
        site.landed().await;
        assert!(site.get("/static/used").await.cache_status().contains("hit"), "after {n}");
    }
    assert!(site.get("/static/0").await.cache_status().contains("uri-miss"));
}

#[tokio::test]
async fn more_on_its_way_than_there_is_room_for_passes_unstored() {
    let settings = EdgeSettings { object_bytes_max: 8 << 10, fill_bytes_max: 10 << 10, ..settings() };
    let open = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&open);
    let site = Site::new(settings, move |asked| {
        let gate = Arc::clone(&gate);
        async move {
            let waits = asked.target.ends_with("slow");
            let piece = stream::once(async move {
                if waits {
                    gate.acquire().await.expect("open").forget();
                }
                Ok::<_, std::io::Error>(Frame::data(Bytes::from("b".repeat(8_000))))
            });
            answer(&[("cache-control", "max-age=60"), ("content-length", "8000")], "")
                .map(|_| body::streamed(StreamBody::new(Box::pin(piece))))
        }
    })
    .await;
    let site = Arc::new(site);
    let slow = {
        let site = Arc::clone(&site);
        tokio::spawn(async move { site.get("/static/slow").await })
    };
    while site.count("domicile_edge_requests_total", "miss") == 0 {
        tokio::task::yield_now().await;
    }
    let passed = site.get("/static/other").await;
    assert_eq!((passed.text().len(), site.not_stored("busy")), (8_000, 1), "{}", passed.cache_status());
    open.add_permits(1);
    assert_eq!(slow.await.expect("an answer").text().len(), 8_000);
    site.landed().await;
    site.get("/static/other").await;
    site.landed().await;
    assert_eq!(site.count("domicile_edge_store_objects", ""), 2);
}

#[tokio::test]
async fn a_stranger_cant_empty_the_store_by_odd_variants() {
    let site = Site::new(settings(), |asked| async move {
        let accept = asked.headers.get("accept").map_or("", |v| v.to_str().expect("text")).to_owned();
        match accept.as_str() {
            "odd/status" => with_status(406, &[], "odd"),
            "odd/private" => answer(&[("cache-control", "private")], "odd"),
            _ => answer(&[("cache-control", "max-age=60"), ("vary", "accept")], "good"),
        }
    })
    .await;
    site.get("/static/x").await;
    site.landed().await;
    for odd in ["odd/status", "odd/private"] {
        assert_eq!(site.get_with("/static/x", &[("accept", odd)]).await.text(), "odd");
        site.landed().await;
        assert!(site.get("/static/x").await.cache_status().contains("hit"), "{odd}");
    }
    assert_eq!(site.times(), 3);
}

#[tokio::test]
async fn an_origin_that_never_answers_is_given_up() {
    let settings = EdgeSettings { head_wait: std::time::Duration::from_millis(50), ..settings() };
    let site = Site::new(settings, |_| std::future::pending()).await;
    let got = site.get("/static/x").await;
    assert_eq!(got.status, 504);
    assert!(got.text().contains("origin-slow"), "{}", got.text());
    assert_eq!(site.cache.flights(), 0);
}
