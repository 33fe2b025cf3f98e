//! What is looked for, and the list of it that a user writes.
//!
//! One identifier a line; empty lines and lines that begin with `#` are skipped. A line is `kind,value`,
//! `kind:value` (`phone`, `email`, `imei`, `imsi`, `free`) or the value alone, whose kind is guessed:
//!
//! - an `@` with something on both sides and no space: an e-mail address;
//! - digits with or without `+`, spaces, hyphens, dots, slashes and parentheses: without `+`, 15 digits with a right check
//!   digit or 14 or 16 digits are an IMEI, 15 other digits an IMSI, and 7 to 15 digits a phone number;
//! - anything else: a free string.

use crate::calling::Country;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// Identifiers of one list: their numbers share a word with more where they are held.
pub const IDENTIFIERS_MAX: usize = 1 << 22;
/// The shortest identifier, in bytes: what is shorter stands in any text by chance.
pub const LENGTH_BYTES_MIN: usize = 4;
/// The longest, in bytes: RFC 5321 gives a mail address 254. What is carried from chunk to chunk follows from it.
pub const LENGTH_BYTES_MAX: usize = 256;

/// What sort of identifier it is: the sort decides its normal forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A telephone number, in E.164 or national writing.
    Phone,
    /// An e-mail address (RFC 5321).
    Email,
    /// The 15 digits of a handset (3GPP TS 23.003).
    Imei,
    /// The up to 15 digits of a SIM (ITU-T E.212).
    Imsi,
    /// Any other string, looked for as it is.
    Free,
}

/// One identifier as it was given; it is wiped when dropped and has no `Debug` that shows it.
#[derive(Clone)]
pub struct Identifier {
    /// Its sort.
    pub kind: Kind,
    /// Its text. Of a phone number: `+` and its digits in E.164 where the country is known, else its digits.
    pub text: Zeroizing<String>,
}

/// Why a line is no identifier; it never shows the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unfit {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// Under [`LENGTH_BYTES_MIN`].
    #[error("it is shorter than {LENGTH_BYTES_MIN} bytes")]
    Short,
    /// Over [`LENGTH_BYTES_MAX`].
    #[error("it is longer than {LENGTH_BYTES_MAX} bytes")]
    Long,
    /// With marks around it that would be looked for, too.
    #[error(
        "it begins like an item of a list (`- `), stands in quotes or brackets, or ends with a comma or semicolon: take that away, \
         or write `free:` before it where it belongs to it"
    )]
    Dressed,
    /// Not a phone number.
    #[error(
        "a phone number has 7 to 15 digits, with or without `+`, spaces, hyphens, dots, slashes and parentheses"
    )]
    Phone,
    /// Not an address.
    #[error("an e-mail address has one `@` with up to 64 bytes before and something after it")]
    Email,
    /// Not an IMEI.
    #[error("an IMEI has 14, 15 or 16 digits, and of 15 the last is its check digit (Luhn)")]
    Imei,
    /// Not an IMSI.
    #[error("an IMSI has 14 or 15 digits")]
    Imsi,
}

/// A list that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadList {
    /// A line is no identifier.
    #[error("line {line}: {why}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: Unfit,
    },
    /// More than [`IDENTIFIERS_MAX`].
    #[error("the list has more than {IDENTIFIERS_MAX} identifiers")]
    Many,
}

impl Identifier {
    /// An identifier of a kind. A phone number without `+` or `00` is read as written in `country`; without a
    /// country its digits are looked for as they are, and as no national number.
    pub fn new(kind: Kind, text: &str, country: Option<Country>) -> Result<Self, Unfit> {
        let text = match kind {
            Kind::Phone => phone(text, country)?,
            Kind::Email => email(text)?,
            Kind::Imei => {
                let digits = bare(text).ok_or(Unfit::Imei)?;
                let fits = matches!(digits.len(), 14 | 16) || digits.len() == 15 && checked(&digits);
                if fits { digits } else { return Err(Unfit::Imei) }
            }
            Kind::Imsi => {
                let digits = bare(text).ok_or(Unfit::Imsi)?;
                if matches!(digits.len(), 14 | 15) { digits } else { return Err(Unfit::Imsi) }
            }
            Kind::Free => Zeroizing::new(text.to_owned()),
        };
        match text.len() {
            n if n < LENGTH_BYTES_MIN => Err(Unfit::Short),
            n if n > LENGTH_BYTES_MAX => Err(Unfit::Long),
            _ => Ok(Self { kind, text }),
        }
    }

