//! One form for each claim, however it was typed. Pure: no clock, no store, no table that changes with a
//! provider or a country.
//!
//! INVARIANT: a form never changes from one version of Domicile to the next. What is kept is a keyed hash of
//! it: with another form a person's claim would be free for somebody else, and nobody could tell. So the rules
//! are those of standards, and nothing here knows what single providers or numbering plans do this year:
//!
//! - **E-mail.** Blanks around it go. The domain is that of UTS #46 in ASCII: DNS compares it so. The local part
//!   is in NFC (RFC 6532 section 3.1) and lower case: RFC 5321 lets a server tell `Ann` from `ann`, hardly one
//!   does, and two accounts for one mailbox are worse than a name refused. Dots and `+tags` stay: which
//!   providers ignore them is their business and changes, and at others these are different people.
//! - **Phone.** E.164: `+`, country code, number. Separators go. A number without `+` is refused, also one that
//!   begins with `00`: whose number it is would depend on a country somebody guessed. So is `(0)`, which some
//!   write and nobody dials from abroad.
//! - **User name.** PRECIS `UsernameCaseMapped` (RFC 8265 section 3.3): full width to half, lower case, NFC; it
//!   refuses blanks, symbols, compatibility characters and mixed directions, so that what looks the same to its
//!   rules is the same. It does not know that Cyrillic `а` looks like Latin `a`.

use super::ClaimKind;
use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use unicode_normalization::UnicodeNormalization;

/// Longest e-mail address, in bytes: a path of RFC 5321 section 4.5.3.1.3 without its brackets.
const EMAIL_BYTES_MAX: usize = 254;
/// Longest local part, in bytes (RFC 5321 section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;
/// Digits of an international number (ITU-T E.164 section 6); the shortest in use have seven.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Longest user name, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Longest text looked at, in bytes: blanks and separators included.
const TYPED_BYTES_MAX: usize = 1024;

/// A text that is no claim of its kind. It does not say which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no {kind} that can be claimed: {why}")]
pub struct Unclaimable {
    /// What it should have been.
    pub kind: ClaimKind,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The one form of what was typed.
pub(super) fn normal(kind: ClaimKind, typed: &str) -> Result<String, Unclaimable> {
    let typed = typed.trim();
    let form = match kind {
        _ if typed.is_empty() => Err("it is empty"),
        _ if typed.len() > TYPED_BYTES_MAX => Err("it is too long"),
        ClaimKind::Email => email(typed),
        ClaimKind::Phone => phone(typed),
        ClaimKind::UserName => user_name(typed),
    };
    form.map_err(|why| Unclaimable { kind, why })
}

fn email(typed: &str) -> Result<String, &'static str> {
    let (local, domain) = typed.rsplit_once('@').ok_or("it has no `@`")?;
    let local: String = local.nfc().collect::<String>().to_lowercase().nfc().collect();
    if local.is_empty() || local.len() > LOCAL_BYTES_MAX {
        return Err("what stands before `@` is empty or too long");
    }
    if local.chars().any(|c| c.is_whitespace() || c.is_control() || "\"(),:;<>@[\\]".contains(c)) {
        return Err("what stands before `@` has a character that no unquoted address has");
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let domain = idna::domain_to_ascii_strict(domain).map_err(|_| "what stands after `@` is no domain")?;
    if domain.is_empty() || domain.split('.').all(|label| label.bytes().all(|b| b.is_ascii_digit())) {
        return Err("what stands after `@` is no domain");
    }
    let form = format!("{local}@{domain}");
    if form.len() > EMAIL_BYTES_MAX { Err("it is too long") } else { Ok(form) }
}

fn phone(typed: &str) -> Result<String, &'static str> {
    // Full-width digits and plus signs are those of many keyboards.
    let typed: String = typed.nfkc().collect();
    let number = typed.strip_prefix('+').ok_or("it does not begin with `+` and a country code")?;
    if number.contains("(0)") {
        return Err("it has a `(0)`, which is not dialled from abroad");
    }
    let separator = |c: char| c.is_whitespace() || "-\u{2010}\u{2011}\u{2012}\u{2013}.()/".contains(c);
    let digits: String = number.chars().filter(|c| !separator(*c)).collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("it has a character that is neither a digit nor a separator");
    }
    if !PHONE_DIGITS.contains(&digits.len()) || digits.starts_with('0') {
        return Err("it is no international number: 7 to 15 digits that begin with a country code");
    }
    Ok(format!("+{digits}"))
}

