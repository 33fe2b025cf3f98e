//! HTML's character references (HTML Living Standard, 13.5): `&#43;`, `&#x2B;` and the named ones for what ASCII has.

use super::marks::{Read, character};
use crate::level::Level;

/// Digits of a number, with those zeros before it that are read.
const DIGITS_MAX: usize = 10;
/// The longest of the names.
const NAME_BYTES_MAX: usize = 8;
/// The names of what ASCII has but letters and digits, and of the blank and the hyphen that do not break.
const NAMED: [(&str, char); 40] = [
    ("lt", '<'),
    ("gt", '>'),
    ("amp", '&'),
    ("num", '#'),
    ("ast", '*'),
    ("sol", '/'),
    ("Hat", '^'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("plus", '+'),
    ("excl", '!'),
    ("lpar", '('),
    ("rpar", ')'),
    ("semi", ';'),
    ("bsol", '\\'),
    ("lsqb", '['),
    ("rsqb", ']'),
    ("lcub", '{'),
    ("rcub", '}'),
    ("vert", '|'),
    ("comma", ','),
    ("colon", ':'),
    ("grave", '`'),
    ("commat", '@'),
    ("period", '.'),
    ("lowbar", '_'),
    ("equals", '='),
    ("percnt", '%'),
    ("dollar", '$'),
    ("midast", '*'),
    ("lbrack", '['),
    ("rbrack", ']'),
    ("lbrace", '{'),
    ("rbrace", '}'),
    ("quest", '?'),
    ("verbar", '|'),
    ("hyphen", '\u{2010}'),
    ("NewLine", '\n'),
    ("UnderBar", '_'),
];

pub(super) fn read(bytes: &[u8]) -> Option<Read> {
    match bytes {
        [b'&', b'#', b'x' | b'X', rest @ ..] => number(rest, 16, 3),
        [b'&', b'#', rest @ ..] => number(rest, 10, 2),
        [b'&', rest @ ..] => named(rest),
        _ => None,
    }
}

/// Browsers read a number without its semicolon, too.
fn number(rest: &[u8], base: u32, before: usize) -> Option<Read> {
    let digits = rest.iter().take(DIGITS_MAX).take_while(|b| char::from(**b).is_digit(base)).count();
    let character = character(rest.get(..digits).filter(|digits| !digits.is_empty())?, base)?;
    let semicolon = usize::from(rest.get(digits) == Some(&b';'));
    Some(Read::character(before + digits + semicolon, character))
}

fn named(rest: &[u8]) -> Option<Read> {
    let name = &rest[..rest.iter().take(NAME_BYTES_MAX + 1).position(|b| *b == b';')?];
    let (_, character) = NAMED.iter().find(|(of, _)| of.as_bytes() == name)?;
    Some(Read::character(name.len() + 2, *character))
}

/// A blank that does not break counts only between what may be two parts of one identifier; `&amp;` where what follows makes it one more mark, since
/// text is often escaped twice.
pub(super) fn counts(level: &Level, at: usize, read: &Read, stands: bool) -> bool {
    let after = &level.bytes[at + read.length..];
    let part = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"+()-/&;".contains(b));
    match read.bytes() {
        b"&" if matches!(after, [b'#', ..]) || named(after).is_some() => true,
        b"\xC2\xA0" => stands && part(level.bytes[..at].last()) && part(after.first()),
        _ => stands,
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::whole;
    use super::{NAMED, read};

    #[test]
    fn marks_are_read() {
        let text =
            "&#43;49&nbsp;151&#x2d;2&#X33;&#0052 a&commat;b &amp; &none; &#; &#x; &#1114112; &#55296; &lt";
        let expected = "+49\u{a0}151-234 a@b & &none; &#; &#x; &#1114112; &#55296; &lt";
        assert_eq!(whole(read, text), expected);
        for (name, character) in NAMED {
            assert_eq!(whole(read, &format!("&{name};")), character.to_string());
        }
    }
}
