//! What a stored answer is found by: scheme, host, path and query of a request that has only one reading.
//!
//! Web-cache deception lives from two readings of one path: the cache sees a style sheet below `/static/`,
//! the application an account page. So nothing is repaired here. A path that a server, a framework or a
//! file system could read in another way is *crooked*: it is not public, and goes the way of all other
//! requests. Pure: text in, text out.

use std::fmt::{self, Write};
use std::sync::Arc;

/// The longest path that can be public, bytes.
pub const PATH_BYTES_MAX: usize = 2_048;
/// The longest query that can be public, bytes, once it is in its one spelling.
pub const QUERY_BYTES_MAX: usize = 2_048;
/// The longest host, bytes: a DNS name and a port.
const HOST_BYTES_MAX: usize = 259;

/// Does Unicode fold it (NFKC) into something with `/`, `\`, `.`, `;`, `%`, `?` or `#` in it? Some frameworks do that after
/// decoding: `\u{fe30}` becomes `..`, `\u{2100}` becomes `a/c`. All of Unicode 14 that do, and two lookalikes of `/`.
fn folds(letter: char) -> bool {
    matches!(
        letter,
        '\u{37e}' | '\u{2024}'..='\u{2026}' | '\u{2044}' | '\u{2047}'..='\u{2049}' | '\u{2100}' | '\u{2101}'
            | '\u{2105}' | '\u{2106}' | '\u{2215}' | '\u{2488}'..='\u{249b}' | '\u{33c2}' | '\u{33c7}' | '\u{33d8}'
            | '\u{fe14}' | '\u{fe16}' | '\u{fe19}' | '\u{fe30}' | '\u{fe52}' | '\u{fe54}' | '\u{fe56}' | '\u{fe5f}'
            | '\u{fe68}' | '\u{fe6a}' | '\u{ff03}' | '\u{ff05}' | '\u{ff0e}' | '\u{ff0f}' | '\u{ff1b}' | '\u{ff1f}'
            | '\u{ff3c}' | '\u{1f100}'
    )
}

/// By which scheme the client asked: an answer may redirect one of them to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn default_port(self) -> &'static str {
        match self {
            Scheme::Http => ":80",
            Scheme::Https => ":443",
        }
    }
}

/// Why a request has more than one reading, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Crooked {
    /// Longer than what can be public.
    TooLong,
    /// It does not begin with `/`, or holds a byte that must not stand there.
    Byte,
    /// `%` without two hexadecimal digits, in small letters, or before a byte that needs none.
    Encoding,
    /// An encoded `/`, `\`, `%`, `;`, `?`, `#` or control byte.
    Hidden,
    /// `.`, `..`, an empty segment, or one that ends with a dot or a space.
    Segment,
    /// `;`, which some servers cut off.
    Parameter,
    /// A host that is none, or two that differ.
    Host,
}

impl Crooked {
    /// All of them.
    pub const ALL: [Crooked; 7] = [
        Crooked::TooLong,
        Crooked::Byte,
        Crooked::Encoding,
        Crooked::Hidden,
        Crooked::Segment,
        Crooked::Parameter,
        Crooked::Host,
    ];

    /// The word in counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Crooked::TooLong => "too-long",
            Crooked::Byte => "byte",
            Crooked::Encoding => "encoding",
            Crooked::Hidden => "hidden",
            Crooked::Segment => "segment",
            Crooked::Parameter => "parameter",
            Crooked::Host => "host",
        }
    }
}

/// The key of a stored answer: its URL in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Of parts that [`host`], [`straight`] and [`query`] have passed. Two keys are equal only where all parts
    /// are: a host holds no `/`, a path no `?`.
    pub fn new(scheme: Scheme, host: &str, path: &str, query: Option<&str>) -> Self {
        let mark = if query.is_some() { "?" } else { "" };
        Self(format!("{}://{host}{path}{mark}{}", scheme.as_str(), query.unwrap_or_default()).into())
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Has the path only this one reading?
///
/// # Errors
/// How it could be read otherwise.
pub fn straight(path: &str) -> Result<(), Crooked> {
    if path.len() > PATH_BYTES_MAX {
        return Err(Crooked::TooLong);
    }
    let rest = path.strip_prefix('/').ok_or(Crooked::Byte)?;
    let decoded = decoded(rest)?;
    let many = decoded.split('/').count();
    for (at, segment) in decoded.split('/').enumerate() {
        let last = at + 1 == many;
        if (segment.is_empty() && !last) || segment.ends_with(['.', ' ']) {
            return Err(Crooked::Segment);
        }
    }
    Ok(())
}

/// The decoded path. INVARIANT: what decodes to `/` was refused, so its segments are those of the path.
fn decoded(path: &str) -> Result<String, Crooked> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hidden(pair(bytes.next(), bytes.next())?)?,
            b';' => return Err(Crooked::Parameter),
            b'/' => byte,
            _ if is_pchar(byte) => byte,
            _ => return Err(Crooked::Byte),
        });
    }
    let text = String::from_utf8(out).map_err(|_| Crooked::Encoding)?;
    if text.chars().any(|c| c.is_control() || folds(c)) { Err(Crooked::Hidden) } else { Ok(text) }
}

