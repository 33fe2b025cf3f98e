//! Strangers' texts where people read them: at a terminal, which they must not steer.

/// Could the letter end a line, steer a terminal or turn the reading direction, so that something else seems to stand there?
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, with a space for each line's end and tab, and other letters that steer as `\u{1b}`.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if steers(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stay_and_nothing_steers() {
        assert_eq!(shown("K\u{fc}che, 7\u{5e74}\u{2192} \u{5d0}"), "K\u{fc}che, 7\u{5e74}\u{2192} \u{5d0}");
        assert_eq!(shown("7\u{1b}[2J\nsigned by\u{202e}"), "7\\u{1b}[2J signed by\\u{202e}");
    }
}
