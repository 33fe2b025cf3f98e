//! A cookie's value out of `Cookie` lines (RFC 6265 section 4.2.1). Pure: fuzzed.

/// Pairs that are looked at in all lines together; a browser sends at most some 180 for one site.
const PAIRS_MAX: usize = 300;

/// The value of the cookie `name`, where it is there once. Twice with two values says nothing: which of them an application
/// believes is its own affair. Bytes that are no ASCII, which browsers send as scripts wrote them, trouble only the cookie they are in.
pub fn only_value<'l>(lines: impl Iterator<Item = &'l [u8]>, name: &str) -> Option<&'l str> {
    let pairs = lines.flat_map(|line| line.split(|b| *b == b';')).take(PAIRS_MAX);
    let mut values = pairs.filter_map(|pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (key, value) = (&pair[..equals], &pair[equals + 1..]);
        (key.trim_ascii() == name.as_bytes()).then(|| unquoted(value.trim_ascii()))
    });
    let first = values.next()?;
    values.all(|other| other == first).then_some(first).and_then(|value| std::str::from_utf8(value).ok())
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::only_value;

    #[test]
    fn one_value_or_none() {
        let of = |line| only_value([line].into_iter().map(str::as_bytes), "id");
        assert_eq!(of("id=7"), Some("7"));
        assert_eq!(of("a=1; id=\"7\" ;b=2"), Some("7"));
        assert_eq!(of("a=1;id=7=8"), Some("7=8"));
        assert_eq!(of("id=7; id=7"), Some("7"));
        assert_eq!(of("id=7; id=8"), None);
        assert_eq!(of("xid=7; id"), None);
        assert_eq!(of("ID=7"), None);
        assert_eq!(only_value([&b"id=7"[..], b"id=8"].into_iter(), "id"), None);
        let bytes = |line| only_value([line].into_iter(), "id");
        assert_eq!(
            bytes("name=Jürgen; id=7".as_bytes()),
            Some("7"),
            "another cookie's letters are its own affair"
        );
        assert_eq!(bytes(b"name=J\xfcrgen; id=7"), Some("7"));
        assert_eq!(bytes("id=Jürgen".as_bytes()), Some("Jürgen"));
        assert_eq!((bytes(b"id=\xff"), bytes(b"id=\xff; id=7")), (None, None));
        assert_eq!(only_value([&b""[..]].into_iter(), "id"), None);
    }
}
