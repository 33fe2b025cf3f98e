//! Web-cache deception: an origin that reads paths carelessly and gives an account page to whoever asks with a
//! cookie. Nothing of it may come out of the cache, by whichever path it was asked for.

use super::origin::{Asked, Site, answer, request, settings};
use crate::body::Body;
use http::Response;

/// Reads paths as badly as any: decodes twice, cuts parameters, resolves dots, drops what is behind `.css`.
fn careless(asked: &Asked) -> Response<Body> {
    let decode = |t: &str| percent_encoding::percent_decode_str(t).decode_utf8_lossy().into_owned();
    let path = decode(&decode(asked.target.split(['?', '#']).next().unwrap_or_default())).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment.split(['\0', ';', '?', '#']).next().unwrap_or_default() {
            ".." => drop(segments.pop()),
            "" | "." => {}
            name => segments.push(name.trim_end_matches(['.', ' '])),
        }
    }
    let long = [("cache-control", "public, max-age=600")];
    match segments.first() {
        Some(&"account") => {
            let who = asked.headers.get("cookie").map_or("nobody", |v| v.to_str().unwrap_or("?"));
            answer(&long, &format!("account of {who}"))
        }
        _ => answer(&[&long[..], &[("content-type", "text/css")]].concat(), "public"),
    }
}

const PATHS: [&str; 26] = [
    "/account",
    "/account/x.css",
    "/account/static/x.css",
    "/account;x.css",
    "/account;/static/x.css",
    "/account%2Fx.css",
    "/account%3Bx.css",
    "/account%00x.css",
    "/account%23/static/x.css",
    "/account%3F/static/x.css",
    "/account%0A/static/x.css",
    "/static/../account",
    "/static/..;/account",
    "/static/%2e%2e/account",
    "/static/%2E%2E/account",
    "/static/..%2faccount",
    "/static/..%2Faccount",
    "/static/..%5Caccount",
    "/static/%252e%252e/account",
    "/static/%252E%252E%252Faccount",
    "/static/./../account",
    "/static//../../account",
    "/static/x.css/../../account",
    "/static/.../../../account",
    "/%73tatic/../account",
    "/account./x.css",
];

#[tokio::test]
async fn no_path_brings_an_account_into_the_store() {
    let site = Site::new(settings(), |asked| async move { careless(&asked) }).await;
    for path in PATHS {
        // The victim is lured to it, the attacker asks after him.
        for headers in [&[("cookie", "victim")][..], &[]] {
            if let Some(got) = site.ask(request("GET", path, headers)).await {
                assert!(
                    !got.text().contains("account"),
                    "{path} came to the account page as a public request"
                );
            }
        }
    }
    assert_eq!(site.count("domicile_edge_store_objects", ""), 0, "none of these is public");
    assert!(site.asked().is_empty());
    for (reason, least) in [("segment", 5), ("encoding", 2), ("hidden", 2), ("parameter", 1)] {
        assert!(site.count("domicile_edge_not_public_total", reason) >= least, "{reason}");
    }
    assert_eq!(site.get("/static/x.css").await.text(), "public");
}

#[tokio::test]
async fn other_methods_are_not_public() {
    let site = Site::new(settings(), |asked| async move { careless(&asked) }).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"] {
        assert!(site.ask(request(method, "/static/x.css", &[])).await.is_none(), "{method}");
    }
    assert_eq!(site.count("domicile_edge_not_public_total", "method"), 7);
    assert!(site.ask(request("POST", "/account", &[])).await.is_none());
    assert_eq!(site.count("domicile_edge_not_public_total", "method"), 7, "that one did not look public");
}

#[tokio::test]
async fn two_hosts_are_none() {
    let site = Site::new(settings(), |asked| async move { careless(&asked) }).await;
    let mut two = request("GET", "/static/x.css", &[("host", "other.example")]);
    assert!(site.ask(two.map(|()| ())).await.is_none());
    two = request("GET", "https://other.example/static/x.css", &[]);
    assert!(site.ask(two).await.is_none(), "target and Host differ");
    let mut none = request("GET", "/static/x.css", &[]);
    none.headers_mut().remove("host");
    assert!(site.ask(none).await.is_none());
    assert_eq!(site.count("domicile_edge_not_public_total", "host"), 3);
}

#[tokio::test]
async fn a_header_that_no_key_knows_poisons_nothing() {
    let site = Site::new(settings(), |asked| async move {
        let host = asked.headers.get("x-forwarded-host").map_or("shop.example", |v| v.to_str().unwrap());
        answer(&[("cache-control", "max-age=60")], &format!("<script src=//{host}/a.js>"))
    })
    .await;
    site.get_with("/static/x", &[("x-forwarded-host", "evil.example")]).await;
    site.landed().await;
    assert_eq!(site.get("/static/x").await.text(), "<script src=//shop.example/a.js>");
}
