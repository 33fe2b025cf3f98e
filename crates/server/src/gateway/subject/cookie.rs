//! A cookie's value out of `Cookie` lines (RFC 6265 section 4.2.1). Pure: fuzzed.

/// Pairs that are looked at in all lines together; a browser sends at most some 180 for one site.
const PAIRS_MAX: usize = 300;

/// The value of the cookie `name`, where it is there once. Twice with two values says nothing: which of them an application
/// believes is its own affair.
pub fn only_value<'l>(lines: impl Iterator<Item = &'l str>, name: &str) -> Option<&'l str> {
    let pairs = lines.flat_map(|line| line.split(';')).take(PAIRS_MAX);
    let mut values = pairs.filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim_matches([' ', '\t']) == name).then(|| unquoted(value.trim_matches([' ', '\t'])))
    });
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::only_value;

    #[test]
    fn one_value_or_none() {
        let of = |line| only_value([line].into_iter(), "id");
        assert_eq!(of("id=7"), Some("7"));
        assert_eq!(of("a=1; id=\"7\" ;b=2"), Some("7"));
        assert_eq!(of("a=1;id=7=8"), Some("7=8"));
        assert_eq!(of("id=7; id=7"), Some("7"));
        assert_eq!(of("id=7; id=8"), None);
        assert_eq!(of("xid=7; id"), None);
        assert_eq!(of("ID=7"), None);
        assert_eq!(only_value(["id=7", "id=8"].into_iter(), "id"), None);
        assert_eq!(only_value([""].into_iter(), "id"), None);
    }
}
