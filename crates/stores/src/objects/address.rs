//! From a URL to the place it names.

use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the objects are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    Folder(PathBuf),
    Cloud(Bucket),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    Google,
    Azure,
}

/// A bucket (Azure: a container) and what the URL says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub kind: Kind,
    pub name: String,
    /// Empty, or ends with `/`.
    pub prefix: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub account: Option<String>,
    /// Before the names of the variables that hold the credentials: `NAME_` or empty.
    pub variables: String,
}

pub(super) fn parse(url: &str, base_dir: &Path) -> Result<Place> {
    if let Some(rest) = url.strip_prefix("file:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() || (rest.starts_with("//") && !path.starts_with('/')) {
            return Err(setting("`file:` needs a path: `file:FOLDER` or `file:///FOLDER`"));
        }
        return Ok(Place::Folder(base_dir.join(path)));
    }
    let schemes = [("s3://", Kind::S3), ("gs://", Kind::Google), ("az://", Kind::Azure)];
    let found = schemes.iter().find_map(|(scheme, kind)| Some((*kind, url.strip_prefix(scheme)?)));
    let Some((kind, rest)) = found else {
        return Err(setting("a URL begins with `file:`, `s3://`, `gs://` or `az://`"));
    };
    bucket(kind, rest).map(Place::Cloud)
}

fn bucket(kind: Kind, rest: &str) -> Result<Bucket> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
    if name.contains('@') {
        return Err(setting("credentials stand in the environment, not in the URL"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(setting("the URL names no bucket that can be"));
    }
    let mut prefix = prefix.trim_end_matches('/').to_owned();
    if !prefix.is_empty() {
        super::cloud::check_key(&prefix).map_err(|why| setting(&format!("the URL's prefix {why}")))?;
        prefix.push('/');
    }
    let mut options = options(query)?;
    let endpoint = options.remove("endpoint");
    let plaintext = options.remove("allow_plaintext").is_some_and(|v| v == "true");
    if endpoint.as_deref().is_some_and(|e| !plaintext && in_the_clear(e)) {
        return Err(setting(
            "an http:// endpoint would send objects in the clear; use https://, or add \
             allow_plaintext=true where the network itself is private",
        ));
    }
    let variables = options.remove("credentials").map(|name| format!("{name}_")).unwrap_or_default();
    let bucket = Bucket {
        kind,
        name: name.to_owned(),
        prefix,
        endpoint: endpoint.map(|e| e.trim_end_matches('/').to_owned()),
        region: options.remove("region"),
        account: options.remove("account"),
        variables,
    };
    match options.keys().next() {
        // Its value may be a secret: only the name is told.
        Some(unknown) => Err(setting(&format!("unknown option `{unknown}` in the URL"))),
        None => Ok(bucket),
    }
}

fn options(query: &str) -> Result<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if options.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(setting(&format!("option `{name}` stands twice in the URL")));
        }
    }
    Ok(options)
}

fn in_the_clear(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host != "localhost" && !host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn setting(what: &str) -> Error {
    Error::Setting { what: format!("objects: {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place> {
        parse(url, Path::new("/base"))
    }

    #[test]
    fn folders() {
        assert_eq!(place("file:objects/bj").unwrap(), Place::Folder("/base/objects/bj".into()));
        assert_eq!(place("file:/srv/o").unwrap(), Place::Folder("/srv/o".into()));
        assert_eq!(place("file:///srv/o").unwrap(), Place::Folder("/srv/o".into()));
        assert!(place("file:").is_err() && place("file://srv/o").is_err());
    }

    #[test]
    fn buckets() {
        let url = "s3://photos/a/b/?endpoint=http://127.0.0.1:8333/&region=r1&credentials=OREGON";
        let Place::Cloud(bucket) = place(url).unwrap() else { panic!("a folder") };
        assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("photos", "a/b/"));
        assert_eq!(bucket.endpoint.as_deref(), Some("http://127.0.0.1:8333"));
        assert_eq!((bucket.region.as_deref(), bucket.variables.as_str()), (Some("r1"), "OREGON_"));
        assert!(matches!(place("gs://b").unwrap(), Place::Cloud(Bucket { kind: Kind::Google, .. })));
        assert!(matches!(place("az://b?account=x").unwrap(), Place::Cloud(Bucket { kind: Kind::Azure, .. })));
    }

    #[test]
    fn what_cannot_work_is_named_without_secrets() {
        for url in [
            "ftp://b/hunter2",
            "s3://key:hunter2@b/p",
            "s3:///hunter2",
            "s3://b/../hunter2",
            "s3://b?secret=hunter2",
            "s3://b?region=hunter2&region=hunter2",
            "s3://b?endpoint=http://hunter2.example",
            "s3://b?endpoint=http://127.0.0.1.hunter2.example",
        ] {
            let error = place(url).unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(place("s3://b?endpoint=http://store.internal&allow_plaintext=true").is_ok());
        assert!(place("s3://b?endpoint=http://[::1]:9000").is_ok());
    }
}
