//! Values that may begin with a hyphen: ids are drawn or were there before us, and one in 64 mailboxes' does.
//!
//! A mistyped flag must not be taken for one: who has typed `--jsno` meant no subject, and no text to be sent.

/// A value as it was typed; what looks like a flag is one only behind a lone `--`.
///
/// # Errors
/// It looks like a flag, with what to do.
pub(super) fn hyphened(text: &str) -> Result<String, String> {
    read(text, std::env::args().any(|word| word == "--"))
}

/// The same, and not empty.
pub(super) fn some_text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a text has at least one character".into()) } else { hyphened(text) }
}

fn read(text: &str, is_behind_hyphens: bool) -> Result<String, String> {
    let looks_like_a_flag = text.strip_prefix("--").is_some_and(|rest| !rest.is_empty());
    if looks_like_a_flag && !is_behind_hyphens {
        return Err(format!(
            "this command has no such flag; if it is meant as a value, put -- before it: -- {text}"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::args::Cli;
    use clap::Parser;

    /// Wherever somebody's id, name or text is typed.
    const COMMANDS: [&str; 13] = [
        "locate VALUE --json",
        "guard disown VALUE --region us",
        "register VALUE -7 --region us",
        "receipt extract -o FILE VALUE",
        "policy explain VALUE us",
        "consent list VALUE --service messaging",
        "consent show VALUE --json",
        "consent withdraw VALUE contact_discovery",
        "device open VALUE --device alice",
        "device send --device alice VALUE VALUE",
        "device contacts add +8613912345678 --name VALUE",
        "device contacts remove VALUE",
        "device presence VALUE",
    ];

    fn parses(command: &str, value: &str) -> bool {
        let words = command.split(' ').map(|word| if word == "VALUE" { value } else { word });
        Cli::try_parse_from(std::iter::once("domicile").chain(words)).is_ok()
    }

    #[test]
    fn ids_that_begin_with_a_hyphen_are_ids_and_mistyped_flags_are_not() {
        for command in COMMANDS {
            assert!(parses(command, "-5"), "{command}");
            // A list can't tell where it ends: there it is said what to do.
            assert_eq!(
                parses(command, "-YpZ3n0SQqmU1Jc0-wVJ6A"),
                !command.starts_with("register"),
                "{command}"
            );
            assert!(!parses(command, "--jsno"), "{command}");
        }
    }

    #[test]
    fn a_flag_is_no_value_by_mistake() {
        for id in ["-5", "-q", "-YpZ3n0SQqmU1Jc0-wVJ6A", "-", "--", "4711", ""] {
            assert_eq!(read(id, false).as_deref(), Ok(id));
        }
        assert!(read("--jsno", false).unwrap_err().ends_with("-- --jsno"));
        assert_eq!(read("--jsno", true).as_deref(), Ok("--jsno"));
    }
}
