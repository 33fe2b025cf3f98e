//! Does the network obey? Every question is asked twice, under a name that is new each time: what the second answer
//! kept of the first was cached. With the echo behind the network, what was forwarded is seen as well.

use super::client::Client;
use super::crooked::crooked;
use super::probe::{Asker, Probes, STEERING, With};
use crate::edge::{Cached, PublicRoute, Query};
use http::Method;
use serde::Serialize;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A word that programs may rely on.
    pub code: &'static str,
    /// What was asked for.
    pub target: String,
    /// What is wrong, for people.
    pub what: &'static str,
}

/// What a check found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Requests made.
    pub asked: usize,
    /// Was the origin behind the network our echo? Without it, what is forwarded can't be seen.
    pub echo: bool,
    /// Public paths that were kept, as they may be.
    pub kept: usize,
    /// What must not be.
    pub findings: Vec<Finding>,
    /// What may be, and is worth knowing.
    pub notes: Vec<Finding>,
}

/// Asks the network about all declared routes.
///
/// # Errors
/// In words, where it can't be asked at all.
pub async fn check(probes: &Probes) -> Result<Report, String> {
    let client = Client::new()?;
    let mut check = Check { asker: Asker { probes, client: &client, asked: 0 }, report: Report::default() };
    for route in &probes.routes {
        check.route(route).await?;
    }
    check.given().await?;
    check.private().await?;
    check.deceptions().await?;
    check.report.asked = check.asker.asked;
    Ok(check.report)
}

struct Check<'p> {
    asker: Asker<'p>,
    report: Report,
}