/// The byte of `%XX`, in its one spelling: large digits, and only where the byte needs it.
fn pair(high: Option<u8>, low: Option<u8>) -> Result<u8, Crooked> {
    let digit = |byte: Option<u8>| match byte {
        Some(b @ b'0'..=b'9') => Ok(b - b'0'),
        Some(b @ b'A'..=b'F') => Ok(b - b'A' + 10),
        _ => Err(Crooked::Encoding),
    };
    Ok(digit(high)? << 4 | digit(low)?)
}

fn hidden(byte: u8) -> Result<u8, Crooked> {
    match byte {
        b'/' | b'\\' | b'%' | b';' | b'?' | b'#' | 0..=0x1f | 0x7f => Err(Crooked::Hidden),
        // An encoded dot among them.
        _ if is_unreserved(byte) => Err(Crooked::Encoding),
        _ => Ok(byte),
    }
}

/// The query in its one spelling: large hexadecimal digits, and encoded exactly what has to be. The order of
/// its parameters is kept: it means something to applications. An empty query is none.
///
/// # Errors
/// Where it can't be read in one way.
pub fn query(raw: Option<&str>) -> Result<Option<String>, Crooked> {
    let Some(raw) = raw.filter(|r| !r.is_empty()) else { return Ok(None) };
    if raw.len() > QUERY_BYTES_MAX {
        return Err(Crooked::TooLong);
    }
    let mut out = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let encoded = byte == b'%';
        let byte = if encoded {
            pair(bytes.next().map(|b| b.to_ascii_uppercase()), bytes.next().map(|b| b.to_ascii_uppercase()))?
        } else {
            byte
        };
        if byte < 0x20 || byte == 0x7f {
            return Err(Crooked::Hidden);
        }
        // `+` and `%2B` differ, as all reserved characters do.
        let plain = if encoded { is_unreserved(byte) } else { is_pchar(byte) || b"/?;".contains(&byte) };
        if plain {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    if out.len() > QUERY_BYTES_MAX { Err(Crooked::TooLong) } else { Ok(Some(out)) }
}

/// The host in small letters, without the scheme's own port.
///
/// # Errors
/// Where it is no host.
pub fn host(raw: &str, scheme: Scheme) -> Result<String, Crooked> {
    let lower = raw.to_ascii_lowercase();
    let bare = lower.strip_suffix(scheme.default_port()).unwrap_or(&lower);
    let (name, port) = match bare.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (bare, None),
    };
    let is_port = |p: &str| p.parse::<u16>().is_ok_and(|n| n.to_string() == p);
    let fine = bare.len() <= HOST_BYTES_MAX && port.is_none_or(is_port) && (is_name(name) || is_v6(name));
    if fine { Ok(bare.to_owned()) } else { Err(Crooked::Host) }
}

