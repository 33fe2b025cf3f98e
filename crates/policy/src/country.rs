//! Countries as databases hold them: ISO 3166-1 codes and names, in whatever case.

use crate::spellings;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A country or territory of ISO 3166-1 (and Kosovo's user-assigned `XK`), printed as its alpha-2 code.
///
/// INVARIANT: [`FromStr`] accepts a text if and only if its trimmed, upper-cased form is one of the
/// [`spellings`](Country::spellings) of exactly one country, so that the mover and the guard's admission
/// table never read the same row differently.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Every country known, by alpha-2 code.
    pub fn all() -> impl Iterator<Item = Country> {
        spellings::table().by_country.keys().copied()
    }

    /// The alpha-2 code, upper case, e.g. `IN`.
    pub fn alpha2(&self) -> &str {
        // Two ASCII letters by construction (`from_alpha2` is the only way in).
        std::str::from_utf8(&self.0).unwrap_or("??")
    }

    /// The alpha-3 code, upper case, e.g. `IND`.
    pub fn alpha3(&self) -> &'static str {
        celes::Country::from_alpha2(self.alpha2()).map_or("???", |c| c.alpha3)
    }

    /// A name for people to read, e.g. `India`.
    pub fn name(&self) -> &'static str {
        let long = celes::Country::from_alpha2(self.alpha2()).map_or("unknown", |c| c.long_name);
        spellings::common_name(self.alpha2()).unwrap_or(long)
    }

    /// Every upper-cased spelling accepted for this country, sorted, each once: alpha-2, alpha-3, names.
    /// Names with letters outside ASCII stand there twice, as Unicode and as ASCII-only upper-casing
    /// make them (SQLite's `upper` and PostgreSQL's under the C locale leave such letters alone).
    pub fn spellings(&self) -> &'static [String] {
        spellings::table().by_country.get(self).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn from_alpha2(code: &str) -> Self {
        let bytes = code.as_bytes();
        debug_assert!(bytes.len() == 2 && code.is_ascii());
        Self([bytes[0], bytes[1]])
    }
}

impl FromStr for Country {
    type Err = WrongCountry;

    fn from_str(text: &str) -> Result<Self, WrongCountry> {
        let upper = text.trim().to_uppercase();
        match spellings::table().by_spelling.get(&upper) {
            Some(country) => Ok(*country),
            None => Err(WrongCountry { given: text.trim().to_owned(), nearest: nearest(&upper) }),
        }
    }
}

/// A suggestion must share at least this much of its letters with what was typed (1 = equal): below it
/// stand guesses such as Spain for `usaa`.
const LIKENESS_MIN: f64 = 0.6;

/// The spelling nearest to `upper`, if it is near enough to be a slip of the keyboard.
fn nearest(upper: &str) -> Option<(Country, String)> {
    // Two letters are near to a dozen other codes: that would be a guess.
    if upper.chars().count() < 3 {
        return None;
    }
    let (likeness, country, spelling) = spellings::table()
        .by_spelling
        .iter()
        .filter(|(spelling, _)| spelling.len() > 2)
        .map(|(spelling, c)| (strsim::normalized_damerau_levenshtein(upper, spelling), *c, spelling))
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.2.cmp(a.2)))?;
    (likeness >= LIKENESS_MIN).then(|| (country, spelling.clone()))
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.alpha2())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.alpha2())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.alpha2())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that names no country. It carries the text: use it for what the user typed into a config, not
/// for values of users' rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a country{}", suggestion(.nearest))]
pub struct WrongCountry {
    /// What was given, trimmed.
    pub given: String,
    /// The nearest country and its spelling, if any is near.
    pub nearest: Option<(Country, String)>,
}

