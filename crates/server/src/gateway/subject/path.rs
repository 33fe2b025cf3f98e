//! A segment of the path, percent-decoded once. Pure: fuzzed.

use percent_encoding::percent_decode_str;

/// The segment after `before`, which begins and ends with `/`. `None` where there is none, or where it is no plain text once it is
/// decoded: an encoded slash or dot-dot would be read by the application as another path.
pub fn segment_after(path: &str, before: &str) -> Option<String> {
    let segment = path.strip_prefix(before)?.split('/').next()?;
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    let is_plain = !decoded.contains(['/', '\\', '%', ';']) && !decoded.chars().any(char::is_control);
    (is_plain && !decoded.is_empty() && decoded != "." && decoded != "..").then(|| decoded.into_owned())
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
        for none in ["/users/a%00", "/users/a%252fb", "/users/%ff", "/users/1;x=2", "/x/users/1"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