    /// An identifier whose kind is guessed, as the module's documentation says.
    pub fn guessed(text: &str, country: Option<Country>) -> Result<Self, Unfit> {
        Self::new(guess(text.trim()), text, country)
    }

    /// Reads a list, as the module's documentation says. A byte order mark before it is skipped.
    pub fn list(bytes: &[u8], country: Option<Country>) -> Result<Vec<Self>, BadList> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let mut all = Vec::new();
        for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() || line.starts_with(b"#") {
                continue;
            }
            if all.len() == IDENTIFIERS_MAX {
                return Err(BadList::Many);
            }
            let read =
                std::str::from_utf8(line).map_err(|_| Unfit::NotText).and_then(|l| Self::line(l, country));
            all.push(read.map_err(|why| BadList::Line { line: at as u64 + 1, why })?);
        }
        Ok(all)
    }

    fn line(line: &str, country: Option<Country>) -> Result<Self, Unfit> {
        let named = line.split_once([',', ':']).and_then(|(kind, value)| Some((named(kind)?, value)));
        match named {
            Some((kind, value)) => Self::new(kind, value, country),
            None if dressed(line.trim()) => Err(Unfit::Dressed),
            None => Self::guessed(line, country),
        }
    }
}

impl std::fmt::Debug for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identifier({:?}, hidden)", self.kind)
    }
}

fn named(word: &str) -> Option<Kind> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "phone" => Kind::Phone,
        "email" | "e-mail" | "mail" => Kind::Email,
        "imei" => Kind::Imei,
        "imsi" => Kind::Imsi,
        "free" => Kind::Free,
        _ => return None,
    })
}

/// Would nobody write it so where it stands? It would be looked for as it is, and never be found.
fn dressed(line: &str) -> bool {
    let item = ["- ", "* ", "\u{2022} "].iter().any(|mark| line.starts_with(mark));
    let quoted = [('"', '"'), ('\'', '\''), ('<', '>'), ('[', ']')];
    item || line.ends_with([',', ';'])
        || quoted
            .iter()
            .any(|(open, close)| line.len() > 1 && line.starts_with(*open) && line.ends_with(*close))
}

fn guess(text: &str) -> Kind {
    if email(text).is_ok() && !text.contains(char::is_whitespace) {
        return Kind::Email;
    }
    if text.starts_with('+') {
        return if phone(text, None).is_ok() { Kind::Phone } else { Kind::Free };
    }
    match bare(text) {
        Some(digits) if matches!(digits.len(), 14 | 16) => Kind::Imei,
        Some(digits) if digits.len() == 15 && checked(&digits) => Kind::Imei,
        Some(digits) if digits.len() == 15 => Kind::Imsi,
        Some(digits) if (7..15).contains(&digits.len()) => Kind::Phone,
        _ => Kind::Free,
    }
}

/// The digits of a text that has nothing but digits and separators.
fn bare(text: &str) -> Option<Zeroizing<String>> {
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    for c in text.trim().chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' => {}
            _ => return None,
        }
    }
    Some(digits)
}

fn phone(text: &str, country: Option<Country>) -> Result<Zeroizing<String>, Unfit> {
    let text = text.trim();
    // "+49 (0)30 ...": the 0 is for calls from within the country.
    let text =
        Zeroizing::new(if text.starts_with(['+', '0']) { text.replace("(0)", " ") } else { text.to_owned() });
    let (plus, rest) = text.strip_prefix('+').map_or((false, text.as_str()), |rest| (true, rest));
    let digits = bare(rest).ok_or(Unfit::Phone)?;
    let full = match (plus, digits.strip_prefix("00"), country) {
        (true, _, _) => Some(Zeroizing::new(digits.to_string())),
        (false, Some(full), _) => Some(Zeroizing::new(full.to_owned())),
        (false, None, Some(country)) => Some(Zeroizing::new(country.international(&digits))),
        (false, None, None) => None,
    };
    let known = full.is_some();
    let digits = full.unwrap_or(digits);
    if !(7..=15).contains(&digits.len()) {
        return Err(Unfit::Phone);
    }
    Ok(if known { Zeroizing::new(format!("+{}", digits.as_str())) } else { digits })
}