impl Check<'_> {
    fn finds(&mut self, wrong: bool, code: &'static str, target: &str, what: &'static str) {
        if wrong {
            self.report.findings.push(Finding { code, target: target.to_owned(), what });
        }
    }

    fn notes(&mut self, worth: bool, code: &'static str, target: &str, what: &'static str) {
        if worth {
            self.report.notes.push(Finding { code, target: target.to_owned(), what });
        }
    }

    /// A declared route, by names that nobody has asked for yet.
    async fn route(&mut self, route: &PublicRoute) -> Result<(), String> {
        if !route.hosts.is_empty()
            && !self.asker.probes.asked_host().is_some_and(|h| route.hosts.contains(&h))
        {
            self.notes(
                true,
                "other-host",
                &route.path,
                "declared for other hosts: ask for one of them with --host",
            );
            return Ok(());
        }
        if route.cached != Cached::Allowed {
            let target = fresh(route)?;
            let twice = self.asker.twice(Method::GET, &target, With::Nothing, With::Nothing).await?;
            self.finds(
                twice.is_kept(),
                "forbidden-kept",
                &target,
                "kept, although policy forbids to cache it there",
            );
            return Ok(());
        }
        self.public(&fresh(route)?).await?;
        if !is_new_each_time(route) {
            return Ok(());
        }
        self.bearer(&fresh(route)?).await?;
        self.steered(&fresh(route)?).await?;
        let target = fresh(route)?;
        let twice = self.asker.twice(Method::POST, &target, With::Nothing, With::Nothing).await?;
        self.finds(twice.is_kept(), "post-kept", &target, "an answer to POST was kept");
        if self.report.echo && route.query == Query::Kept {
            self.told(route).await?;
        }
        Ok(())
    }

    /// What may be kept, and must not carry a cookie to the origin.
    async fn public(&mut self, target: &str) -> Result<(), String> {
        let twice = self.asker.twice(Method::GET, target, With::Cookie, With::Nothing).await?;
        let reached = &twice.first.reached;
        self.report.echo |= reached.is_some();
        let cookie = reached.as_ref().is_some_and(|r| r.cookie);
        self.finds(cookie, "cookie-forwarded", target, "a cookie reached the origin on a public route");
        if twice.is_kept() {
            self.report.kept += 1;
        } else {
            self.notes(true, "public-not-kept", target, "public, and not kept");
        }
        Ok(())
    }

    async fn bearer(&mut self, target: &str) -> Result<(), String> {
        let twice = self.asker.twice(Method::GET, target, With::Authorization, With::Nothing).await?;
        let seen = twice.first.reached.as_ref().is_some_and(|r| r.authorization);
        self.finds(
            seen,
            "authorization-forwarded",
            target,
            "a credential reached the origin on a public route",
        );
        self.finds(
            twice.is_kept(),
            "authorization-kept",
            target,
            "the answer to a request with a credential was kept",
        );
        Ok(())
    }

    async fn steered(&mut self, target: &str) -> Result<(), String> {
        let twice = self.asker.twice(Method::GET, target, With::Steering, With::Nothing).await?;
        let seen = twice
            .first
            .reached
            .as_ref()
            .is_some_and(|r| r.headers.iter().any(|h| STEERING.contains(&h.as_str())));
        let what =
            "a header that no key knows reached the origin: one client could shape what all others get";
        self.finds(seen, "header-forwarded", target, what);
        Ok(())
    }

    /// Answers that must not be kept; the echo makes them.
    async fn told(&mut self, route: &PublicRoute) -> Result<(), String> {
        for (probe, code, what) in [
            ("set-cookie", "set-cookie-kept", "an answer that sets a cookie was kept"),
            ("personal", "personal-kept", "an answer that is tagged as personal was kept"),
            ("private", "private-kept", "an answer with Cache-Control: private was kept"),
            ("no-store", "no-store-kept", "an answer with Cache-Control: no-store was kept"),
            ("misfit", "misfit-kept", "an HTML page under the name of a style sheet was kept"),
        ] {
            if probe == "misfit" && !(route.fits && below(route)) {
                continue;
            }
            let target = fresh(route)?;
            let mark = if target.contains('?') { '&' } else { '?' };
            let target = format!("{target}{mark}probe={probe}");
            let twice = self.asker.twice(Method::GET, &target, With::Nothing, With::Nothing).await?;
            self.finds(twice.is_kept(), code, &target, what);
            let cookie = twice.first.answer.headers.contains_key(http::header::SET_COOKIE);
            self.finds(cookie, "set-cookie-handed-out", &target, "a public route handed out a cookie");
            let given = probe == "personal" && twice.first.reached.is_some();
            self.notes(
                given,
                "personal-handed-out",
                &target,
                "an answer that is tagged as personal was handed out, not kept",
            );
        }
        Ok(())
    }

    /// Public paths that were named.
    async fn given(&mut self) -> Result<(), String> {
        for target in &self.asker.probes.public {
            self.public(target).await?;
        }
        Ok(())
    }

    async fn private(&mut self) -> Result<(), String> {
        let mut targets = self.asker.probes.private.clone();
        targets.push(format!("/{}", name()?));
        for target in &targets {
            let twice = self.asker.twice(Method::GET, target, With::Cookie, With::Nothing).await?;
            self.finds(twice.is_kept(), "private-path-kept", target, "not declared public, and kept");
            let lost = twice.first.reached.as_ref().is_some_and(|r| !r.cookie);
            self.finds(
                lost,
                "cookie-lost",
                target,
                "a cookie did not reach the origin on a path that is not public",
            );
        }
        Ok(())
    }

    /// Web-cache deception: a victim with a cookie is lured to each path, somebody without one asks after him.
    async fn deceptions(&mut self) -> Result<(), String> {
        let private = match self.asker.probes.private.first() {
            Some(path) => path.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned(),
            None => format!("/{}", name()?),
        };
        let publics: Vec<String> =
            self.asker.probes.routes.iter().filter(|r| below(r)).map(|r| r.path.clone()).collect();
        for public in publics {
            for target in crooked(&public, &private, &name()?) {
                let twice = self.asker.twice(Method::GET, &target, With::Cookie, With::Nothing).await?;
                self.finds(
                    twice.is_kept(),
                    "deceived",
                    &target,
                    "a path that can be read as a private one was kept",
                );
            }
        }
        Ok(())
    }
}

fn below(route: &PublicRoute) -> bool {
    route.path.len() > 1 && route.path.ends_with('/')
}

/// A target of the route that nobody has asked for.
fn fresh(route: &PublicRoute) -> Result<String, String> {
    match (below(route), route.query) {
        (true, _) => Ok(format!("{}{}.css", route.path, name()?)),
        (false, Query::Kept) => Ok(format!("{}?{}", route.path, name()?)),
        (false, Query::Ignored) => Ok(route.path.clone()),
    }
}

/// Else what an earlier question left is found by a later one.
fn is_new_each_time(route: &PublicRoute) -> bool {
    below(route) || route.query == Query::Kept
}

fn name() -> Result<String, String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
    Ok(format!("domicile-probe-{}", hex::encode(bytes)))
}
