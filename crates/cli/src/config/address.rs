//! A store's address and where its password is.
//!
//! INVARIANT: nothing here that is `Debug` or shown holds a password. One written into the file is
//! refused; `${VAR}` is read from the environment, `password_file` from a file, both only on opening.

use crate::failure::{self, Failure, Result};
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// The address of a store, perhaps with `{service}` and `${VARIABLE}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    password_file: Option<PathBuf>,
}

/// What can't be about an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A password stands in the file.
    Password,
    /// It begins with none of the schemes.
    Scheme,
}

/// An address ready for opening.
pub struct Opening {
    /// The URL without its password.
    pub url: String,
    /// The password.
    pub secret: Option<SecretString>,
}

impl Address {
    pub(super) fn new(text: &str, password_file: Option<PathBuf>, schemes: &[&str]) -> Result<Self, Wrong> {
        if !text.starts_with("${") && !schemes.iter().any(|s| text.starts_with(s)) {
            return Err(Wrong::Scheme);
        }
        if split(text).is_some_and(|parts| parts.password.is_some_and(|p| !is_variable(p)))
            || text.contains("password=")
        {
            return Err(Wrong::Password);
        }
        Ok(Self { text: text.to_owned(), password_file })
    }

    /// One that was typed on the command line.
    ///
    /// # Errors
    /// A password stands in it.
    pub fn typed(text: &str) -> Result<Self> {
        Self::new(text, None, &[""]).map_err(|_| {
            Failure::usage(
                "config-password",
                "a password is written into an address on the command line",
                "command lines are kept by shells and shown to everybody on the machine",
                "write postgres://USER:${DB_PASSWORD}@HOST/DATABASE in single quotes, and export that variable",
            )
        })
    }

    /// The address for one service.
    pub fn of(&self, service: &str) -> Self {
        Self { text: self.text.replace("{service}", service), password_file: self.password_file.clone() }
    }

    /// As typed; holds no password.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Is it a SQLite file?
    pub fn is_sqlite(&self) -> bool {
        self.text.starts_with("sqlite:")
    }

    /// Where the password comes from, as what to do about it; never the password.
    pub fn password_from(&self) -> String {
        if let Some(path) = &self.password_file {
            return format!("the password is read from password_file: {}", path.display());
        }
        let variables: Vec<&str> = self
            .text
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(name, _)| name)
            .collect();
        match (split(&self.text).and_then(|parts| parts.password), variables.as_slice()) {
            (Some(password), _) if is_variable(password) => {
                format!("the password is read from the variable {}", password.trim_matches(['$', '{', '}']))
            }
            (_, []) => format!(
                "the address names no password: write {}, or password_file = \"PATH\" in domicile.toml",
                "postgres://USER:${VARIABLE}@HOST/DATABASE"
            ),
            (_, names) => format!("the address is read from the variable {}", names.join(", ")),
        }
    }

    /// The role in a PostgreSQL URL.
    pub fn role(&self) -> Option<&str> {
        split(&self.text).map(|parts| parts.user).filter(|user| !user.is_empty())
    }

    /// The database in a PostgreSQL URL.
    pub fn database(&self) -> Option<&str> {
        let parts = split(&self.text)?;
        let path = parts.rest.split(['?', '#']).next()?.split_once('/')?.1;
        Some(path).filter(|p| !p.is_empty() && !p.contains("${"))
    }

    /// What tells two addresses of different stores apart: without user and settings.
    pub fn place(&self, base: &Path) -> String {
        if let Some(path) = self.text.strip_prefix("sqlite:") {
            return format!("sqlite:{}", plain(&base.join(path)).display());
        }
        let bare = self.text.split(['?', '#']).next().unwrap_or_default();
        let Some(parts) = split(bare) else { return bare.trim_end_matches('/').to_owned() };
        let scheme = if parts.scheme == "postgresql" { "postgres" } else { parts.scheme };
        format!("{scheme}://{}", parts.rest.trim_end_matches('/'))
    }

    /// Reads variables and the password.
    ///
    /// # Errors
    /// A variable that is not set, a password file that can't be read.
    pub fn open(&self) -> Result<Opening> {
        let whole = filled(&self.text)?;
        // A URL that came whole from the environment may bring its password along.
        let (url, password) = match split(&whole).filter(|p| p.password.is_some()) {
            Some(p) => (format!("{}://{}@{}", p.scheme, p.user, p.rest), p.password.map(decoded)),
            None => (whole, None),
        };
        let password = match (&self.password_file, password) {
            (Some(path), _) => Some(from_file(path)?),
            (None, found) => found,
        };
        Ok(Opening { url, secret: password.map(SecretString::from) })
    }
}

/// scheme://user:password@rest
struct Parts<'a> {
    scheme: &'a str,
    user: &'a str,
    password: Option<&'a str>,
    rest: &'a str,
}

