//! Does a `Content-Type` fit the extension that a path ends with?

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// Media types that an extension may stand for, `*` for any ending. An extension that is not listed says nothing.
const TYPES: [(&[&str], &[&str]); 21] = [
    (&["css"], &["text/css"]),
    (&["js", "mjs"], &["text/javascript", "application/javascript", "application/x-javascript"]),
    (&["json", "map"], &["application/json", "text/json", "application/octet-stream"]),
    (&["webmanifest"], &["application/manifest+json", "application/json"]),
    (&["png"], &["image/png"]),
    (&["jpg", "jpeg"], &["image/jpeg"]),
    (&["gif"], &["image/gif"]),
    (&["webp"], &["image/webp"]),
    (&["avif"], &["image/avif"]),
    (&["svg"], &["image/svg+xml"]),
    (&["ico"], &["image/x-icon", "image/vnd.microsoft.icon"]),
    (
        &["woff", "woff2", "ttf", "otf", "eot"],
        &["font/*", "application/font*", "application/vnd.ms-fontobject", "application/octet-stream"],
    ),
    (&["txt"], &["text/plain"]),
    (&["xml"], &["application/xml", "text/xml", "application/rss+xml", "application/atom+xml"]),
    (&["html", "htm"], &["text/html"]),
    (&["pdf"], &["application/pdf"]),
    (&["mp4", "webm", "ogg"], &["video/*", "audio/*"]),
    (&["mp3", "wav", "flac"], &["audio/*"]),
    (&["wasm"], &["application/wasm"]),
    (&["csv"], &["text/csv"]),
    (&["zip", "gz", "exe", "apk", "bin"], &["application/*"]),
];

/// A path without an extension, or with one that is not known, fits every type.
pub(super) fn fits(path: &str, headers: &HeaderMap) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let Some((_, extension)) = last.rsplit_once('.') else { return true };
    let extension = extension.to_ascii_lowercase();
    let Some((_, types)) = TYPES.iter().find(|(names, _)| names.contains(&extension.as_str())) else {
        return true;
    };
    let mut said = headers.get_all(CONTENT_TYPE).iter();
    let (Some(Ok(one)), None) = (said.next().map(HeaderValue::to_str), said.next()) else { return false };
    let bare = one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    types.iter().any(|known| match known.strip_suffix('*') {
        Some(beginning) => bare.starts_with(beginning),
        None => bare == *known,
    })
}

/// The same for other caches' configurations: extensions, and the types that fit them (`*`: any ending).
pub fn media_types() -> &'static [(&'static [&'static str], &'static [&'static str])] {
    &TYPES
}
