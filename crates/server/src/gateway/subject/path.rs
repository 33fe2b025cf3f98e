//! A segment of the path, percent-decoded once. Pure: fuzzed.

use percent_encoding::percent_decode_str;

/// The segment after `before`, which begins and ends with `/`. `None` where there is none, or where it is no plain text once it is
/// decoded: an encoded slash or dot-dot would be read by the application as another path. So would a dot-dot behind it:
/// `/users/7/../8` is said of 7 here, and of 8 by whoever resolves it.
pub fn segment_after(path: &str, before: &str) -> Option<String> {
    let rest = path.strip_prefix(before)?;
    let segment = rest.split('/').next()?;
    if climbs(rest) {
        return None;
    }
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    let is_plain = !decoded.contains(['/', '\\', '%', ';']) && !decoded.chars().any(char::is_control);
    (is_plain && !decoded.is_empty() && decoded != "." && decoded != "..").then(|| decoded.into_owned())
}

/// Is there a dot-dot in it, as a server might read it: decoded, `\` for `/`, and cut at `;`?
fn climbs(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(|segment| segment.split(';').next() == Some(".."))
}

#[cfg(test)]
mod tests {
    use super::segment_after;

    #[test]
    fn a_plain_segment_or_none() {
        let of = |path| segment_after(path, "/users/");
        assert_eq!(of("/users/4711").as_deref(), Some("4711"));
        assert_eq!(of("/users/4711/notes/1").as_deref(), Some("4711"));
        assert_eq!(of("/users/a%20b%40c").as_deref(), Some("a b@c"));
        for none in
            ["/users/", "/users", "/user/1", "/users//1", "/users/../1", "/users/%2e%2e", "/users/a%2fb"]
        {
            assert_eq!(of(none), None, "{none}");
        }
        for none in [
            "/users/7/../8",
            "/users/7/a/../../8",
            "/users/7/%2e%2E/8",
            "/users/7/..%2f8",
            "/users/7/a%5c..%5c..%5c8",
            "/users/7/..;/8",
            "/users/7/..",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(of("/users/7/a..b/...").as_deref(), Some("7"));
        for none in ["/users/a%00", "/users/a%252fb", "/users/%ff", "/users/1;x=2", "/x/users/1"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