fn is_name(name: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn is_v6(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    inner.is_some_and(|n| n.parse::<std::net::Ipv6Addr>().is_ok())
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986, 3.3, without `;`.
fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn straight_paths_are_public() {
        for path in
            ["/", "/static/", "/static/x.css", "/a/b/c.js", "/caf%C3%A9.png", "/a%20b.png", "/a+b@2x.png"]
        {
            assert_eq!(straight(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn what_could_be_read_otherwise_is_not() {
        use Crooked::{Byte, Encoding, Hidden, Parameter, Segment, TooLong};
        for (path, why) in [
            ("static/x.css", Byte),
            ("", Byte),
            ("/static/../account", Segment),
            ("/static/./x.css", Segment),
            ("/static/..", Segment),
            ("/static//x.css", Segment),
            ("//account", Segment),
            ("/static/x.css.", Segment),
            ("/static/x.css...", Segment),
            ("/static/x.css%20", Segment),
            ("/static/a./x.css", Segment),
            ("/static/%2e%2e/account", Encoding),
            ("/static/%2E%2E/account", Encoding),
            ("/static/.%2E/account", Encoding),
            ("/static/..%2Faccount", Hidden),
            ("/static/..%2faccount", Encoding),
            ("/static/..%5Caccount", Hidden),
            ("/static/..\\account", Byte),
            ("/static/%252e%252e/account", Hidden),
            ("/static/%25252e", Hidden),
            ("/account;x.css", Parameter),
            ("/static/;/account", Parameter),
            ("/static/x%3B.css", Hidden),
            ("/account%3Fx.css", Hidden),
            ("/account%23x.css", Hidden),
            ("/account%00x.css", Hidden),
            ("/account%0Ax.css", Hidden),
            ("/account%0D%0Ax.css", Hidden),
            ("/st%61tic/x.css", Encoding),
            ("/caf%c3%a9", Encoding),
            ("/%FF", Encoding),
            ("/a%", Encoding),
            ("/a%2", Encoding),
            ("/a%zz", Encoding),
            ("/a b", Byte),
            ("/a\tb", Byte),
            ("/a?b", Byte),
            ("/a#b", Byte),
            ("/café", Byte),
            ("/static/%EF%BC%8E%EF%BC%8E/x", Hidden),
            ("/static/..%EF%BC%8Faccount", Hidden),
            ("/static/%EF%B8%B0/account", Hidden),
            ("/account%EF%BC%9Fx.css", Hidden),
            ("/account%EF%BC%83x.css", Hidden),
            ("/account%EF%B8%94x.css", Hidden),
            ("/static/%E2%84%80", Hidden),
            ("/a%C2%85b", Hidden),
            (&format!("/{}", "a".repeat(PATH_BYTES_MAX)), TooLong),
        ] {
            assert_eq!(straight(path), Err(why), "{path}");
        }
    }

    #[test]
    fn a_query_has_one_spelling_and_keeps_its_order() {
        let spelt = |raw| query(Some(raw)).unwrap().unwrap_or_default();
        assert_eq!(spelt("v=%7e1&a=%c3%a9"), "v=~1&a=%C3%A9");
        assert_eq!(spelt("b=2&a=1"), "b=2&a=1");
        assert_eq!(spelt("a=\"<>\""), "a=%22%3C%3E%22");
        assert_eq!(spelt("a=%2B+"), "a=%2B+");
        assert_eq!(spelt(""), "");
        assert_eq!(query(Some("a=%0a")), Err(Crooked::Hidden));
        assert_eq!(query(Some("a=%")), Err(Crooked::Encoding));
    }

    #[test]
    fn hosts() {
        use Scheme::{Http, Https};
        assert_eq!(host("WWW.Shop.Example:443", Https).unwrap(), "www.shop.example");
        assert_eq!(host("shop.example:443", Http).unwrap(), "shop.example:443");
        assert_eq!(host("[::1]:8080", Http).unwrap(), "[::1]:8080");
        assert_eq!(host("[::1]", Http).unwrap(), "[::1]");
        for bad in
            ["", ".", "shop.example.", "a..b", "a b", "a/b", "a?b", "u@h", "h:", "h:x", "h:080", "[::1", "é"]
        {
            assert_eq!(host(bad, Http), Err(Crooked::Host), "{bad}");
        }
    }

    /// Reads a path as a careless server might: decodes as often as anything changes, cuts parameters, takes
    /// `\` for `/`, resolves dots.
    fn careless(path: &str) -> String {
        let mut text = path.to_owned();
        loop {
            let next = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
            if next == text {
                break;
            }
            text = next;
        }
        let text = text.replace('\\', "/");
        let mut segments: Vec<&str> = Vec::new();
        for segment in text.split('/') {
            match segment.split(';').next().unwrap_or_default().trim_end_matches(['.', ' ']) {
                "" if segment == ".." => drop(segments.pop()),
                "" => {}
                name => segments.push(name),
            }
        }
        format!("/{}", segments.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// However carelessly a server reads a straight path, it reads the same place.
        #[test]
        fn a_straight_path_has_one_reading(path in "(/|[a-c.;%]|%2[eEfF5]|%5[cC]|%3[bBfF]|%C3%A9|%20|\\\\|\\.\\.){0,12}") {
            let path = format!("/static/{path}");
            if straight(&path).is_ok() {
                prop_assert!(careless(&path).starts_with("/static"), "{}", path);
                let once = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap().into_owned();
                prop_assert_eq!(careless(&path), once.trim_end_matches('/'));
            }
        }

        /// No text makes it panic, and what passes is short, absolute and free of what splits a key.
        #[test]
        fn any_text_is_judged(path in "\\PC{0,40}", raw in "\\PC{0,40}", name in "\\PC{0,20}") {
            for text in [path.clone(), format!("/{path}")] {
                if straight(&text).is_ok() {
                    prop_assert!(text.starts_with('/') && text.is_ascii() && !text.contains(['?', '#', '\\', ';']));
                }
            }
            if let Ok(Some(spelt)) = query(Some(&raw)) {
                prop_assert_eq!(query(Some(&spelt)), Ok(Some(spelt.clone())));
                prop_assert!(spelt.is_ascii() && !spelt.contains('#'));
            }
            if let Ok(found) = host(&name, Scheme::Https) {
                prop_assert_eq!(host(&found, Scheme::Https), Ok(found.clone()));
                prop_assert!(!found.contains(['/', '?', '@']));
            }
        }

        /// Keys are equal only where every part is.
        #[test]
        fn keys_keep_their_parts_apart(a in parts(), b in parts()) {
            let key = |p: &(String, String, Option<String>)| Key::new(Scheme::Https, &p.0, &p.1, p.2.as_deref());
            prop_assert_eq!(key(&a) == key(&b), a == b);
        }
    }

    fn parts() -> impl Strategy<Value = (String, String, Option<String>)> {
        ("[a-b]{1,2}(\\.[a-b])?", "(/[a-b]){1,2}", proptest::option::of("[a-b=&?/]{1,3}"))
            .prop_filter("straight", |(h, p, q)| {
                host(h, Scheme::Https).is_ok() && straight(p).is_ok() && q.as_deref() != Some("")
            })
    }
}
