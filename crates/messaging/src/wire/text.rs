//! Short texts: bounded, and free of what could break a line or a terminal.

use super::bytes::from_text;
use super::limits::TEXT_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Empty, longer than [`TEXT_BYTES_MAX`], or with control characters.
    #[error("a text of 1 to 512 bytes without control characters is wanted")]
    Text,
    /// Not the name of a region.
    #[error("a region's name has 1 to 63 lower-case letters, digits and hyphens, and starts with a letter")]
    Region,
}

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident, $fault:ident, $words:literal, $fits:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = TextFault;

            fn from_str(text: &str) -> Result<Self, TextFault> {
                let fits: fn(&str) -> bool = $fits;
                fits(text).then(|| Self(text.to_owned())).ok_or(TextFault::$fault)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from_text(from, $words, |text| text.parse().ok())
            }
        }
    )*};
}

text! {
    /// A short text for people, or a URL.
    Text, Text, "a text of 1 to 512 bytes", |text| {
        (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    /// A region's name.
    RegionName, Region, "a region's name", |text| {
        let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(rest)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_have_bounds() {
        assert!("beijing-2".parse::<RegionName>().is_ok());
        for wrong in ["", "Beijing", "2", "a/b", "a b", &"a".repeat(64)] {
            assert_eq!(wrong.parse::<RegionName>(), Err(TextFault::Region), "{wrong}");
        }
        assert!("https://example.org/notice".parse::<Text>().is_ok());
        for wrong in ["", "a\nb", &"a".repeat(513)] {
            assert_eq!(wrong.parse::<Text>(), Err(TextFault::Text));
        }
    }
}
