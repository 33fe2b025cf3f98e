//! Cuts a policy file into its statements, so that each policy keeps its file and line.
//!
//! Cedar numbers the policies of a file but doesn't hand out where they stand; rules must be named with
//! their line wherever a decision is explained.

use std::ops::Range;

/// Byte ranges of the statements of a file, each from its first annotation or keyword to its `;`.
/// A rest without `;` is a statement too: parsing it says what is missing.
pub(crate) fn statements(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    // A byte order mark, which some editors write, is no part of the first statement.
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while at < bytes.len() {
        let from = at;
        at = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = line_end(bytes, at);
                continue;
            }
            b'"' => string_end(bytes, at),
            _ => at + 1,
        };
        if start.is_none() && !bytes[from].is_ascii_whitespace() {
            start = Some(from);
        }
        if bytes[from] == b';'
            && let Some(begin) = start.take()
        {
            found.push(begin..at);
        }
    }
    if let Some(begin) = start {
        found.push(begin..bytes.len());
    }
    found
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| from + n + 1)
}

/// The end of the string that begins at `from`; an unclosed one runs to the end.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        statements(text).into_iter().map(|r| &text[r]).collect()
    }

    #[test]
    fn semicolons_in_strings_and_comments_are_not_ends() {
        let text = "// a; b\n@law(\"x; \\\" // y\")\npermit (a); // c;\n\n  forbid (b) // \"open\n ;\n";
        assert_eq!(cut(text), ["@law(\"x; \\\" // y\")\npermit (a);", "forbid (b) // \"open\n ;"]);
    }

    #[test]
    fn a_byte_order_mark_and_crlf_do_no_harm() {
        assert_eq!(cut("\u{feff}permit (a);\r\nforbid (b);\r\n"), ["permit (a);", "forbid (b);"]);
    }

    #[test]
    fn a_rest_without_an_end_is_a_statement() {
        assert_eq!(cut("permit (a); forbid"), ["permit (a);", "forbid"]);
        assert_eq!(cut("\"open \\"), ["\"open \\"]);
        assert_eq!(cut(" // nothing\n"), [""; 0]);
    }
}