fn user_name(typed: &str) -> Result<String, &'static str> {
    let refused = "it has a character that no user name has (RFC 8265), or mixes directions";
    let form = UsernameCaseMapped::new().enforce(typed).map_err(|_| refused)?;
    if form.len() > NAME_BYTES_MAX { Err("it is too long") } else { Ok(form.into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClaimKind::{Email, Phone, UserName};
    use proptest::prelude::*;

    fn check(kind: ClaimKind, typed: &str, form: &str) {
        assert_eq!(normal(kind, typed).as_deref(), Ok(form), "{kind} {typed:?}");
    }

    fn refused(kind: ClaimKind, typed: &str) {
        assert!(normal(kind, typed).is_err(), "{kind} {typed:?} became {:?}", normal(kind, typed));
    }

    #[test]
    fn an_address_has_one_form() {
        check(Email, " Ann.Lee+shop@Example.COM\n", "ann.lee+shop@example.com");
        check(Email, "ann@bücher.example", "ann@xn--bcher-kva.example");
        check(Email, "ann@BU\u{308}CHER.example.", "ann@xn--bcher-kva.example");
        check(Email, "ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah");
        // Composed and decomposed.
        check(Email, "RENE\u{301}@example.fr", "ren\u{e9}@example.fr");
        check(Email, "root@localhost", "root@localhost");
        for wrong in [
            "",
            " ",
            "ann",
            "@example.com",
            "ann@",
            "a nn@example.com",
            "ann@exa mple.com",
            "ann@@example.com",
            "\"ann lee\"@example.com",
            "ann@[192.0.2.1]",
            "ann@192.0.2.1",
            "ann@-x.example",
            "ann@a..b",
            "a\0b@c.d",
        ] {
            refused(Email, wrong);
        }
        refused(Email, &format!("{}@example.com", "a".repeat(65)));
        refused(Email, &format!("a@{}.example", "b".repeat(64)));
    }

    #[test]
    fn dots_and_tags_are_kept_apart() {
        let form = |typed| normal(Email, typed).unwrap();
        assert_ne!(form("a.nn@gmail.com"), form("ann@gmail.com"));
        assert_ne!(form("ann+a@gmail.com"), form("ann@gmail.com"));
    }

    #[test]
    fn a_number_is_international_or_none() {
        check(Phone, "+91 98765-43210", "+919876543210");
        check(Phone, " +1 (415) 555.0132 ", "+14155550132");
        check(Phone, "＋８６ 138 0013 8000", "+8613800138000");
        check(Phone, "+49/30/901820", "+4930901820");
        for wrong in [
            "98765 43210",
            "0091 98765 43210",
            "+44 (0)20 7946 0000",
            "+0123456789",
            "+12",
            "+1234567890123456",
            "+1 415 CALL",
            "+1 415 5550132 ext. 4",
            "++14155550132",
            "+",
            "+१२३४५६७८",
        ] {
            refused(Phone, wrong);
        }
    }

    #[test]
    fn a_user_name_has_one_form() {
        check(UserName, "Ann_Lee", "ann_lee");
        check(UserName, "ＡＮＮ", "ann");
        check(UserName, "Re\u{301}ne", "r\u{e9}ne");
        check(UserName, "ΣΑ", "σα");
        check(UserName, "小明", "小明");
        for wrong in ["", "ann lee", "a\u{200b}nn", "\u{fb01}sh", "a\u{5d0}", "ann\u{7}", "♥"] {
            refused(UserName, wrong);
        }
        refused(UserName, &"x".repeat(256));
    }

    proptest! {
        /// What was stored in its form, and is read and claimed again, is the same claim.
        #[test]
        fn a_form_is_its_own_form(typed in "\\PC{0,40}", kind in prop_oneof![Just(Email), Just(Phone), Just(UserName)]) {
            if let Ok(form) = normal(kind, &typed) {
                prop_assert_eq!(normal(kind, &form), Ok(form.clone()));
            }
        }

        #[test]
        fn addresses_too(local in "[\\w.+'À-ʯİß]{1,20}", domain in "[a-zA-ZÀ-ʯ]{1,12}(\\.[a-zÄ]{2,5}){0,2}") {
            if let Ok(form) = normal(Email, &format!("{local}@{domain}")) {
                // Some letters take more bytes once they were in upper case: then it may be too long.
                let respelt = form.to_uppercase().to_lowercase();
                let fits = respelt.split('@').next().is_some_and(|local| local.len() <= 64);
                prop_assert!(!fits || normal(Email, &respelt).is_ok());
                prop_assert_eq!(normal(Email, &form), Ok(form.clone()));
            }
        }
    }
}
