//! `--config FILE` and `--service NAME` in the commands that are shown, so that each can be pasted as it stands.
//!
//! Done once, where everything is printed: whoever writes `domicile plan` into an answer need not know how it was called.

use clap::CommandFactory;
use std::path::Path;

/// What was typed on this command line and has to be typed again.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// `--config FILE`; what stands in the environment holds for the next command, too.
    config: Option<String>,
    /// `--service NAME`.
    service: Option<String>,
}

impl Named {
    /// Of this command line.
    pub fn typed(config: &Path, service: Option<&str>) -> Self {
        let said = std::env::args().any(|a| a == "--config" || a.starts_with("--config="));
        let config = said.then(|| format!("--config {}", quoted(&config.display().to_string())));
        Self { config, service: service.map(flag) }
    }

    /// The text with the flags at every `domicile` that a command's words follow.
    pub fn shown(&self, text: &str) -> String {
        if self.config.is_none() && self.service.is_none() {
            return text.to_owned();
        }
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find(WORD) {
            let (before, after) = rest.split_at(at);
            let begins = before.chars().last().is_none_or(|c| c.is_whitespace() || "`(".contains(c));
            let command = if begins { Words::read(&after[WORD.len()..]) } else { None };
            out.push_str(before);
            out.push_str(WORD);
            rest = &after[WORD.len()..];
            let Some(words) = command else { continue };
            out.extend(self.config.iter().flat_map(|flag| [" ", flag.as_str()]));
            let (command, behind) = rest.split_at(words.length);
            out.push_str(command);
            if words.is_of_a_service && !says_service(behind) {
                out.extend(self.service.iter().flat_map(|flag| [" ", flag.as_str()]));
            }
            rest = behind;
        }
        out.push_str(rest);
        out
    }
}

/// A text about the waves of one service among several, where the command line did not name it.
pub fn of_service(text: &str, service: &str) -> String {
    Named { config: None, service: Some(flag(service)) }.shown(text)
}

const WORD: &str = "domicile";

/// The words of a command, as they stand in a text.
struct Words {
    /// Bytes of them, with the space before each.
    length: usize,
    is_of_a_service: bool,
}

impl Words {
    /// Reads ` region reconcile` of ` region reconcile us`; nothing where no command that reads a configuration follows.
    fn read(text: &str) -> Option<Self> {
        let cli = crate::args::Cli::command();
        let (mut length, word) = next(text)?;
        let command = cli.find_subcommand(word)?;
        if ["guide", "completions", "man", "demo"].contains(&word) {
            return None;
        }
        let second = next(&text[length..]).filter(|(_, word)| command.find_subcommand(word).is_some());
        length += second.map_or(0, |(more, _)| more);
        // A worker works for all of them, a receipt says whose it is.
        let of_all = ["init", "worker"].contains(&word)
            || word == "receipt" && second.is_some_and(|(_, w)| w == "verify");
        Some(Self { length, is_of_a_service: !of_all })
    }
}

/// The next word and where it ends; a line that is wrapped may break before it.
fn next(text: &str) -> Option<(usize, &str)> {
    let word = text.trim_start();
    let space = text.len() - word.len();
    let end = word.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(word.len());
    (space > 0 && end > 0).then(|| (space + end, &word[..end]))
}

/// Whether the rest of a command names a service already.
fn says_service(behind: &str) -> bool {
    let line = behind.split(['`', '\n', '#']).next().unwrap_or_default();
    line.contains("--service") || behind.trim_start().starts_with("--service")
}

fn flag(service: &str) -> String {
    format!("--service {}", quoted(service))
}

/// For a shell.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./~@:+=".contains(c);
    if path.chars().all(plain) && !path.is_empty() {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::Named;

    fn config() -> Named {
        Named { config: Some("--config eu.toml".into()), service: None }
    }

    fn service() -> Named {
        Named { config: None, service: Some(super::flag("shop")) }
    }

    #[test]
    fn commands_name_the_file_that_was_named() {
        let shown = "next: domicile plan -o p.json\nrun `domicile guard enforce` on domicile data";
        let wanted = "next: domicile --config eu.toml plan -o p.json\nrun `domicile --config eu.toml guard enforce` on domicile data";
        assert_eq!(config().shown(shown), wanted);
        assert_eq!(Named::default().shown(shown), shown);
        assert_eq!(config().shown("GRANT x TO domicile;"), "GRANT x TO domicile;");
        assert_eq!(
            config().shown("run `domicile\n  resume w1`"),
            "run `domicile --config eu.toml\n  resume w1`"
        );
    }

    #[test]
    fn commands_name_the_service_that_was_named() {
        for (shown, wanted) in [
            ("domicile plan -o p.json", "domicile plan --service shop -o p.json"),
            (
                "`domicile region reconcile us --erase`",
                "`domicile region reconcile --service shop us --erase`",
            ),
            (
                "`domicile resume`, or `domicile\nabort w1`",
                "`domicile resume --service shop`, or `domicile\nabort --service shop w1`",
            ),
            ("domicile guard disown --service shop 1", "domicile guard disown --service shop 1"),
            ("domicile verify w1 --service club", "domicile verify w1 --service club"),
            ("domicile worker", "domicile worker"),
            ("domicile receipt verify a", "domicile receipt verify a"),
            ("domicile receipt extract 1", "domicile receipt extract --service shop 1"),
            ("domicile guide | less", "domicile guide | less"),
            ("domicile.toml", "domicile.toml"),
            ("the schema domicile and domicile_home", "the schema domicile and domicile_home"),
        ] {
            assert_eq!(service().shown(shown), wanted);
        }
        let both = Named { config: config().config, service: service().service };
        assert_eq!(both.shown("domicile check"), "domicile --config eu.toml check --service shop");
    }

    #[test]
    fn a_path_is_quoted_for_a_shell() {
        assert_eq!(super::quoted("a/b.toml"), "a/b.toml");
        assert_eq!(super::quoted("a b's"), "'a b'\\''s'");
    }
}
