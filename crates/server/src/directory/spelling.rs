//! One spelling for each subject.
//!
//! The directory keeps a hash of the key's text, so `007` would be somebody else than `7` and could get a second home.
//! Regions print their keys in one way (`Records::canonical`); this service has no region's database and does the
//! same by the key's type.

/// How a root table's keys are spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Whole numbers: digits without leading zeros, `-` where negative.
    Integer,
    /// Lower case, with hyphens.
    Uuid,
    /// Texts: as they are.
    Text,
}

impl Spelling {
    /// Of a key column's type, as the engine names it.
    pub fn of(type_name: &str) -> Self {
        let name = type_name.to_ascii_lowercase();
        let mut words = name.split(['(', ')', ' ']);
        // SQLite knows `UNSIGNED BIG INT`; an interval is none.
        let integer = |w: &str| {
            ["smallint", "integer", "bigint", "int", "int2", "int4", "int8", "tinyint", "mediumint"]
                .contains(&w)
        };
        match name.as_str() {
            "uuid" => Self::Uuid,
            _ if words.any(integer) => Self::Integer,
            _ => Self::Text,
        }
    }

    /// The one spelling of what was typed; `None`: no key of that type.
    pub fn canonical(self, typed: &str) -> Option<String> {
        match self {
            Self::Text => Some(typed.to_owned()),
            Self::Integer => typed.trim().parse::<i64>().ok().map(|n| n.to_string()),
            Self::Uuid => uuid(typed.trim()),
        }
    }
}

/// As PostgreSQL reads it: braces around it, hyphens after any four digits.
fn uuid(typed: &str) -> Option<String> {
    let inner = match (typed.strip_prefix('{'), typed.ends_with('}')) {
        (Some(rest), true) => &rest[..rest.len() - 1],
        (None, false) => typed,
        _ => return None,
    };
    let digits: String = inner.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let cuts = [0..8, 8..12, 12..16, 16..20, 20..32];
    Some(cuts.map(|cut| &digits[cut]).join("-"))
}

#[cfg(test)]
mod tests {
    use super::Spelling;

    #[test]
    fn a_key_has_one_spelling() {
        let integer = Spelling::of("bigint");
        for typed in ["7", "007", " 7", "+7"] {
            assert_eq!(integer.canonical(typed).as_deref(), Some("7"), "{typed:?}");
        }
        assert_eq!(integer.canonical("-0").as_deref(), Some("0"));
        for wrong in ["", "7.0", "seven", "9223372036854775808", "0x7", "7\n8"] {
            assert_eq!(integer.canonical(wrong), None, "{wrong:?}");
        }
        let uuid = Spelling::of("uuid");
        let one = "0190a6f2-0000-7000-8000-0123456789ab";
        for typed in [one, "0190A6F200007000800000123456789AB", "{0190a6f2-0000-7000-8000-0123456789AB}"] {
            let wanted = (typed.len() != 33).then_some(one);
            assert_eq!(uuid.canonical(typed).as_deref(), wanted, "{typed}");
        }
        for wrong in ["", "{0190a6f2", "zz90a6f2-0000-7000-8000-0123456789ab", "}", "{}"] {
            assert_eq!(uuid.canonical(wrong), None, "{wrong:?}");
        }
        assert_eq!(Spelling::of("character varying(20)").canonical("007").as_deref(), Some("007"));
        for name in ["INTEGER", "INT(11)", "UNSIGNED BIG INT", "smallint"] {
            assert_eq!(Spelling::of(name), Spelling::Integer, "{name}");
        }
        assert_eq!([Spelling::of("interval"), Spelling::of("int4range")], [Spelling::Text; 2]);
    }
}
