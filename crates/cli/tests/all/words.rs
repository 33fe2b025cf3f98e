//! Makes what differs from run to run equal: ids, hashes, times, the folder.

use std::path::Path;

/// The text with every such word replaced, and columns that times would move closed up.
pub fn settled(text: &str, dir: &Path) -> String {
    let folder = dir.display().to_string();
    let text = text.replace(&folder, "DIR");
    text.lines().map(|line| format!("{}\n", settled_line(line))).collect()
}

fn settled_line(line: &str) -> String {
    // Measured: pinned by other tests, or by nobody.
    for label in [
        "  pause              ",
        "  time               ",
        "pause               ",
        "its pause           ",
        "  compared in ",
    ] {
        if line.starts_with(label) {
            return format!("{}(measured)", label);
        }
    }
    let bytes: Vec<char> = line.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if let Some((word, length)) = timestamp(rest).or(plan_id(rest)).or(hash(rest)) {
            out.push_str(word);
            at += length;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

/// `2014-10-01` or `2014-10-01T10:00:00.123Z`, of this century's twenties and later only.
fn timestamp(text: &[char]) -> Option<(&'static str, usize)> {
    let shape = |pattern: &str| {
        text.len() >= pattern.len()
            && pattern.chars().zip(text).all(|(p, c)| if p == 'd' { c.is_ascii_digit() } else { p == *c })
    };
    if !shape("202d-dd-dd") && !shape("203d-dd-dd") {
        return None;
    }
    if !shape("20dd-dd-ddTdd:dd:dd") {
        return Some(("DATE", 10));
    }
    let tail = text[19..].iter().take_while(|c| c.is_ascii_digit() || ".Z".contains(**c)).count();
    Some(("TIME", 19 + tail))
}

/// `p-1a2b3c4d`
fn plan_id(text: &[char]) -> Option<(&'static str, usize)> {
    let begins = text.len() >= 10 && text[0] == 'p' && text[1] == '-';
    (begins && text[2..10].iter().all(|c| c.is_ascii_hexdigit())).then_some(("p-00000000", 10))
}

/// Sixty-four hexadecimal digits.
fn hash(text: &[char]) -> Option<(&'static str, usize)> {
    let length = text.iter().take_while(|c| c.is_ascii_hexdigit()).count();
    (length == 64).then_some(("HASH", 64))
}
