//! What a check asks for, and one question asked twice.

use super::client::{Client, Fetched};
use super::echo::{ECHO, Reached};
use crate::edge::{PublicRoute, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

/// The largest answer that is read, bytes.
const BODY_BYTES_MAX: usize = 8 << 20;

/// The network under test and what is asked of it.
#[derive(Debug, Clone)]
pub struct Probes {
    /// `http://HOST[:PORT]` or `https://...`, without a path.
    pub base: String,
    /// The `Host` to ask for, where it is not that of `base`.
    pub host: Option<String>,
    /// The declared public routes.
    pub routes: Vec<PublicRoute>,
    /// Paths that exist and are public; without any, names that are new each time are asked for below the routes.
    pub public: Vec<String>,
    /// Paths that exist and are private.
    pub private: Vec<String>,
}

impl Probes {
    /// The host that is asked for, in its one spelling.
    pub(super) fn asked_host(&self) -> Option<String> {
        let base: Uri = self.base.parse().ok()?;
        let scheme = if base.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
        let named = self.host.as_deref().or(base.authority().map(|a| a.as_str()))?;
        crate::edge::host(named, scheme).ok()
    }
}

/// Headers that name somebody, or steer an application. The values are made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    /// None.
    Nothing,
    /// A cookie.
    Cookie,
    /// A credential.
    Authorization,
    /// What no key knows.
    Steering,
}

/// Headers of [`With::Steering`].
pub(super) const STEERING: [&str; 3] = ["x-forwarded-host", "x-original-url", "x-user-id"];

impl With {
    fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        };
        match self {
            With::Nothing => {}
            With::Cookie => put("cookie", "session=domicile-probe"),
            With::Authorization => put("authorization", "Bearer domicile-probe"),
            With::Steering => STEERING.into_iter().for_each(|name| put(name, "probe.invalid")),
        }
        headers
    }
}

/// One answer, and what it tells.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub answer: Fetched,
    pub reached: Option<Reached>,
}

impl Seen {
    /// Does the answer say by itself that it comes out of a cache?
    pub(super) fn says_hit(&self) -> bool {
        let all = |name: &str| {
            self.answer
                .headers
                .get_all(name)
                .iter()
                .filter_map(|v| v.to_str().ok())
                .collect::<Vec<_>>()
                .join(",")
        };
        let aged = all("age").trim().parse::<u64>().is_ok_and(|age| age > 0);
        let words = ["x-cache", "cf-cache-status", "x-cache-status", "x-proxy-cache"]
            .map(all)
            .join(",")
            .to_ascii_lowercase();
        let standard = all("cache-status").to_ascii_lowercase();
        let hit = standard.split(',').any(|member| member.split(';').skip(1).any(|p| p.trim() == "hit"));
        aged || hit || words.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "hit")
    }
}

/// The two answers to one question.
#[derive(Debug, Clone)]
pub(super) struct Twice {
    pub first: Seen,
    pub second: Seen,
}

impl Twice {
    /// Was the second one kept from the first?
    pub(super) fn is_kept(&self) -> bool {
        let same = match (&self.first.reached, &self.second.reached) {
            (Some(a), Some(b)) => a.number == b.number,
            _ => false,
        };
        same || self.second.says_hit()
    }
}

/// Asks the network.
#[derive(Debug)]
pub(super) struct Asker<'p> {
    pub probes: &'p Probes,
    pub client: &'p Client,
    pub asked: usize,
}

impl Asker<'_> {
    /// The same target, first with these headers and then with those.
    pub(super) async fn twice(
        &mut self,
        method: Method,
        target: &str,
        first: With,
        second: With,
    ) -> Result<Twice, String> {
        let first = self.once(method.clone(), target, first).await?;
        let second = self.once(method, target, second).await?;
        Ok(Twice { first, second })
    }

    async fn once(&mut self, method: Method, target: &str, with: With) -> Result<Seen, String> {
        let uri: Uri = format!("{}{target}", self.probes.base)
            .parse()
            .map_err(|_| format!("{target} can't be asked for"))?;
        let mut headers = with.headers();
        if let Some(host) = &self.probes.host {
            headers.insert(http::header::HOST, HeaderValue::from_str(host).map_err(|e| e.to_string())?);
        }
        self.asked += 1;
        let answer = self.client.ask(method, uri, headers, BODY_BYTES_MAX).await?;
        let is_echo = answer.headers.contains_key(ECHO);
        let reached = if is_echo { serde_json::from_slice(&answer.body).ok() } else { None };
        Ok(Seen { answer, reached })
    }
}