fn split(url: &str) -> Option<Parts<'_>> {
    let (scheme, after) = url.split_once("://")?;
    // A `/` inside a password has to be escaped, a variable's braces hold none.
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let Some(at) = after[..end].rfind('@') else {
        return Some(Parts { scheme, user: "", password: None, rest: after });
    };
    let (user, password) = match after[..at].split_once(':') {
        Some((user, password)) => (user, Some(password).filter(|p| !p.is_empty())),
        None => (&after[..at], None),
    };
    Some(Parts { scheme, user, password, rest: &after[at + 1..] })
}

fn is_variable(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|t| t.strip_suffix('}'))
        .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Every `${VAR}` replaced; in the password's place it is percent-encoded, so that any character may be in it.
fn filled(text: &str) -> Result<String> {
    let password = split(text).and_then(|p| p.password).filter(|p| is_variable(p)).map(str::to_owned);
    let mut out = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        let Some(end) = rest[begin..].find('}') else { break };
        let name = &rest[begin + 2..begin + end];
        let value = std::env::var(name).map_err(|_| unset(name, text))?;
        out.push_str(&rest[..begin]);
        let in_password = password.as_deref() == Some(&rest[begin..=begin + end]) && !out.contains('@');
        out.push_str(&if in_password { encoded(&value) } else { value });
        rest = &rest[begin + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn unset(name: &str, text: &str) -> Box<Failure> {
    Failure::usage(
        "secret-missing",
        format!("the environment has no variable {name}"),
        format!("the address {text} takes a part from it"),
        format!("export {name}=...   # or password_file = \"PATH\" in the configuration"),
    )
}

fn from_file(path: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(path).map_err(|e| failure::of_file("read the password file", path, &e))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => (b as char).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let two = more.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match two.filter(|_| *first == b'%').and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path without `.` and `..`, so that two spellings of one file are seen to be one.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const POSTGRES: &[&str] = &["postgres://"];

    fn opened(text: &str) -> (String, Option<String>) {
        let o = Address::new(text, None, &["postgres://", "sqlite:"]).unwrap().open().unwrap();
        (o.url, o.secret.map(|s| s.expose_secret().to_owned()))
    }

    #[test]
    fn a_password_in_the_file_is_refused() {
        for text in
            ["postgres://ann:hunter2@h/d", "postgres://ann:x${Y}@h/d", "postgres://ann@h/d?password=hunter2"]
        {
            assert_eq!(Address::new(text, None, POSTGRES), Err(Wrong::Password), "{text}");
        }
        assert_eq!(Address::new("mysql://ann@h/d", None, POSTGRES), Err(Wrong::Scheme));
        assert!(Address::new("postgres://ann@h/d", None, POSTGRES).is_ok());
    }

    #[test]
    fn a_password_comes_from_the_environment_or_a_file() {
        // PATH is set in every test's environment and is full of characters that a URL could not hold.
        let path = std::env::var("PATH").unwrap();
        assert_eq!(opened("postgres://ann:${PATH}@h/d?a=b"), ("postgres://ann@h/d?a=b".into(), Some(path)));
        assert_eq!(opened("postgres://ann@h/d"), ("postgres://ann@h/d".into(), None));
        let missing = Address::new("postgres://ann:${DOMICILE_NOT_SET}@h/d", None, POSTGRES).unwrap().open();
        assert_eq!(missing.err().unwrap().code, "secret-missing");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hun ter2\n").unwrap();
        let address = Address::new("postgres://ann@h/d", Some(file.path().into()), POSTGRES).unwrap();
        assert_eq!(address.open().unwrap().secret.unwrap().expose_secret(), "hun ter2");
    }

    #[test]
    fn two_spellings_of_one_place_are_one() {
        let base = Path::new("/etc/shop");
        let place = |text: &str| Address::new(text, None, &["postgres", "sqlite:"]).unwrap().place(base);
        assert_eq!(place("sqlite:a/../b.db"), place("sqlite:/etc/shop/./b.db"));
        assert_eq!(place("postgres://a@h/d?x=1"), place("postgresql://b@h/d"));
        assert_ne!(place("postgres://a@h/d"), place("postgres://a@h/e"));
    }

    #[test]
    fn role_and_database_are_read_from_the_url() {
        let address = Address::new("postgres://ann:${X}@h:1/shop?sslmode=require", None, POSTGRES).unwrap();
        assert_eq!((address.role(), address.database()), (Some("ann"), Some("shop")));
        let address = Address::new("postgres://ann@h", None, POSTGRES).unwrap();
        assert_eq!(address.database(), None);
    }

    #[test]
    fn escapes_survive_both_ways() {
        let text = "p@ss:/%? wörd";
        assert_eq!(decoded(&encoded(text)), text);
        assert_eq!(decoded("100%"), "100%");
    }
}
