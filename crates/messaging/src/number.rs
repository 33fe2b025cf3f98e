//! Telephone numbers in E.164: the one spelling of a number, and its country.

use phonenumber::country::Id;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroize;

/// The longest text that is looked at, bytes: fifteen digits with their separators.
pub const TYPED_BYTES_MAX: usize = 40;
/// Digits of a number: E.164 allows fifteen; shorter than seven are services, not subscribers.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A number in E.164: `+` and seven to fifteen digits. `Debug` does not show it; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Number(String);

/// Not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a telephone number; write it as `+`, country code and number: `+8613912345678`")]
pub struct NoNumber;

impl Number {
    /// What people type or address books hold: with separators, and without country code where `country` (ISO 3166-1
    /// alpha-2, upper case) says whose numbers are meant.
    ///
    /// # Errors
    /// Not a number that its country's numbering plan has.
    pub fn typed(text: &str, country: Option<&str>) -> Result<Self, NoNumber> {
        if text.len() > TYPED_BYTES_MAX {
            return Err(NoNumber);
        }
        // With `+` the country is in the number: the crate would take away the given country's trunk prefix all the same
        // (the 1 of 139 in China, for a reader in the USA).
        let country = country.filter(|_| !text.trim_start().starts_with('+'));
        let country = country.map(|code| code.parse::<Id>().map_err(|_| NoNumber)).transpose()?;
        let number = phonenumber::parse(country, text).map_err(|_| NoNumber)?;
        if !phonenumber::is_valid(&number) || number.extension().is_some() {
            return Err(NoNumber);
        }
        number.format().mode(phonenumber::Mode::E164).to_string().parse()
    }

    /// As E.164 text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The country whose numbering plan has it, ISO 3166-1 alpha-2. `None`: no country's, not a number of its plan, or not the one
    /// spelling of it (a trunk prefix within, say): two spellings would be two numbers for every limit and claim.
    /// It says where the number is from, not where its owner lives.
    pub fn country(&self) -> Option<String> {
        let number = phonenumber::parse(None, &self.0).ok()?;
        let id = number.country().id()?;
        let is_it = phonenumber::is_valid(&number)
            && number.format().mode(phonenumber::Mode::E164).to_string() == self.0;
        is_it.then(|| id.as_ref().to_owned())
    }

    /// May a code be sent to it? Not to numbers that nobody has as their own, or that earn somebody money for each message.
    pub fn takes_codes(&self) -> bool {
        use phonenumber::Type;
        phonenumber::parse(None, &self.0).is_ok_and(|number| {
            matches!(
                number.number_type(&phonenumber::metadata::DATABASE),
                Type::Mobile | Type::FixedLineOrMobile | Type::FixedLine | Type::Voip | Type::PersonalNumber
            )
        })
    }
}

impl FromStr for Number {
    type Err = NoNumber;

    /// Reads E.164 and nothing else; by its form only, [`Number::country`] asks the numbering plan.
    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let digits = text.strip_prefix('+').ok_or(NoNumber)?;
        let fits = DIGITS.contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        fits.then(|| Self(text.to_owned())).ok_or(NoNumber)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Number(..)")
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        crate::wire::from_text(from, "a telephone number in E.164", |text| text.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_what_people_type() {
        for (typed, country) in [
            ("+86 139 1234 5678", None),
            ("0086 139-1234-5678", Some("CN")),
            ("139 1234 5678", Some("CN")),
            ("+8613912345678", Some("US")),
        ] {
            let number = Number::typed(typed, country).unwrap_or_else(|_| panic!("{typed}"));
            assert_eq!(number.as_str(), "+8613912345678", "{typed}");
            assert_eq!(number.country().as_deref(), Some("CN"));
        }
        assert_eq!(Number::typed("(503) 555-0123", Some("US")).ok(), "+15035550123".parse().ok());
    }

    #[test]
    fn countries_of_one_code_are_told_apart() {
        let of = |number: &str| number.parse::<Number>().unwrap().country();
        assert_eq!(of("+15035550123").as_deref(), Some("US"));
        assert_eq!(of("+16135550123").as_deref(), Some("CA"));
        assert_eq!(of("+4915112345678").as_deref(), Some("DE"));
        assert_eq!(of("+9999999999"), None);
    }

    #[test]
    fn a_number_has_one_spelling_and_a_code_costs_no_premium() {
        let number = |text: &str| text.parse::<Number>().unwrap();
        assert_eq!(number("+447400123456").country().as_deref(), Some("GB"));
        for other in ["+4407400123456", "+86013912345678"] {
            assert_eq!(number(other).country(), None, "{other}");
        }
        for (text, wanted) in [
            ("+447400123456", true),
            ("+8613912345678", true),
            ("+15035550123", true),
            ("+19002345678", false),
            ("+18002345678", false),
            ("+449098790123", false),
        ] {
            assert_eq!(number(text).takes_codes(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "+",
            "139 1234 5678",
            "+0123456789",
            "+86139123456789012",
            "+86139x2345678",
            "＋8613912345678",
        ] {
            assert_eq!(text.parse::<Number>(), Err(NoNumber), "{text}");
        }
        for text in ["", "hello", "112", "+86 139 1234 5678 ext. 4", &"1".repeat(1000)] {
            assert_eq!(Number::typed(text, Some("CN")), Err(NoNumber), "{text}");
        }
        assert_eq!(Number::typed("139 1234 5678", Some("XX")), Err(NoNumber));
    }

    #[test]
    fn it_is_not_shown_by_accident() {
        assert_eq!(format!("{:?}", "+8613912345678".parse::<Number>()), "Ok(Number(..))");
    }
}
