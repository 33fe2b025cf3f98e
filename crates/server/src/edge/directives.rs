//! `Cache-Control`, read as RFC 9111 writes it: names in any letters, arguments in quotes, commas within them.

use super::judge::{LIFETIME_MAX, Reason};
use http::{HeaderMap, HeaderName};
use std::collections::BTreeMap;
use std::time::Duration;

/// An argument in seconds; 0 where there is none.
pub(super) fn seconds(directives: &BTreeMap<String, Option<String>>, name: &str) -> Duration {
    let said = directives.get(name).and_then(Option::as_deref).and_then(|v| v.parse().ok()).unwrap_or(0);
    Duration::from_secs(said).min(LIFETIME_MAX)
}

/// Directives by name in small letters. Two that contradict each other: `no-cache` besides.
pub(super) fn directives(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<BTreeMap<String, Option<String>>, Reason> {
    let mut found: BTreeMap<String, Option<String>> = BTreeMap::new();
    for value in headers.get_all(name) {
        let mut rest = value.to_str().map_err(|_| Reason::Unclear)?;
        while !rest.trim_start().is_empty() {
            let (directive, argument, after) = next(rest.trim_start()).ok_or(Reason::Unclear)?;
            rest = after;
            if directive.is_empty() {
                continue;
            }
            let before = found.insert(directive, argument.clone());
            if before.is_some_and(|b| b != argument) {
                found.insert("no-cache".to_owned(), None);
            }
        }
    }
    Ok(found)
}

/// One directive, its argument without quotes, and what stands behind its comma.
fn next(text: &str) -> Option<(String, Option<String>, &str)> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !token(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (argument, rest) = match rest.trim_start().strip_prefix('=').map(str::trim_start) {
        None => (None, rest),
        Some(quoted) if quoted.starts_with('"') => {
            let (inner, rest) = unquoted(&quoted[1..])?;
            (Some(inner), rest)
        }
        Some(bare) => {
            let end = bare.find(|c| !token(c)).unwrap_or(bare.len());
            (Some(bare[..end].to_owned()), &bare[end..])
        }
    };
    let rest = rest.trim_start();
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(',')? };
    Some((name.to_ascii_lowercase(), argument, rest))
}

fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut letters = text.char_indices();
    while let Some((at, c)) = letters.next() {
        match c {
            '"' => return Some((inner, &text[at + 1..])),
            '\\' => inner.push(letters.next()?.1),
            _ => inner.push(c),
        }
    }
    None
}

/// For the library: arguments that it could split at a comma are left out.
pub(super) fn spelt(directives: &BTreeMap<String, Option<String>>) -> String {
    let one = |(name, argument): (&String, &Option<String>)| match argument {
        Some(a) if a.bytes().all(|b| b.is_ascii_alphanumeric()) && !a.is_empty() => format!("{name}={a}"),
        _ => name.clone(),
    };
    directives.iter().map(one).collect::<Vec<_>>().join(", ")
}
