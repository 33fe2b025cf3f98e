//! Answers that say no: RFC 9457 problem details, with a code that stays the same.

use crate::body::{self, Body};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use std::time::Duration;

/// Why a request gets no other answer. Holds nothing that the client sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The HTTP status.
    #[serde(serialize_with = "number")]
    pub status: StatusCode,
    /// A word that programs may rely on.
    pub code: &'static str,
    /// What is wrong, for people.
    pub title: &'static str,
    /// More of it; names no subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
    /// Where to ask instead (421).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<Box<Elsewhere>>,
    /// The answer has the member `type` of RFC 9457, made of the code.
    #[serde(skip)]
    pub is_typed: bool,
    /// When it is worth asking again.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// Who answers instead: the home's region, its address, and the epoch of which that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    /// The region's id.
    pub region: String,
    /// Where it is reached; `None`: the configuration does not say.
    pub endpoint: Option<String>,
    /// Of the home; 0: nobody has it yet, policy chose the region.
    pub epoch: u64,
}

fn number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem without details.
    pub const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, detail: None, fix: None, home: None, is_typed: false, retry_after: None }
    }

    /// The same with more words. They must name no subject.
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same with what to do.
    pub const fn fix(mut self, fix: &'static str) -> Self {
        self.fix = Some(fix);
        self
    }

    /// The same with a `type`, `urn:domicile:problem:CODE`.
    pub const fn typed(mut self) -> Self {
        self.is_typed = true;
        self
    }

    /// The same with who answers instead.
    pub fn at(self, home: Elsewhere) -> Self {
        Self { home: Some(Box::new(home)), ..self }
    }

    /// The same, worth repeating after `wait`.
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// As an answer.
    pub fn answer(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Typed<'a> {
            r#type: String,
            #[serde(flatten)]
            problem: &'a Problem,
        }
        let typed = || Typed { r#type: format!("urn:domicile:problem:{}", self.code), problem: self };
        let text = if self.is_typed { serde_json::to_vec(&typed()) } else { serde_json::to_vec(self) };
        let text = text.unwrap_or_default();
        let mut answer = Response::new(body::full(text));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self.status, StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED) {
            // Where its end was is not certain: what follows on this connection is read by nobody.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_problem_says_its_code() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-lease", "this gateway may not route");
        let answer = problem.retry_after(Duration::from_millis(10)).answer();
        assert_eq!(answer.headers()[RETRY_AFTER], "1");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let known = r#"{"status":503,"code":"no-lease","title":"this gateway may not route"}"#;
        assert_eq!(text, known.as_bytes());
    }
}
