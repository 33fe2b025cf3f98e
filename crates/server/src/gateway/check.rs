//! The first look at a request: what two parsers could read in two ways goes no further (RFC 9112 sections 3.2, 6.1, 6.3).
//!
//! Bare CR, obs-fold and malformed chunks never come this far: hyper refuses them; of Transfer-Encoding and Content-Length
//! together it drops the length and hangs up after the answer, as RFC 9112 section 6.1 demands. A bare LF at a line's end is
//! read as one, which RFC 9112 section 2.2 allows; what is forwarded is written anew and has none.

use crate::problem::Problem;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, StatusCode, Version};

const MALFORMED: Problem =
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "the request could be read in more than one way");

/// # Errors
/// The problem to answer with.
pub(super) fn head(parts: &Parts) -> Result<(), Problem> {
    let headers = &parts.headers;
    if headers.contains_key(TRANSFER_ENCODING) {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let is_chunked = codings.next().is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !is_chunked || codings.next().is_some() || parts.version == Version::HTTP_10 {
            return Err(MALFORMED.because("of transfer codings, one `chunked` is understood, in HTTP/1.1"));
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let digits = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
        if !digits || lengths.next().is_some() {
            return Err(MALFORMED.because("its Content-Length is not one number"));
        }
    }
    if parts.method == Method::CONNECT {
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this is no forward proxy");
        return Err(problem);
    }
    host(parts)
}

/// One host, said once: what routes and caches by host must see the same one as the application.
fn host(parts: &Parts) -> Result<(), Problem> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let authority = parts.uri.authority().map(|a| a.as_str().as_bytes());
    let is_missing = first.is_none() && authority.is_none() && parts.version == Version::HTTP_11;
    let differs = match (first, authority) {
        (Some(host), Some(authority)) => !host.as_bytes().eq_ignore_ascii_case(authority),
        _ => false,
    };
    if is_missing || second.is_some() || differs {
        return Err(MALFORMED.because("its Host is missing, or there is more than one"));
    }
    Ok(())
}

/// Passes while its subject is parked: it changes nothing at the home (RFC 9110 section 9.2.1).
pub(super) fn is_read(method: &Method) -> bool {
    method.is_safe()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn of(headers: &[(&str, &str)], version: Version) -> Result<(), Option<String>> {
        let mut request = Request::builder().uri("/").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        head(&request.body(()).unwrap().into_parts().0).map_err(|problem| problem.detail)
    }

    #[test]
    fn what_could_be_read_twice_is_refused() {
        let host = ("host", "a");
        for (headers, word) in [
            (&[host, ("transfer-encoding", "gzip, chunked")][..], "codings"),
            (&[host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], "codings"),
            (&[host, ("transfer-encoding", "identity")], "codings"),
            (&[host, ("content-length", "1"), ("content-length", "1")], "one number"),
            (&[host, ("content-length", "+1")], "one number"),
            (&[host, ("content-length", "1, 1")], "one number"),
            (&[host, ("content-length", "")], "one number"),
            (&[host, host], "Host"),
            (&[], "Host"),
        ] {
            let detail = of(headers, Version::HTTP_11).unwrap_err().unwrap();
            assert!(detail.contains(word), "{headers:?}: {detail}");
        }
        assert!(of(&[host, ("transfer-encoding", "chunked")], Version::HTTP_10).is_err());
    }

    #[test]
    fn what_is_plain_passes() {
        let host = ("host", "a");
        assert_eq!(of(&[host], Version::HTTP_11), Ok(()));
        assert_eq!(of(&[host, ("content-length", "10")], Version::HTTP_11), Ok(()));
        assert_eq!(of(&[host, ("transfer-encoding", "Chunked")], Version::HTTP_11), Ok(()));
        assert_eq!(of(&[], Version::HTTP_10), Ok(()));
        assert_eq!(of(&[], Version::HTTP_2), Ok(()));
    }
}
