//! Whose request is it? The configured places are looked at in their order; the first that names somebody decides.

mod cookie;
pub(crate) mod jwt;
mod path;

use super::settings::SubjectRule;
use crate::directory::Spelling;
use crate::problem::Problem;
use domicile_stores::records::SubjectId;
use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};

/// A key of a subject is no longer than this.
const SUBJECT_BYTES_MAX: usize = 512;

/// Why a request names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Nobody {
    /// No rule found anything.
    Absent,
    /// A rule found something that can't be believed.
    Token(&'static str),
}

impl Nobody {
    pub fn problem(&self) -> Problem {
        match self {
            Nobody::Absent => {
                let problem =
                    Problem::new(StatusCode::BAD_REQUEST, "no-subject", "the request says not whose it is");
                problem.because("it is forwarded to nobody's home by guess")
            }
            Nobody::Token(why) => {
                let problem = Problem::new(StatusCode::UNAUTHORIZED, "token", "the token does not verify");
                problem.because(*why)
            }
        }
    }
}

/// The subject that the request names.
///
/// # Errors
/// Nobody, with the reason.
pub(super) fn of(parts: &Parts, rules: &[SubjectRule], spelling: Spelling) -> Result<SubjectId, Nobody> {
    for rule in rules {
        let found = match rule {
            SubjectRule::Jwt(rule) => rule.subject(parts)?,
            SubjectRule::Header(name) => header(parts, name),
            SubjectRule::Cookie(name) => cookie(parts, name).map(str::to_owned),
            SubjectRule::Path(after) => path::segment_after(parts.uri.path(), after),
        };
        if let Some(subject) = found.filter(|s| !s.is_empty()) {
            // Too long is there, too: no later rule may say that it is somebody else's.
            let subject = Some(subject).filter(|s| s.len() <= SUBJECT_BYTES_MAX);
            return subject.and_then(|s| spelling.canonical(&s)).map(SubjectId).ok_or(Nobody::Absent);
        }
    }
    Err(Nobody::Absent)
}

/// The only value of a header. Two are two opinions.
fn header(parts: &Parts, name: &HeaderName) -> Option<String> {
    let mut values = parts.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned),
        _ => None,
    }
}

/// The only value of a cookie.
fn cookie<'p>(parts: &'p Parts, name: &str) -> Option<&'p str> {
    let lines = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    cookie::only_value(lines, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn the_first_rule_that_names_somebody_decides() {
        let rules = [
            SubjectRule::Header(HeaderName::from_static("x-subject")),
            SubjectRule::Cookie("who".into()),
            SubjectRule::Path("/users/".into()),
        ];
        let of = |request: http::request::Builder| {
            super::of(&request.body(()).unwrap().into_parts().0, &rules, Spelling::Integer)
        };
        let ask = |path: &str| Request::builder().uri(path);
        let id = |id: &str| Ok(SubjectId(id.into()));
        assert_eq!(of(ask("/users/3/notes").header("x-subject", "1").header("cookie", "who=2")), id("1"));
        assert_eq!(of(ask("/users/3/notes").header("cookie", "a=b; who=2")), id("2"));
        assert_eq!(of(ask("/users/3/notes").header("cookie", "name=Jürgen; who=2")), id("2"));
        assert_eq!(of(ask("/users/003/notes")), id("3"));
        assert_eq!(of(ask("/users/three/notes")), Err(Nobody::Absent));
        assert_eq!(of(ask("/notes")), Err(Nobody::Absent));
        let twice = ask("/notes").header("x-subject", "1").header("x-subject", "2");
        assert_eq!(of(twice), Err(Nobody::Absent));
        assert_eq!(of(ask("/users/3").header("x-subject", "1".repeat(513))), Err(Nobody::Absent));
    }
}
