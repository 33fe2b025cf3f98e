//! What this service says is genuine, for everybody to check: the signed manifest at
//! `/.well-known/domicile.json` and the page that people read at `/.well-known/domicile.html`.
//!
//! The gateway has no signing key: it hands out what `domicile manifest sign` wrote, as it is.

mod page;

pub use page::page;

use crate::body::{self, Body};
use bytes::Bytes;
use domicile_ledger::{ManifestError, VerifyingKey, verify_manifest};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Where the manifest is.
pub const MANIFEST_PATH: &str = "/.well-known/domicile.json";
/// Where the page is.
pub const PAGE_PATH: &str = "/.well-known/domicile.html";
/// Short, so that a manifest that was replaced is not believed for long.
const FRESH: &str = "public, max-age=300";
/// The page runs nothing and loads nothing.
const NOTHING_RUNS: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The two documents.
#[derive(Debug, Clone)]
pub struct WellKnown {
    manifest: Document,
    page: Document,
}

#[derive(Debug, Clone)]
struct Document {
    bytes: Bytes,
    tag: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl WellKnown {
    /// Of a manifest's bytes, which the caller has verified, and the page made of it ([`page`]).
    pub fn new(manifest: impl Into<Bytes>, page: impl Into<Bytes>) -> Self {
        let json = HeaderValue::from_static("application/json");
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        let any = (HeaderName::from_static("access-control-allow-origin"), HeaderValue::from_static("*"));
        let still = (CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING_RUNS));
        Self {
            manifest: Document::new(manifest.into(), vec![(CONTENT_TYPE, json), any]),
            page: Document::new(page.into(), vec![(CONTENT_TYPE, html), still]),
        }
    }

    /// The same from the manifest's bytes alone, if it verifies with one of these keys at that time.
    ///
    /// # Errors
    /// Why it must not be believed, and so not be served.
    pub fn verified(
        manifest: impl Into<Bytes>,
        trusted: &[VerifyingKey],
        now: Timestamp,
    ) -> Result<Self, ManifestError> {
        let bytes = manifest.into();
        let read = verify_manifest(&bytes, trusted, now)?;
        Ok(Self::new(bytes, page(&read)))
    }

    /// The answer where the request is for one of the two, whoever asks; `None` where it is not.
    pub fn answer(&self, request: &Parts) -> Option<Response<Body>> {
        let document = match request.uri.path() {
            MANIFEST_PATH => &self.manifest,
            PAGE_PATH => &self.page,
            _ => return None,
        };
        Some(document.answer(request))
    }
}

impl Document {
    fn new(bytes: Bytes, mut headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
        headers.push((CACHE_CONTROL, HeaderValue::from_static(FRESH)));
        headers.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
        let tag = HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { bytes, tag, headers }
    }

    fn answer(&self, request: &Parts) -> Response<Body> {
        let mut answer = Response::new(body::empty());
        if request.method != Method::GET && request.method != Method::HEAD {
            *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        answer.headers_mut().extend(self.headers.iter().cloned());
        answer.headers_mut().insert(ETAG, self.tag.clone());
        if self.is_known(request) {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return answer;
        }
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.bytes.len()));
        if request.method == Method::GET {
            *answer.body_mut() = body::full(self.bytes.clone());
        }
        answer
    }

    fn is_known(&self, request: &Parts) -> bool {
        let tags =
            request.headers.get_all(IF_NONE_MATCH).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
        tags.map(<[u8]>::trim_ascii)
            .map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag))
            .any(|tag| tag == b"*" || tag == self.tag.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use http_body_util::BodyExt;

    fn ask(method: &str, path: &str, tag: Option<&str>) -> Option<Response<Body>> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        WellKnown::new("{}", "<html>").answer(&request.body(()).unwrap().into_parts().0)
    }

    #[tokio::test]
    async fn both_are_handed_out_as_they_are() {
        for (path, kind, text) in
            [(MANIFEST_PATH, "application/json", "{}"), (PAGE_PATH, "text/html; charset=utf-8", "<html>")]
        {
            let answer = ask("GET", path, None).unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["content-type"]),
                (200, &HeaderValue::from_static(kind))
            );
            let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), text);
            assert_eq!(ask("GET", path, Some(&tag)).unwrap().status(), 304);
            assert_eq!(ask("GET", path, Some(&format!("\"a\", W/{tag}"))).unwrap().status(), 304);
            let head = ask("HEAD", path, Some("\"a\"")).unwrap();
            assert_eq!(head.headers()["content-length"], text.len().to_string().as_str());
            assert_eq!(head.into_body().collect().await.unwrap().to_bytes(), "");
            assert_eq!(ask("POST", path, None).unwrap().status(), 405);
        }
        assert!(ask("GET", "/.well-known/other", None).is_none());
        assert!(ask("GET", "/.well-known/domicile.json/", None).is_none());
    }
}
