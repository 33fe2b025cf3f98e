//! A request that has ended, as its stations noted it.

use super::context::Ids;
use std::time::{Duration, SystemTime};

/// Which way a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Route {
    /// None: it was turned away before.
    #[default]
    None,
    /// The manifest of genuine endpoints, or its page.
    WellKnown,
    /// What is the same for everybody.
    Public,
    /// To a subject's home, for another protocol on its connection.
    Upgrade,
    /// To the home of whom its body names by a claim.
    Login,
    /// A new subject.
    SignUp,
    /// To a subject's home.
    Subject,
}

impl Route {
    /// All of them, in the order of their numbers.
    pub const ALL: [Route; 7] = [
        Route::None,
        Route::WellKnown,
        Route::Public,
        Route::Upgrade,
        Route::Login,
        Route::SignUp,
        Route::Subject,
    ];

    /// The word in spans, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Route::None => "none",
            Route::WellKnown => "well-known",
            Route::Public => "public",
            Route::Upgrade => "upgrade",
            Route::Login => "login",
            Route::SignUp => "sign-up",
            Route::Subject => "subject",
        }
    }
}

/// One request. Nothing in it is the client's own word, except the trace's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Trace, span and parent.
    pub ids: Ids,
    /// When its head was here.
    pub began: SystemTime,
    /// From then until its answer was sent, or given up.
    pub lasted: Duration,
    /// A method that HTTP knows; `_OTHER` for one that a client made up.
    pub method: &'static str,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// `1.1` or `2`.
    pub version: &'static str,
    /// Its way.
    pub route: Route,
    /// The answer's status; 0: none, its client went away.
    pub status: u16,
    /// The region that answered last; `None`: none was asked.
    pub region: Option<String>,
    /// How long it waited while its subject moved: parked, or refused and not yet sent again.
    pub waited: Duration,
    /// How often it was sent again.
    pub repeats: u32,
    /// What the edge cache did.
    pub cache: Option<&'static str>,
    /// The code of the problem it was answered with.
    pub problem: Option<&'static str>,
    /// Bytes of the answer's body that went out.
    pub bytes: u64,
    /// The answer's body came to its end.
    pub is_whole: bool,
}

/// A method as a word of a closed set: a client may make up any other.
pub fn method_word(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

/// A version of HTTP as OpenTelemetry writes it.
pub fn version_word(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_2 => "2",
        http::Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_by_its_number() {
        for (n, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, n);
        }
    }

    #[test]
    fn a_method_that_a_client_made_up_is_not_repeated() {
        assert_eq!(method_word(&http::Method::PATCH), "PATCH");
        assert_eq!(method_word(&"ann@example.com".replace(['@', '.'], "-").parse().unwrap()), "_OTHER");
        assert_eq!(method_word(&"get".parse().unwrap()), "_OTHER");
    }
}
