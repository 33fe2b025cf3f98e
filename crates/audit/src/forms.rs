//! The normal forms of an identifier: what is looked up, and what digests are made of.

use crate::calling::{code_length, trunk};
use crate::identifier::check_digit;
use crate::{Identifier, Kind};
use zeroize::Zeroizing;

/// In what forms and with which salts identifiers are looked for.
#[derive(Debug, Clone, Default)]
pub struct Forms {
    /// Salts tried before and after each normal form under each digest; the empty one is always tried. Each one more takes
    /// as much memory as all digests without a salt, twice: see [`crate::Wanted::held_bytes`].
    pub salts: Vec<Zeroizing<Vec<u8>>>,
    /// Keys with which each normal form is looked for under HMAC-SHA-256.
    pub keys: Vec<Zeroizing<Vec<u8>>>,
}

/// How a row of digits relates to the identifier that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// All of it; of a phone number in E.164, so `+` or `00` may stand before it.
    Whole = 0,
    /// A phone number without its country code; a trunk 0 may stand before it.
    National = 1,
}

/// The longest row of digits that is looked up as a number: its value fits 64 bits.
pub(crate) const DIGITS_MAX: usize = 19;

/// A national number of fewer digits stands in any text by chance.
pub(crate) const NATIONAL_DIGITS_MIN: usize = 6;

/// Rows of digits that stand for an identifier. What may be written before them (`+`, `00`, a trunk 0) needs
/// no form of its own: every window of a row of digits is looked up.
pub(crate) fn digits(identifier: &Identifier) -> Vec<(Zeroizing<String>, Writing)> {
    let text = identifier.text.as_str();
    let own = |digits: &str| Zeroizing::new(digits.to_owned());
    match identifier.kind {
        Kind::Phone => match text.strip_prefix('+') {
            Some(full) => {
                let national = &full[code_length(full).min(full.len())..];
                let mut all = vec![(own(full), Writing::Whole)];
                if national.len() >= NATIONAL_DIGITS_MIN {
                    all.push((own(national), Writing::National));
                }
                all
            }
            None => vec![(own(text), Writing::Whole)],
        },
        Kind::Imei => {
            let body = &text[..14];
            let mut all = vec![
                (own(body), Writing::Whole),
                (own(&format!("{body}{}", check_digit(body))), Writing::Whole),
            ];
            if text.len() == 16 {
                all.push((own(text), Writing::Whole));
            }
            all
        }
        Kind::Imsi => vec![(own(text), Writing::Whole)],
        Kind::Email | Kind::Free => Vec::new(),
    }
}

/// The usual normal forms that applications make digests of.
pub(crate) fn hashed(identifier: &Identifier) -> Vec<Zeroizing<Vec<u8>>> {
    let text = identifier.text.as_str();
    let own = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
    let mut all = match (identifier.kind, text.strip_prefix('+')) {
        (Kind::Phone, Some(full)) => {
            let (code, national) = full.split_at(code_length(full).min(full.len()));
            vec![own(text), own(full), own(national), own(&format!("{}{national}", trunk(code)))]
        }
        (Kind::Email, _) => {
            let lower = Zeroizing::new(text.to_ascii_lowercase());
            vec![own(&lower), own(text)]
        }
        (Kind::Imei, _) => digits(identifier).iter().map(|(digits, _)| own(digits)).collect(),
        _ => vec![own(text)],
    };
    all.sort_by(|a, b| a.as_slice().cmp(b.as_slice()));
    all.dedup();
    all
}

/// The form that a report's fingerprint is made of: the same however the identifier was written in the list.
pub(crate) fn normal(identifier: &Identifier) -> Zeroizing<String> {
    match identifier.kind {
        Kind::Email => Zeroizing::new(identifier.text.to_ascii_lowercase()),
        Kind::Imei => Zeroizing::new(identifier.text[..14].to_owned()),
        _ => identifier.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, digits, hashed};
    use crate::Identifier;

    #[test]
    fn a_number_is_hashed_in_the_forms_that_applications_store() {
        let of = |kind, text| {
            let all = hashed(&Identifier::new(kind, text, None).unwrap());
            all.iter().map(|form| String::from_utf8(form.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(of(Kind::Phone, "+49 30 123456"), ["+4930123456", "030123456", "30123456", "4930123456"]);
        assert_eq!(of(Kind::Phone, "+14155550123"), ["+14155550123", "14155550123", "4155550123"]);
        assert_eq!(of(Kind::Email, "A@b.example"), ["A@b.example", "a@b.example"]);
        assert_eq!(of(Kind::Imei, "490154203237518"), ["49015420323751", "490154203237518"]);
        assert_eq!(of(Kind::Free, "Two words"), ["Two words"]);
    }

    #[test]
    fn digits_have_the_lengths_that_stand_in_data() {
        let of = |kind, text| {
            digits(&Identifier::new(kind, text, None).unwrap()).iter().map(|d| d.0.len()).collect::<Vec<_>>()
        };
        assert_eq!(of(Kind::Phone, "+4930123456"), [10, 8]);
        assert_eq!(of(Kind::Imei, "4901542032375180"), [14, 15, 16]);
        assert!(of(Kind::Email, "a@b.example").is_empty());
    }
}
