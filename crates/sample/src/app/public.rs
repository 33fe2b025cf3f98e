//! `/static/{file}`: what is the same for everybody and may be kept by any cache.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// What caches may do with it: fresh for a minute, and shown for another one while they ask.
const CACHE_CONTROL: &str = "public, max-age=60, stale-while-revalidate=60";
/// KiB of a made-up file at most.
const KIB_MAX: usize = 1024;

const FILES: [(&str, &str, &str); 4] = [
    ("index.html", "text/html; charset=utf-8", "<!doctype html><title>Notes</title><h1>Notes</h1>\n"),
    ("style.css", "text/css; charset=utf-8", "h1 { font-family: sans-serif }\n"),
    ("app.js", "text/javascript; charset=utf-8", "document.title = 'Notes';\n"),
    ("logo.svg", "image/svg+xml", "<svg xmlns=\"http://www.w3.org/2000/svg\"><circle r=\"8\"/></svg>\n"),
];

/// One file, or 304 where the asker has it. `64k.bin` (1 to 1024) is as many KiB, for measurements.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((kind, body)) = body(&name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let tag = format!("\"{}\"", &hex::encode(Sha256::digest(&body))[..16]);
    let of_both = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, CACHE_CONTROL.to_owned())];
    let has = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    if has.is_some_and(|has| has.split(',').any(|one| one.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, of_both).into_response();
    }
    (of_both, [(header::CONTENT_TYPE, kind)], body).into_response()
}

fn body(name: &str) -> Option<(&'static str, Vec<u8>)> {
    if let Some((_, kind, text)) = FILES.iter().find(|(file, ..)| *file == name) {
        return Some((kind, text.as_bytes().to_vec()));
    }
    let kib: usize = name.strip_suffix("k.bin")?.parse().ok()?;
    let bytes = (1..=KIB_MAX).contains(&kib).then(|| (0..kib * 1024).map(|n| (n % 251) as u8).collect())?;
    Some(("application/octet-stream", bytes))
}