fn suggestion(nearest: &Option<(Country, String)>) -> String {
    match nearest {
        Some((country, _)) => format!("; did you mean `{country}` ({})?", country.name()),
        None => "; write an ISO 3166 code such as `IN` or `IND`, or a name such as `India`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, alpha2: &str) {
        assert_eq!(text.parse::<Country>().map(|c| c.to_string()), Ok(alpha2.to_owned()), "{text}");
    }

    #[test]
    fn names_as_databases_hold_them() {
        // The 24 countries of the Chinook database.
        let chinook = [
            ("Argentina", "AR"),
            ("Australia", "AU"),
            ("Austria", "AT"),
            ("Belgium", "BE"),
            ("Brazil", "BR"),
            ("Canada", "CA"),
            ("Chile", "CL"),
            ("Czech Republic", "CZ"),
            ("Denmark", "DK"),
            ("Finland", "FI"),
            ("France", "FR"),
            ("Germany", "DE"),
            ("Hungary", "HU"),
            ("India", "IN"),
            ("Ireland", "IE"),
            ("Italy", "IT"),
            ("Netherlands", "NL"),
            ("Norway", "NO"),
            ("Poland", "PL"),
            ("Portugal", "PT"),
            ("Spain", "ES"),
            ("Sweden", "SE"),
            ("USA", "US"),
            ("United Kingdom", "GB"),
        ];
        for (text, code) in chinook {
            check(text, code);
        }
        let others = [
            (" viet nam ", "VN"),
            ("Vietnam", "VN"),
            ("uk", "GB"),
            ("gbr", "GB"),
            ("u.s.a.", "US"),
            ("The Netherlands", "NL"),
            ("Korea, Republic of", "KR"),
            ("South Korea", "KR"),
            ("Côte d'Ivoire", "CI"),
            ("türkiye", "TR"),
            ("Samoa", "WS"),
            ("Trinidad & Tobago", "TT"),
            ("St. Lucia", "LC"),
            ("Hong Kong SAR", "HK"),
            ("Taiwan", "TW"),
            ("Russia", "RU"),
            ("Congo, Democratic Republic of the", "CD"),
        ];
        for (text, code) in others {
            check(text, code);
        }
    }

    #[test]
    fn a_wrong_country_suggests_the_nearest() {
        let wrong = |text: &str| text.parse::<Country>().unwrap_err().to_string();
        assert_eq!(wrong("Inda"), "`Inda` is not a country; did you mean `IN` (India)?");
        assert_eq!(
            wrong("Unted Kingdom"),
            "`Unted Kingdom` is not a country; did you mean `GB` (United Kingdom)?"
        );
        assert_eq!(wrong("usaa"), "`usaa` is not a country; did you mean `US` (United States)?");
        assert!(wrong("XX").contains("ISO 3166") && wrong("Middle-earth").contains("ISO 3166"));
        assert!(wrong("Atlantis-under-the-sea").contains("ISO 3166"));
        assert!(wrong("").contains("ISO 3166"));
    }

    #[test]
    fn what_is_accepted_is_what_the_guard_is_told() {
        for country in Country::all() {
            check(country.alpha2(), country.alpha2());
            check(country.alpha3(), country.alpha2());
            check(country.name(), country.alpha2());
            assert!(country.spellings().len() >= 3, "{country}");
            for spelling in country.spellings() {
                check(spelling, country.alpha2());
                check(&spelling.to_lowercase(), country.alpha2());
                assert_eq!(spelling.trim(), spelling);
            }
        }
        assert_eq!(Country::all().count(), 250);
    }

    #[test]
    fn both_ways_of_upper_casing_are_listed() {
        let tr: Country = "TR".parse().unwrap();
        assert!(
            tr.spellings().contains(&"TÜRKIYE".to_owned()) && tr.spellings().contains(&"TüRKIYE".to_owned())
        );
    }

    #[test]
    fn serde_reads_any_spelling_and_writes_alpha_2() {
        let usa: Country = serde_json::from_str("\"usa\"").unwrap();
        assert_eq!(serde_json::to_string(&usa).unwrap(), "\"US\"");
        assert!(serde_json::from_str::<Country>("\"Narnia\"").is_err());
    }
}