fn email(text: &str) -> Result<Zeroizing<String>, Unfit> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@').ok_or(Unfit::Email)?;
    let fits = (1..=64).contains(&local.len())
        && !domain.is_empty()
        && (!local.contains('@') || local.starts_with('"'));
    if fits { Ok(Zeroizing::new(text.to_owned())) } else { Err(Unfit::Email) }
}

/// Is the last digit the check digit of those before it (Luhn, 3GPP TS 23.003 annex B)?
fn checked(digits: &str) -> bool {
    digits
        .split_at_checked(digits.len().saturating_sub(1))
        .is_some_and(|(body, last)| last == check_digit(body))
}

/// The check digit of an IMEI's first 14 digits.
pub(crate) fn check_digit(body: &str) -> String {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let n = u32::from(digit - b'0');
            if at % 2 == 1 { n } else { n * 2 / 10 + n * 2 % 10 }
        })
        .sum();
    ((10 - sum % 10) % 10).to_string()
}

#[cfg(test)]
mod tests {
    use super::{BadList, Country, Identifier, Kind, Unfit};

    fn read(list: &str) -> Vec<(Kind, String)> {
        let all = Identifier::list(list.as_bytes(), Country::of("CN")).unwrap();
        all.iter().map(|i| (i.kind, i.text.to_string())).collect()
    }

    #[test]
    fn kinds_are_named_or_guessed() {
        let list = "\u{feff}# people\r\n+49 (0)30 123456\r\n139-1234-5678\n\nA.b@Example.com\n490154203237518\n460001234567891\n\
                    imei:49015420323751\nfree, two words \nphone,0086 139 1234 5679\nurn:uuid:1234\n";
        let expected = [
            (Kind::Phone, "+4930123456"),
            (Kind::Phone, "+8613912345678"),
            (Kind::Email, "A.b@Example.com"),
            (Kind::Imei, "490154203237518"),
            (Kind::Imsi, "460001234567891"),
            (Kind::Imei, "49015420323751"),
            (Kind::Free, " two words "),
            (Kind::Phone, "+8613912345679"),
            (Kind::Free, "urn:uuid:1234"),
        ];
        assert_eq!(read(list), expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_only() {
        let said = |list: &[u8]| Identifier::list(list, None).unwrap_err();
        assert_eq!(said(b"abcdef\nimei,490154203237519"), BadList::Line { line: 2, why: Unfit::Imei });
        assert_eq!(said(b"\n\nabc"), BadList::Line { line: 3, why: Unfit::Short });
        assert_eq!(said(b"abcd\xff"), BadList::Line { line: 1, why: Unfit::NotText });
        assert_eq!(said(&[b'x'; 257]), BadList::Line { line: 1, why: Unfit::Long });
        for dressed in
            ["- a@b.example", "* +4930123456", "\"a@b.example\"", "'abcdef'", "<a@b.example>", "a@b.example,"]
        {
            assert_eq!(said(dressed.as_bytes()), BadList::Line { line: 1, why: Unfit::Dressed }, "{dressed}");
            assert!(Identifier::list(format!("free:{dressed}").as_bytes(), None).is_ok());
        }
        assert!(Identifier::list(b"-ann@b.example\n\"a b\"@c.example\n-100123456789", None).is_ok());
        assert_eq!(said(b"phone:12 345"), BadList::Line { line: 1, why: Unfit::Phone });
        assert_eq!(said(b"email,secret.example"), BadList::Line { line: 1, why: Unfit::Email });
        assert!(!said(b"email,secret.example").to_string().contains("secret"));
        assert!(!format!("{:?}", Identifier::guessed("+4930123456", None).unwrap()).contains("4930"));
    }

    #[test]
    fn without_a_country_a_number_is_its_digits() {
        let number = Identifier::new(Kind::Phone, "030 123456", None).unwrap();
        assert_eq!(number.text.as_str(), "030123456");
    }
}
