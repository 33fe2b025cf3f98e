//! What was sent, checked before anything is asked: paths, queries, bodies.

use super::limits::{DirectoryLimits, SUBJECT_BYTES_MAX};
use super::refusals::{INVALID_BODY, INVALID_QUERY, INVALID_SUBJECT, NO_JSON, TOO_LARGE, TOO_SLOW};
use super::spelling::Spelling;
use crate::Problem;
use axum::body::Body;
use domicile_stores::records::SubjectId;
use http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

/// Reads a JSON body whole, within the limits.
pub(super) async fn json<T: DeserializeOwned>(
    request: Request<Body>,
    limits: &DirectoryLimits,
) -> Result<T, Problem> {
    let is_json = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|v| {
        v.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(NO_JSON);
    }
    let read = Limited::new(request.into_body(), limits.body_bytes).collect();
    let body = match tokio::time::timeout(limits.body, read).await {
        Err(_) => return Err(TOO_SLOW),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(TOO_LARGE),
        Ok(Err(_)) => return Err(INVALID_BODY.because("it ended too early")),
        Ok(Ok(body)) => body.to_bytes(),
    };
    // The parser's words hold what was sent; where it stumbled does not.
    serde_json::from_slice(&body)
        .map_err(|e| INVALID_BODY.because(format!("line {}, column {}", e.line(), e.column())))
}

/// A subject's key in its one spelling.
pub(super) fn subject(typed: &str, spelling: Spelling) -> Result<SubjectId, Problem> {
    let fits = !typed.is_empty() && typed.len() <= SUBJECT_BYTES_MAX && !typed.chars().any(char::is_control);
    let canonical = fits.then(|| spelling.canonical(typed)).flatten();
    canonical.map(SubjectId).ok_or(INVALID_SUBJECT)
}

/// A query's values by name: each once, and none but these.
pub(super) fn query<const N: usize>(
    query: Option<&str>,
    names: [&str; N],
) -> Result<[Option<String>; N], Problem> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let place = names.iter().position(|known| *known == name).ok_or(INVALID_QUERY)?;
        if values[place].replace(value.into_owned()).is_some() {
            return Err(INVALID_QUERY);
        }
    }
    Ok(values)
}

/// The epochs that the caller knows already.
pub(super) fn known(headers: &HeaderMap) -> Known {
    let mut known = Known::default();
    for value in headers.get_all(IF_NONE_MATCH) {
        for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            known.any |= tag == "*";
            let quoted = tag.strip_prefix("W/").unwrap_or(tag);
            let number = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            // As it was given out, and not `03` or `+3`, which never was.
            known.epochs.extend(number.and_then(|n| n.parse::<u64>().ok().filter(|e| e.to_string() == n)));
        }
    }
    known
}

/// What `If-None-Match` names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    any: bool,
    epochs: Vec<u64>,
}

impl Known {
    /// Does the caller know this epoch?
    pub fn has(&self, epoch: u64) -> bool {
        self.any || self.epochs.contains(&epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_epochs_are_those_of_the_tags() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, value.parse().unwrap());
            }
            known(&headers)
        };
        let found = of(&["\"3\", W/\"4\"", "\"5\""]);
        assert!([3, 4, 5].into_iter().all(|epoch| found.has(epoch)) && !found.has(6));
        assert!(of(&["*"]).has(6));
        for none in ["3", "\"03\"", "\"+3\"", "\"\"", "\"3", "\"x\"", "\"18446744073709551616\"", "\u{fffd}"]
        {
            assert!(!of(&[none]).has(3), "{none}");
        }
    }

    proptest! {
        /// Whatever is sent: an answer and no panic, and what is understood is what was meant.
        #[test]
        fn anything_may_be_sent(query_text in "\\PC{0,60}", tag in "[ \"W/,*0-9\\x80-\\xff]{0,24}", epoch: u64, typed in "\\PC{0,600}") {
            if let Ok([wait, region]) = query(Some(&query_text), ["wait", "region"]) {
                prop_assert!(wait.is_none_or(|w| w.len() <= query_text.len()) && region.is_none_or(|r| r.len() <= 3 * query_text.len()));
            }
            let mut headers = HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_bytes(tag.as_bytes()) {
                headers.append(IF_NONE_MATCH, value);
            }
            let told = known(&headers);
            let named = tag.contains('*') || tag.contains(&format!("\"{epoch}\""));
            prop_assert!(named || !told.has(epoch));
            for spelling in [Spelling::Integer, Spelling::Uuid, Spelling::Text] {
                if let Ok(one) = subject(&typed, spelling) {
                    prop_assert_eq!(subject(&one.0, spelling).unwrap(), one);
                }
            }
        }

        /// Bodies of any bytes, read as each call reads its own.
        #[test]
        fn a_body_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}\":,a-z0-9 ]{0,80}") {
            for body in [bytes, json.into_bytes()] {
                let request = Request::builder().header(CONTENT_TYPE, "application/json; charset=utf-8");
                let request = request.body(Body::from(body)).unwrap();
                let limits = DirectoryLimits { body_bytes: 100, ..DirectoryLimits::default() };
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                let read = runtime.block_on(super::json::<std::collections::BTreeMap<String, u8>>(request, &limits));
                prop_assert!(read.is_ok() || read.unwrap_err().status.is_client_error());
            }
        }
    }

    #[test]
    fn a_query_has_what_it_may_have_once() {
        assert_eq!(query(Some("wait=5"), ["wait"]).unwrap(), [Some("5".into())]);
        assert_eq!(query(None, ["wait"]).unwrap(), [None]);
        assert_eq!(query(Some(""), ["wait"]).unwrap(), [None]);
        for bad in ["wait=5&wait=6", "other=1", "wait=1&x"] {
            assert_eq!(query(Some(bad), ["wait"]).unwrap_err().code, "invalid-query", "{bad}");
        }
    }

    #[test]
    fn a_subject_is_a_short_text_of_its_type() {
        assert_eq!(subject("007", Spelling::Integer).unwrap().0, "7");
        assert_eq!(subject("ann@example.com", Spelling::Text).unwrap().0, "ann@example.com");
        for bad in ["", "a\0b", "a\nb", &"x".repeat(513)] {
            assert_eq!(subject(bad, Spelling::Text).unwrap_err().code, "invalid-subject");
        }
        assert!(subject("x", Spelling::Integer).is_err());
    }
}
