//! What is public comes from the edge cache of a whole gateway; everything else goes to its subject's home.

use crate::town::{These, Town};
use domicile_server::edge::{EdgeCache, EdgeSettings, PublicRoute};
use domicile_server::gateway::Limits;
use domicile_server::listen::ConnectionLimits;
use http::Request;
use http_body_util::{BodyExt, Full};
use std::time::Duration;

fn cache() -> Option<EdgeCache> {
    // The application says nothing of caching.
    let fresh = Some(Duration::from_secs(600));
    let routes = vec![PublicRoute { fresh, ..PublicRoute::new("/static/", "public") }];
    EdgeCache::new(EdgeSettings { routes, ..EdgeSettings::default() }).ok()
}

async fn town() -> Town {
    Town::keeping(Limits::default(), ConnectionLimits::default(), cache()).await
}

/// Whoever ends TLS in front of the gateway says so: the application must not send everybody to where they are already.
#[tokio::test]
async fn the_scheme_is_the_clients_where_somebody_trusted_says_it() {
    for (trusts_forwarded, proto) in [(true, "https"), (false, "http")] {
        let town = Town::of_these(These { edge: cache(), trusts_forwarded, ..These::default() }).await;
        let request = Request::get(format!("http://{}/static/logo", town.address));
        let request = request.header("x-forwarded-proto", "https").body(Full::default()).unwrap();
        town.client.request(request).await.unwrap();
        let seen = town.new.seen.lock().unwrap()[0].clone();
        assert_eq!(seen.headers["x-forwarded-proto"], proto);
        // The other scheme's answer is another one.
        town.answer("GET", "/static/logo", "ann", "").await;
        assert_eq!(town.new.count(), if trusts_forwarded { 2 } else { 1 });
    }
}

#[tokio::test]
async fn public_content_needs_no_subject_and_is_asked_for_once() {
    let town = town().await;
    for turn in 0..3 {
        let request = Request::get(format!("http://{}/static/logo?v=1", town.address))
            .header("cookie", "session=secret")
            .header("x-subject", "nobody-we-know")
            .header("x-forwarded-host", "evil.example");
        let answer = town.client.request(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["x-answer"].to_str().unwrap()), (200, "yes"));
        let status = answer.headers()["cache-status"].to_str().unwrap().to_owned();
        answer.into_body().collect().await.unwrap();
        assert!(status.contains(if turn == 0 { "fwd=uri-miss" } else { "hit" }), "{turn}: {status}");
    }
    assert_eq!(
        (town.new.count(), town.old.count()),
        (1, 0),
        "the region where the gateway stands is asked, once"
    );
    let seen = town.new.seen.lock().unwrap()[0].clone();
    assert_eq!(seen.path, "/static/logo?v=1");
    for name in ["cookie", "x-subject", "x-forwarded-host"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
    let samples = town.gateway.edge_samples();
    let hits = samples.iter().find(|s| s.label == Some(("outcome", "hit"))).unwrap();
    assert_eq!(hits.value, 2);
}

#[tokio::test]
async fn what_only_looks_public_goes_home_and_is_never_kept() {
    let town = town().await;
    let paths = [
        "/static/..%2Fme",
        "/static/%2e%2e/me",
        "/static/;/me",
        "/static//me",
        "/static/me.",
        "/me/static/x.css",
    ];
    for path in paths {
        for _ in 0..2 {
            let answer = town.answer("GET", path, "ann", "").await;
            assert_eq!(answer.status().as_u16(), 200, "{path}");
            assert!(!answer.headers().contains_key("cache-status"), "{path}");
        }
    }
    // A write to a public path is a write.
    assert_eq!(town.ask("POST", "/static/logo", "ann", "x").await.0.as_u16(), 200);
    assert_eq!(
        (town.old.count(), town.new.count()),
        (2 * paths.len() + 1, 0),
        "all went to Ann's home, as they were"
    );
    assert!(town.old.seen.lock().unwrap().iter().all(|seen| seen.headers["x-subject"] == "ann"));
    let stored =
        town.gateway.edge_samples().into_iter().find(|s| s.name == "domicile_edge_store_objects").unwrap();
    assert_eq!(stored.value, 0);
}
